"""How the cells of packages are had: what is made up for them, and which are taken."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path

import pytest

from tests.as_if import packages, seaborn_tables
from tests.as_if.packages import Scripts, package_notebooks


def test_the_tables_of_seaborn_are_made_up_the_same_each_time(tmp_path: Path) -> None:
    """As many rows as combinations, and each with all its columns."""
    one, two = (seaborn_tables.write(tmp_path / name) for name in ("one", "two"))
    assert {path.name: path.read_text() for path in one.iterdir()} == {p.name: p.read_text() for p in two.iterdir()}
    with (one / "tips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 4 * 2 * 8
    assert all(None not in row.values() and float(row["total_bill"]) > 0 for row in rows)


def test_cells_of_a_notebook_and_of_a_script_are_taken_from_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code cells only; what is out of reach is counted; and seaborn finds its tables."""
    cells = [
        ("markdown", "# text"),
        ("code", "import seaborn as sns"),
        ("code", ""),
        ("code", "sns.load_dataset('tips')"),
    ]
    book = json.dumps({"cells": [{"cell_type": kind, "source": [text]} for kind, text in cells]})
    for name, text in {"a.ipynb": book, "b.py": "x = 1\n", "c.ipynb": book.replace("load_", "fetch_")}.items():
        (tmp_path / name).write_text(text)
    with tarfile.open(tmp_path / "made.tar.gz", "w:gz") as archive:
        for name in ("a.ipynb", "b.py", "c.ipynb"):
            archive.add(tmp_path / name, f"made-1/doc/{name}")
    monkeypatch.setattr(packages, "SOURCES", tuple(Scripts("seaborn", ("doc/",), end, 5) for end in (".ipynb", ".py")))
    monkeypatch.setattr(packages, "KEPT", tmp_path)
    monkeypatch.setattr(packages, "source_archive", lambda python, name, version: tmp_path / "made.tar.gz")
    monkeypatch.setattr(packages, "_version", lambda python, name: "1")
    said: list[str] = []
    found = package_notebooks("python", set(), many=False, say=said.append)
    codes = {notebook.name: [cell.code for cell in notebook.cells] for notebook in found}
    assert codes == {"doc.a": ["import seaborn as sns", "sns.load_dataset('tips')"], "doc.b": ["x = 1"]}
    assert all("SEABORN_DATA" in notebook.setup for notebook in found)
    assert said[0] == "seaborn: 1 notebooks of 1 examples; 1 out of reach"
