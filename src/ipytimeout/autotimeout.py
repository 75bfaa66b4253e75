"""``%autotimeout``: a deadline on every cell that has none of its own. In the user's process, main thread.

The code of a cell is never edited: once IPython has parsed it, its whole tree is replaced by one call that runs the
cell as it was written under ``%%timeout``. A cell that is no Python is told so natively, before.

Law of the file: what only makes sense in the kernel runs in the kernel, and so does what the user did not send.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ipytimeout.durations import format_duration
from ipytimeout.host.look import words
from ipytimeout.options import RunOptions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: Magics of this package: a cell with one of them has a deadline of its own.
_OWN = frozenset({"timeout", "autotimeout"})
#: Magics that are about the kernel's process, its packages or its front end.
_KERNEL_SIDE = words(
    "load_ext reload_ext unload_ext autoreload aimport config matplotlib pylab gui colors xmode doctest_mode automagic "
    "pip conda mamba micromamba uv "
    "reset reset_selective xdel store save macro edit load loadpy notebook history recall rerun rep hist "
    "connect_info qtconsole subshell killbgscripts logstart logstop logon logoff logstate debug pdb tb"
)


class AutoTimeout(ast.NodeTransformer):
    """The deadline that every cell has. One of IPython's AST transformers, for as long as there is one."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self.options: RunOptions | None = None
        #: The cell that is about to be transformed: nothing else that IPython transforms is one.
        self._cell: str | None = None

    def put_on(self, options: RunOptions) -> None:
        """From the next cell on."""
        self.take_off()
        self.options = options
        self._shell.events.register("pre_run_cell", self.before_cell)
        self._shell.ast_transformers.append(self)

    def take_off(self) -> None:
        """From the next cell on; harmless when there is none."""
        if self.options is not None:
            self._shell.events.unregister("pre_run_cell", self.before_cell)
        transformers = self._shell.ast_transformers
        transformers[:] = [each for each in transformers if each is not self]
        self.options = self._cell = None

    def __str__(self) -> str:
        if self.options is None:
            return "%autotimeout is off"
        every = format_duration(self.options.timeout)
        return f"%autotimeout is on: a cell without a deadline of its own has {every}; %autotimeout off ends that"

    def before_cell(self, info: Any) -> None:
        """Called by IPython before each cell that is not silent."""
        # A front end's own requests leave no history.
        self._cell = info.raw_cell if info.store_history else None

    def visit_Module(self, tree: ast.Module) -> ast.Module:
        cell, self._cell = self._cell, None
        if cell is None or not tree.body or _magics_in(tree) & (_OWN | _KERNEL_SIDE):
            return tree
        if _uses_jobs(tree, self._shell.user_ns):
            return tree
        call = ast.parse(f"get_ipython().run_cell_magic('autotimeout', '', {cell!r})")
        call.type_ignores = tree.type_ignores
        return call


def _magics_in(tree: ast.AST) -> set[str]:
    """Return the names of the magics that a cell calls."""
    found = set()
    for call in _calls(tree):
        match call:
            case ast.Call(
                func=ast.Attribute(attr="run_line_magic" | "run_cell_magic"), args=[ast.Constant(value=str(name)), *_]
            ):
                found.add(name)
    return found


def _uses_jobs(tree: ast.AST, namespace: Mapping[str, Any]) -> bool:
    """Tell whether a cell names a job, or asks for all of them: they are the kernel's."""
    if "ipytimeout.host.job" not in sys.modules:
        return False
    from ipytimeout.host.job import Job

    jobs = getattr(sys.modules.get("ipytimeout.api"), "jobs", Job)
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if namespace.get(name) is jobs or isinstance(namespace.get(name), Job):
                return True
            case ast.Attribute(value=ast.Name(id="ipytimeout"), attr="jobs"):
                return True
    return False


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))
