"""What could not come back and is named under the cell: accepted where the README lists it. Pure.

Law of the file: a reason is accepted only when a line of the README's "What does not come back" tells of it.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from tests.as_if.session import Seen

#: The reasons that the README lists.
LISTED = (
    r"a generator that has begun cannot leave its process",
    r"a(n asynchronous generator| coroutine) cannot leave its process",
    r"a (socket|database connection|database cursor) cannot leave its process",
    r"it was still running, and ends with the process of the cell",
    r"a (running process|process|thread|pool of processes|future) cannot leave its process",
    r"an executor cannot leave its process",
    r"an asyncio task that is not done cannot leave its process",
    r"a token of a context cannot leave its process",
    r"a hash that was begun cannot leave its process",
    r"a memory map( of a file without a name)? cannot leave its process",
    r"an iterator of matches cannot leave its process",
    r"a reader of CSV that has begun cannot leave its process",
)
_LISTED = re.compile("|".join(LISTED))
_BEGIN = "… left behind: "
_ITEM = re.compile(r"(?:^|; )([^;(]+?) \(((?:[^()]|\([^()]*\))*)\)")


def accepted(reason: str) -> bool:
    """Tell whether the README says that such things do not come back."""
    return _LISTED.fullmatch(reason) is not None


def named_in(seen: Seen) -> dict[str, str]:
    """Return what is named under a cell, each with its reason."""
    found: dict[str, str] = {}
    for output in seen.outputs:
        if _is_line(output):
            found.update(_ITEM.findall(output["data"]["text/plain"].removeprefix(_BEGIN)))
    return found


def without_line(seen: Seen) -> Seen:
    """Return the same without the line that names."""
    return dataclasses.replace(seen, outputs=[output for output in seen.outputs if not _is_line(output)])


def _is_line(output: dict[str, Any]) -> bool:
    return output["kind"] == "display_data" and str(output["data"].get("text/plain", "")).startswith(_BEGIN)
