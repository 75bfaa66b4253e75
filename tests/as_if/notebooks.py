"""Notebooks as this harness knows them: a name, an area, and cells. Pure.

The cells of ``cells/*.cells`` are split at lines that begin with ``# %%``; what stands behind it is the cell's title.
A first line ``# needs: a, b`` names modules without which the notebook is skipped.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

CELLS = Path(__file__).parent / "cells"
MARK = re.compile(r"^# ?%%[ \t]*(.*)\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cell:
    title: str
    code: str


@dataclass(frozen=True, slots=True)
class Notebook:
    #: What the table has a line for: an area of our own, or a package.
    area: str
    name: str
    cells: tuple[Cell, ...]
    #: Modules that the kernel must be able to import.
    needs: tuple[str, ...] = ()
    #: Run in every kernel first, natively, and not compared.
    setup: str = ""


def split(text: str) -> tuple[Cell, ...]:
    """Split a script at its marks; what stands before the first is a cell too, unless it is only comments."""
    pieces = MARK.split(text)
    cells = [Cell("", pieces[0].strip("\n"))] if _has_code(pieces[0]) else []
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if body.strip():
            cells.append(Cell(title.strip(), body.strip("\n")))
    return tuple(cells)


def split_at_blank_lines(text: str, most: int = 8) -> tuple[Cell, ...]:
    """Split a script without marks between statements, at blank lines, into a few cells."""
    lines = text.splitlines()
    try:
        starts = [min([s.lineno, *(d.lineno for d in getattr(s, "decorator_list", []))]) for s in ast.parse(text).body]
    except SyntaxError:
        return (Cell("", text),)
    cuts = [0]
    size = max(5, len(lines) // most)
    for start in starts:
        if start - 1 - cuts[-1] >= size and not lines[start - 2].strip():
            cuts.append(start - 1)
    pieces = ["\n".join(lines[a:b]).strip("\n") for a, b in zip(cuts, [*cuts[1:], len(lines)], strict=True)]
    return tuple(Cell("", piece) for piece in pieces if _has_code(piece))


def _has_code(text: str) -> bool:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return bool(text.strip())
    return any(not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)) for s in tree.body)


def own_notebooks() -> list[Notebook]:
    """Return the first corpus: one notebook for each file of ``cells``."""
    return [read(path) for path in sorted(CELLS.glob("*.cells"))]


def read(path: Path) -> Notebook:
    text = path.read_text(encoding="utf-8")
    needs: tuple[str, ...] = ()
    if text.startswith("# needs:"):
        first, _, text = text.partition("\n")
        needs = tuple(name.strip() for name in first.removeprefix("# needs:").split(","))
    return Notebook(path.stem, path.stem, split(text), needs)
