"""The benchmark commands themselves: they run to their end, print every row, and see the memory that is used."""

from __future__ import annotations

import json
import mmap
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import output, state
from tests.benchmarks.measure import MIB, Peaks, Way, status

REPOSITORY = Path(__file__).resolve().parents[2]
PLOTS = ("costs", "goals", "memory", "profile")
#: How many goals there are.
ROWS = 37
OURS = ["%%timeout, warm", "%%timeout, spawn", "all names by cloudpickle through a pipe", "natively"]
CALLS = [
    "run_with_timeout, warm",
    "run_with_timeout, spawn",
    "multiprocessing + Queue, fork",
    "multiprocessing + Queue, spawn",
    "pebble.concurrent.process",
]
TABLES = {
    "a run of nothing": [
        *CALLS,
        "run_with_timeout, warm, right after another",
        "run_with_timeout, spawn, right after another",
        "%%timeout in a kernel, warm, less a native cell",
        "%%timeout in a kernel, spawn, less a native cell",
        "Process + Queue in a kernel, less a native cell",
        "pebble.ProcessPool, a new one",
        "bare fork + waitpid",
    ],
    "50 ordinary names, one changed": OURS,
    ": in, summed": [*CALLS, "natively"],
    ": out": [*CALLS, "natively"],
    ": read by a cell, unchanged": [*OURS, "one copy of it into fresh pages"],
    ": written in two places": OURS,
    "10 columns of floats: a new column": OURS,
    "Arrow strings: a new column": OURS,
    "Python strings: a new column": OURS,
}


@pytest.mark.timeout(240)
def test_the_tables_have_every_row() -> None:
    """With tiny sizes, and whatever the figures are."""
    tiny = ["--rounds", "1", "--scale", "0.001", "--settle", "0", "--no-memory"]
    command = [sys.executable, "-m", "tests.benchmarks.tables", *tiny]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = [block.splitlines() for block in re.split(r"\n\n", done.stdout)]
    for title, rows in TABLES.items():
        (found,) = [block for block in printed if title in block[0]]
        names = {re.split(r"\s{2,}", line.strip())[0] for line in found[1:]}
        assert names == set(rows) or "not here: it needs pyarrow" in found[0]
    assert "load " in done.stdout


def test_the_benchmark_of_output_prints_every_row(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(output, "CASES", dict.fromkeys(output.CASES, "print(1)"))
    monkeypatch.setattr(sys, "argv", ["output", "1"])
    output.main()
    printed = capsys.readouterr().out.splitlines()
    assert [re.split(r"\s{2,}", line.strip())[0] for line in printed[1:]] == list(output.CASES)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_goals_are_measured_written_and_drawn(tmp_path: Path) -> None:
    """Every row, with tiny sizes, and every plot."""
    figures = tmp_path / "figures.json"
    goals = ["goals", "--rounds", "1", "--scale", "0.001", "--write", str(figures)]
    for part in (goals, ["plots", str(figures), str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-m", f"tests.benchmarks.{part[0]}", *part[1:]],
            cwd=REPOSITORY, capture_output=True, text=True, timeout=800,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(figures.read_text())["goals"]
    assert len(rows) == ROWS and all(row["met"] == (row["measured"] <= row["allowed"]) for row in rows)
    assert {each.name for each in tmp_path.glob("*.png")} == {f"{plot}.png" for plot in PLOTS}


def test_the_plots_are_drawn_of_what_was_written(tmp_path: Path) -> None:
    """Of a goal that is met and of one that is not, and of nothing that was not measured."""
    goal = {"what": "a goal", "measured": 0.5, "allowed": 1.0, "unit": "×", "detail": "", "n": 1, "met": True}
    figures = {
        "goals": [goal, {**goal, "what": "another", "measured": 3.0, "met": False}],
        "costs": {"%%timeout, warm": 5.0, "bare fork + waitpid": 1.0},
        "profile": [{"what": "the code", "ms": 1.0}],
    }
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    command = [sys.executable, "-m", "tests.benchmarks.plots", str(tmp_path / "figures.json"), str(tmp_path / "plots")]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=60)
    assert {each.stem for each in (tmp_path / "plots").iterdir()} == {"goals", "costs", "profile"}


def test_the_peaks_are_of_the_child_that_ends_and_of_this_process() -> None:
    """A child that stays counts for nothing, as a template or the next spare."""
    much = int(status("VmRSS")) + (500 << 20)  # more than a forked child has of this process, with its own 200 MiB

    def fresh(size: int) -> mmap.mmap:
        """Return new pages, in use: malloc could take them from what was freed before."""
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for _ in range(size // MIB):
            pages.write(b"x" * MIB)
        return pages

    def run() -> None:
        own = fresh(60 << 20)
        if (pid := os.fork()) == 0:
            its = fresh(200 << 20)
            time.sleep(0.1)  # be seen
            os._exit(its.closed)
        os.waitpid(pid, 0)
        own.close()

    stays = subprocess.Popen([sys.executable, "-c", f"input(len(b'x' * {much}))"], stdin=subprocess.PIPE)
    try:
        with Peaks() as peaks:
            host, child = peaks.of(Way("a child", run))
    finally:
        stays.communicate()
    assert 59 < host < 140
    assert 200 < child < much / MIB


def test_state_that_nobody_has_changed_costs_less_than_the_goal() -> None:
    """Of a kernel with numpy, pandas and pyplot, all of it together; by the smallest times, which a busy machine leaves alone."""
    found = state.measured(sys.executable)
    assert len(found) == 5 and sum(times[0] for times in found.values()) < state.GOAL, found
