"""What a run is told: its options, and the line they are written on. Vocabulary: any process, any thread.

Law of the file: standard library only, nothing is executed. A magic's line is read by hand, from the left: options,
then DURATION, and everything after that is the user's statement, verbatim. An expression in it is handed out as text;
the caller evaluates it. Every mistake is an ``OptionError`` of one line that says what is wrong and what to write.
"""

from __future__ import annotations

import decimal
import difflib
import enum
import keyword
import math
import numbers
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from ipytimeout.sizes import UNIT, Share, parse_output_size, parse_size

#: The grace period when none is given, in seconds.
DEFAULT_KILL_AFTER = 1.0

_LOOKS = "a duration is seconds (5, 0.5), a number with units (500ms, 90s, 2m, 1h30m, 1d) or inf"


class OptionError(ValueError):
    """The user's mistake in an option or a duration; nothing has run. Its text is one line."""


# ---------------------------------------------------------------- durations

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"(?:\d+\.?\d*|\.\d+)"
_PLAIN = re.compile(rf"[+-]?{_NUMBER}(?:e[+-]?\d+)?", re.ASCII)
#: Each unit once, the larger ones first.
_WITH_UNITS = re.compile("".join(rf"(?:(?P<{u}>{_NUMBER}){u}(?![a-z]))?" for u in _UNITS), re.ASCII)


def parse_duration(duration: object, *, allow_zero: bool = False) -> float:
    """Read a duration and return it in seconds.

    Parameters
    ----------
    duration
        Seconds as a number or as text, text with the units d, h, m, s and ms, ``inf``, or a ``timedelta``.
    allow_zero
        Whether 0 is a duration here, as it is for the grace period.

    Raises
    ------
    OptionError
        For zero, a negative, NaN, and whatever is no duration.
    """
    seconds = _seconds(duration)
    if seconds is None:
        raise OptionError(f"not a duration: {_shown(duration)}; {_LOOKS}")
    if math.isnan(seconds):
        raise OptionError(f"a duration cannot be NaN; {_LOOKS}")
    if seconds < 0:
        raise OptionError(f"a duration cannot be negative: {_shown(duration)}; {_LOOKS}")
    if seconds == 0 and not allow_zero:
        raise OptionError(f"a duration must be more than zero: {_shown(duration)}; {_LOOKS}")
    return seconds


def _seconds(duration: object) -> float | None:
    match duration:
        case bool():
            return None
        case timedelta():
            return duration.total_seconds()
        case str():
            return _seconds_of_text(duration.strip().lower())
        case numbers.Real() | decimal.Decimal():
            try:
                return float(duration)
            except (OverflowError, ValueError):
                return None
        case _:
            return None


def _seconds_of_text(text: str) -> float | None:
    if text in ("inf", "nan", "-inf"):
        return float(text)
    if _PLAIN.fullmatch(text):
        # Too large a number for a float is a typing error, not a wish for no deadline.
        return seconds if math.isfinite(seconds := float(text)) else None
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    found = _WITH_UNITS.fullmatch(text)
    if not text or found is None:
        return None
    seconds = math.fsum(float(number) * _UNITS[unit] for unit, number in found.groupdict().items() if number)
    return sign * seconds if math.isfinite(seconds) else None


