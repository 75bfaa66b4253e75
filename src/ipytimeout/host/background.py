"""``%%timeout --background NAME``: a cell that goes on while later cells run. In the kernel's main thread.

The cell is prepared here; its job has a thread of its own, whose output and panel stay in this cell; what it did lands
between two later cells (``landing``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipytimeout.host.job import Job
from ipytimeout.host.job_thread import start
from ipytimeout.host.prepared import PreparedCell
from ipytimeout.host.view.job_panel import has_panel, show_line, show_panel
from ipytimeout.options import RunOptions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def start_cell(
    shell: InteractiveShell, code: str, options: RunOptions, name: str, *, statement: bool = False
) -> Job[Any]:
    """Start a cell, or one statement, in the background; bind its job to a name of the notebook."""
    cell = PreparedCell.of(shell, code, options, statement=statement, meanwhile=True)
    job = start(cell, name, keep=True, quiet=options.quiet)
    shell.user_ns[name] = job
    if not options.quiet:
        (show_panel if has_panel(shell) else show_line)(shell, job._handle, name)
    return job
