"""Every goal of speed and memory as one row: what was measured, what it is measured against, and what is allowed.

``python -m tests.benchmarks.goals [--rounds N] [--scale F] [--only TEXT]``. All rows are of live kernels, and each
compares what is measured in the same run, interleaved. A goal that is missed is printed, with by how much; nothing
is asserted. ``plots`` draws what this has written.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import graphs, memory, output
from tests.benchmarks.live import REST, environment, interleaved, less, live, median, p95

GIB = 1 << 30
#: The methods that a run is started by.
_QUIET = "%%timeout -q 600"


@dataclass(frozen=True, slots=True)
class Goal:
    """One row."""

    what: str
    #: The figure, and the largest that is allowed.
    measured: float
    allowed: float
    #: Of both: "×" for a ratio, else a unit.
    unit: str
    #: What it was made of, for the reader.
    detail: str
    n: int

    @property
    def met(self) -> bool:
        return self.measured <= self.allowed


@dataclass(slots=True)
class Settings:
    rounds: int
    #: Of the large arrays and frames.
    scale: float
    #: What the plots are made of, by the name of the plot.
    drawn: dict[str, Any] = field(default_factory=dict)

    @property
    def few(self) -> int:
        return max(1, self.rounds // 4)

    @property
    def size(self) -> int:
        """Bytes of what is large."""
        return int(GIB * self.scale)


def _ratio(what: str, these: list[float], those: list[float], allowed: float, names: tuple[str, str]) -> Goal:
    ours, base = median(these), median(those)
    detail = f"{names[0]} {ours:.1f} ms, {names[1]} {base:.1f} ms"
    return Goal(what, ours / base, allowed, "×", detail, len(these))


# ---------------------------------------------------------------- the empty run


def empty(settings: Settings) -> Iterator[Goal]:
    """Nothing to do: what a run costs by itself, beside every other way to have a process of its own."""
    with live("from tests.benchmarks import rivals, work\nrivals.start_engine()\ndef f(): return 2") as here:
        names: list[str] = here.value("list(rivals.ways())")
        ways: dict[str, Callable[[], float]] = {
            "a native cell": lambda: here.run("r = 1 + 1"),
            "%%timeout, warm": lambda: here.run("%%timeout -q 5\nr = 1 + 1"),
            "timeout(5).run, warm": lambda: here.run("r = timeout(5, quiet=True).run(f)"),
            **{name: functools.partial(here.run, f"rivals.ways()[{name!r}](work.noop)") for name in names},
        }
        got = interleaved(settings.rounds, ways)
        native = got.pop("a native cell")
        costs = {name: less(values, native) for name, values in got.items()}
        for start, rest in (("spawn", 3.0), ("fork", REST)):
            here.run(f"%%timeout -q --start {start} 60\nr = 1 + 1")  # from here on one is ready
            slow = interleaved(
                settings.few,
                {
                    "native": lambda: here.run("r = 1 + 1"),
                    "ours": functools.partial(here.run, f"%%timeout -q --start {start} 5\nr = 1 + 1"),
                },
                rest,
            )
            costs[f"%%timeout, {start}"] = less(slow["ours"], slow["native"])
        bare = [here.value("rivals.fork_and_wait_ms()") for _ in range(settings.rounds)]
        cold = [here.run(f"%%timeout -q 5\nr = {i}") for i in range(2)]  # no rest before the second
        here.run("rivals.stop_engine()")
        here.run("from tests.benchmarks import steps; steps.watch()")
        interleaved(settings.rounds, {"ours": ways["%%timeout, warm"]})
        settings.drawn["profile"] = here.value("steps.median_steps()")
    costs["bare fork + waitpid"] = bare
    settings.drawn["costs"] = {name: median(values) for name, values in costs.items()}
    for name, values in sorted(costs.items(), key=lambda each: median(each[1])):
        print(f"    {name:34} {median(values):8.1f} ms, p95 {p95(values):8.1f}, n {len(values)}", flush=True)
    print(f"    {'%%timeout, right after another':34} {cold[1]:8.1f} ms, with the native part", flush=True)
    for step in settings.drawn["profile"]:
        print(f"      {step['what']:44} {step['ms']:6.2f} ms", flush=True)
    queue = costs["Process + Queue, fork"]
    for ours in ("%%timeout, warm", "timeout(5).run, warm"):
        yield _ratio(f"{ours}: of Process + Queue (fork)", costs[ours], queue, 0.6, ("it", "they"))
        yield _ratio(f"{ours}: of a bare fork + waitpid", costs[ours], bare, 7.0, ("it", "that"))


def names(settings: Settings) -> Iterator[Goal]:
    """Fifty names that are used, and names that are not."""
    fifty = (
        "rng = np.random.default_rng(0)\n"
        "makers = [lambda: rng.random(1000).tolist(), lambda: {f'key {i}': i for i in range(100)},"
        " lambda: rng.random(1000), lambda: pd.DataFrame(rng.random((100, 3)), columns=list('abc')),"
        " lambda: 'text ' * 200]\n"
        "globals().update({f'n{i}': makers[i % 5]() for i in range(50)})"
    )
    use = f"_ = {', '.join(f'n{i}' for i in range(50))}\nn0[0] += 1\ndel _"
    with live(fifty) as here:
        got = interleaved(
            settings.rounds,
            {"empty": lambda: here.run(f"{_QUIET}\nr = 1 + 1"), "fifty": lambda: here.run(f"{_QUIET}\n{use}")},
        )
    yield _ratio("50 names used, one changed: of an empty run", got["fifty"], got["empty"], 1.5, ("it", "empty"))

    fills = {
        "10 names": "",
        "1,000 names": "globals().update({f'v{i}': [i] for i in range(1000)})",
        "100,000 names": "globals().update({f'v{i}': [i] for i in range(100_000)})",
        f"{10 * settings.scale:g} GiB": f"unused = np.ones({10 * settings.size // 8})",
    }
    with ExitStack() as stack:
        kernels = {name: stack.enter_context(live(fill)) for name, fill in fills.items()}
        got = interleaved(
            settings.rounds,
            {name: functools.partial(each.run, f"{_QUIET}\nr = 1 + 1") for name, each in kernels.items()},
        )
    smallest = got.pop("10 names")
    for name, values in got.items():
        yield _ratio(f"{name} that are not used: of 10 names", values, smallest, 1.3, ("it", "10 names"))


def in_a_row(settings: Settings) -> Iterator[Goal]:
    """Ten timed cells without a pause."""
    firsts, tenths = [], []
    with live() as here:
        for _ in range(settings.rounds):
            time.sleep(5 * REST)
            times = [here.run(f"{_QUIET}\nr = 1 + 1") for _ in range(10)]
            firsts.append(times[0])
            tenths.append(times[-1])
    yield _ratio("ten in a row: the tenth of the first", tenths, firsts, 1.2, ("tenth", "first"))


# ---------------------------------------------------------------- large data


def arrays(settings: Settings) -> Iterator[Goal]:
    """A large array in, and one out: time beside one copy of it, and memory over time."""
    count = settings.size // 8
    with live(f"x = np.ones({count})") as here:
        got = interleaved(
            settings.few,
            {
                "copy": lambda: here.clocked("y = x.copy()\ndel y"),
                "native sum": lambda: here.run("s = float(x.sum())"),
                "sum": lambda: here.run(f"{_QUIET}\ns = float(x.sum())"),
                "native ones": lambda: here.run(f"z = np.ones({count})"),
                "ones": lambda: here.run(f"{_QUIET}\nz = np.ones({count})"),
            },
            2 * REST,
        )
        here.run("del z")
        watched = memory.over_time(here, f"{_QUIET}\ns = float(x.sum())")
        settings.drawn["memory"] = watched.curves
        # The parent of what came back holds it too, so a peak above the end is what was there twice.
        back = memory.over_time(here, f"{_QUIET}\nz = np.ones({count})")
    size = f"{settings.size / GIB:g} GiB"
    extra = less(got["sum"], got["native sum"])
    yield _ratio(f"sum over {size}, less native: of one copy", extra, got["copy"], 1.3, ("it", "copy"))
    yield Goal(
        f"sum over {size}: extra memory",
        watched.extra / settings.size,
        1.05,
        "×",
        f"{watched.extra / 2**20:.0f} MiB more than before, at its peak",
        1,
    )
    out = less(got["ones"], got["native ones"])
    yield _ratio(f"{size} come back, less native: of one copy", out, got["copy"], 1.5, ("it", "copy"))
    yield Goal(
        f"{size} come back: the kernel's peak above its end",
        back.above_end / settings.size,
        1.1,
        "×",
        f"{back.above_end / 2**20:.0f} MiB",
        1,
    )


def frames(settings: Settings) -> Iterator[Goal]:
    """Large frames that a cell uses."""
    rows = settings.size // 80
    texts = settings.size // 256
    made = {
        f"floats, {settings.size / GIB:g} GiB": f"df = pd.DataFrame(np.random.default_rng(0).random(({rows}, 10)))",
        f"Arrow strings, {4 * texts:,}": f"df = pd.DataFrame({{'a': pd.array(np.arange({4 * texts}).astype(str),"
        " dtype='string[pyarrow]')})",
        f"Python strings, {texts:,}": f"df = pd.DataFrame({{'a': pd.Series([f'text {{i}}' for i in range({texts})],"
        " dtype=object)})",
    }
    for name, make in made.items():
        with live(f"from tests.benchmarks import rivals\n{make}") as here:
            got = interleaved(
                settings.few,
                {
                    "ours": lambda: here.run(f"{_QUIET}\nn = len(df)"),
                    "pipe": lambda: here.run("n = rivals.length_through_a_pipe(df)"),
                    "shared": lambda: here.run("n = rivals.length_through_shared_memory(df)"),
                },
                2 * REST,
            )
        best = min(("pipe", "shared"), key=lambda way: median(got[way]))
        yield _ratio(f"a frame of {name}: of pickle 5", got["ours"], got[best], 1.2, ("it", best))


def large_graphs(settings: Settings) -> Iterator[Goal]:
    """Large graphs of small objects, in fresh processes."""
    for case in ("1e6 tuples in a dict", "1e6 instances"):
        for change in (False, True):
            pairs = [(graphs.measure(case, "cloudpickle", change), graphs.measure(case, "ipytimeout", change))]
            plain = [each.seconds * 1000 for each, _ in pairs if each]
            ours = [each.seconds * 1000 for _, each in pairs if each]
            how = "changed in one place" if change else "unchanged"
            yield _ratio(f"{case}, {how}: of cloudpickle", ours, plain, 1.5, ("it", "cloudpickle"))


# ---------------------------------------------------------------- code inside

_PURE = {
    "recursion": "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nfib(26)",
    "objects": "class P:\n    def __init__(self, i): self.i = i\nsum(P(i).i for i in range(600_000))",
    "dictionaries": "d = {}\nfor i in range(1_000_000): d[i % 1000] = d.get(i % 1000, 0) + i",
    "text": "s = ' '.join(str(i) for i in range(500_000)).upper().split()",
    "a loop at top level": "n = 0\nfor i in range(3_000_000): n += i",
}


def pure_python(settings: Settings) -> Iterator[Goal]:
    """Work that is Python alone, at top level and in functions, by the clock inside the cell."""
    with live() as here:
        for name, code in _PURE.items():
            got = interleaved(
                settings.few + 2,
                {
                    "native": functools.partial(here.clocked, code),
                    "timed": functools.partial(here.clocked, code, _QUIET),
                },
                0.2,
            )
            yield _ratio(f"pure Python inside, {name}: of native", got["timed"], got["native"], 1.02, ("it", "native"))


def outputs(settings: Settings) -> Iterator[Goal]:
    """Cells that write much."""
    with live() as here:
        for name, code in output.CASES.items():
            got = interleaved(
                settings.few + 2,
                {
                    "native": functools.partial(here.run, code),
                    "timed": functools.partial(here.run, f"{_QUIET}\n{code}"),
                },
            )
            yield _ratio(f"{name}: of native", got["timed"], got["native"], 1.1, ("it", "native"))


def deadlines(settings: Settings) -> Iterator[Goal]:
    """How late control is back after the deadline."""
    kinds = {
        "a Python loop": ("%%timeout -q 0.5", "while True: pass", 25.0),
        "a C loop that holds the GIL, --kill-after 0": (
            "%%timeout -q -k 0 0.5",
            "import re; re.match('(a+)+$', 'a' * 40 + 'b')",
            50.0,
        ),
    }
    with live() as here:
        for name, (magic, code, allowed) in kinds.items():
            got = interleaved(settings.rounds, {"late": functools.partial(here.late, magic, 0.5, code)})["late"]
            detail = f"median {median(got):.1f} ms, worst {max(got):.1f} ms"
            yield Goal(f"deadline → control back, p95: {name}", p95(got), allowed, "ms", detail, len(got))


# ---------------------------------------------------------------- the beginning, and doing nothing


def beginning(settings: Settings) -> Iterator[Goal]:
    """The import, the extension, and the first timed cell right after it."""
    python = environment()

    def program(code: str) -> float:
        begin = time.perf_counter()
        subprocess.run([python, "-c", code], check=True)
        return (time.perf_counter() - begin) * 1000

    got = interleaved(
        settings.rounds, {"bare": lambda: program("pass"), "import": lambda: program("import ipytimeout")}, 0
    )
    more = less(got["import"], got["bare"])
    yield Goal("import ipytimeout, over bare Python", median(more), 30, "ms", f"p95 {p95(more):.0f} ms", len(more))

    loads, firsts = [], []
    for _ in range(settings.few):
        with live(load=False) as here:
            native = here.run("pass")
            loads.append(here.run("%load_ext ipytimeout") - native)
            firsts.append(here.run("%%timeout -q 5\npass"))
    yield Goal("%load_ext, blocking part", median(loads), 50, "ms", f"worst {max(loads):.0f} ms", len(loads))
    yield Goal("first timed cell right after", median(firsts), 1000, "ms", f"worst {max(firsts):.0f} ms", len(firsts))


def idle(settings: Settings) -> Iterator[Goal]:
    """What it costs to have the extension loaded and to do nothing."""
    with live() as here:
        here.run(f"{_QUIET}\npass")
        time.sleep(8 * REST)  # all is ready, and nothing to do
        seconds = 20 * max(0.1, min(1.0, settings.scale))
        percent, sizes = memory.at_rest(here, seconds)
    detail = f"over {seconds:g} s, kernel and its three processes"
    yield Goal("idle: CPU", percent, 0.1, "%", detail, 1)
    ours = sum(sizes[1:]) / 2**20
    detail = f"warden, template, spare; the kernel itself {sizes[0] / 2**20:.0f} MiB (USS)"
    yield Goal("idle: memory of its processes", ours, 90, "MiB", detail, 1)


def clicks(settings: Settings) -> Iterator[Goal]:
    """From the click to the child's end, in JupyterLab of this environment."""
    from tests.benchmarks.click import measure
    from tests.e2e.front_ends import KERNELS, LAB_HERE

    gone = [gone for _, gone in measure(LAB_HERE, next(iter(KERNELS)), settings.rounds)]
    yield Goal("click → child gone, median", median(gone), 50, "ms", f"worst {max(gone):.0f} ms", len(gone))


