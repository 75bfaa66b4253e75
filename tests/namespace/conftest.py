"""A notebook whose timed cells run in another process, with nothing between but the namespace's own code."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipytimeout.host.commit import CannotRebuild, Commit, prepare
from ipytimeout.wire.memory import share
from ipytimeout.wire.messages import Attached
from ipytimeout.wire.pickling import CALL, Dump, dump_namespace

from . import driver

HEAVY = ("numpy", "pandas", "sklearn.ensemble", "sklearn.linear_model", "matplotlib.pyplot")


class Notebook:
    """A namespace named ``__main__``, with cells that run here and cells that run there."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.module = types.ModuleType("__main__")
        self.names: dict[str, Any] = vars(self.module)
        #: What did not travel, or did not come back, in the last timed cell.
        self.refused: dict[str, str] = {}
        self.left_behind: dict[str, str] = {}
        #: How many bytes came back.
        self.received = 0
        self.commit: Commit | None = None
        #: Whether the other process is told by the kernel what was written into mapped memory.
        self.pages_known = True

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    def cell(self, code: str) -> None:
        """Run a cell natively."""
        driver.run(code, self.names)

    def value(self, expression: str) -> Any:
        return eval(expression, self.names)

    def timed(self, code: str, names: list[str] | None = None, keep: list[str] | None = None) -> Any:
        """Run a cell in the other process and commit. Return its value; raise what it raised."""
        commit = self.uncommitted(code, names, keep)
        commit.apply()
        if commit.exception is not None:
            raise commit.exception
        return commit.result

    def uncommitted(self, code: str, names: list[str] | None = None, keep: list[str] | None = None) -> Commit:
        return self.exchange(self.dump(names), code, keep)

    def dump(self, names: list[str] | None = None) -> Dump:
        """Take what a cell would be sent, all names without them being named."""
        if names is None:
            names = [name for name in self.names if not name.startswith("__")]
        dump = dump_namespace(self.names, names)
        self.refused = dump.refused
        return dump

    def exchange(self, dump: Dump, code: str, keep: list[str] | None = None) -> Commit:
        """Run a cell there on what was taken."""
        return self._exchange(dump, {"code": code, "keep": keep})

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function in the other process, as a decorated function does."""
        names = [name for name in self.names if not name.startswith("__")]
        dump = dump_namespace(self.names, names, {CALL: (function, args, kwargs)})
        commit = self._exchange(dump, {"code": "", "keep": None})
        if commit.exception is not None:
            raise commit.exception
        return commit.result

    def _exchange(self, dump: Dump, request: dict[str, Any]) -> Commit:
        # Once in the process that forks, and not once for each cell.
        imports = [name for name in HEAVY if name in sys.modules]
        buffers, fillings = share(dump.buffers)
        for filling in fillings:
            while filling.step():
                continue
        sent = [(os.getpid(), b.descriptor, b.size) if isinstance(b, Attached) else bytes(b) for b in buffers]
        request |= {"buffers": sent, "imports": imports, "pages_known": self.pages_known}
        driver.write(self._process.stdin, request)
        without: dict[str, str] = {}
        while True:
            reply = driver.read(self._process.stdout)
            while fillings:
                os.close(fillings.pop().attached.descriptor)
            if isinstance(reply, Exception):
                raise reply
            buffers, self.left_behind, self.exception_refused = reply
            self.received = sum(map(len, buffers))
            try:
                commit = prepare([bytearray(b) for b in buffers], self.names, dump.table)
            except CannotRebuild as error:
                if error.name is None or error.name in without:
                    raise
                without[error.name] = error.reason
                driver.write(self._process.stdin, without)
                continue
            driver.write(self._process.stdin, None)
            self.left_behind = {**self.left_behind, **commit.left_behind}
            self.commit = commit
            return commit


@pytest.fixture(scope="session")
def other_process() -> Iterator[subprocess.Popen[bytes]]:
    source = Path(driver.__file__).parents[2] / "src"
    path = os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, driver.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )
    yield process
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


@pytest.fixture
def notebook(other_process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> Notebook:
    notebook = Notebook(other_process)
    monkeypatch.setitem(sys.modules, "__main__", notebook.module)
    return notebook
