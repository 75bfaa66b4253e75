"""Displays, results and pages of the code, as messages to the host. Runs in the child, in any thread.

Law of the file: what a front end would see is made here, into JSON, as ipykernel would make it; ipykernel
itself is never imported.
"""

from __future__ import annotations

import json
import numbers
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from traitlets import Any as AnyTrait
from traitlets import Bool

from ipytimeout.child.streams import let_texts_leave
from ipytimeout.wire.messages import Json
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.outputs import ClearOutput, DisplayData, ExecuteResult, Payload

if TYPE_CHECKING:
    # What IPython annotates differs from release to release; here it counts as unknown.
    DisplayHook: Any
    DisplayPublisher: Any
    PayloadManager: Any
else:
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.payload import PayloadManager

#: The displayhook was not called: there is no value.
NO_VALUE = object()


def to_json(value: Mapping[str, Any]) -> dict[str, Json]:
    """Make a mapping into plain JSON: bytes as base64, dates in ISO form, what is no number in JSON as text."""
    try:
        text = json.dumps(value, default=_default, allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(value), default=_default, allow_nan=False)
    plain: dict[str, Json] = json.loads(text)
    return plain


def _default(value: Any) -> Json:
    match value:
        case bytes() | bytearray() | memoryview():
            return b64encode(value).decode("ascii")
        case datetime():
            aware = value if value.tzinfo is not None else value.astimezone()
            return aware.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
        case Mapping():
            return dict(value)
        case Iterable():
            return list(value)
    raise TypeError(f"{value!r} is not JSON serializable")


def _without_nan(value: Any) -> Any:
    match value:
        case float() if value != value or value in (float("inf"), float("-inf")):
            return repr(value)
        case Mapping():
            return {key: _without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_nan(item) for item in value]
    return value


def _publish(shell: Any, message: Message) -> None:
    """Send a message after the texts that the code has written."""
    let_texts_leave()
    shell.channel.send(message)


class ChildDisplayPublisher(DisplayPublisher):  # type: ignore[misc]
    """What ``display()`` and ``clear_output()`` call."""

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **kwargs: Any,
    ) -> None:
        """Send a display, or with ``update`` a new content for those with the same ``display_id``."""
        self._validate_data(data, metadata)
        _publish(
            self.shell, DisplayData(to_json(data), to_json(metadata or {}), to_json(transient or {}), bool(update))
        )

    def clear_output(self, wait: bool = False) -> None:
        """Clear the cell's output, at once or with ``wait`` just before the next."""
        _publish(self.shell, ClearOutput(bool(wait)))


class ChildDisplayHook(DisplayHook):  # type: ignore[misc]
    """``sys.displayhook`` while the code runs: sends the result, and remembers the object itself."""

    #: The last value that was shown, or in ``capture`` would have been.
    value: Any = AnyTrait(NO_VALUE)
    #: Whether values are only remembered: the code is a statement whose value the caller wants.
    capture = Bool(False)

    def __call__(self, result: Any = None) -> None:
        if self.capture:
            if result is not None:
                self.value = result
        else:
            super().__call__(result)

    def update_user_ns(self, result: Any) -> None:
        self.value = result
        super().update_user_ns(result)

    def write_output_prompt(self) -> None:
        """Write nothing: the front end shows the prompt."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        _publish(self.shell, ExecuteResult(to_json(format_dict), to_json(md_dict or {})))

    def finish_displayhook(self) -> None:
        self._is_active = False


class ChildPayloadManager(PayloadManager):  # type: ignore[misc]
    """Sends pages (``x?``) and next inputs (``%load``) as they come."""

    def write_payload(self, data: dict[str, Any], single: bool = True) -> None:
        if not isinstance(data, dict):
            raise TypeError(f"Each payload write must be a dict, got: {data!r}")
        self.parent.channel.send(Payload(to_json(data)))
