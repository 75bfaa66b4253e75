"""What the child's shell knows of earlier cells. Runs in the child, in its main thread.

Law of the file: the kernel's database is not opened a second time. How many cells there were is known; their text is,
where the code was seen to ask for it.
"""

from __future__ import annotations

from typing import Any


def let_know(history: Any, count: int, *, texts: bool) -> None:
    """Have a history manager know that cell ``count`` runs. ``texts``: whether it has those of the cells before."""

    def get_tail(
        n: int | None = 10, raw: bool = True, output: bool = False, include_latest: bool = False
    ) -> list[tuple[int, int, Any]]:
        """Return the last cells of this session, with their numbers: libraries make names of files of these."""
        known = (history.input_hist_raw if raw else history.input_hist_parsed) if texts else []
        end = count + include_latest
        found = []
        for number in range(max(1, end - (10 if n is None else n)), end):
            text = known[number] if number < len(known) else ""
            found.append((history.session_number, number, (text, None) if output else text))
        return found

    history.get_tail = get_tail
