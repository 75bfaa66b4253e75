"""The magics that a kernel has and a shell by itself has not: ``%less``, ``%man``, ``%connect_info`` … In the child.

Law of the file: what shows something shows it here; what is about the kernel says to run it there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

if TYPE_CHECKING:
    # What IPython annotates differs from release to release; here it counts as unknown.
    Magics: Any
    line_magic: Any
    magics_class: Any
    page: Any
else:
    from IPython.core import page
    from IPython.core.magic import Magics, line_magic, magics_class


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


def _of_the_kernel(magic: str) -> UsageError:
    return UsageError(f"%{magic} is about the kernel: run it in a cell without %%timeout")


def register(shell: Any) -> None:
    """Give a shell the magics of the kernel that is installed here, without importing it."""
    import importlib.machinery
    import sys

    shell.register_magics(KernelMagics)
    shell.magics_manager.register_alias("ed", "edit")
    spec = importlib.machinery.PathFinder.find_spec("ipykernel", sys.path)
    if spec is not None and spec.origin and Path(spec.origin).with_name("subshell.py").exists():
        shell.register_magics(SubshellMagics)
