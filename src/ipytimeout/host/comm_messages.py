"""What is known of a comm message that waits among the outputs. Pure; in the thread that waits for the run.

Law of the file: no message is lost. Values of a widget that were overtaken before they could be shown go out with the
newer ones, as a page would draw them.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

from ipytimeout.wire.messages import Json
from ipytimeout.wire.messages.comms import CommClose, CommHandled, CommMsg, CommOpen

#: What a child says of its comms, in its place among the outputs.
Said: TypeAlias = CommOpen | CommMsg | CommClose | CommHandled
#: Traits of an ``Output``: whether it takes what is shown from here on, and what is in it.
_TAKES, _CONTENT = "msg_id", "outputs"


def _state(said: Said) -> dict[str, Json]:
    """Return what a message sets of a model; nothing when it is no update."""
    if not isinstance(said, CommMsg) or said.data.get("method") != "update":
        return {}
    state = said.data.get("state")
    return state if isinstance(state, dict) else {}


def has_place(said: Said) -> bool:
    """Tell whether it matters between which outputs a message stands."""
    return not {_TAKES, _CONTENT}.isdisjoint(_state(said))


def is_values(said: Said) -> bool:
    """Tell whether a message sets values of a widget, and no more."""
    return bool(_state(said)) and not has_place(said) and not (isinstance(said, CommMsg) and said.buffers)


def together(older: CommMsg, newer: CommMsg) -> CommMsg:
    """Return one message for two that set values of the same widget."""
    return dataclasses.replace(newer, data={**newer.data, "state": {**_state(older), **_state(newer)}})


def goes_on(last: object, said: Said) -> bool:
    """Tell whether an ``Output`` that has just stopped to take what is shown begins again, as if it had not."""
    return (
        isinstance(last, CommMsg)
        and isinstance(said, CommMsg)
        and (last.comm_id, last.request) == (said.comm_id, said.request)
        and _state(last) == {_TAKES: ""}
        and set(_state(said)) == {_TAKES}
        and _state(said)[_TAKES] != ""
    )


def weight(said: Said) -> int:
    """Return how many bytes of it wait, roughly."""
    if isinstance(said, CommHandled):
        return 0
    texts = sum(len(value) for value in _state(said).values() if isinstance(value, str))
    return 100 + texts + sum(memoryview(each).nbytes for each in said.buffers)
