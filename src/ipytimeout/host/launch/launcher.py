"""The seam between a run and the ways to have a child. In any thread of the user's process."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, assert_never

from ipytimeout.host.launch.child import Child
from ipytimeout.host.launch.fork import ForkLauncher
from ipytimeout.host.launch.spawn import SpawnLauncher
from ipytimeout.host.launch.warm import TemplateUnusable, WarmLauncher
from ipytimeout.options import StartMethod
from ipytimeout.wire.messages.to_child import Rehearse, Settle
from ipytimeout.wire.survey import Inherited


class Launcher(Protocol):
    """One way to have a child. Its methods may be called from any thread."""

    def prepare(self, settle: Settle, rehearsal: Callable[[], Rehearse | None]) -> None:
        """Get ready for the next run, without waiting. Called at ``%load_ext``, after cells, in and after runs."""

    def ahead(self, count: int, rehearsal: Rehearse) -> AbstractContextManager[None]:
        """While many runs follow each other, so many of them at once, be ready for more than one. Called by ``map``.

        ``rehearsal``: what a run of this moment would be sent.
        """

    def take(self, settle: Settle, copied: Inherited | None = None) -> Child:
        """Return a child that settles like this process and has run nothing. Called once for each run.

        ``copied``: what a copy of this process has from it.
        """

    def close(self) -> None:
        """Let go of spare and template; called by nobody but tests: both end with their warden."""


class AutoLauncher:
    """``warm`` where it works, else ``spawn``, with the reason told once."""

    def __init__(self, warm: WarmLauncher, spawn: SpawnLauncher) -> None:
        self._warm = warm
        self._spawn = spawn
        self._use_spawn = False

    def prepare(self, settle: Settle, rehearsal: Callable[[], Rehearse | None]) -> None:
        (self._spawn if self._use_spawn else self._warm).prepare(settle, rehearsal)

    def ahead(self, count: int, rehearsal: Rehearse) -> AbstractContextManager[None]:
        return (self._spawn if self._use_spawn else self._warm).ahead(count, rehearsal)

    def take(self, settle: Settle, copied: Inherited | None = None) -> Child:
        note = ""
        if not self._use_spawn:
            try:
                return self._warm.take(settle)
            except TemplateUnusable as error:
                if self._warm.unusable:  # for good, and so this is told once
                    self._use_spawn = True
                    note = f"from now on runs start with --start spawn, which is slower: {error.args[0]}"
        child = self._spawn.take(settle)
        child.note = note
        return child

    def close(self) -> None:
        self._warm.close()
        self._spawn.close()


_lock = threading.RLock()
_launchers: dict[tuple[int, StartMethod], Launcher] = {}


def _renew_lock() -> None:
    """In a forked process: another thread may have held it, which is not there."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


def get_launcher(method: StartMethod) -> Launcher:
    """Return this process's launcher for a start method; a forked worker of the notebook has its own."""
    with _lock:
        key = os.getpid(), method
        if key not in _launchers:
            _launchers[key] = _make(method)
        return _launchers[key]


def _make(method: StartMethod) -> Launcher:
    match method:
        case StartMethod.SPAWN:
            return SpawnLauncher()
        case StartMethod.WARM:
            return WarmLauncher()
        case StartMethod.FORK:
            return ForkLauncher()
        case StartMethod.AUTO:
            spawn = get_launcher(StartMethod.SPAWN)
            if sys.platform != "linux":
                return spawn
            warm = get_launcher(StartMethod.WARM)
            assert isinstance(warm, WarmLauncher) and isinstance(spawn, SpawnLauncher)
            return AutoLauncher(warm, spawn)
        case _:
            assert_never(method)
