"""What a child needs to be like this process. Runs in the user's process, in the thread that starts a run."""

from __future__ import annotations

import contextlib
import importlib.util
import linecache
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ipytimeout.host import process_state
from ipytimeout.wire.by_name import import_quietly
from ipytimeout.wire.libraries import is_in_library, is_library, users_modules
from ipytimeout.wire.messages import Settle
from ipytimeout.wire.streams import warnings_held

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: What belongs to a kernel or a debugger, or starts threads or sockets when it is imported: not for a template.
_NOT_FOR_CHILDREN = {
    "__main__",
    "__mp_main__",
    "_pydevd_bundle",
    "debugpy",
    "ipykernel",
    "ipykernel_launcher",
    "ipytimeout",
    "jupyter_client",
    "jupyter_core",
    "pydevd",
    "grpc",
    "jax",
    "jaxlib",
    "pyspark",
    "ray",
    "tensorflow",
    "tornado",
    "zmq",
}
#: Sources of the newest cells, for tracebacks; more would cost each run more than a line number is worth.
_MAX_SOURCES = 1 << 20


def settle_like_here(shell: InteractiveShell | None) -> Settle:
    """Describe this process to a child that is to be like it."""
    kernel = shell is not None and getattr(shell, "kernel", None) is not None
    preload = library_modules()
    # %config TimeoutMagics, where the extension is loaded.
    magics: Any = shell.magics_manager.registry.get("TimeoutMagics") if shell is not None else None
    if magics is not None and (magics.preload or magics.never_preload):
        never = set(magics.never_preload)
        preload = [name for name in [*preload, *magics.preload] if name.partition(".")[0] not in never]
    return Settle(
        sys_path=list(sys.path),
        argv=list(sys.argv),
        preload=preload,
        shell=shell is not None,
        kernel=kernel,
        cell_directory=os.path.dirname(cell_filename(shell, "")) if kernel and shell is not None else "",
        adapters=process_state.elsewhere(),
    )


def library_modules() -> list[str]:
    """Return the modules of libraries that this process has imported, in its order; the user's own are left out.

    A module of the user's is imported in each child anew: it may have changed on disk.
    """
    global _known
    now = len(sys.modules), next(reversed(sys.modules))
    if now != _known[0]:
        _known = (
            now,
            [
                name
                for name, module in list(sys.modules.items())
                if name.partition(".")[0] not in _NOT_FOR_CHILDREN and is_library(module)
            ],
        )
    return _known[1]


def import_like(modules: Iterable[str]) -> bool:
    """Import the libraries' modules that a child has imported: natively they would be imported here.

    Tell whether there was one.
    """
    before = len(sys.modules)
    for name in modules:
        if name in sys.modules or name.partition(".")[0] in ("ipytimeout", "__main__", "__mp_main__"):
            continue
        with contextlib.suppress(BaseException), warnings_held():  # what it raises or warns of, the code has met
            spec = importlib.util.find_spec(name)
            if spec is not None and (spec.origin is None or is_in_library(spec.origin)):
                import_quietly(name)
    return len(sys.modules) > before


#: How many modules there were, and the newest, when these were found to be libraries.
_known: tuple[tuple[int, str], list[str]] = (0, ""), []


def changed_on_disk(names: Collection[str]) -> list[str]:
    """Return which of these modules of the user's own have another text by now than when they were imported here.

    As far as that is known: since this was asked for the first time after the import.
    """
    changed = []
    for name, module in users_modules().items():
        with contextlib.suppress(OSError):
            written = os.stat(str(module.__file__)).st_mtime_ns
            spec, then = _imported.get(name, (None, 0))
            if spec is not module.__spec__:  # it was imported, or loaded again
                _imported[name] = module.__spec__, written
            elif written != then and name in names:
                changed.append(name)
    return changed


#: By module, its specification, which is a new one when it is loaded again, and when its text was written then.
_imported: dict[str, tuple[object, int]] = {}


def cell_number(shell: InteractiveShell) -> int:
    """Return the number of the cell that runs now; IPython 9 counts on before the cell runs, IPython 8 after."""
    running: Any = getattr(shell.displayhook, "exec_result", None)
    number: int | None = getattr(running, "execution_count", None)
    return shell.execution_count if number is None else number


def cell_filename(shell: InteractiveShell, code: str) -> str:
    """Return what the shell would call this cell in a traceback."""
    compiler: Any = shell.compile
    name: str = compiler.get_code_name(code, code, cell_number(shell))
    return name


def cell_numbers(shell: InteractiveShell | None) -> dict[str, int]:
    """Return the numbers of the cells by the names they have in tracebacks: the shell's own record, not a copy."""
    numbers: dict[str, int] = getattr(shell.compile, "_filename_map", {}) if shell is not None else {}
    return numbers


def cell_sources(shell: InteractiveShell | None) -> dict[str, tuple[str, int]]:
    """Return the source and the number of earlier cells, newest first until it is enough."""
    sources: dict[str, tuple[str, int]] = {}
    size = 0
    for name, number in reversed(cell_numbers(shell).items()):
        entry = linecache.cache.get(name)
        if entry is not None and len(entry) == 4:
            text = "".join(entry[2])
            size += len(text)
            if size > _MAX_SOURCES:
                break
            sources[name] = text, number
    return sources


def inputs_so_far(shell: InteractiveShell, number: int) -> list[str]:
    """Return the cells before this one, as they were written."""
    history: Any = shell.history_manager
    return list(getattr(history, "input_hist_raw", ()))[:number]


def as_compiled(shell: InteractiveShell, code: str) -> str:
    """Return the text that the shell would compile, and that tracebacks and ``inspect`` show natively."""
    try:
        transform: Any = shell.transform_cell
        return str(transform(code))
    except Exception:  # it is no Python; the child says so
        return code


def learn_sources(shell: InteractiveShell | None, sources: Mapping[str, tuple[str, int]]) -> None:
    """Know the source of cells that run in a child: for tracebacks and ``inspect`` here."""
    for name, (text, number) in sources.items():
        cell_numbers(shell)[name] = number
        if name not in linecache.cache:
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


def current_shell() -> InteractiveShell | None:
    """Return the IPython shell of this process, without importing IPython for it."""
    module = sys.modules.get("IPython")
    shell: InteractiveShell | None = module.get_ipython() if module is not None else None
    return shell
