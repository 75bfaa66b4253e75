"""``python -m tests.as_if``: run the corpora natively and timed, and print how far "as if" goes."""

from __future__ import annotations

import argparse
import sys
import time

from tests.as_if.environment import environment, versions
from tests.as_if.notebooks import Notebook, own_notebooks
from tests.as_if.report import differences, rows_of, table
from tests.as_if.run import Done, Runner


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for. Return 0 when every deterministic cell is the same."""
    parser = argparse.ArgumentParser(prog="python -m tests.as_if", description=__doc__)
    parser.add_argument("--start", choices=("auto", "warm", "spawn", "both"), default="warm")
    parser.add_argument("--only", action="append", help="this area or package only (again for more)", metavar="AREA")
    parser.add_argument("--packages", action="store_true", help="many examples of packages, not a sample of them")
    parser.add_argument("--corpus", choices=("own", "packages"), help="only the cells written for this, or only others")
    parser.add_argument("--details", action="store_true", help="show of each new difference what differs")
    parser.add_argument("--python", help="the interpreter of the kernels (default: an environment made for this)")
    parser.add_argument("--workers", type=int, default=2, help="so many notebooks at a time")
    asked = parser.parse_args(arguments)

    python = asked.python or environment(_say)
    wanted = set(asked.only or ())
    notebooks: list[Notebook] = []
    if asked.corpus != "packages":
        notebooks += [n for n in own_notebooks() if not wanted or n.area in wanted]
    if asked.corpus != "own":
        from tests.as_if.packages import package_notebooks

        notebooks += package_notebooks(python, wanted, many=asked.packages, say=_say)
    same = True
    for start in ("warm", "spawn") if asked.start == "both" else (asked.start,):
        same &= _run(notebooks, python, start, asked.workers, asked.details)
    return 0 if same else 1


def _run(notebooks: list[Notebook], python: str, start: str, workers: int, details: bool) -> bool:
    """Run these with one start method, and print the table. Tell whether every deterministic cell is the same."""
    began = time.monotonic()
    runner = Runner(python, versions(python), f"%%timeout -q --start {start} 60")

    def tell(done: Done) -> None:
        new = sum(bool(cell.new) for cell in done.cells)
        _say(f"{done.notebook.area}/{done.notebook.name}: {len(done.cells)} cells, {new} with a new difference")

    done = runner.run(notebooks, tell, workers)
    print(table(done))
    print(f"\n{time.monotonic() - began:.0f} s, --start {start}\n")
    print(differences(done, details))
    return rows_of(done)["all"].different == 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
