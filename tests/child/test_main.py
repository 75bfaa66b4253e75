"""The life of a child, where its host's messages come in an order that is hard to bring about."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_BROKEN_OFF = """
import dataclasses, os, socket, sys
from ipytimeout.child.main import Child
from ipytimeout.host.process_state import rehearsal
from ipytimeout.wire.messages.to_child import Settle

child = Child()
host, own = socket.socketpair()
child.attach(own.detach(), os.pipe()[1], os.pipe()[1])
child.settle_in(Settle(list(sys.path), [], [], True, False, "", []))
here = rehearsal()
child.rehearse(here)
elsewhere = dataclasses.replace(here, state=dataclasses.replace(here.state, cwd="/"))
run_is_waiting = iter([False, False, True])
child.channel.has_received = lambda within=0.0: next(run_is_waiting)
child.rehearse(elsewhere)
known = child._known
sys.__stdout__.write(f"{os.getcwd()} {known is None or known.state.cwd}")
sys.__stdout__.flush()
"""


def test_a_rehearsal_that_a_run_breaks_off_leaves_nothing_wrong_known(tmp_path: Path) -> None:
    """Or the run would be in the folder of the rehearsal, and take it for its own."""
    done = subprocess.run([sys.executable, "-c", _BROKEN_OFF], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout in ("/ /", "/ True")
