"""The line of progress, on a terminal of the test's own."""

from __future__ import annotations

import io
import sys
from math import inf
from types import SimpleNamespace

import pytest

from ipytimeout.host import relay
from ipytimeout.host.relay import PlainRelay
from ipytimeout.host.view import live, terminal
from ipytimeout.host.view.run_state import Facts, Phase, RunState, Said
from ipytimeout.host.view.terminal import TerminalView, progress_line
from ipytimeout.wire.messages.outputs import Stream


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error and output as one screen."""
    screen = Terminal()
    # Not of the module: pytest puts its own there for each phase of a test.
    for module in (live, relay, terminal):
        monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=screen, stdout=screen, modules=sys.modules))
    return screen


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    return clock


def running(view: TerminalView, clock: Clock) -> None:
    state = RunState(5.0, clock.monotonic)
    state.runs()
    view.attach(state, lambda message: None)


def lines(screen: Terminal) -> list[str]:
    """Return what is to be seen on the screen."""
    rows = [""]
    for part in screen.getvalue().replace("\r\x1b[K", "\r").split("\n"):
        rows[-1] = part.split("\r")[-1]
        rows.append("")
    return rows[:-1]


def test_a_run_that_is_soon_over_shows_nothing(screen: Terminal, clock: Clock) -> None:
    with TerminalView(None) as view:
        running(view, clock)
        assert view.due() == clock.now + terminal.DELAY
        clock.now += 0.2
        view.draw()
    assert screen.getvalue() == ""


def test_the_line_shows_the_time_used_and_is_taken_away_at_the_end(screen: Terminal, clock: Clock) -> None:
    with TerminalView(None) as view:
        running(view, clock)
        clock.now += 2.5
        view.draw()
        (line,) = lines(screen)
        assert "2.5 s of 5 s" in line and "Ctrl-C" in line
        assert view.due() > clock.now
    assert lines(screen) == [""]


def test_what_the_code_writes_stands_above_the_line(screen: Terminal, clock: Clock) -> None:
    with TerminalView(None) as view:
        running(view, clock)
        relayed = view.around(PlainRelay())
        clock.now += 1.0
        view.draw()
        relayed.show(Stream("stdout", "hello\n"))
        clock.now += 1.0
        view.draw()
        first, second = lines(screen)
        assert first == "hello" and "2.0 s of 5 s" in second


def test_a_line_that_the_code_has_not_finished_is_not_overwritten(screen: Terminal, clock: Clock) -> None:
    """A text progress bar of the code's own, for instance."""
    with TerminalView(None) as view:
        running(view, clock)
        relayed = view.around(PlainRelay())
        relayed.show(Stream("stderr", "50%|#####   |"))
        clock.now += 1.0
        view.draw()
        assert view.due() == inf
        assert lines(screen) == ["50%|#####   |"]
    assert lines(screen) == ["50%|#####   |"]


@pytest.mark.parametrize("phase", list(Phase))
def test_the_line_has_no_more_than_a_bar_and_a_few_words(phase: Phase) -> None:
    assert len(progress_line(Facts(phase, 2.5, 5.0))) < 79
    assert "█" not in progress_line(Facts(phase, 2.5, inf))


def test_the_line_tells_the_memory_in_use_and_still_fits() -> None:
    assert " · 1.2 GB · " in progress_line(Facts(Phase.RUNNING, 2.5, 5.0, 1_200_000_000))
    longest = progress_line(Facts(Phase.RUNNING, 2.5, 5.0, 888_000_000, 999e6))
    assert " · 888 MB of 999 MB · " in longest and len(longest) < 79


def test_the_line_shows_how_far_the_code_says_it_is() -> None:
    line = progress_line(Facts(Phase.RUNNING, 2.5, inf, said=Said(0.5, "5 of 10", 2.4)))
    assert line == f"▕{'█' * 12}{' ' * 12}▏ 2.5 s · 5 of 10 · 2 s left · Ctrl-C ends it"


def test_in_a_pipe_there_is_no_view_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "sys", SimpleNamespace(stderr=io.StringIO()))
    assert type(live.view_of_call(None, {}, quiet=False)) is live.SilentView
    monkeypatch.setattr(live, "sys", SimpleNamespace(stderr=None))
    assert type(live.view_of_call(None, {}, quiet=False)) is live.SilentView


def test_a_quiet_run_on_a_terminal_shows_nothing(screen: Terminal) -> None:
    assert type(live.view_of_call(None, {}, quiet=True)) is live.SilentView
    assert type(live.view_of_call(None, {}, quiet=False)) is TerminalView
