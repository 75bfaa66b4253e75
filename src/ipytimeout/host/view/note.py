"""What stands where output is missing. In the thread that waits for the run.

Law of the file: a display like those of the code, because it has its place among them; it is captured with them, too.
"""

from __future__ import annotations

import uuid
from html import escape

from ipytimeout.host.excerpt import LeftOut
from ipytimeout.host.supervise import Relay
from ipytimeout.host.view.slot import NOTHING, Bundle
from ipytimeout.host.view.summary import as_bundle
from ipytimeout.sizes import format_size
from ipytimeout.wire.messages.outputs import DisplayData

_PRE = "margin:0 0 0 8px;opacity:.7;white-space:pre-wrap;overflow-wrap:anywhere;max-height:12em;overflow:hidden"


class Note:
    """The display that stands where output is missing: while the code runs, with the latest of it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._id = ""

    @property
    def shown(self) -> bool:
        return bool(self._id)

    def forget(self) -> None:
        """The page has just forgotten it."""
        self._id = ""

    def say(self, so_far: LeftOut, latest: str) -> None:
        """Say how much is not shown as yet, and show where it is at."""
        line = f"… {_amount(so_far)} more so far; the end of it will be shown" + (
            ", and now it is at:" if latest else ""
        )
        html = as_bundle(line)["text/html"]
        if latest:
            html += f'<pre style="{_PRE}">{escape(latest)}</pre>'
        self._put({"text/plain": f"{line}\n{latest}".rstrip(), "text/html": html})

    def say_finally(self, missing: LeftOut) -> None:
        """Say what is missing, for good."""
        more = "; --max-output shows more" if missing.size else ""
        self._put(as_bundle(f"… {_amount(missing)} left out here{more}"))
        self._id = ""

    def take_away(self) -> None:
        self._put(NOTHING)
        self._id = ""

    def _put(self, bundle: Bundle) -> None:
        update, self._id = bool(self._id), self._id or f"ipytimeout-{uuid.uuid4().hex}"
        self._relay.show(DisplayData(dict(bundle), {}, {"display_id": self._id}, update))


def _amount(left_out: LeftOut) -> str:
    parts = [f"{format_size(left_out.size)} of text"] if left_out.size else []
    if left_out.displays:
        parts.append(f"{left_out.displays:,} display{'s' if left_out.displays > 1 else ''}")
    return " and ".join(parts)
