"""Where this package works. Vocabulary: standard library only, safe in every process."""

from __future__ import annotations

import sys


def unsupported() -> str:
    """Return in one line why this platform is not supported; "" where it is."""
    if sys.platform in ("win32", "cygwin"):
        return "ipytimeout does not support Windows, which cannot end a process tree safely; use it inside WSL"
    if sys.platform in ("emscripten", "wasi"):
        return "ipytimeout does not support JupyterLite: a browser has no processes; use a Jupyter server or Binder"
    return ""


def refuse_unsupported() -> None:
    """Raise ``NotImplementedError`` with that line where this platform is not supported."""
    if why := unsupported():
        raise NotImplementedError(why)
