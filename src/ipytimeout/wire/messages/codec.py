"""Any message as JSON and buffers, and back. Pure, in any process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, get_args

from ipytimeout.wire.messages import Buffer, Json, ProcessState
from ipytimeout.wire.messages.comms import Comm
from ipytimeout.wire.messages.from_child import FromChild
from ipytimeout.wire.messages.outputs import Error, Stream
from ipytimeout.wire.messages.to_child import ToChild
from ipytimeout.wire.messages.warden import FromWarden, ToWarden

Message: TypeAlias = ToChild | FromChild | Comm | ToWarden | FromWarden

#: A text of so many characters travels beside the JSON.
_LONG = 1 << 16
_NESTED: dict[str, type] = {"state": ProcessState, "error": Error}
_TYPES: dict[str, type] = {t.__name__: t for t in get_args(Message)}


def _fields(value: Any) -> dict[str, Json]:
    return {name: getattr(value, name) for name in value.__slots__ if name != "buffers"}


def to_json(message: Message) -> tuple[dict[str, Json], Sequence[Buffer]]:
    """Split a message into its JSON part and its buffers."""
    if isinstance(message, Stream) and len(message.text) >= _LONG:  # JSON would look at every character
        content = {"name": message.name, "number": message.number}
        return {"type": "Stream", "content": content}, (message.text.encode("utf-8", "surrogatepass"),)
    content = _fields(message)
    for name in _NESTED.keys() & content.keys():
        if isinstance(content[name], _NESTED[name]):
            content[name] = _fields(content[name])
    return {"type": type(message).__name__, "content": content}, getattr(message, "buffers", ())


def from_json(data: dict[str, Json], buffers: Sequence[Buffer]) -> Message:
    """Rebuild a message. Raise ``ValueError`` for what is none: the other side is not our own program."""
    try:
        cls = _TYPES[data["type"]]
        content = dict(data["content"])
        for name in _NESTED.keys() & content.keys():
            if isinstance(content[name], dict):
                content[name] = _NESTED[name](**content[name])
        if buffers and cls is Stream:
            content["text"] = str(buffers[0], "utf-8", "surrogatepass")
        elif buffers:
            content["buffers"] = tuple(buffers)
        message: Message = cls(**content)
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a message of ipytimeout: {str(data)[:200]}") from error
    return message
