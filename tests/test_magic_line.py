"""The line of a magic, taken apart."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipytimeout.magic_line import ParsedLine, parse_line
from ipytimeout.mistakes import OptionError
from ipytimeout.options import RunOptions, StartMethod
from ipytimeout.sizes import Share


def unexpected(expression: str) -> object:
    raise AssertionError(f"{expression!r} is evaluated")


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("5", ParsedLine("5", "")),
        ("", ParsedLine("", "")),
        ("  5  ", ParsedLine("5", "")),
        ("5 f(x) -p", ParsedLine("5", "f(x) -p")),
        ("5 y = x -k", ParsedLine("5", "y = x -k")),
        ("5   f('a b',  \"c\") ", ParsedLine("5", "f('a b',  \"c\") ")),
        ("5 print(f'{x}', $y)", ParsedLine("5", "print(f'{x}', $y)")),
        ("-k 2 5 f()", ParsedLine("5", "f()", kill_after="2")),
        ("-k2 5", ParsedLine("5", "", kill_after="2")),
        ("--kill-after=2 5", ParsedLine("5", "", kill_after="2")),
        ("--kill-after {a + 1} 5", ParsedLine("5", "", kill_after="{a + 1}")),
        ("-k 5 60", ParsedLine("60", "", kill_after="5")),
        ("-m 2GB 5", ParsedLine("5", "", memory="2GB")),
        ("-m2GB 5", ParsedLine("5", "", memory="2GB")),
        ("-m 2 GB 5 f()", ParsedLine("5", "f()", memory="2GB")),
        ("-m 512 M 5", ParsedLine("5", "", memory="512M")),
        ("-m 5000000 5m", ParsedLine("5m", "", memory="5000000")),
        ("--memory=50% 5", ParsedLine("5", "", memory="50%")),
        ("--memory {2 * gb} 5", ParsedLine("5", "", memory="{2 * gb}")),
        ("--max-output 500kB 5", ParsedLine("5", "", max_output="500kB")),
        ("--max-output 2 MB 5 f()", ParsedLine("5", "f()", max_output="2MB")),
        ("--max-output=inf 5", ParsedLine("5", "", max_output="inf")),
        ("-q 5", ParsedLine("5", "", quiet=True)),
        ("-p 5 f(-p)", ParsedLine("5", "f(-p)", partial=True)),
        ("--partial --keep a 5", ParsedLine("5", "", partial=True, keep=("a",))),
        ("--quiet --discard 5", ParsedLine("5", "", quiet=True, discard=True)),
        ("--keep a,b 5 c", ParsedLine("5", "c", keep=("a", "b"))),
        ("--keep a, b 5 c", ParsedLine("5", "c", keep=("a", "b"))),
        ("--keep a , b 5 c", ParsedLine("5", "c", keep=("a", "b"))),
        ("--keep=a, b 5 c", ParsedLine("5", "c", keep=("a", "b"))),
        ("--keep 'a, b' 5 c", ParsedLine("5", "c", keep=("a", "b"))),
        ("--with * 5", ParsedLine("5", "", with_names=("*",))),
        ("--with '*' 5", ParsedLine("5", "", with_names=("*",))),
        ("--start spawn 5", ParsedLine("5", "", start=StartMethod.SPAWN)),
        ("-h", ParsedLine("", "", help=True)),
        ("--help 5", ParsedLine("5", "", help=True)),
        ("-- 5 x", ParsedLine("5", "x")),
        ("{n} f()", ParsedLine("{n}", "f()")),
        ("{d['a b'] + len('}{')} f()", ParsedLine("{d['a b'] + len('}{')}", "f()")),
        ("{ {1: 2}[1] } f()", ParsedLine("{ {1: 2}[1] }", "f()")),
        ("$n f()", ParsedLine("$n", "f()")),
        ("5 # a comment", ParsedLine("5", "# a comment")),
    ],
)
def test_a_line_is_options_then_a_duration_then_the_statement_verbatim(line: str, parsed: ParsedLine) -> None:
    """research/review.md, M15 and M16, among others."""
    assert parse_line(line) == parsed


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: not text[0].isspace()))
def test_no_statement_is_ever_changed(statement: str) -> None:
    """Whatever quotes, braces, dollars and options it has."""
    assert parse_line(f"-k 2 5 {statement}").statement == statement


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--kill 2 5", "did you mean --kill-after"),
        ("--discrad 5", "did you mean --discard"),
        ("-x 5", "no option '-x'"),
        ("-qk 5", "no option '-qk'"),
        ("-k", "lacks its value"),
        ("--keep", "lacks its value"),
        ("--quiet=1 5", "takes no value"),
        ("-q -q 5", "given twice"),
        ("-k 1 --kill-after 2 5", "given twice"),
        ("--keep 5", "'5'"),
        ("{n f()", "not closed"),
        ("-b", "lacks its value"),
        ("-b 1x 5", "the name of a variable"),
        ("-b for 5", "the name of a variable"),
        ("-m", "lacks its value"),
        ("-m 2GB --memory 2GB 5", "given twice"),
        ("--max-output", "lacks its value"),
    ],
)
def test_a_wrong_option_is_named_and_never_passed_over(line: str, says: str) -> None:
    """Options of a later version too."""
    with pytest.raises(OptionError, match=says) as caught:
        parse_line(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "how long"),
        ("f(x)", r"not a duration: 'f\(x\)'"),
        ("-5 f()", "negative"),
        ("-.5 f()", "negative"),
        ("0 f()", "more than zero"),
        ("-k x 5", "--kill-after: not a duration"),
        ("--keep a --discard 5", "contradict"),
        ("{n}s f()", "not a duration"),
        ("-m 2 5", "--memory: '2' is 2 bytes, .*did you mean 2GB"),
        ("-m x 5", "--memory: not a size: 'x'; a size is"),
        ("--max-output x 5", "--max-output: not a size: 'x'; a size is"),
        ("--max-output 2 5", "--max-output: '2' is 2 bytes, and output needs more than 1 kB; did you mean 2MB"),
        ("--max-output 50% 5", "--max-output: not a size of output: '50%'"),
        ("-m 120% 5", "--memory: a share is more than 0% and at most 100%"),
    ],
)
def test_a_line_with_a_wrong_duration_makes_no_options(line: str, says: str) -> None:
    """And evaluates nothing."""
    with pytest.raises(OptionError, match=says):
        parse_line(line).options(unexpected)


@pytest.mark.parametrize(
    ("line", "expression", "value", "seconds"),
    [
        ("{n} f()", "n", 7, 7),
        ("{ 2 * n } f()", "2 * n", "2m", 120),
        ("$n f()", "n", timedelta(seconds=3), 3),
        ("$cfg.limit f()", "cfg.limit", 4.5, 4.5),
    ],
)
def test_only_the_duration_is_evaluated(line: str, expression: str, value: object, seconds: float) -> None:
    """With what the caller evaluates it by."""
    asked = []

    def evaluate(text: str) -> object:
        asked.append(text)
        return value

    assert parse_line(line).options(evaluate).timeout == seconds
    assert asked == [expression]


def test_the_grace_period_is_evaluated_too() -> None:
    """An option's own duration may be an expression."""
    assert parse_line("-k {g} 5").options({"g": 3}.__getitem__) == RunOptions(5, kill_after=3)


def test_the_limit_of_memory_is_evaluated_too() -> None:
    """A number of bytes, or text."""
    assert parse_line("-m {2 * gb} 5").options({"2 * gb": 2e9}.__getitem__).memory == 2_000_000_000
    assert parse_line("-m $limit 5").options({"limit": "50%"}.__getitem__).memory == Share(50)


def test_the_size_of_the_output_is_evaluated_too() -> None:
    """A number of bytes, text, or inf."""
    assert parse_line("--max-output {3 * mb} 5").options({"3 * mb": 3e6}.__getitem__).max_output == 3_000_000
    assert parse_line("--max-output $n 5").options({"n": math.inf}.__getitem__).max_output == math.inf
    assert parse_line("5").options(unexpected, max_output=5000).max_output == 5000


def test_an_expression_that_fails_is_one_line() -> None:
    """The user sees the class and the text of the error."""
    with pytest.raises(OptionError, match=r"cannot evaluate \{n\}: KeyError: 'n'") as caught:
        parse_line("{n} f()").options(dict[str, object]().__getitem__)
    assert "\n" not in str(caught.value)
