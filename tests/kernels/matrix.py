"""Every kind of runaway × start method × cell or function, in a real kernel: on time, in the right words, without a trace.

``python -m tests.kernels.matrix`` prints the table with the time of each return; ``--peers`` the same for other
packages, as far as it can be asked of them. ``test_matrix.py`` runs the same trials as tests.

Times are from the first line of the code (which prints the machine's monotonic clock) to the kernel being idle
again. The README promises deadline + grace period + 0.2 s on a machine that is not overloaded; the machine of a test
run may be, so the tests allow ``SLACK`` seconds more.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.kernels.harness import Kernel, Result
from tests.kernels.processes import Process, marked, process
from tests.kernels.runaways import KINDS, Back, End, Kind

DEADLINE, GRACE, PROMISED, STALL = 1.0, 1.0, 0.2, 10.0
#: What a loaded machine may add, in seconds; 0 checks the promise as it is written.
SLACK = float(os.environ.get("IPYTIMEOUT_TEST_SLACK", "0.8"))
#: So long the next spare may take to be as idle as the last one, in seconds: it is made in the background.
SETTLE = 10.0
METHODS, FACES = ("warm", "spawn", "fork"), ("cell", "function")

_HELPERS = """\
import os, time
def register():
    with open({registered!r}, "a") as file: file.write(f"{{os.getpid()}}\\n")
def note(name):
    with open({noted!r}, "a") as file: file.write(f"{{name}}\\n")
register()
os.environ[{name!r}] = {value!r}
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """One kind, started in one way, as a cell or as a function."""

    kind: Kind
    method: str
    face: str

    def __str__(self) -> str:
        """Show it as the id of a test."""
        return f"{self.kind.name}-{self.method}-{self.face}"

    @property
    def end(self) -> End:
        return self.kind.cell if self.face == "cell" else self.kind.function


TRIALS = tuple(Trial(kind, method, face) for kind in KINDS for method in METHODS for face in FACES)


@dataclass(slots=True)
class Report:
    """What one trial gave: when control was back, and all that was not as it should be."""

    seconds: float = float("nan")
    faults: list[str] = field(default_factory=list)
    text: str = ""


class Traces:
    """The traces that one run leaves: what it registered and noted, and what carries its mark."""

    def __init__(self, directory: Path) -> None:
        self._registered, self._noted = directory / "registered", directory / "noted"
        self.mark = f"IPYTIMEOUT_TEST_RUN={directory.name}-{time.monotonic_ns()}"

    @property
    def helpers(self) -> str:
        """The first lines of the code, which register its process."""
        name, value = self.mark.split("=")
        return _HELPERS.format(registered=str(self._registered), noted=str(self._noted), name=name, value=value)

    @property
    def pids(self) -> list[int]:
        return list(map(int, self._registered.read_text().split())) if self._registered.exists() else []

    def left(self) -> list[Process]:
        """Return what still lives of the run."""
        known = {pid: each for pid in self.pids if (each := process(pid))}
        return list((known | {each.pid: each for each in marked(self.mark)}).values())

    def files(self) -> list[str]:
        """Return the files and the shared memory that are named after the run, or by it, and are still there."""
        noted = self._noted.read_text().split() if self._noted.exists() else []
        pids = {str(pid) for pid in self.pids}
        return [
            name
            for name in os.listdir("/dev/shm")
            if name in noted or "ipytimeout" in name or not pids.isdisjoint(re.split("[-_.]", name))
        ]

    def cell(self, magic: str, code: str) -> str:
        """Return a timed cell that registers its process, changes the namespace, and runs ``code``."""
        return f"{magic}\n{self.body(code)}"

    def function(self, kind: Kind, limits: str) -> str:
        """Return a cell that calls a function with the same body."""
        body = textwrap.indent(self.body(kind.code) + ("\nreturn made" if kind.returns else ""), "    ")
        return f"import ipytimeout\n{'async ' * kind.awaits}def work():\n{body}\nvalue = {limits}.run(work)"

    def body(self, code: str) -> str:
        return f'{self.helpers}rows.append("changed")\nmade = 1\nprint("started", time.monotonic(), flush=True)\n{code}'


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a kernel holds: its processes, and its descriptors and its warden's, by what they are."""

    processes: int
    descriptors: Counter[str]
    files: frozenset[str]

    @classmethod
    def of(cls, kernel: Kernel) -> Holdings:
        living = kernel.processes()
        wardens = [each.pid for each in living if "ipytimeout.warden.main" in each.command]
        descriptors = sum((_descriptors(pid) for pid in [kernel.pid, *wardens]), Counter[str]())
        return cls(len(living), descriptors, frozenset(os.listdir(kernel.directory)))

    def beyond(self, before: Holdings) -> list[str]:
        """Name what is here that was not there before."""
        more = self.descriptors - before.descriptors
        faults = [f"{count} more of {name}" for name, count in more.items()]
        faults += [f"{self.processes - before.processes} more processes"] * (self.processes > before.processes)
        return faults + [f"the file {name}" for name in sorted(self.files - before.files)]


