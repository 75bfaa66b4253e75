"""The seam between a run and the ways to have a child. In any thread of the user's process."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, Protocol

from ipytimeout.host.launch.child import Child
from ipytimeout.host.launch.spawn import SpawnLauncher
from ipytimeout.host.launch.warm import TemplateUnusable, WarmLauncher
from ipytimeout.options import StartMethod
from ipytimeout.wire.messages import Settle


class Launcher(Protocol):
    """One way to have a child. Its methods may be called from any thread."""

    def prepare(self, settle: Settle) -> None:
        """Get ready for the next run, without waiting. Called at ``%load_ext``, after each cell, and in each run."""

    def take(self, settle: Settle) -> Child:
        """Return a child that settles like this process and has run nothing. Called once for each run."""


class AutoLauncher:
    """``warm`` where it works, else ``spawn``, with the reason told once."""

    def __init__(self) -> None:
        self._warm: WarmLauncher = _launcher(StartMethod.WARM)
        self._spawn: SpawnLauncher = _launcher(StartMethod.SPAWN)
        self._use_spawn = False

    def prepare(self, settle: Settle) -> None:
        (self._spawn if self._use_spawn else self._warm).prepare(settle)

    def take(self, settle: Settle) -> Child:
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


_lock = threading.RLock()
_launchers: dict[tuple[int, StartMethod], Any] = {}
_MAKE = {StartMethod.AUTO: AutoLauncher, StartMethod.WARM: WarmLauncher, StartMethod.SPAWN: SpawnLauncher}


def get_launcher(method: StartMethod) -> Launcher:
    """Return this process's launcher for a start method; a forked worker of the notebook has its own."""
    if method is StartMethod.AUTO and sys.platform != "linux":
        method = StartMethod.SPAWN
    launcher: Launcher = _launcher(method)
    return launcher


def _launcher(method: StartMethod) -> Any:
    with _lock:
        key = os.getpid(), method
        if key not in _launchers:
            _launchers[key] = _MAKE[method]()
        return _launchers[key]
