"""How often a notebook is run natively, and what is kept of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.as_if import run
from tests.as_if.notebooks import Cell, Notebook
from tests.as_if.run import Done, Runner
from tests.as_if.session import Record
from tests.as_if.test_compare import seen

NOTEBOOK = Notebook("area", "name", (Cell("", "print(x)"),))


@pytest.mark.parametrize(("timed", "native_runs", "same"), [("one", 1, True), ("two", 6, False)])
def test_only_what_differs_from_native_runs_is_run_natively_again(
    timed: str, native_runs: int, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is the same as one native run needs no others, and what was run is not run again the next time."""
    runs: list[str] = []

    def record(notebook: Notebook, python: str, folder: Path, prefix: str, environ: dict[str, str]) -> Record:
        runs.append(prefix)
        return Record([seen(timed if prefix else "one")])

    monkeypatch.setattr(run, "record", record)
    done: list[Done] = []
    for _ in range(2):
        done += Runner("python", "versions", "%%timeout 60", tmp_path).run([NOTEBOOK], lambda each: None)
    assert [cell.same for each in done for cell in each.cells] == [same] * 2
    assert (runs.count(""), len(runs)) == (native_runs, native_runs + 2)
