"""What a wait for a run does when something else goes wrong than the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ipytimeout import RunError, run_with_timeout
from ipytimeout.host.launch.warden import get_warden


def runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def leave_daemons(path: str) -> None:
    """Start a process in a session of its own, whose parent ends at once; then never end."""
    code = "import os, time; open(os.sys.argv[1], 'w').write(f'{os.getpid()}\\n'); time.sleep(60)"
    if os.fork() == 0:
        subprocess.Popen([sys.executable, "-c", code, path], start_new_session=True, env={})
        os._exit(0)
    while True:
        time.sleep(0.01)


def test_when_the_warden_is_killed_the_run_is_gone_within_a_second_and_the_next_one_works(tmp_path: Path) -> None:
    """Nobody is left who knows the run's processes but by the mark they carry."""
    path = tmp_path / "pid"
    warden = get_warden()
    killed_at: list[float] = []

    def kill() -> None:
        while not (path.exists() and path.read_text().endswith("\n")):
            time.sleep(0.01)
        killed_at.append(time.monotonic())
        os.kill(warden.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(RunError, match="the warden process of ipytimeout was killed, and the run with it"):
        run_with_timeout(60, leave_daemons, str(path))
    back = time.monotonic() - killed_at[0]
    killer.join()
    assert not runs(int(path.read_text()))
    assert back < 5
    assert run_with_timeout(20, os.getpid) != os.getpid()
    assert get_warden().pid != warden.pid


def test_when_the_warden_is_killed_while_nothing_runs_the_next_run_works() -> None:
    assert run_with_timeout(20, pow, 2, 3) == 8
    warden = get_warden()
    os.kill(warden.pid, signal.SIGKILL)
    while runs(warden.pid):  # for some microseconds, in which a run would be lost with it
        time.sleep(0.001)
    assert run_with_timeout(20, pow, 2, 3) == 8
