"""Which modules are libraries, and which are the user's own. In host and child.

A library is the same in both processes. A module of the user's own lies in no folder of libraries: beside the
notebook, or where an editable installation points to.
"""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
from types import ModuleType


def is_library(module: ModuleType) -> bool:
    if getattr(module, "__spec__", None) is None:
        return False
    file = getattr(module, "__file__", None)
    return file is None or is_in_library(file)


@functools.cache
def is_in_library(file: str) -> bool:
    return os.path.realpath(file).startswith(library_folders())


@functools.cache
def library_folders() -> tuple[str, ...]:
    """Return where libraries are installed: the standard library, and every ``site-packages`` of this interpreter."""
    folders = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    # Those of a base interpreter that this virtual environment shows, and Debian's.
    folders |= {entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))}
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


def users_modules() -> dict[str, ModuleType]:
    """Return the modules of the user's own that this process has imported, by name."""
    global _known
    now = len(sys.modules), next(reversed(sys.modules))
    if now != _known[0]:
        _known = now, tuple(name for name, module in list(sys.modules.items()) if _is_users(name, module))
    return {name: sys.modules[name] for name in _known[1] if name in sys.modules}


#: How many modules there were, and the newest, when these were found to be the user's own.
_known: tuple[tuple[int, str], tuple[str, ...]] = (0, ""), ()


def _is_users(name: str, module: object) -> bool:
    return (
        type(module) is ModuleType
        and getattr(module, "__spec__", None) is not None
        and isinstance(getattr(module, "__file__", None), str)
        and name.partition(".")[0] not in _NOT_USERS
        and not is_library(module)
    )


_NOT_USERS = frozenset({"__main__", "__mp_main__", __name__.partition(".")[0]})