def format_duration(seconds: float) -> str:
    """Write a duration for people: ``"500 ms"``, ``"2.1 s"``, ``"1 min 30 s"``, ``"1 h 5 min"``, ``"inf"``."""
    if math.isinf(seconds):
        return "inf"
    if 0 < seconds < 0.9995:
        return f"{max(seconds * 1000, 0.001):.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    parts = []
    left = round(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        parts.append((count, unit))
    first = next(i for i, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


# ---------------------------------------------------------------- options


class StartMethod(enum.Enum):
    """How the child is had."""

    AUTO = "auto"
    WARM = "warm"
    SPAWN = "spawn"
    FORK = "fork"


def parse_start(method: object) -> StartMethod:
    """Read a start method, by its name or as itself."""
    if isinstance(method, StartMethod):
        return method
    known = ", ".join(m.value for m in StartMethod)
    try:
        return StartMethod(method)
    except ValueError:
        raise OptionError(f"no start method: {_shown(method)}; use one of: {known}") from None


def parse_memory(size: object) -> int | Share | None:
    """Read a limit of memory, as ``sizes.parse_size`` does; ``None`` is no limit."""
    try:
        return None if size is None else parse_size(size)
    except ValueError as error:
        raise OptionError(f"--memory: {error}") from None


def parse_max_output(size: object) -> float | None:
    """Read how much output is shown, as ``sizes.parse_output_size`` does; ``None``: what is usual where it goes."""
    try:
        return None if size is None else parse_output_size(size)
    except ValueError as error:
        raise OptionError(f"--max-output: {error}") from None


def parse_names(names: object, *, option: str, all_allowed: bool = False) -> tuple[str, ...]:
    """Read names of variables: ``"a, b"``, or a sequence of names. ``option`` is what a mistake is blamed on."""
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    if not isinstance(names, Iterable):
        raise OptionError(f"{option} takes names, not {_shown(names)}; for example {option} a,b")
    found = tuple(dict.fromkeys(names))
    if all_allowed and "*" in found:
        return ("*",)
    for name in found:
        if not (isinstance(name, str) and name.isidentifier()):
            what = "an empty name" if name == "" else _shown(name)
            raise OptionError(f"{option} takes names of variables, separated by commas, not {what}")
    return found


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one run is told. Frozen: options are never changed while it runs.

    Durations, sizes, names and the start method may be given in every form that ``parse_duration``, ``parse_memory``,
    ``parse_names`` and ``parse_start`` read; they are kept in the declared one.

    Raises
    ------
    OptionError
        When a value is none, or two options contradict each other.
    """

    #: Seconds from the first line of the code on; may be infinite.
    timeout: float
    #: The grace period in seconds: from the interrupt to the kill; 0 kills at once.
    kill_after: float = DEFAULT_KILL_AFTER
    #: The names that are to come back; ``None``: all.
    keep: tuple[str, ...] | None = None
    #: Whether nothing is to come back.
    discard: bool = False
    #: Names to send beyond those that the code is seen to use; ``("*",)``: all.
    with_names: tuple[str, ...] = ()
    start: StartMethod = StartMethod.AUTO
    #: No panel and no summary.
    quiet: bool = False
    #: How many bytes the run and its descendants may use together, or which share of what there is; ``None``: no limit.
    memory: int | Share | None = None
    #: Whether what the code had done comes back at the deadline and on Cancel too.
    partial: bool = False
    #: For a function: whether it changes its caller's arguments and globals, as a cell does.
    commit: bool = False
    #: How many bytes of stream output are shown, head and tail; may be infinite. ``None``: 2 MB on a page, else all.
    max_output: float | None = None

    def __post_init__(self) -> None:
        def put(field: str, value: object) -> None:
            object.__setattr__(self, field, value)

        put("timeout", parse_duration(self.timeout))
        try:
            put("kill_after", parse_duration(self.kill_after, allow_zero=True))
        except OptionError as error:
            raise OptionError(f"--kill-after: {error}") from None
        if math.isinf(self.kill_after):
            raise OptionError("--kill-after cannot be inf: the run must end some day; for example --kill-after 10")
        put("memory", parse_memory(self.memory))
        put("max_output", parse_max_output(self.max_output))
        if self.keep is not None:
            put("keep", parse_names(self.keep, option="--keep"))
        put("with_names", parse_names(self.with_names, option="--with", all_allowed=True))
        put("start", parse_start(self.start))
        for flag in ("discard", "quiet", "partial", "commit"):
            if not isinstance(getattr(self, flag), bool):
                raise OptionError(f"{flag} is True or False, not {_shown(getattr(self, flag))}")
        if self.discard and self.keep is not None:
            raise OptionError("--keep and --discard contradict each other: name what is to come back, or nothing")
        if self.partial and self.discard:
            raise OptionError("--partial and --discard contradict each other: what was done comes back, or nothing")
        if self.partial and self.kill_after == 0:
            raise OptionError("--partial needs a grace period: code that is killed at once brings nothing back")


# ---------------------------------------------------------------- the line of a magic


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """A magic's line, taken apart. Durations are as they were written: ``{expression}`` and ``$name`` unexpanded."""

    #: The DURATION token; "" when it was left out.
    duration: str
    #: Everything after DURATION, verbatim but for the spaces in front.
    statement: str
    kill_after: str | None = None
    keep: tuple[str, ...] | None = None
    discard: bool = False
    with_names: tuple[str, ...] = ()
    start: StartMethod | None = None
    quiet: bool = False
    memory: str | None = None
    partial: bool = False
    #: The name that the job gets; None: not in the background.
    background: str | None = None
    max_output: str | None = None
    help: bool = False

    def options(
        self,
        evaluate: Callable[[str], object],
        *,
        timeout: float | None = None,
        kill_after: float = DEFAULT_KILL_AFTER,
        memory: int | Share | None = None,
        start: StartMethod = StartMethod.AUTO,
        max_output: float | None = None,
    ) -> RunOptions:
        """Make the options, with ``evaluate`` for the text of an expression. Raise ``OptionError``.

        ``timeout`` and the others: what holds where the line says nothing.
        """
        if self.duration:
            timeout = parse_duration(_expanded(self.duration, evaluate))
        if timeout is None:
            raise OptionError(f"how long may it run? Write a duration, as in timeout 5; {_LOOKS}")
        if self.kill_after is not None:
            try:
                kill_after = parse_duration(_expanded(self.kill_after, evaluate), allow_zero=True)
            except OptionError as error:
                raise OptionError(f"--kill-after: {error}") from None
        return RunOptions(
            timeout=timeout,
            kill_after=kill_after,
            keep=self.keep,
            discard=self.discard,
            with_names=self.with_names,
            start=start if self.start is None else self.start,
            quiet=self.quiet,
            memory=memory if self.memory is None else parse_memory(_expanded(self.memory, evaluate)),
            partial=self.partial,
            max_output=(
                max_output if self.max_output is None else parse_max_output(_expanded(self.max_output, evaluate))
            ),
        )


#: Every spelling of an option, with the field of ParsedLine that it fills.
_FLAGS = {"-q": "quiet", "--quiet": "quiet", "--discard": "discard", "-h": "help", "--help": "help"}
_FLAGS |= {"-p": "partial", "--partial": "partial"}
_VALUES = {
    "-k": "kill_after",
    "--kill-after": "kill_after",
    "-m": "memory",
    "--memory": "memory",
    "--keep": "keep",
    "--with": "with_names",
    "--start": "start",
    "-b": "background",
    "--background": "background",
    "--max-output": "max_output",
}

_DOLLAR = re.compile(r"\$([^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_STRING = re.compile(
    r"'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^\\'])*'|\"(?:\\.|[^\\\"])*\"", re.DOTALL
)


def parse_line(line: str) -> ParsedLine:
    """Take a magic's line apart. Raise ``OptionError`` for an unknown option, or one that lacks its value."""
    fields: dict[str, object] = {}
    rest = line.lstrip()
    while rest.startswith("-") and not _negative(rest):
        token, rest = _token(rest)
        if token == "--":
            break
        option, value = _split_option(token)
        filled: object
        if option in _FLAGS:
            if value is not None:
                raise OptionError(f"{option} takes no value")
            field, filled = _FLAGS[option], True
        else:
            field = _VALUES[option]
            if value is None:
                value, rest = _value(option, rest)
            elif field in ("keep", "with_names"):
                value, rest = _names_text(value, rest)
            filled = _typed(field, value, option)
        if field in fields:
            raise OptionError(f"{option} is given twice")
        fields[field] = filled
    duration, statement = _token(rest)
    return ParsedLine(duration, statement, **fields)  # type: ignore[arg-type]


def _negative(text: str) -> bool:
    """Whether this is a negative number, to be reported as a duration that cannot be."""
    return text[1:2].isdigit() or text[1:2] == "." or text.startswith("-inf")


def _token(text: str) -> tuple[str, str]:
    """Cut off the first word; a ``{…}`` in it may hold spaces, strings and more braces."""
    end = 0
    while end < len(text) and not text[end].isspace():
        end = _closing_brace(text, end) if text[end] == "{" else end + 1
    return text[:end], text[end:].lstrip()


def _closing_brace(text: str, start: int) -> int:
    """Return where the brace at ``start`` has been closed."""
    depth, at = 0, start
    while at < len(text):
        if string := _STRING.match(text, at):
            at = string.end()
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if depth == 0:
            return at
    raise OptionError(f"a brace is not closed: {_shown(text[start:])}")


def _split_option(token: str) -> tuple[str, str | None]:
    """Split ``--kill-after=2`` and ``-k2``; say which option there is instead of one that there is not."""
    if token.startswith("--"):
        option, equals, text = token.partition("=")
        value = text if equals else None
    elif token in _FLAGS or token in _VALUES:
        option, value = token, None
    elif token[:2] in _VALUES:
        option, value = token[:2], token[2:]
    else:
        option, value = token, None
    known = [*_FLAGS, *_VALUES]
    if option not in known:
        near = difflib.get_close_matches(option, [o for o in known if o.startswith("--")], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise OptionError(f"no option {option!r}: {hint}")
    return option, value


def _value(option: str, rest: str) -> tuple[str, str]:
    if not rest:
        raise OptionError(f"{option} lacks its value")
    if option in ("--keep", "--with"):
        return _names_text("", rest)
    value, rest = _token(rest)
    if option in ("-m", "--memory", "--max-output") and value[-1].isdigit():
        unit, behind = _token(rest)
        if unit and UNIT.fullmatch(unit):  # "2 GB", as people write it
            return value + unit, behind
    return value, rest


def _names_text(value: str, rest: str) -> tuple[str, str]:
    """Read names; ``a, b`` and ``'a, b'`` are one value, as people write it."""
    text = f"{value} {rest}".lstrip() if value else rest
    if quoted := re.match(r"(['\"])(.*?)\1(?=\s|$)", text):
        return quoted[2], text[quoted.end() :].lstrip()
    if not value:
        value, rest = _token(rest)
    while rest and (value.endswith(",") or rest.startswith(",")):
        more, rest = _token(rest)
        value += more
    return value, rest


def _typed(field: str, value: str, option: str) -> object:
    match field:
        case "keep":
            return parse_names(value, option=option)
        case "with_names":
            return parse_names(value, option=option, all_allowed=True)
        case "start":
            return parse_start(value)
        case "background":
            if not value.isidentifier() or keyword.iskeyword(value):
                raise OptionError(f"{option} takes the name of a variable for the job, not {_shown(value)}")
            return value
        case _:
            return value


def _expanded(token: str, evaluate: Callable[[str], object]) -> object:
    """Evaluate ``{expression}`` and ``$name``; leave any other text as it is."""
    if dollar := _DOLLAR.fullmatch(token):
        expression = dollar[1]
    elif token.startswith("{") and _closing_brace(token, 0) == len(token):
        expression = token[1:-1].strip()
    else:
        return token
    try:
        return evaluate(expression)
    except Exception as error:
        raise OptionError(f"cannot evaluate {token}: {type(error).__name__}: {_one_line(str(error))}") from error


def _one_line(text: str, limit: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shown(value: object) -> str:
    """Show a wrong value in one short line, whatever its ``repr`` does."""
    try:
        return _one_line(repr(value), 40)
    except Exception:
        return f"a {type(value).__name__}"
