"""All figures of speed and memory: the goals, their plots, and the tables behind them.

``python -m tests.benchmarks [--rounds N] [--scale F] [--plots DIRECTORY]``. Each part is a command of its own too:
``goals``, ``plots``, ``output``, ``tables``, ``graphs``, ``click``. Leave the machine alone meanwhile: it takes half an hour.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", default="20", help="how often; a quarter of it for what is large")
    parser.add_argument("--scale", default="1.0", help="of the large arrays and frames")
    parser.add_argument("--plots", type=Path, help="the directory for the plots; without it there are none")
    options = parser.parse_args()
    how = ["--rounds", options.rounds, "--scale", options.scale]
    with tempfile.TemporaryDirectory() as directory:
        figures = str(Path(directory) / "figures.json")
        _run("goals", *how, "--write", figures)
        if options.plots:
            _run("plots", figures, str(options.plots))
    _run("tables", *how)


def _run(part: str, *arguments: str) -> None:
    print(f"\n== {part}", flush=True)
    subprocess.run([sys.executable, "-m", f"tests.benchmarks.{part}", *arguments], check=True)


if __name__ == "__main__":
    main()
