"""A slot and its relay, with the messages that a front end would get, and what it would show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ipytimeout.host.view.slot import BLANK, Slot, SlotRelay
from ipytimeout.wire.messages.from_child import InputRequest
from ipytimeout.wire.messages.outputs import ClearOutput, DisplayData, Stream
from ipytimeout.wire.messages.to_child import InputReply


class Page:
    """Kernel, publisher and front end in one: ``shown`` is what the cell's output would be."""

    ident = "id"
    iopub_socket = None

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self._clears = False
        self.session = self

    def get_parent(self) -> dict[str, Any]:
        return {"header": {"msg_id": "cell"}}

    def send(self, socket: None, kind: str, content: dict[str, Any], parent: Any, ident: bytes) -> None:
        assert parent == self.get_parent()
        item = content["transient"]["display_id"], content["data"]["text/plain"]
        if kind == "display_data":
            self.add(item)
        else:
            self.shown = [item if each[0] == item[0] else each for each in self.shown]

    def add(self, item: tuple[str, str]) -> None:
        if self._clears:
            self.shown, self._clears = [], False
        self.shown.append(item)

    def clear(self, wait: bool) -> None:
        self._clears = wait
        if not wait:
            self.shown = []

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.shown]


class Native:
    """The relay to the page, as without a slot."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def show(self, message: Any) -> None:
        match message:
            case ClearOutput(wait):
                self.page.clear(wait)
            case Stream(_, text):
                self.page.add(("", text))
            case DisplayData(data, update=False):
                self.page.add(("", data["text/plain"]))

    def ask(self, request: InputRequest) -> InputReply:
        return InputReply("")


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def slot(page: Page) -> Slot:
    slot = Slot(page)
    slot.put(BLANK)
    slot.put({"text/plain": "panel"})
    return slot


def relay(page: Page, slot: Slot, *, captured: bool = False) -> SlotRelay:
    publisher = SimpleNamespace() if captured else SimpleNamespace(pub_socket=None)
    return SlotRelay(Native(page), slot, SimpleNamespace(display_pub=publisher))


def test_a_content_takes_the_place_of_the_one_before(page: Page, slot: Slot) -> None:
    page.add(("", "text"))
    slot.put({"text/plain": "line"})
    assert page.texts == ["line", "text"]


def test_clearing_at_once_clears_everything_else_at_once(page: Page, slot: Slot) -> None:
    relayed = relay(page, slot)
    relayed.show(Stream("stdout", "old"))
    relayed.show(ClearOutput(False))
    assert page.texts == ["panel"]
    slot.put({"text/plain": "line"})
    assert page.texts == ["line"]


def test_clearing_later_clears_with_the_next_output(page: Page, slot: Slot) -> None:
    relayed = relay(page, slot)
    relayed.show(Stream("stdout", "old"))
    relayed.show(ClearOutput(True))
    assert page.texts == ["panel", "old"]
    slot.put({"text/plain": "panel 2"})
    relayed.show(DisplayData({"text/plain": "x"}, {}, {}, update=True))
    assert page.texts == ["panel 2", "old"]
    relayed.show(Stream("stdout", "new"))
    assert page.texts == ["panel 2", "new"]


def test_what_is_cleared_in_a_capture_is_not_on_the_page(page: Page, slot: Slot) -> None:
    relayed = relay(page, slot, captured=True)
    relayed.show(ClearOutput(True))
    assert page.texts == ["panel"]
    assert page._clears, "the clear goes where the captured output goes"


def test_a_slot_without_a_place_on_the_page_is_not_put_back(page: Page) -> None:
    relayed = relay(page, Slot(page))
    relayed.show(Stream("stdout", "old"))
    relayed.show(ClearOutput(False))
    assert page.texts == []
