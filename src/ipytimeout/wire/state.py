"""What belongs to a process rather than to a namespace: read here, applied there. In host and child, main thread.

Law of the file: only what differs is touched, and nothing is imported that the other process has not imported.
"""

from __future__ import annotations

import importlib
import os
import sys
from array import array
from base64 import b64decode, b64encode
from contextlib import suppress

from ipytimeout.wire.messages import Json, ProcessState


def read_state() -> ProcessState:
    """Return the state of this process as it is now."""
    try:
        cwd = os.getcwd()
    except OSError:  # it was removed
        cwd = ""
    path = [entry for entry in sys.path if isinstance(entry, str)]
    return ProcessState(cwd, dict(os.environ), path, _read_generators(), _read_backend())


def apply_state(state: ProcessState, now: ProcessState | None = None) -> None:
    """Make the state of this process that one. ``now``: what it is, where that is known."""
    now = now or read_state()
    if state.cwd and state.cwd != now.cwd:
        with suppress(OSError):  # it is gone: the code finds that out as it would natively
            os.chdir(state.cwd)
    for name in now.environ.keys() - state.environ.keys():
        os.environ.pop(name, None)
    for name, value in state.environ.items():
        if now.environ.get(name) != value:
            os.environ[name] = value
    if state.sys_path != now.sys_path:
        sys.path[:] = state.sys_path
    _apply_generators(state.generators, now.generators)
    if state.backend and state.backend != now.backend:
        with suppress(Exception):  # one that needs what this process has not: its figures stay as they were
            matplotlib = importlib.import_module("matplotlib")
            fallback = dict.get(matplotlib.rcParams, "backend_fallback")
            matplotlib.use(state.backend)
            dict.update(matplotlib.rcParams, backend_fallback=fallback)  # which is set by itself


def _read_backend() -> str:
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None or not hasattr(matplotlib, "rcParams"):
        return ""
    # Not by its own access, which would choose one now.
    backend = dict.get(matplotlib.rcParams, "backend")
    return backend if isinstance(backend, str) else ""


def _read_generators() -> dict[str, Json]:
    found: dict[str, Json] = {}
    if (random := sys.modules.get("random")) is not None:
        version, words, gauss = random.getstate()
        found["random"] = [version, _as_text(array("I", words).tobytes()), gauss]
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        name, words, position, has_gauss, cached = numpy_random.get_state()
        if name == "MT19937":  # numpy's own; another bit generator put in its place keeps its state
            found["numpy.random"] = [name, _as_text(words.tobytes()), position, has_gauss, cached]
    return found


def _apply_generators(wanted: dict[str, Json], now: dict[str, Json]) -> None:
    for name, state in wanted.items():
        if now.get(name) == state:
            continue
        # The other process has imported it, so this one would have too.
        module = importlib.import_module(name)
        if name == "random":
            version, words, gauss = state
            module.setstate((version, tuple(array("I", b64decode(words))), gauss))
        else:
            name, words, *rest = state
            numpy = importlib.import_module("numpy")
            module.set_state((name, numpy.frombuffer(b64decode(words), numpy.uint32), *rest))


def _as_text(words: bytes) -> str:
    """Six hundred numbers as a string: JSON takes ten times as long for a list of them."""
    return b64encode(words).decode("ascii")
