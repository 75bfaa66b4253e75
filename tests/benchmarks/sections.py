"""What is measured: each function makes the ways of one table. In the process that stands for a kernel."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from ipytimeout import timeout
from tests.benchmarks import rivals, work
from tests.benchmarks.measure import Way

#: How long until the next idle process is ready, in seconds, by start method; generous, for a loaded machine.
READY = {"warm": 0.5, "spawn": 2.5}
METHODS = tuple(READY)
#: So many items a map is measured on.
ITEMS = 30


@dataclass(frozen=True, slots=True)
class Host:
    """The process that is measured in: like a kernel, with the extension loaded."""

    shell: InteractiveShell

    @property
    def names(self) -> dict[str, Any]:
        names: dict[str, Any] = self.shell.user_ns
        return names

    def cell(self, start: str, code: str) -> Callable[[], object]:
        """Return a run of a timed cell."""
        return lambda: self.native(f"%%timeout -q --start {start} 600\n{code}")

    def native(self, code: str) -> None:
        """Run a cell here."""
        self.shell.run_cell(code).raise_error()

    def ways(self, code: str, names: list[str], before: Callable[[], object]) -> list[Way]:
        """Return the ways to run a cell on some names of the notebook."""
        through_a_pipe = lambda: rivals.through_a_pipe(code, {name: self.names[name] for name in names})  # noqa: E731
        return [
            *(Way(f"%%timeout, {start}", self.cell(start, code), READY[start], before) for start in METHODS),
            Way("all names by cloudpickle through a pipe", through_a_pipe, before=before),
            Way("natively", lambda: self.native(code), before=before),
        ]


def call_ways(function: Callable[..., Any], *args: Any) -> list[Way]:
    """Return the ways to call a function."""

    def ours(start: str) -> Callable[[], object]:
        return lambda: timeout(600, start=start).run(function, *args)

    return [
        *(Way(f"run_with_timeout, {start}", ours(start), READY[start]) for start in METHODS),
        Way("multiprocessing + Queue, fork", lambda: rivals.process_and_queue("fork")(function, *args)),
        Way("multiprocessing + Queue, spawn", lambda: rivals.process_and_queue("spawn")(function, *args)),
        Way("pebble.concurrent.process", lambda: rivals.pebble_process(function, *args)),
    ]


@contextmanager
def empty_runs() -> Iterator[list[Way]]:
    """A run of nothing, of a function and of a cell in a real kernel."""
    from tests.kernels.environments import ENVIRONMENTS, REPOSITORY
    from tests.kernels.harness import Kernel

    with tempfile.TemporaryDirectory() as directory:
        kernel = Kernel(ENVIRONMENTS["ipykernel7"](), Path(directory))
        kernel.run("%load_ext ipytimeout\nimport numpy, pandas")

        def in_kernel(start: str) -> Callable[[], float]:
            def seconds() -> float:
                timed = kernel.run(f"%%timeout -q --start {start} 600\npass", 600)
                assert timed.status == "ok", timed.text
                return timed.seconds - kernel.run("pass").seconds

            return seconds

        def as_a_cell_does_it() -> float:
            return kernel.run("call(len, '')").seconds - kernel.run("pass").seconds

        # What a user would write into the cell instead, in the same process.
        kernel.run(
            f"import sys, warnings; sys.path.insert(0, {str(REPOSITORY)!r}); warnings.simplefilter('ignore')\n"
            "from tests.benchmarks.rivals import process_and_queue\ncall = process_and_queue('fork')"
        )
        calls = call_ways(work.noop)
        again = [Way(f"{way.name}, right after another", way.run) for way in calls[:2]]
        try:
            yield [
                *calls[:2],
                *again,
                *(
                    Way(f"%%timeout in a kernel, {s}, less a native cell", in_kernel(s), READY[s], own_clock=True)
                    for s in METHODS
                ),
                Way("Process + Queue in a kernel, less a native cell", as_a_cell_does_it, own_clock=True),
                *calls[2:],
                Way("pebble.ProcessPool, a new one", lambda: rivals.pebble_pool(work.noop)),
                Way("bare fork + waitpid", rivals.fork_and_wait),
            ]
        finally:
            kernel.close()


def many_items() -> list[Way]:
    """A map over many small items, each in a process of its own: milliseconds for each item."""

    def per_item(run: Callable[[], object]) -> Callable[[], float]:
        def seconds() -> float:
            begin = time.perf_counter()
            run()
            return (time.perf_counter() - begin) / ITEMS

        return seconds

    items = range(ITEMS)
    return [
        Way("bare fork + waitpid of a process with these imports", rivals.fork_and_wait),
        *(
            Way(
                f"timeout.map, {workers} workers",
                per_item(lambda w=workers: list(timeout(600).map(work.same, items, workers=w))),
                own_clock=True,
            )  # type: ignore[misc]
            for workers in (1, 2)
        ),
        *(
            Way(
                f"pebble.ProcessPool, max_tasks=1, {workers} workers",
                per_item(lambda w=workers: rivals.pebble_map(work.same, items, w)),
                own_clock=True,
            )  # type: ignore[misc]
            for workers in (1, 2)
        ),
    ]


def fifty_names(host: Host) -> list[Way]:
    """Fifty names of ordinary size, all used, one changed."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    makers: list[Callable[[], object]] = [
        lambda: rng.random(1000).tolist(),
        lambda: {f"key {i}": i for i in range(100)},
        lambda: rng.random(1000),
        lambda: pd.DataFrame(rng.random((100, 3)), columns=list("abc")),
        lambda: "text " * 200,
    ]
    names = [f"n{i}" for i in range(50)]
    host.names.update({name: makers[i % len(makers)]() for i, name in enumerate(names)})
    return host.ways(f"_ = {', '.join(names)}\nn0[0] += 1\ndel _", names, lambda: None)


def array_in(host: Host, size: int) -> list[Way]:
    """A large array that a function reads."""
    return [*call_ways(work.total, host.names["x"]), Way("natively", host.names["x"].sum)]


def array_out(size: int) -> list[Way]:
    """A large array that a function makes."""
    return [*call_ways(work.ones, size), Way("natively", lambda: work.ones(size))]


def array_unchanged(host: Host) -> list[Way]:
    """A large array that a cell reads."""
    copy = Way("one copy of it into fresh pages", lambda: host.names["x"].copy())
    return [*host.ways("s = float(x.sum())", ["x"], lambda: None), copy]


def array_written(host: Host) -> list[Way]:
    """A large array that a cell writes to in two places."""
    return host.ways("x[0] += 1\nx[-1] += 1", ["x"], lambda: None)


def frames(rows: int) -> dict[str, Any]:
    """Make the frames by what they hold; ``None`` for what cannot be had here."""
    import numpy as np
    import pandas as pd

    texts = [f"text number {i}" for i in range(rows)]
    made = {
        "10 columns of floats": pd.DataFrame(np.random.default_rng(0).random((rows, 10)), columns=list("abcdefghij")),
        "Arrow strings": None,
        "Python strings": pd.DataFrame({"a": pd.Series(texts, dtype=object)}),
    }
    with suppress(ImportError):
        made["Arrow strings"] = pd.DataFrame({"a": pd.Series(texts, dtype="string[pyarrow]")})
    return made


def frame_ways(host: Host, frame: Any) -> list[Way]:
    """A frame that a cell gives one more column."""
    host.names["df"] = frame
    return host.ways('df["new"] = 1.0', ["df"], lambda: frame.pop("new") if "new" in frame else None)
