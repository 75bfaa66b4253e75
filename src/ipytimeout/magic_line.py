"""The line of a magic, taken apart. In the user's process, any thread.

Law of the file: nothing is executed. A line is read by hand, from the left: options, then DURATION, and everything
after that is the user's statement, verbatim. An expression in it is handed out as text; the caller evaluates it. Every
mistake is an ``OptionError`` of one line that says what is wrong and what to write.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass

from ipytimeout.durations import LOOKS, parse_duration
from ipytimeout.mistakes import OptionError, one_line, shown
from ipytimeout.options import (
    DEFAULT_KILL_AFTER,
    RunOptions,
    StartMethod,
    parse_max_output,
    parse_memory,
    parse_names,
    parse_start,
)
from ipytimeout.sizes import UNIT, Share


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
            raise OptionError(f"how long may it run? Write a duration, as in timeout 5; {LOOKS}")
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
    raise OptionError(f"a brace is not closed: {shown(text[start:])}")


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
                raise OptionError(f"{option} takes the name of a variable for the job, not {shown(value)}")
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
        raise OptionError(f"cannot evaluate {token}: {type(error).__name__}: {one_line(str(error))}") from error
