"""What was found, as text: a table by area and package, then one line for each new difference. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from tests.as_if.compare import Compared, Difference
from tests.as_if.run import Done

#: Kinds of differences that are neither seen nor in a name: only some later cell would notice.
BESIDE = ("state", "modules")


@dataclass(slots=True)
class Row:
    cells: int = 0
    deterministic: int = 0
    same: int = 0
    #: All that is different is named under the cell, or follows from it, and is on the README's list.
    named: int = 0
    beside: int = 0
    new: int = 0

    def add(self, cell: Compared) -> None:
        """Count one cell."""
        self.cells += 1
        self.deterministic += cell.deterministic
        self.same += cell.deterministic and cell.same
        self.named += cell.deterministic and cell.named
        self.beside += cell.deterministic and bool(cell.differences) and all(d.kind in BESIDE for d in cell.differences)
        self.new += any(not d.named for d in cell.new)

    @property
    def different(self) -> int:
        return self.deterministic - self.same - self.named

    def share(self, same: int) -> str:
        """Return which part of the deterministic cells so many are."""
        return f"{100 * same / self.deterministic:.1f} %" if self.deterministic else "–"


def rows_of(done: Iterable[Done]) -> dict[str, Row]:
    """Count, by area or package, and in all."""
    rows: dict[str, Row] = {}
    total = Row()
    for each in done:
        row = rows.setdefault(each.notebook.area, Row())
        for cell in each.cells:
            row.add(cell)
            total.add(cell)
    return {**rows, "all": total}


def table(done: list[Done]) -> str:
    """Draw the table."""
    head = ("", "cells", "deterministic", "same", "named", "different", "only state", "new", "%", "% seen")
    lines = [head]
    for name, row in rows_of(done).items():
        numbers = (row.cells, row.deterministic, row.same, row.named, row.different, row.beside, row.new)
        told = row.same + row.named
        lines.append((name, *map(str, numbers), row.share(told), row.share(told + row.beside)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    drawn = [
        "  ".join(
            text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join(drawn)


def differences(done: list[Done], details: bool = False) -> str:
    """Return one line for each new difference, with the cell."""
    lines: list[str] = []
    for each in done:
        if each.trouble:
            lines.append(f"{each.notebook.area}/{each.notebook.name}: {each.trouble}")
        for cell in each.cells:
            for kind, group in _by_kind([d for d in cell.new if not d.named]).items():
                keys = ", ".join(d.key for d in group[:6]) + (f" and {len(group) - 6} more" if len(group) > 6 else "")
                where = f"{each.notebook.area}/{each.notebook.name} cell {cell.number}"
                lines.append(f"{where} ({_first_line(cell)}): {kind}: {keys}")
                if details:
                    lines += [_indented(_detail(d)) for d in group[:6]]
    return "\n".join(lines)


def _by_kind(differences: list[Difference]) -> dict[str, list[Difference]]:
    kinds: dict[str, list[Difference]] = {}
    for each in differences:
        kinds.setdefault(each.kind, []).append(each)
    return kinds


def _first_line(cell: Compared) -> str:
    return cell.cell.title or cell.cell.code.strip().partition("\n")[0][:60]


def _detail(difference: Difference) -> str:
    native, timed = difference.native, difference.timed
    if "\n" not in native + timed and len(native + timed) < 400:
        return f"{difference.key}\n- {native}\n+ {timed}"
    if len(native.splitlines()) + len(timed.splitlines()) > 4:
        lines = difflib.unified_diff(native.splitlines(), timed.splitlines(), lineterm="", n=0)
        return f"{difference.key}\n" + "\n".join(line[:300] for line in list(lines)[2:14])
    start = next((i for i, (a, b) in enumerate(zip(native, timed, strict=False)) if a != b), 0)
    cut = slice(max(0, start - 60), start + 240)
    return f"{difference.key} (at {start})\n- {native[cut]!r}\n+ {timed[cut]!r}"


def _indented(text: str) -> str:
    return "\n".join("      " + line for line in text.splitlines())
