"""Which features work in which front end, as a table: ``python -m tests.matrix [part of a name]``.

Every row is measured, in a real browser, by a real client, or on a real terminal. Environments are made on first use.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.matrix.rows import ROWS
from tests.matrix.table import as_markdown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("only", nargs="*", help="measure the front ends whose names have one of these texts in them")
    only = parser.parse_args().only
    rows = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        for number, (name, measure) in enumerate(ROWS.items()):
            if only and not any(text.lower() in name.lower() for text in only):
                continue
            print(f"{name} …", file=sys.stderr, flush=True)
            row = measure(name, Path(directory) / str(number))
            rows.append(row)
            for feature, reason in row.reasons.items():
                print(f"  {feature}: {reason}", file=sys.stderr, flush=True)
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
