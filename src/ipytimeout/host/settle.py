"""What a child needs to be like this process. Runs in the user's process, in the thread that starts a run."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from ipytimeout.host import process_state
from ipytimeout.host.launch.launcher import get_launcher
from ipytimeout.host.shell import cell_filename
from ipytimeout.options import StartMethod
from ipytimeout.wire.by_name import import_quietly
from ipytimeout.wire.libraries import is_in_library, is_library, users_modules
from ipytimeout.wire.messages.to_child import Settle
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


def get_ready(shell: InteractiveShell, *, rehearse: bool = True) -> None:
    """Have a child ready for the next run, in the background: after ``%load_ext``, and after each cell.

    ``rehearse``: whether this is the main thread, between two cells, so that it can be told what is set here.
    """
    get_launcher(StartMethod.AUTO).prepare(settle_like_here(shell), process_state.rehearsal if rehearse else _nothing)


def _nothing() -> None:
    """There is nothing to rehearse."""
