"""``python -m tests.peers [PACKAGE ...] [--clones FOLDER]``: the table of the suites of other packages."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.as_if.source_archives import NotFetched
from tests.peers.suites import SUITES, run, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description=__doc__.partition(": ")[2])
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="only these")
    parser.add_argument("--clones", type=Path, help="a folder with clones of repositories, by the package's name")
    options = parser.parse_args()
    unexplained = 0
    for suite in SUITES:
        if options.packages and suite.package not in options.packages:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome = run(suite, Path(folder), options.clones)
            except NotFetched as error:
                print(f"{suite.package}: no suite; {error}", flush=True)
                continue
        print(table({suite: outcome}), flush=True)
        unexplained += len(outcome.unexplained(suite))
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
