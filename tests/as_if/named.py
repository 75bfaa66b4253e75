"""What could not come back and is named under the cell: accepted where the README lists it. Pure.

Law of the file: a reason is accepted only when a line of the README's "What does not come back" tells of it.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from tests.as_if.session import Seen

#: What the README lists, in its own words, and the reasons by which the user is told of it.
LISTED = {
    "a generator that has begun": r"a generator that has begun cannot leave its process",
    "an asynchronous generator": r"an asynchronous generator cannot leave its process",
    "a coroutine": r"a coroutine cannot leave its process",
    "a database connection or cursor": r"a database (connection|cursor) cannot leave its process",
    "a socket": r"a socket cannot leave its process",
    "a thread or process that has not ended": r"a (thread|process|running process) cannot leave its process",
    "an executor, a pool of processes, or a future that is not done": (
        r"(an executor|a pool of processes|a future) cannot leave its process"
    ),
    "an asyncio task that is not done": r"an asyncio task that is not done cannot leave its process",
    "a process of asyncio whose output was not read": r"a process with unread output cannot leave its process",
    "is still running": r"it was still running, and ends with the process of the cell",
    "a tensor that remembers how it was computed": (
        r"a tensor that remembers how it was computed cannot leave its process; detach\(\) it"
    ),
    "a hash that was begun": r"a hash that was begun cannot leave its process",
    "a bare `mmap`": r"a memory map( of a file without a name)? cannot leave its process",
    "an iterator of matches": r"an iterator of matches cannot leave its process",
    "numpy's `nditer`": r"an iterator of numpy's own cannot leave its process",
    "a reader of pandas": r"a reader of pandas cannot leave its process",
    "a pointer of `ctypes`": r"a pointer cannot leave its process",
    "of batches or pairs": r"an iterator of batches or pairs cannot leave its process",
    "the size of a `bytearray` whose memory another object shows": (
        r"its size cannot change while another object shows its memory"
    ),
    "scipy's `SuperLU`": r"a factorization of SuperLU cannot leave its process",
    "an `SQLContext` of polars": r"an SQL context of polars cannot leave its process",
    "a token of a `ContextVar`": r"a token of a context cannot leave its process",
    "What a cell sets in its process and nobody can ask for": (
        r"what it has set ends with the process of the cell; call it in a cell without a deadline"
    ),
    "a limit below what the notebook has used already": r"ValueError: this process uses more already",
    "whose text has changed on disk": r"its text has changed on disk",
}
_LISTED = re.compile("|".join(LISTED.values()))
_BEGIN = "… left behind: "
_OUTDATED = "… changed on disk since the notebook imported it: "
#: The reason of a module whose new text the cell used. It changes the cell's own outputs too.
NEW_TEXT = "its text has changed on disk"
_ITEM = re.compile(r"(?:^|; )([^;(]+?) \(((?:[^()]|\([^()]*\))*)\)")


def accepted(reason: str) -> bool:
    """Tell whether the README says of this reason that such things do not come back."""
    return _LISTED.fullmatch(reason) is not None


def named_in(seen: Seen) -> dict[str, str]:
    """Return what is named under a cell, each with its reason."""
    found: dict[str, str] = {}
    for output in seen.outputs:
        if _is_line(output):
            text = output["data"]["text/plain"]
            if text.startswith(_OUTDATED):
                names = text.removeprefix(_OUTDATED).partition("; ")[0]
                found.update(dict.fromkeys(names.split(", "), NEW_TEXT))
            else:
                found.update(_ITEM.findall(text.removeprefix(_BEGIN)))
    return found


def without_line(seen: Seen) -> Seen:
    """Return the same without the line that names."""
    return dataclasses.replace(seen, outputs=[output for output in seen.outputs if not _is_line(output)])


def _is_line(output: dict[str, Any]) -> bool:
    return output["kind"] == "display_data" and str(output["data"].get("text/plain", "")).startswith(
        (_BEGIN, _OUTDATED)
    )
