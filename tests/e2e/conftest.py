"""The kernels of ``tests/kernels`` for whole notebooks, and a clone set up as the README says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.clone import Clone, clone
from tests.e2e.readme import commands
from tests.kernels.environments import ENVIRONMENTS


@pytest.fixture(params=list(ENVIRONMENTS))
def python(request: pytest.FixtureRequest) -> str:
    """The interpreter of the kernel under test; every test that uses it runs once for each version."""
    return ENVIRONMENTS[request.param]()


@pytest.fixture(scope="session")
def readme_clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A fresh clone in which the set-up part of the README's first command has been run."""
    fresh = clone(tmp_path_factory.mktemp("readme"))
    set_up, _ = commands().start_parts
    fresh.run(set_up)
    return fresh


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """An empty browser profile."""
    return tmp_path / "profile"
