"""Which modules are libraries, and which are the user's own. In host and child.

A library is the same in both processes. A module of the user's own lies in no folder of libraries: beside the
notebook, or where an editable installation points to.
"""

from __future__ import annotations

import functools
import itertools
import os
import site
import sys
import sysconfig
from types import ModuleType
from typing import TypeAlias

#: How many modules are imported, and which is the newest.
Mark: TypeAlias = tuple[int, str]


def is_library(module: ModuleType) -> bool:
    if getattr(module, "__spec__", None) is None:
        return False
    file = getattr(module, "__file__", None)
    return file is None or is_in_library(file)


@functools.cache
def is_in_library(file: str) -> bool:
    folder, name = os.path.split(file)
    real = os.path.realpath(file) if os.path.islink(file) else os.path.join(_real_folder(folder), name)
    return real.startswith(library_folders())


@functools.cache
def _real_folder(folder: str) -> str:
    """Resolve a folder once: to resolve each of a thousand files anew takes tens of milliseconds."""
    return os.path.realpath(folder)


@functools.cache
def library_folders() -> tuple[str, ...]:
    """Return where libraries are installed: the standard library, and every ``site-packages`` of this interpreter."""
    folders = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    # Those of a base interpreter that this virtual environment shows, and Debian's.
    folders |= {entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))}
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


def newest_module() -> Mark:
    """Return a mark of what is imported by now."""
    return len(sys.modules), next(reversed(sys.modules))


def newer_than(mark: Mark) -> list[str] | None:
    """Return the names of the modules that were imported since; None where others were taken out.

    A forked process gets its own copy of each page that it looks at: of a thousand modules, milliseconds.
    """
    count, newest = mark
    more = len(sys.modules) - count
    names = list(itertools.islice(reversed(sys.modules), max(0, more) + 1))
    return names[-2::-1] if more >= 0 and len(names) == more + 1 and names[-1] == newest else None


def users_modules() -> dict[str, ModuleType]:
    """Return the modules of the user's own that this process has imported, by name."""
    global _known
    before, known = _known
    mark, new = newest_module(), newer_than(before)
    if new is None:
        known, new = (), list(sys.modules)
    if new:
        known = (*known, *(name for name in new if _is_users(name, sys.modules.get(name))))
    _known = mark, known
    return {name: sys.modules[name] for name in known if name in sys.modules}


#: What is imported when these were found to be the user's own.
_known: tuple[Mark, tuple[str, ...]] = (0, ""), ()


def _is_users(name: str, module: object) -> bool:
    return (
        type(module) is ModuleType
        and getattr(module, "__spec__", None) is not None
        and isinstance(getattr(module, "__file__", None), str)
        and name.partition(".")[0] not in _NOT_USERS
        and not is_library(module)
    )


_NOT_USERS = frozenset({"__main__", "__mp_main__", __name__.partition(".")[0]})