def _descriptors(pid: int) -> Counter[str]:
    found: Counter[str] = Counter()
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found[os.readlink(f"/proc/{pid}/fd/{fd}").partition(":[")[0]] += 1
    return found


def started(result: Result) -> float:
    """Return when the first line of the code ran."""
    found = re.search(r"^started ([\d.]+)$", result.stdout, re.MULTILINE)
    return float(found[1]) if found else float("nan")


def attempt(kernel: Kernel, trial: Trial, directory: Path, slack: float = SLACK) -> Report:
    """Run one trial and judge it. The kernel has the extension, and has had a run with this start method."""
    kind, end, report, traces = trial.kind, trial.end, Report(), Traces(directory)
    kernel.run("rows = ['row']; alias = rows")
    before = settled(kernel)
    code = (
        traces.cell(f"%%timeout --start {trial.method} {DEADLINE:g}", kind.code)
        if trial.face == "cell"
        else traces.function(kind, f'ipytimeout.timeout({DEADLINE:g}, start="{trial.method}")')
    )
    result = kernel.run(code, timeout=40)
    left = traces.left()
    report.text, report.seconds = result.text, result.ended - started(result)
    faults = report.faults
    faults += [f"left alive: {each}" for each in left]
    faults += [f"left: {name}" for name in traces.files()]
    faults += judge_time(kind, report.seconds, slack)
    faults += _judge_words(end, result)
    comes_back = trial.face == "cell" and end.comes_back
    expected = f"2 {['row', 'changed'] if comes_back else ['row']} True {comes_back}"
    after = kernel.run("print(1 + 1, rows, alias is rows, 'made' in globals())").stdout
    unpicklable = comes_back and "made" in end.shows
    if after.strip() != (expected.replace("True True", "True False") if unpicklable else expected):
        faults.append(f"the namespace is {after.strip()}")
    again = kernel.run(f"%%timeout --start {trial.method} 20\nprint('next')")
    if again.stdout != "next\n" or again.status != "ok":
        faults.append(f"the next timed cell: {again.text}")
    kernel.run("%reset -f\n%reload_ext ipytimeout")  # what the run has left in the namespace is not held any more
    faults += settled(kernel, before).beyond(before)
    return report


def settled(kernel: Kernel, wanted: Holdings | None = None) -> Holdings:
    """Return what a kernel holds once its next spare is ready: no more than wanted, or the same for a while."""
    until, now = time.monotonic() + SETTLE, Holdings.of(kernel)
    while time.monotonic() < until:
        if wanted is not None and not now.beyond(wanted):
            break
        time.sleep(0.1)
        last, now = now, Holdings.of(kernel)
        if wanted is None and last == now:
            break
    return now