ROWS: tuple[Callable[[Settings], Iterator[Goal]], ...] = (
    *(empty, names, in_a_row, arrays, frames, large_graphs, pure_python, outputs, deadlines, beginning, idle, clicks),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.goals", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="how often; a quarter of it for what is large")
    parser.add_argument("--scale", type=float, default=1.0, help="of the large arrays and frames")
    parser.add_argument("--only", nargs="*", metavar="ROWS", help=f"of {', '.join(each.__name__ for each in ROWS)}")
    parser.add_argument("--write", type=Path, help="a file for the figures, as JSON; what plots are made of")
    options = parser.parse_args()
    settings = Settings(max(1, options.rounds), options.scale)
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {os.cpu_count()} cores, ",
        end="",
    )
    print(f"load {os.getloadavg()[0]:.1f}; n: runs, interleaved; medians; ✗: not met")
    done: list[Goal] = []
    for row in ROWS:
        if options.only and row.__name__ not in options.only:
            continue
        for goal in row(settings):
            done.append(goal)
            mark = "✓" if goal.met else "✗"
            figure = f"{goal.measured:8.2f} {goal.unit:3} (≤ {goal.allowed:g})"
            print(f"{mark} {goal.what:62} {figure:24} n {goal.n:3}; {goal.detail}", flush=True)
            if options.write:  # as soon as there is something: a later row may fail
                goals = [{**asdict(goal), "met": goal.met} for goal in done]
                options.write.write_text(json.dumps({"goals": goals, **settings.drawn}, indent=1))
    print(f"{sum(goal.met for goal in done)} of {len(done)} met; load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
