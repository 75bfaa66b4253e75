"""The magics that a kernel has and a shell by itself has not: ``%less``, ``%man``, ``%connect_info`` … In the child.

Law of the file: what shows something shows it here; what is about the kernel says to run it there.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

if TYPE_CHECKING:
    # What IPython annotates differs from release to release; here it counts as unknown.
    Magics: Any
    line_cell_magic: Any
    line_magic: Any
    magics_class: Any
    needs_local_scope: Any
    no_var_expand: Any
    page: Any
else:
    from IPython.core import page
    from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand


@magics_class
class KernelMagics(Magics):  # type: ignore[misc]
    """What ipykernel's class of this name has."""

    @line_magic  # type: ignore[untyped-decorator]
    def clear(self, line: str) -> None:
        """Clear the terminal."""
        self.shell.system("clear")

    @line_magic  # type: ignore[untyped-decorator]
    def less(self, line: str) -> None:
        """Show a file through the pager. Files ending in .py are syntax-highlighted."""
        if not line:
            raise UsageError("Missing filename.")
        text = Path(line).read_text()
        page.page(self.shell.pycolorize(text) if line.endswith(".py") else text)

    more = line_magic("more")(less)

    @line_magic  # type: ignore[untyped-decorator]
    def man(self, line: str) -> None:
        """Find the man page for the given command and display in pager."""
        page.page(self.shell.getoutput(f"man {line} | col -b", split=False))

    @line_magic  # type: ignore[untyped-decorator]
    def autosave(self, line: str) -> None:
        """Set the autosave interval in the notebook (in seconds)."""
        raise _of_the_kernel("autosave")

    @line_magic  # type: ignore[untyped-decorator]
    def connect_info(self, line: str) -> None:
        """Print information for connecting other clients to this kernel."""
        raise _of_the_kernel("connect_info")

    @line_magic  # type: ignore[untyped-decorator]
    def qtconsole(self, line: str) -> None:
        """Open a qtconsole connected to this kernel."""
        raise _of_the_kernel("qtconsole")


@magics_class
class SubshellMagics(Magics):  # type: ignore[misc]
    """What ipykernel 7 has beyond that."""

    @line_magic  # type: ignore[untyped-decorator]
    def subshell(self, line: str) -> None:
        """List all current subshells."""
        raise _of_the_kernel("subshell")


@magics_class
class NestedMagics(Magics):  # type: ignore[misc]
    """This package's own, for a cell that has one inside: what they are made of is imported when one is used."""

    @no_var_expand  # type: ignore[untyped-decorator]
    @needs_local_scope  # type: ignore[untyped-decorator]
    @line_cell_magic  # type: ignore[untyped-decorator]
    def timeout(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> object:
        """Run a statement, or a cell, under a deadline of its own, and under that of the run."""
        # The user's code is what starts processes here, as with ``timeout(5).run``.
        magics = importlib.import_module("ipytimeout.magics").TimeoutMagics(self.shell)
        return magics.timeout(line, cell, local_ns)

    @line_cell_magic  # type: ignore[untyped-decorator]
    def autotimeout(self, line: str, cell: str | None = None) -> None:
        """Put a deadline on every later cell that has none of its own."""
        raise _of_the_kernel("autotimeout")


def _of_the_kernel(magic: str) -> UsageError:
    return UsageError(f"%{magic} is about the kernel: run it in a cell without %%timeout")


def register(shell: Any) -> None:
    """Give a shell the magics of the kernel that is installed here, without importing it."""
    shell.register_magics(KernelMagics, NestedMagics)
    shell.magics_manager.register_alias("ed", "edit")
    spec = importlib.machinery.PathFinder.find_spec("ipykernel", sys.path)
    if spec is not None and spec.origin and Path(spec.origin).with_name("subshell.py").exists():
        shell.register_magics(SubshellMagics)