def judge_time(kind: Kind, seconds: float, slack: float) -> list[str]:
    """Tell whether control was back when it should be."""
    earliest, latest = {
        Back.DEADLINE: (DEADLINE, DEADLINE),
        Back.GRACE: (DEADLINE, DEADLINE + GRACE),
        Back.ONCE: (0.0, kind.takes),
        Back.STALLED: (STALL, STALL),
    }[kind.back]
    on_time = earliest <= seconds <= latest + PROMISED + slack
    return [] if on_time else [f"back after {seconds:.3f} s and not {kind.back.value}"]


def _judge_words(end: End, result: Result) -> list[str]:
    faults = []
    name = result.error.name if result.error is not None else ""
    if name != end.error:
        faults.append(f"ended with {name or 'no error'} and not with {end.error or 'none'}: {result.text[-600:]}")
    elif result.error is not None and not re.search(end.words, result.error.value, re.DOTALL):
        faults.append(f"says {result.error.value!r}")
    if not re.search(end.shows, re.sub(r"\x1b\[[\d;]*m", "", result.text), re.DOTALL):
        faults.append(f"does not show {end.shows!r}: {result.text[-600:]}")
    return faults


# ---------------------------------------------------------------- the table


def prepared(kernel: Kernel) -> Kernel:
    """Load the extension, and have a warden, a template and both spares, so that a run adds nothing for good."""
    assert kernel.run("%load_ext ipytimeout").status == "ok"
    kernel.run("for _ in range(20000): print('x' * 1000)")  # at its first flood ipykernel starts a thread, for good
    for method in METHODS:
        result = kernel.run(f"%%timeout --start {method} 60\nNone")
        assert result.status == "ok", result.text
    return kernel


@contextlib.contextmanager
def fresh_kernels(python: str, directory: Path) -> Iterator[Callable[[], Kernel]]:
    """Give a kernel, again and again, and a new one when the last one is dead."""
    kernels: list[Kernel] = []

    def get() -> Kernel:
        if not kernels or not kernels[-1].alive:
            place = directory / f"kernel{len(kernels)}"
            place.mkdir()
            kernels.append(prepared(Kernel(python, place)))
        return kernels[-1]

    try:
        yield get
    finally:
        for kernel in kernels:
            kernel.close()


def print_ours(python: str, kinds: list[Kind]) -> int:
    """Print the table for this package; return how many trials failed."""
    failures: list[str] = []
    columns = [(method, face) for method in METHODS for face in FACES]
    print(f"{'':42}" + "".join(f"{method + ' ' + face:>16}" for method, face in columns))
    with tempfile.TemporaryDirectory() as temporary, fresh_kernels(python, Path(temporary)) as kernel:
        for kind in kinds:
            print(f"{kind.name:42}", end="", flush=True)
            for number, (method, face) in enumerate(columns):
                trial, directory = Trial(kind, method, face), Path(temporary, f"{KINDS.index(kind)}-{number}")
                directory.mkdir()
                try:
                    report = attempt(kernel(), trial, directory)
                except (TimeoutError, AssertionError) as error:
                    report = Report(faults=[f"{type(error).__name__}: {error}"])
                failures += [f"{trial}: {fault}" for fault in report.faults]
                print(f"{report.seconds:12.3f} s {'✗' if report.faults else '✓'}", end="", flush=True)
            print()
    for failure in failures:
        print(f"✗ {failure}")
    print(f"{len(kinds) * len(columns)} trials, {len({f.partition(':')[0] for f in failures})} failed")
    return len(failures)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels.matrix", description=__doc__)
    parser.add_argument("words", nargs="*", help="only the kinds whose name has one of these words")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the kernel")
    parser.add_argument("--peers", action="store_true", help="the same table for other packages")
    arguments = parser.parse_args()
    kinds = [k for k in KINDS if not arguments.words or any(word in k.name for word in arguments.words)]
    if arguments.peers:
        from tests.kernels.peers import print_peers

        return print_peers(kinds)
    return min(1, print_ours(arguments.python, kinds))


if __name__ == "__main__":
    sys.exit(main())
