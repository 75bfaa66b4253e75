"""A function's run when memory runs out, with its own limit or without: what the caller gets."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipytimeout import ChildDied, MemoryLimitExceeded, run_with_timeout, timeout
from ipytimeout.host.launch import launcher, warden
from tests.warden.machine import Machine


def take(megabytes: int, path: str) -> None:
    """Take memory, say so, and keep it."""
    kept = [bytearray(b"x") * 10**6 for _ in range(megabytes)]
    Path(path).write_text(f"{os.getpid()}\n")
    time.sleep(60)
    del kept


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine whose memory the test decides on, with a warden and launchers of its own."""
    machine = Machine(tmp_path / "machine")
    machine.used_by_wardens(monkeypatch)
    monkeypatch.setattr(warden, "_warden", None)
    monkeypatch.setattr(launcher, "_launchers", {})
    yield machine
    for each in launcher._launchers.values():
        each.close()
    warden.get_warden().close()


def once_written(path: Path, act: Callable[[], None]) -> threading.Thread:
    """Do something as soon as the run has said that it has its memory."""

    def wait() -> None:
        until = time.monotonic() + 30
        while not (path.exists() and path.read_text().endswith("\n")) and time.monotonic() < until:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_run_goes_before_the_machine_is_out_of_memory_and_the_error_says_so(machine: Machine, tmp_path: Path) -> None:
    """Without a limit of its own. Natively, the system would kill the kernel."""
    path = tmp_path / "taken"
    thread = once_written(path, lambda: machine.has(30))
    with pytest.raises(MemoryLimitExceeded, match=r"almost nothing was left of the .* of memory") as caught:
        run_with_timeout(60, take, 200, str(path))
    thread.join()
    assert caught.value.peak is not None and caught.value.peak > 200e6
    assert caught.value.limit is not None
    assert pickle.loads(pickle.dumps(caught.value)).peak == caught.value.peak
    machine.has(1000)
    assert run_with_timeout(20, abs, -3) == 3


def test_a_run_that_has_taken_little_stays_whoever_has_taken_the_rest(machine: Machine, tmp_path: Path) -> None:
    assert run_with_timeout(20, abs, -3) == 3  # a process that is still importing would take more
    machine.has(10)
    assert run_with_timeout(20, time.sleep, 1) is None


def test_a_run_that_the_system_killed_first_says_why(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "taken"

    def kill() -> None:
        machine.has_killed(1)
        os.kill(int(path.read_text()), signal.SIGKILL)

    thread = once_written(path, kill)
    with pytest.raises(ChildDied, match=r"SIGKILL after .* the system killed it because there was no memory left"):
        run_with_timeout(60, take, 1, str(path))
    thread.join()


def test_the_limit_is_of_the_run_and_not_of_the_caller(tmp_path: Path) -> None:
    """A list goes with the process; it counts there, once."""
    kept = bytearray(b"x") * 300_000_000
    assert timeout(30, memory="200MB").run(len, [1] * 1000) == 1000
    with pytest.raises(MemoryLimitExceeded, match=r"used .* of memory, and 200 MB were allowed"):
        timeout(30, memory="200MB", default=None).run(take, 300, str(tmp_path / "taken"))
    del kept
