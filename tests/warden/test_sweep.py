"""The killing of a tree, with real processes."""

from __future__ import annotations

import subprocess
import sys

from ipytimeout.warden import tree
from ipytimeout.warden.sweep import Sweep


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])


def test_a_process_that_is_handed_on_while_it_is_looked_for_is_ended() -> None:
    """Its parent was still there at the first look, and it was an orphan when the parent's children were read."""
    ended, orphan = sleeper(), sleeper()
    ended.kill()
    ended.wait()
    looks = iter([[ended.pid], [ended.pid, orphan.pid]])
    sweep, last = Sweep(ended.pid), [ended.pid, orphan.pid]
    try:
        sweep.begin(lambda: next(looks, last))
        assert orphan.wait(10) == -9
        assert len(sweep.ended) == 1 and f"(pid {orphan.pid})" in sweep.ended[0]
        assert not sweep.goes_on(lambda: last)
    finally:
        orphan.kill()
        orphan.wait()


def test_nothing_is_left_of_a_child_that_is_gone() -> None:
    """One look more says so, and nobody is named."""
    child = sleeper()
    child.kill()
    child.wait()
    sweep = Sweep(child.pid)
    sweep.begin(lambda: [child.pid])
    assert sweep.due == 0.0 and not sweep.goes_on(list) and sweep.ended == []
    assert not tree.runs_code(child.pid)
