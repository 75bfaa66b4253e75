"""The table of front ends and features: what was measured, and how it is written. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


class Feature(enum.StrEnum):
    DEADLINE = "deadline"
    CANCEL = "Cancel"
    LIVE = "live output"
    UPDATE = "display update"
    WIDGET = "widget"
    INPUT = "`input()`"
    INTERRUPT = "interrupt"
    LINE = "static line"


class Mark(enum.StrEnum):
    WORKS = "✓"
    FAILS = "✗"
    #: The front end has no such thing, with or without this package.
    NONE = "–"


@dataclass(slots=True)
class Row:
    """What was seen in one front end."""

    name: str
    marks: dict[Feature, Mark] = field(default_factory=lambda: dict.fromkeys(Feature, Mark.NONE))
    #: Why a feature does not work.
    reasons: dict[Feature, str] = field(default_factory=dict)

    @contextmanager
    def measuring(self, feature: Feature) -> Iterator[None]:
        """Try one feature: it works when nothing is raised."""
        try:
            yield
        except Exception as error:
            self.marks[feature] = Mark.FAILS
            self.reasons[feature] = f"{type(error).__name__}: {str(error)[:500]}"
        else:
            self.marks[feature] = Mark.WORKS


def see(what: str, where: str) -> None:
    """Raise where something is not to be seen."""
    assert what in where, f"no {what!r} in {where!r}"


def as_markdown(rows: Sequence[Row]) -> str:
    lines = ["| front end | " + " | ".join(Feature) + " |", "|---|" + "---|" * len(Feature)]
    lines += [f"| {row.name} | " + " | ".join(row.marks[each] for each in Feature) + " |" for row in rows]
    return "\n".join(lines)
