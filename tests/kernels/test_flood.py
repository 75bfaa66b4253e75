"""More output than a page can take: head and tail are shown, the gap says how much is missing, and nothing hangs."""

from __future__ import annotations

import re

import pytest

from tests.kernels.harness import Kernel, Result

_NOTE = re.compile(r"… ([\d.]+ \w+) of text left out here; --max-output shows more")


def notes(result: Result) -> list[str]:
    return [text for output in result.outputs if "left out here" in (text := output["data"]["text/plain"])]


def test_an_endless_print_loop_shows_its_head_and_tail_and_ends_on_time(kernel: Kernel) -> None:
    result = kernel.run("%%timeout -q 3\nn = 0\nwhile True: print(n); n += 1")
    assert result.error is not None and result.error.name == "DeadlineExceeded"
    assert result.seconds < 5
    (note,) = notes(result)
    assert _NOTE.fullmatch(note)
    numbers = [int(line) for line in result.stdout.split()]
    head = next(i for i, number in enumerate(numbers) if i != number)
    tail = numbers[head:]
    assert 45_000 < head <= 50_000 and tail == list(range(tail[0], tail[0] + len(tail))) and len(tail) > 40_000
    assert len(result.stdout) < 2_000_000


def test_an_explicit_size_is_heeded_and_everything_can_be_had(kernel: Kernel) -> None:
    code = "for i in range(3000): print(f'{i:999}')"
    assert len(kernel.run(f"%%timeout -q --max-output 100kB 60\n{code}").stdout) <= 100_000
    assert len(kernel.run(f"%%timeout -q 60\n{code}").stdout) in range(1_900_000, 2_000_001)
    whole = kernel.run(f"%%timeout -q --max-output inf 60\n{code}")
    assert len(whole.stdout) == 3_000_000 and not notes(whole)
    function = "from ipytimeout import timeout\ntimeout(60, max_output='5kB').run(print, 'x' * 10_000)"
    assert len(kernel.run(function).stdout) <= 5000


def test_one_line_of_fifty_megabytes_costs_neither_time_nor_memory(kernel: Kernel) -> None:
    result = kernel.run("%%timeout -q 60\nprint('x' * 50_000_000)")
    assert result.status == "ok" and result.seconds < 10
    assert len(result.stdout) <= 2_000_001 and notes(result) == [
        "… 48 MB of text left out here; --max-output shows more"
    ]


def test_what_is_captured_is_captured_whole(kernel: Kernel) -> None:
    """It goes to no page."""
    result = kernel.run("%%capture kept\n%%timeout -q 60\nprint('x' * 5_000_000)")
    assert result.status == "ok", result.text
    assert kernel.run("print(len(kept.stdout))").stdout == "5000001\n"


def test_what_goes_to_a_page_beside_what_is_captured_is_limited(kernel: Kernel) -> None:
    code = "import sys\nprint('x' * 5_000_000)\nprint('y' * 5_000_000, file=sys.stderr)"
    result = kernel.run(f"%%capture --no-stderr kept\n%%timeout -q 60\n{code}")
    assert result.status == "ok", result.text
    assert len(result.stderr) <= 2_000_000
    assert kernel.run("print(len(kept.stdout))").stdout == "5000001\n"


def test_an_explicit_size_holds_for_what_is_captured_too(kernel: Kernel) -> None:
    """The line that says what is missing is captured among the displays."""
    kernel.run("%%capture kept\n%%timeout -q --max-output 10kB 60\nprint('x' * 50_000)")
    shown = kernel.run("print(len(kept.stdout) <= 10_001, [o.data['text/plain'] for o in kept.outputs])")
    assert shown.stdout == "True ['… 40 kB of text left out here; --max-output shows more']\n"


def test_a_progress_bar_of_hours_is_shown_to_its_end(kernel: Kernel) -> None:
    code = "for i in range(200_001): print(f'{i} of 200000', end='\\r')"
    result = kernel.run(f"%%timeout -q 60\n{code}")
    assert result.stdout.endswith("200000 of 200000\r") and not notes(result)


@pytest.mark.parametrize(
    ("code", "most"),
    [
        ("while True: display(1)", 1000),
        ("while True: print('x'); display(1)", 1000),
        ("h = display(1, display_id=True)\nwhile True: h.update(2)", 1000),
        ("from IPython.display import clear_output\nwhile True: clear_output(wait=True); display(1)", 1000),
    ],
    ids=["displays", "text and displays", "updates", "an animation"],
)
def test_a_flood_of_displays_ends_on_time_and_is_less_than_a_server_refuses(
    kernel: Kernel, code: str, most: int
) -> None:
    result = kernel.run(f"%%timeout -q 1\n{code}")
    assert result.error is not None and result.error.name == "DeadlineExceeded"
    assert result.seconds < 3.5
    assert 50 < len(result.outputs) < most


def test_a_burst_that_a_server_lets_through_arrives_whole(kernel: Kernel) -> None:
    result = kernel.run("%%timeout -q 60\nfor i in range(2000): display(i)")
    assert [output["data"]["text/plain"] for output in result.outputs] == [str(i) for i in range(2000)]


def test_an_error_and_a_result_stand_below_a_flood(kernel: Kernel) -> None:
    failed = kernel.run("%%timeout -q 60\nfor i in range(200_000): print(i)\n1 / 0")
    assert failed.error is not None and failed.error.name == "ZeroDivisionError"
    assert failed.stdout.endswith("199999\n")
    valued = kernel.run("%%timeout -q 60\nfor i in range(200_000): print(i)\n'value'")
    assert valued.stdout.endswith("199999\n") and valued.outputs[-1]["data"]["text/plain"] == "'value'"


@pytest.mark.parametrize("death", ["os.kill(os.getpid(), 9)", "ctypes.string_at(0)", "os._exit(3)"])
def test_no_line_before_a_death_is_lost_in_a_flood(kernel: Kernel, death: str) -> None:
    """Lines that have not left the process are in memory that outlives it."""
    code = f"import ctypes, os, sys\nfor i in range(30_001): print(i); print(-i, file=sys.stderr)\n{death}"
    result = kernel.run(f"%%timeout -q 60\n{code}")
    assert result.error is not None and result.error.name == "ChildDied"
    assert result.stdout.split() == [str(i) for i in range(30_001)]
    assert result.stderr.split()[:30_001] == [str(-i) for i in range(30_001)]
