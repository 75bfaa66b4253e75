"""``%%timeout`` and ``%timeout``: from the user's line to one call of ``host.run``. In the user's process, main thread.

Law of the file: the code is never edited, expanded or split; only the line is read, by ``magic_line.parse_line``. A
mistake in it is a ``UsageError`` of one line, before anything has run.
"""

from __future__ import annotations

import dis
import sys
from types import FrameType
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand
from IPython.core.magic_arguments import MagicArgumentParser
from traitlets import Any as AnyTrait
from traitlets import List, Unicode

from ipytimeout.autotimeout import AutoTimeout
from ipytimeout.config import settings
from ipytimeout.magic_line import ParsedLine, parse_line
from ipytimeout.mistakes import OptionError
from ipytimeout.options import RunOptions, StartMethod

_DESCRIPTION = """\
Run a cell, or one statement, in a process of its own that is ended after DURATION.

A cell that ends by itself leaves what it would have left in the notebook. One that is timed out or cancelled leaves
the notebook as if it had never run.
"""

_EXAMPLES = """\
DURATION is seconds (5, 0.5), a number with units (500ms, 90s, 2m, 1h30m, 1d), {expression} or $name of the notebook,
or inf. Options come before it; what follows it is the statement of the line magic, verbatim.

Examples
--------
::

    %%timeout 5
    total = slow_sum(rows)            # ended after 5 seconds, with the notebook as it was

    %%timeout --memory 2GB inf
    table = big.merge(bigger)         # ended when it uses more than 2 GB

    %%timeout --kill-after 10 --keep model {60 * minutes}
    model.fit(X, y)

    x = %timeout 2m download(url, '-p')
"""


def argument_parser() -> MagicArgumentParser:
    """Make the parser that writes the help. It reads no line: it would take the statement's ``-p`` for an option."""
    parser = MagicArgumentParser("timeout", description=_DESCRIPTION, epilog=_EXAMPLES)  # type: ignore[no-untyped-call]
    for names, help_text, metavar in (
        (("-k", "--kill-after"), "the grace period: from the interrupt to the kill; default 1 s", "DURATION"),
        (
            ("-m", "--memory"),
            "end it when it and all it started use more than this together: 2GB, 512MiB, 50%% of what there is",
            "SIZE",
        ),
        (("-p", "--partial"), "keep what the code had done, also when it is timed out or cancelled", None),
        (("-b", "--background"), "return at once; NAME becomes the job", "NAME"),
        (("-q", "--quiet"), "no panel and no summary", None),
        (("--keep",), "bring back these names only, separated by commas", "NAMES"),
        (("--discard",), "bring nothing back", None),
        (("--with",), "also send these names, beyond those that the code uses; * for all", "NAMES"),
        (("--max-output",), "how much stream output is shown, head and tail: 500kB, 10MB, inf; default 2MB", "SIZE"),
        (
            ("--start",),
            "how the process is started: auto, warm, spawn, or fork: as a copy of the kernel that sees all of it",
            "METHOD",
        ),
        (("-h", "--help"), "show this text", None),
    ):
        if metavar is None:
            parser.add_argument(*names, help=help_text, action="store_true")
        else:
            parser.add_argument(*names, help=help_text, metavar=metavar)
    parser.add_argument("DURATION", help="how long the code may run")
    parser.add_argument("statement", nargs="?", help="for the line magic: what to run; its value is returned")
    return parser


