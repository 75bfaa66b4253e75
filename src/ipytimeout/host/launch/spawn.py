"""``--start spawn``: a fresh interpreter, started ahead of time, kept as one idle spare, used once.

Runs in any thread of the user's process. A spare costs no CPU while it waits; it ends with the host, because
its warden does.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress

from ipytimeout.host.launch.child import Child
from ipytimeout.host.launch.plumbing import Plumbing
from ipytimeout.host.launch.warden import PACKAGE_PARENT, Warden, get_warden
from ipytimeout.wire.messages.to_child import Rehearse, Settle
from ipytimeout.wire.messages.warden import Start
from ipytimeout.wire.survey import Inherited


def _hash_seed() -> str:
    """Return the seed of this process's hashes where somebody has set it, else one for all of its children."""
    try:
        with open("/proc/self/environ", "rb") as file:  # as it was started: what is set later has no effect here
            variables = file.read().split(b"\0")
    except OSError:
        variables = [f"PYTHONHASHSEED={os.environ.get('PYTHONHASHSEED', '')}".encode()]
    seeds = [each.partition(b"=")[2] for each in variables if each.startswith(b"PYTHONHASHSEED=")]
    if seeds and seeds[0].isdigit() and not sys.flags.ignore_environment:
        return seeds[0].decode()
    return str(random.SystemRandom().randrange(1, 1 << 32))


#: All children of one host order their sets of strings in the same way; as the host does where its seed is known.
_HASH_SEED = _hash_seed()


class SpawnLauncher:
    """Start children as fresh interpreters. One instance per host process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: tuple[Child, Warden, Settle] | None = None

    def prepare(self, settle: Settle, rehearsal: Callable[[], Rehearse | None]) -> None:
        """Have a spare for the next run, unless there is one."""
        with self._lock, suppress(ConnectionError):  # the warden was killed just now: a run will start another
            if self._spare is None:
                warden = get_warden()
                child = start_interpreter(warden, settle)
                if (now := rehearsal()) is not None:
                    child.send(now)
                self._spare = child, warden, settle

    def ahead(self, count: int, rehearsal: Rehearse) -> AbstractContextManager[None]:
        """One spare is enough here: to start more at once would take the processors from the runs."""
        return nullcontext()

    def take(self, settle: Settle, copied: Inherited | None = None) -> Child:
        """Return a child that has been sent ``settle``, or one like it, and that nobody else has used."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            child, warden, settled = spare
            if warden.alive and settled.shell == settle.shell and settled.kernel == settle.kernel:
                return child
            child.close()
        return start_interpreter(get_warden(), settle)

    def close(self) -> None:
        with self._lock:
            if self._spare is not None:
                self._spare[0].close()
                self._spare = None


def start_interpreter(warden: Warden, settle: Settle) -> Child:
    """Have the warden start a fresh interpreter as a child."""
    with Plumbing() as pipes:
        start = Start(
            argv=interpreter("from ipytimeout.child.main import main"),
            environ=start_environ(),
            cwd=_cwd(),
        )
        null = pipes.null()
        control = warden.send(start, [null, pipes.stdout[1], pipes.stderr[1], pipes.channel[1].fileno()])
        child = pipes.child(control)
    child.send(settle)
    return child


def start_environ() -> dict[str, str]:
    """Return the environment in which an interpreter is started."""
    return {**os.environ, "PYTHONHASHSEED": _HASH_SEED}


def interpreter(main: str) -> list[str]:
    """Return the command line of a fresh interpreter like this one, for a ``main`` of ``ipytimeout.child``."""
    boot = f"import sys; sys.path.append(sys.argv[1]); {main}; main(*map(int, sys.argv[2:]))"
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    return [sys.executable, *flags, "-c", boot, PACKAGE_PARENT, "{channel}", "{status}", "{stack}"]


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return "/"
