"""What a timed cell and a timed function cost, in time and memory, beside the other ways to do the same.

``python -m tests.benchmarks [--rounds N] [--scale F]``. All is measured in one process, which is like a notebook's (an
IPython shell, numpy and pandas imported) and stands for the kernel, in one real kernel, and for large graphs in fresh
processes. The figures are printed, never asserted.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import warnings

from tests.benchmarks import graphs, sections
from tests.benchmarks.measure import measure, status

#: The sizes at a scale of 1.
ARRAY_BYTES = 1 << 30
FRAME_ROWS = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="how often; a quarter of it for what is large")
    parser.add_argument("--scale", type=float, default=1.0, help="of the large arrays and frames; below 1, no graphs")
    parser.add_argument("--settle", type=float, default=1.0, help="scale of the pauses in which spares get ready")
    parser.add_argument("--only", default="", metavar="TEXT", help="the tables with this in their title")
    parser.add_argument("--no-memory", action="store_true", help="time only, and no round that warms up")
    options = parser.parse_args()
    rounds, few = max(1, options.rounds), max(1, options.rounds // 4)
    # Forking a process that has threads is what is measured here, and what Python warns about.
    warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
    host = _like_a_notebook()

    print(f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {os.cpu_count()} cores")
    print(f"load {_load()}; n: runs, interleaved; × first: times the median of the table's first row")
    print(
        f"host +MiB: how far this process ({status('VmRSS') / 2**20:.0f} MiB) rises; child MiB: the peak of the process"
    )
    print(
        "that did the work; both by VmHWM, which counts shared pages (of a template, a forked parent, a memfd) in each"
    )

    def table(title: str, ways: list[sections.Way], n: int) -> None:
        if options.only in title:
            measure(title, ways, n, settle=options.settle, memory=not options.no_memory)

    with sections.empty_runs() as ways:
        table("a run of nothing", ways, rounds)
    table("a map: milliseconds per item", sections.many_items(), few)
    table("50 ordinary names, one changed", sections.fifty_names(host), rounds)

    size = int(ARRAY_BYTES * options.scale) // 8
    host.native("import numpy as np\n%reset_selective -f ^n[0-9]")
    host.native(f"x = np.ones({size})")
    label = f"an array of {size * 8 / 2**20:.4g} MiB"
    table(f"{label}: in, summed", sections.array_in(host, size), few)
    table(f"{label}: out", sections.array_out(size), few)
    table(f"{label}: read by a cell, unchanged", sections.array_unchanged(host), few)
    table(f"{label}: written in two places", sections.array_written(host), few)
    host.native("del x")

    count = max(1, int(FRAME_ROWS * options.scale))
    for title, frame in sections.frames(count).items():
        title = f"{count} rows, {title}: a new column"
        if frame is None:
            print(f"\n{title}: not here: it needs pyarrow")
        else:
            table(title, sections.frame_ways(host, frame), few)
    if options.scale >= 1 and options.only in "large graphs":
        print()
        graphs.report(list(graphs.CASES))
    print(f"\nload {_load()} at the end")
    sys.stdout.flush()


def _load() -> str:
    return ", ".join(f"{each:.1f}" for each in os.getloadavg())


def _like_a_notebook() -> sections.Host:
    """Import what a notebook has imported, and be an interactive IPython to whoever asks."""
    import numpy  # noqa: ICN001
    import pandas  # noqa: ICN001
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    numpy.ones(10) @ numpy.ones(10)
    pandas.DataFrame({"x": [1, 2]}).sum()
    shell.run_line_magic("load_ext", "ipytimeout")
    return sections.Host(shell)


if __name__ == "__main__":
    main()
