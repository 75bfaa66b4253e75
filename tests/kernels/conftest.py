"""Real kernels for tests: one of each version for the whole session, and a fresh one for those that kill it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernels.environments import ENVIRONMENTS
from tests.kernels.harness import Kernel

Start = Callable[[], Kernel]

#: What depends on our own processes and not on the kernel's version: the gate has a sample of each table, with the newer
#: kernel; .ci/full has all of it.
_OURS = {
    "test_all_or_nothing",
    "test_container",
    "test_flood",
    "test_fork",
    "test_grace",
    "test_host_and_warden_die",
    "test_kept",
    "test_memory",
    "test_phases",
    "test_process_state",
    "test_security",
    "test_where",
}


#: What depends on the kernel's version a little: the gate has all of each table with the newer kernel, and a sample with
#: the older one.
_MOSTLY_OURS = {
    "test_as_if",
    "test_autotimeout",
    "test_background",
    "test_flood",
    "test_output",
    "test_output_widgets",
    "test_widgets",
    "test_widgets_on_a_new_page",
}
#: So many rows of a table are a sample.
_SAMPLE = 2
#: Of what is ours, these try one row with the older kernel too: a copy of a kernel has much of its version in it.
_OF_BOTH = {
    "test_a_copy_of_the_kernel_uses_what_cannot_be_sent",
    "test_every_face_of_the_package_can_have_a_copy",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rows: Counter[tuple[str, bool]] = Counter()
    for item in items:
        if item.path.parent != Path(__file__).parent or item.get_closest_marker("full"):
            continue
        older = "ipykernel6" in getattr(getattr(item, "callspec", None), "id", "")
        test = item.nodeid.partition("[")[0], older
        rows[test] += 1
        first = rows[test] == 1 and getattr(item, "originalname", "") in _OF_BOTH
        ours = item.path.stem in _OURS and (rows[test] > _SAMPLE or (older and not first))
        mostly_ours = item.path.stem in _MOSTLY_OURS and older and rows[test] > _SAMPLE
        if ours or mostly_ours:
            item.add_marker(pytest.mark.full)


@pytest.fixture(scope="session", params=list(ENVIRONMENTS))
def python(request: pytest.FixtureRequest) -> str:
    """The interpreter of the kernel under test; every test that uses it runs once for each version."""
    return ENVIRONMENTS[request.param]()


@pytest.fixture(scope="session")
def shared_kernel(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Kernel]]:
    """A place for one kernel, which ``kernel`` fills."""
    place: list[Kernel] = []
    yield place
    for kernel in place:
        kernel.close()


@pytest.fixture
def kernel(shared_kernel: list[Kernel], python: str, tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """A kernel with the extension loaded and an empty namespace; shared, but for what a test kills."""
    if not (shared_kernel and shared_kernel[0].alive):
        shared_kernel[:] = [Kernel(python, tmp_path_factory.mktemp("kernel"))]
    kernel = shared_kernel[0]
    kernel.run("%reset -f")
    loaded = kernel.run("%reload_ext ipytimeout")
    assert loaded.status == "ok", loaded.text
    return kernel


@pytest.fixture
def own_kernel(python: str, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel of this test alone, which it may kill."""
    kernel = Kernel(python, tmp_path)
    loaded = kernel.run("%load_ext ipytimeout")
    assert loaded.status == "ok", loaded.text
    yield kernel
    kernel.close()