@magics_class
class TimeoutMagics(Magics):
    """The magics of this package."""

    shell: InteractiveShell

    preload = List(
        Unicode(),
        help="Modules that the template imports although the notebook has not: a cell that imports one is fast.",
    ).tag(config=True)
    never_preload = List(
        Unicode(),
        help="Packages that the template does not import although the notebook has: each child that needs one does.",
    ).tag(config=True)

    default_timeout = AnyTrait(help="How long a cell may run whose line says nothing: 60, '2m'.").tag(config=True)
    default_kill_after = AnyTrait(help="The grace period: from the interrupt to the kill.").tag(config=True)
    default_memory = AnyTrait(help="How much memory a run may use: '2GB', '50%'.").tag(config=True)
    default_start = AnyTrait(help="How the process is started: auto, warm, spawn, fork.").tag(config=True)
    default_max_output = AnyTrait(help="How much stream output is shown: '500kB', '10MB', 'inf'.").tag(config=True)
    max_timeout = AnyTrait(help="More than this no run may ask for.").tag(config=True)
    max_memory = AnyTrait(help="More than this no run may use.").tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.auto = AutoTimeout(shell)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def autotimeout(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> None:
        """Put a deadline on every later cell that has none of its own.

        ``%autotimeout [options] DURATION`` with the options of ``%%timeout``; ``%autotimeout off`` ends that, and
        ``%autotimeout`` tells how it is. Cells that are about the kernel itself (%load_ext, %pip, %matplotlib, %config
        and the like) run in the kernel, without a deadline.
        """
        if cell is not None:
            if self.auto.options is None or line.strip():
                raise UsageError("for one cell write %%timeout 5; %autotimeout 5 is for every later cell")
            from ipytimeout.host.run import run_cell

            run_cell(self.shell, cell, self.auto.options)
            return
        if line.strip() == "off":
            self.auto.take_off()
        elif line.strip():
            parsed, options = self._read(line, local_ns)
            if parsed.background is not None:
                raise UsageError("--background is for one cell: every later one would get the same name")
            if parsed.statement and not parsed.statement.startswith("#"):
                raise UsageError(f"for one line write %timeout; %autotimeout takes no code: {parsed.statement[:40]!r}")
            if options is None:
                print(TimeoutMagics.autotimeout.__doc__)
                return
            self.auto.put_on(options)
        print(self.auto)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def timeout(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> object:
        shell = self.shell
        parsed, options = self._read(line, local_ns)
        if options is None:
            print(argument_parser().format_help())
            return None
        if cell is None:
            code = parsed.statement
            _check_statement(shell, code, local_ns)
        else:
            if parsed.statement and not parsed.statement.startswith("#"):
                raise UsageError(_misplaced(parsed.statement))
            code = _as_written(shell, cell)
            if not code.strip():
                return None
        if parsed.background is not None:
            if options.start is StartMethod.FORK:
                raise UsageError("--start fork is not for --background: a copy does not see what later cells change")
            from ipytimeout.host.background import start_cell

            start_cell(shell, code, options, parsed.background, statement=cell is None)
            return None
        from ipytimeout.host.run import run_cell

        if cell is not None:
            run_cell(shell, code, options)
            return None
        value = run_cell(shell, code, options, statement=True)
        return None if _is_silenced(code, sys._getframe()) else value

    # What %timeout? and %%timeout? show.
    timeout.__doc__ = argument_parser().format_help()

    def _read(self, line: str, local_ns: dict[str, Any] | None) -> tuple[ParsedLine, RunOptions | None]:
        """Read the line; no options when only help is wanted."""
        shell = self.shell

        def evaluate(expression: str) -> object:
            # As IPython expands {expression}: in the scope of the caller, which for a cell is the notebook.
            return eval(expression, shell.user_global_ns, shell.user_ns if local_ns is None else local_ns)

        try:
            parsed = parse_line(line)
            if parsed.help:
                return parsed, None
            here = settings()
            options = parsed.options(
                evaluate,
                timeout=here.timeout,
                kill_after=here.kill_after,
                memory=here.memory,
                start=here.start,
                max_output=here.max_output,
            )
            return parsed, here.bound(options)
        except OptionError as error:
            raise UsageError(str(error)) from error


def _misplaced(statement: str) -> str:
    if statement.startswith("-"):
        return f"options come before DURATION: write {statement.split(maxsplit=1)[0]} in front of it"
    return f"the code of %%timeout begins on the next line, not after DURATION: {statement[:40]!r}"


def _check_statement(shell: InteractiveShell, statement: str, local_ns: dict[str, Any] | None) -> None:
    """Refuse what cannot run: no statement, or one that needs variables of the function it stands in."""
    if not statement.strip():
        raise UsageError("%timeout takes a statement, as in %timeout 5 f(x); for a whole cell write %%timeout 5")
    if local_ns is None or local_ns is shell.user_ns or local_ns is shell.user_global_ns:
        return
    from ipytimeout.host.code_names import names_of_code

    used = names_of_code(statement, shell.transform_cell).names
    locals_used = sorted(name for name in used if name in local_ns)
    if locals_used:
        raise UsageError(
            f"%timeout does not see {', '.join(locals_used)}: a local variable of a function; "
            "write run_with_timeout(seconds, f, ...) there"
        )


def _as_written(shell: InteractiveShell, cell: str) -> str:
    """Return the body as the user wrote it: IPython adds a newline, and a cell's file name is a hash of its text."""
    get_parent = getattr(shell, "get_parent", None)
    if get_parent is None:
        return cell
    try:
        raw = get_parent()["content"]["code"]
    except (LookupError, TypeError):  # no request yet, or not of a cell
        return cell
    if not isinstance(raw, str):
        return cell
    first, newline, body = raw.lstrip("\r\n").partition("\n")
    if newline and first.startswith("%%timeout") and _lines(cell) in (_lines(body), _lines(body + "\n")):
        return body
    return cell


def _lines(text: str) -> list[str]:
    """Split into lines, with lines of spaces as empty ones: IPython empties them on the way."""
    return [line if line.strip() else "" for line in text.split("\n")]


def _is_silenced(statement: str, frame: FrameType | None) -> bool:
    """Whether the value would be displayed, and a ``;`` at the statement's end asks that it is not.

    IPython's ``output_can_be_silenced`` would also lose the value of ``x = %timeout 5 f();``.
    """
    from IPython.core.displayhook import DisplayHook

    if not DisplayHook.semicolon_at_end_of_expression(statement):  # type: ignore[no-untyped-call]
        return False
    while frame is not None and frame.f_code.co_name != "run_line_magic":
        frame = frame.f_back
    caller = frame.f_back if frame is not None else None
    if caller is None:
        return False
    # The last expression of a cell is compiled so that its value goes to the display hook.
    after = (i for i in dis.get_instructions(caller.f_code) if i.offset > caller.f_lasti and i.opname != "CACHE")
    following = next(after, None)
    return following is not None and "PRINT" in f"{following.opname} {following.argrepr}"
