"""A kernel in a container of little memory, by a real cgroup: the run goes and the kernel stays."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kernels.harness import Kernel

SIZE = 800 << 20


def make_group() -> Path:
    """Make a memory cgroup of this size beneath the one of this process, version 1 or 2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        first = controllers == "memory"
        if not (first or controllers == ""):
            continue  # version 1 with another controller
        above = Path("/sys/fs/cgroup/memory" if first else "/sys/fs/cgroup") / path.lstrip("/")
        limit = "memory.limit_in_bytes" if first else "memory.max"
        group = above / f"ipytimeout-test-{uuid.uuid4().hex[:8]}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(SIZE))
        except OSError:
            group.rmdir()
            continue
        return group
    pytest.skip("not here: no memory cgroup can be made (it takes root, and a writable /sys/fs/cgroup)")


@pytest.fixture
def container(python: str, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel that may use so much memory, together with all it starts."""
    group = make_group()
    kernel = Kernel(python, tmp_path)
    try:
        (group / "cgroup.procs").write_text(str(kernel.pid))
        ready = kernel.run("%load_ext ipytimeout\nimport numpy as np\nrows = ['row']")
        assert ready.status == "ok", ready.text
        yield kernel
    finally:
        kernel.close()
        until = time.monotonic() + 10
        while group.exists() and time.monotonic() < until:
            with suppress(OSError):  # the last process is still on its way
                group.rmdir()
            time.sleep(0.02)


def assert_nothing_changed(kernel: Kernel) -> None:
    assert kernel.run("print(rows)").stdout == "['row']\n"
    assert kernel.run("%%timeout 20\nrows.append(len(rows))").status == "ok"
    assert kernel.run("print(rows)").stdout == "['row', 1]\n"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("kept = []\nwhile True: kept.append(bytearray(b'x') * 10**6)", id="little by little"),
        pytest.param("a = np.ones(250_000_000)", id="at once"),
        pytest.param("import subprocess, sys; subprocess.run([sys.executable, '-c', 'a = [1] * 10**9'])", id="outside"),
    ],
)
def test_a_cell_goes_before_the_container_is_out_of_memory(container: Kernel, code: str) -> None:
    """Natively the system would kill the kernel."""
    result = container.run(f"%%timeout 60\nrows.append(0)\n{code}\nassert False")
    assert result.error is not None and result.error.name == "MemoryLimitExceeded", result.text
    assert f"almost nothing was left of the {SIZE / 1e6:.0f} MB of memory" in result.error.value
    assert_nothing_changed(container)


def test_a_share_is_of_the_container(container: Kernel) -> None:
    result = container.run("%%timeout -m 25% 60\nrows.append(0)\na = np.ones(40_000_000)\nimport time; time.sleep(30)")
    assert result.error is not None and result.error.name == "MemoryLimitExceeded", result.text
    assert f"and {SIZE / 4e6:.0f} MB were allowed" in result.error.value
    assert_nothing_changed(container)


def test_an_array_of_which_the_container_has_no_room_for_a_copy_is_refused_and_stays(container: Kernel) -> None:
    assert container.run("big = np.ones(60_000_000)").status == "ok"
    result = container.run("%%timeout 60\nrows.append(0)\nbig[:] = 2")
    assert result.error is not None and result.error.name == "MemoryError", result.text
    assert "of memory left" in result.error.value
    assert container.run("print(big.max())").stdout == "1.0\n"
    assert_nothing_changed(container)
