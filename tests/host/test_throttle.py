"""What reaches a page, and when: told by a clock of the test's own."""

from __future__ import annotations

from math import inf

import pytest

from ipytimeout.host.comm_messages import Said
from ipytimeout.host.excerpt import Excerpt
from ipytimeout.host.pace import BURST, LIVE, SERVER, Pace, Together
from ipytimeout.host.supervise import Question
from ipytimeout.host.throttle import Throttle
from ipytimeout.wire.messages.comms import CommMsg
from ipytimeout.wire.messages.from_child import InputRequest
from ipytimeout.wire.messages.outputs import ClearOutput, DisplayData, Error, Flush, Output, Stream
from ipytimeout.wire.messages.to_child import InputReply


class Page:
    """A relay that keeps what it is given, with the time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seen: list[tuple[float, Output | Said]] = []
        self.captured = False

    def show(self, message: Output) -> None:
        self.seen.append((self.now, message))

    def take(self, message: Said) -> None:
        self.seen.append((self.now, message))

    def ask(self, request: InputRequest) -> Question:
        return lambda: InputReply("")

    @property
    def text(self) -> str:
        return "".join(each.text for _, each in self.seen if isinstance(each, Stream))

    @property
    def notes(self) -> list[str]:
        return [str(each.data["text/plain"]) for each in self.displays if each.transient]

    @property
    def displays(self) -> list[DisplayData]:
        return [each for _, each in self.seen if isinstance(each, DisplayData)]


def display(number: int) -> DisplayData:
    return DisplayData({"text/plain": str(number)}, {}, {})


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    page = Page()

    def sleep(seconds: float) -> None:
        page.now += seconds

    monkeypatch.setattr("ipytimeout.host.throttle.time.sleep", sleep)
    return page


def throttle_of(page: Page, limit: float, *, paced: bool = True, shows_latest: bool = False) -> Throttle:
    pace = Pace() if paced else None
    return Throttle(page, Excerpt(limit), pace, page, shows_latest=shows_latest, clock=lambda: page.now)


def go_on(throttle: Throttle, page: Page, seconds: float) -> None:
    """Let time pass as a wait would: from one moment that is due to the next."""
    until = page.now + seconds
    while (due := throttle.due()) <= until:
        page.now = max(page.now, due)
        throttle.go_on()
    page.now = until


def test_what_is_slow_is_shown_at_once(page: Page) -> None:
    throttle = throttle_of(page, 10_000_000)
    for number in range(100):
        throttle.show(Stream("stdout", "x" * 20_000))
        assert len(page.seen) == number + 1 and throttle.due() == inf
        page.now += 0.1


def test_what_is_flushed_is_shown_at_once_and_is_a_message(page: Page) -> None:
    throttle = throttle_of(page, 10_000_000)
    for number in range(1000):
        throttle.show(Stream("stdout", f"{number}\n"))
        throttle.show(Flush("stdout"))
    seen = [each for _, each in page.seen]
    assert seen[:4] == [Stream("stdout", "0\n"), Flush("stdout"), Stream("stdout", "1\n"), Flush("stdout")]
    assert seen.count(Flush("stdout")) <= BURST
    throttle.finish(wait=True)
    assert [int(line) for line in page.text.split()] == list(range(1000)) and page.now == 100


def test_what_is_fast_waits_and_arrives_whole(page: Page) -> None:
    throttle = throttle_of(page, inf)
    text = "".join(f"line {number}\n" for number in range(100_000))
    throttle.show(Stream("stdout", text))
    assert 0 < len(page.text) <= LIVE.size and page.text.endswith("\n")
    go_on(throttle, page, 10)
    assert page.text == text
    for begin, _ in page.seen:
        sent = sum(len(o.text) for at, o in page.seen if isinstance(o, Stream) and begin <= at < begin + LIVE.seconds)
        assert sent <= LIVE.size


def test_at_the_end_all_that_waits_is_shown_at_once_if_the_server_lets_it_through(page: Page) -> None:
    throttle = throttle_of(page, 2_000_000)
    throttle.show(Stream("stdout", "x" * 1_900_000))
    throttle.finish(wait=True)
    assert len(page.text) == 1_900_000 and {at for at, _ in page.seen} == {100.0} and not page.notes


def test_more_than_the_server_lets_through_takes_its_time_at_the_end(page: Page) -> None:
    throttle = throttle_of(page, 10_000_000)
    throttle.show(Stream("stdout", "x" * 8_000_000))
    throttle.finish(wait=True)
    assert len(page.text) == 8_000_000 and not page.notes
    for begin, _ in page.seen:
        window = [len(o.text) for at, o in page.seen if isinstance(o, Stream) and begin <= at < begin + SERVER.seconds]
        assert sum(window) <= SERVER.size


def test_a_run_that_was_ended_waits_for_nothing_and_says_what_is_missing(page: Page) -> None:
    throttle = throttle_of(page, 10_000_000)
    throttle.show(Stream("stdout", "x" * 8_000_000))
    throttle.show(Error("E", "", []))
    throttle.finish(wait=False)
    assert page.now == 100 and len(page.text) <= SERVER.size
    assert "MB of text left out here" in page.notes[-1]
    assert any(isinstance(each, Error) for _, each in page.seen)


def test_a_display_waits_behind_the_text_before_it(page: Page) -> None:
    throttle = throttle_of(page, inf)
    throttle.show(Stream("stdout", "x" * 1_000_000))
    throttle.show(display(1))
    throttle.show(Stream("stdout", "after"))
    assert not page.displays
    go_on(throttle, page, 10)
    assert page.text == "x" * 1_000_000 + "after"
    assert [each for _, each in page.seen][-2:] == [display(1), Stream("stdout", "after")]


def test_a_burst_of_displays_arrives_whole_and_a_flood_as_head_and_tail(page: Page) -> None:
    throttle = throttle_of(page, inf)
    for number in range(2500):
        throttle.show(display(number))
    throttle.finish(wait=True)
    assert page.displays == [display(number) for number in range(2500)]

    page.seen.clear()
    page.now += 60
    throttle = throttle_of(page, inf)
    for number in range(20_000):
        throttle.show(display(number))
        page.now += 0.0005
        throttle.go_on()
    throttle.finish(wait=True)
    (note,) = page.notes
    shown = [each for each in page.displays if not each.transient]
    assert note == f"… {20_000 - len(shown):,} displays left out here"
    assert shown[0] == display(0) and shown[-1] == display(19_999)
    assert len(shown) < BURST + 500


def test_when_a_flood_of_displays_is_over_they_are_live_again(page: Page) -> None:
    throttle = throttle_of(page, inf)
    for number in range(5000):
        throttle.show(display(number))
    go_on(throttle, page, 60)
    assert page.displays[-1] == display(4999) and len(page.notes) == 1
    throttle.show(display(5000))
    assert page.displays[-1] == display(5000)


def test_an_animation_shows_as_many_frames_as_a_page_can_take_and_the_last(page: Page) -> None:
    throttle = throttle_of(page, 2_000_000)
    for number in range(10_000):
        throttle.show(ClearOutput(wait=True))
        throttle.show(display(number))
        page.now += 0.001
        throttle.go_on()
    throttle.finish(wait=True)
    assert page.displays[-1] == display(9999) and not page.notes
    assert 100 < len(page.displays) < 1000


def test_while_text_is_held_back_its_last_lines_are_seen_and_at_the_end_the_tail(page: Page) -> None:
    throttle = throttle_of(page, 100_000, shows_latest=True)
    for number in range(10_000):
        throttle.show(Stream("stdout", f"line {number:020}\n"))
        page.now += 0.001
        throttle.go_on()
    assert len(page.notes) in (7, 8) and page.notes[-1].startswith("… ") and "more so far" in page.notes[-1]
    ids = {each.transient["display_id"] for each in page.displays}
    throttle.finish(wait=True)
    assert "left out here; --max-output shows more" in page.notes[-1]
    assert {each.transient["display_id"] for each in page.displays} == ids and len(ids) == 1
    assert page.text.endswith(f"line {9999:020}\n") and len(page.text) <= 100_000


def test_where_nothing_was_missing_after_all_nothing_is_said(page: Page) -> None:
    throttle = throttle_of(page, 100_000, shows_latest=True)
    throttle.show(Stream("stdout", "x" * 80_000))
    go_on(throttle, page, 3)
    assert "more so far" in page.notes[-1]
    throttle.finish(wait=True)
    assert page.notes[-1] == "" and page.text == "x" * 80_000


def test_a_question_is_asked_below_everything_before_it(page: Page) -> None:
    throttle = throttle_of(page, 100_000)
    throttle.show(Stream("stdout", "x" * 200_000 + "\nprompt follows\n"))
    throttle.ask(InputRequest("? ", False))
    assert page.text.endswith("\nprompt follows\n") and "left out here" in page.notes[-1]


def test_where_there_is_no_page_nothing_waits_and_the_gap_is_a_line_of_its_own(page: Page) -> None:
    throttle = throttle_of(page, 10_000, paced=False)
    throttle.show(Stream("stdout", "x" * 50_000))
    assert len(page.text) == 5000
    throttle.finish(wait=True)
    outputs = [each for _, each in page.seen]
    assert outputs[1] == Stream("stdout", "\n") and isinstance(outputs[2], DisplayData)
    assert page.notes == ["… 40 kB of text left out here; --max-output shows more"]


def test_an_interrupt_at_the_end_is_enough_of_it(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ipytimeout.host.throttle.time.sleep", interrupted)
    throttle = throttle_of(page, inf)
    throttle.show(Stream("stdout", "x" * 8_000_000))
    throttle.finish(wait=True)
    assert "MB of text left out here" in page.notes[-1]


def values(number: int) -> CommMsg:
    return CommMsg("slider", {"method": "update", "state": {"value": number}}, {}, "")


def begins(takes: bool) -> CommMsg:
    return CommMsg("output", {"method": "update", "state": {"msg_id": "cell" if takes else ""}}, {}, "")


def test_what_is_said_on_a_comm_waits_behind_the_text_before_it(page: Page) -> None:
    throttle = throttle_of(page, inf)
    throttle.show(Stream("stdout", "x" * 1_000_000))
    for number in range(100):
        throttle.show(values(number))
    throttle.show(Stream("stdout", "after"))
    go_on(throttle, page, 10)
    assert [each for _, each in page.seen][-2:] == [values(99), Stream("stdout", "after")]
    assert page.text == "x" * 1_000_000 + "after"


def test_what_a_widget_takes_is_parted_from_text_that_was_held_back(page: Page) -> None:
    """The end of the text before comes before the widget takes anything, and what is missing there is said there."""
    throttle = throttle_of(page, 100_000)
    throttle.show(Stream("stdout", "before\n" * 100_000))
    for message in (begins(True), Stream("stdout", "inside\n"), begins(False), Stream("stdout", "after\n")):
        throttle.show(message)
    throttle.finish(wait=True)
    order = [each for _, each in page.seen]
    first, last = order.index(begins(True)), order.index(begins(False))
    assert order[first:] == [begins(True), Stream("stdout", "inside\n"), begins(False), Stream("stdout", "after\n")]
    assert last == first + 2 and "left out here" in page.notes[-1]
    assert isinstance(order[first - 1], Stream)


def test_a_note_that_could_not_be_replaced_is_not_shown(page: Page) -> None:
    throttle = throttle_of(page, 100_000, shows_latest=True)
    page.captured = True
    throttle.show(Stream("stdout", "x\n" * 100_000))
    go_on(throttle, page, 3)
    assert not page.notes
    throttle.finish(wait=True)
    assert len(page.notes) == 1 and "left out here" in page.notes[0]


def test_a_flood_of_values_is_what_a_server_lets_through_and_ends_with_the_last(page: Page) -> None:
    throttle = throttle_of(page, inf)
    for number in range(20_000):
        throttle.show(values(number))
        page.now += 0.0001
        throttle.go_on()
    throttle.finish(wait=True)
    assert page.seen[-1][1] == values(19_999)
    assert SERVER.messages <= len(page.seen) <= 2 * SERVER.messages


def test_when_a_run_was_ended_no_message_on_a_comm_is_missing(page: Page) -> None:
    throttle = throttle_of(page, 10_000_000)
    said: list[Said] = []
    for number in range(300):
        throttle.show(Stream("stdout", "x" * 50_000))
        said.append(CommMsg("canvas", {"method": "custom", "content": number}, {}, ""))
        throttle.show(said[-1])
    throttle.finish(wait=False)
    assert page.now == 100 and [each for _, each in page.seen if isinstance(each, CommMsg)] == said


def test_runs_that_go_on_together_send_no_more_than_one_page_can_take(page: Page) -> None:
    together = Together()
    throttles = [Throttle(page, Excerpt(inf), Pace(together), clock=lambda: page.now) for _ in range(2)]
    for throttle in throttles:
        throttle.show(Stream("stdout", "x" * 1_000_000))
    assert len(page.text) <= LIVE.size
    for _ in range(100):
        page.now += 0.1
        for throttle in throttles:
            throttle.go_on()
    assert len(page.text) == 2_000_000
    for begin, _ in page.seen:
        sent = sum(len(o.text) for at, o in page.seen if isinstance(o, Stream) and begin <= at < begin + LIVE.seconds)
        assert sent <= LIVE.size


def test_where_each_text_is_a_message_a_flood_of_lines_is_no_flood_of_messages(page: Page) -> None:
    throttle = Throttle(page, Excerpt(inf), Pace(), texts_join=False, clock=lambda: page.now)
    for number in range(20_000):
        throttle.show(Stream("stdout", f"{number}\n"))
        page.now += 0.0001
        throttle.go_on()
    throttle.finish(wait=True)
    assert page.text == "".join(f"{number}\n" for number in range(20_000))
    assert len(page.seen) < 3 * LIVE.messages * 4


def test_a_stream_that_goes_elsewhere_is_not_limited_and_waits_for_nothing(page: Page) -> None:
    throttle = Throttle(page, Excerpt(10_000), Pace(), unlimited={"stdout"}, clock=lambda: page.now)
    throttle.show(Stream("stderr", "e" * 50_000))
    throttle.show(Stream("stdout", "x" * 5_000_000))
    assert page.text == "e" * 5_000 + "x" * 5_000_000
