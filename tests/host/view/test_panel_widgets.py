"""The panel's widgets without a front end: what they say, and that none is left. Its looks are tested in browsers."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
from ipywidgets.widgets import widget as ipywidgets_widget

from ipytimeout.host.view.panel_widgets import Widgets
from ipytimeout.host.view.run_state import Facts, Phase, Said
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.warden import Cancel, Extend, Where

RUNNING = Facts(Phase.RUNNING, 2.0, 5.0)


@pytest.fixture
def told() -> list[Message]:
    return []


@pytest.fixture(autouse=True)
def _no_widget_is_left() -> Iterator[None]:
    before = set(ipywidgets_widget._instances)
    yield
    assert set(ipywidgets_widget._instances) == before


@pytest.fixture
def panel(told: list[Message]) -> Iterator[Any]:
    panel = Widgets(RUNNING, True, told.append)
    yield panel
    panel.close()


def test_clicks_tell_the_warden(panel: Any, told: list[Message]) -> None:
    for click in panel.clicks.values():
        click()
    assert told == [Where(), Extend(5.0), Cancel()]
    told.clear()
    panel._cancel.click()  # as a front end does where the pump is not needed
    assert told == [Cancel()]


def test_extending_gives_the_first_duration_again_however_long_the_run_may_take_now(
    panel: Any, told: list[Message]
) -> None:
    panel.draw(Facts(Phase.RUNNING, 6.0, 10.0))
    panel._more.click()
    assert told == [Extend(5.0)] and panel._more.description == "+ 5 s"
    assert panel._text.value == "6.0 s of 10 s"


@pytest.mark.parametrize("phase", list(Phase))
def test_what_the_run_is_doing_is_said_in_words(panel: Any, phase: Phase) -> None:
    panel.draw(Facts(phase, 2.0, 5.0))
    assert (panel._note.value == "") == (phase is Phase.RUNNING)
    assert panel._where.disabled == (phase is not Phase.RUNNING)
    assert not panel._cancel.disabled, "whatever it is doing, it can be cancelled"


def test_after_the_first_click_the_button_says_what_the_second_does(panel: Any) -> None:
    panel.draw(Facts(Phase.ENDING, 2.0, 5.0))
    assert panel._cancel.description == "End now"


def test_what_has_not_changed_is_not_sent_again(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    for widget in panel._all:
        monkeypatch.setattr(type(widget), "send_state", lambda self, key=None: sent.append(key))
    panel.draw(RUNNING)
    assert sent == []
    panel.draw(Facts(Phase.RUNNING, 2.2, 5.0))
    assert len(sent) == 2


def test_the_memory_in_use_has_its_place_before_it_is_known() -> None:
    """So nothing beside it moves when it appears or grows."""
    for limit, widest in ((inf, "888 MB"), (2e9, "888 MB of 2 GB")):
        panel: Any = Widgets(Facts(Phase.RUNNING, 2.0, 5.0, 0, limit), True, lambda message: None)
        place = panel._memory.layout.flex
        assert panel._memory.value == "" and place == f"0 1 {1.1 * len(widest):.1f}ch"
        panel.draw(Facts(Phase.RUNNING, 2.2, 5.0, 888_000_000, limit))
        assert widest in panel._memory.value and panel._memory.layout.flex == place
        panel.close()


def test_without_a_pump_there_is_no_button_and_the_way_out_is_named() -> None:
    panel = Widgets(RUNNING, False, lambda message: None)
    assert "interrupt the kernel" in panel._note.value
    assert [panel._cancel.layout.display, panel._more.layout.display, panel._where.layout.display] == ["none"] * 3
    panel.close()


def test_without_a_limit_there_is_neither_bar_nor_more() -> None:
    panel = Widgets(Facts(Phase.RUNNING, 2.0, inf), True, lambda message: None)
    assert [panel._bar.layout.display, panel._more.layout.display] == ["none"] * 2
    assert panel._text.value == "2.0 s"
    panel.close()


@pytest.mark.parametrize("timeout", [5.0, inf])
def test_the_bar_and_the_words_are_the_codes_own(timeout: float) -> None:
    """As text, whatever it says; nothing else on the line changes."""
    panel: Any = Widgets(Facts(Phase.RUNNING, 2.0, timeout), True, lambda message: None)
    said = Said(0.25, "<b>fit</b>", 1.2)
    panel.draw(Facts(Phase.RUNNING, 2.0, timeout, said=said))
    assert panel._bar.value == 0.25 and panel._bar.layout.display is None
    assert panel._note.value == "&lt;b&gt;fit&lt;/b&gt; · 1 s left"
    assert panel._text.value.startswith("2.0 s")
    panel.draw(Facts(Phase.ENDING, 2.0, timeout, said=said))
    assert panel._note.value == "ending" and panel._bar.value == 0.25
    panel.close()


@pytest.mark.parametrize(
    ("elapsed", "left", "warns"), [(1.0, 3.0, False), (1.0, 6.0, True), (4.5, 0.2, False), (4.5, None, True)]
)
def test_the_bar_warns_when_the_time_will_not_do(panel: Any, elapsed: float, left: float | None, warns: bool) -> None:
    panel.draw(Facts(Phase.RUNNING, elapsed, 5.0, said=Said(0.5, "", left)))
    assert ("warn" in panel._bar.style.bar_color) == warns


def test_in_an_output_widget_the_panel_becomes_the_line() -> None:
    panel = Widgets(RUNNING, True, lambda message: None)
    panel.become("<b>line</b>")
    (line,) = panel._box.children
    assert line.value == "<b>line</b>"
    for part in (line, line.layout, line.style, panel._box, panel._box.layout):
        part.close()


def test_a_saved_panel_says_that_the_run_was_not_finished(panel: Any) -> None:
    assert "not finished" in panel.bundle["text/plain"]
