"""The matrix for other packages, as far as it can be asked of them: ``python -m tests.kernels.matrix --peers``.

Each call is made by a program of its own (``peer_host.py``) in an environment that is made for it, outside of a
notebook: the function's half of the table. A program that hangs is killed from outside, and has failed. Words are
not judged, only: on time, an error of the right kind, nothing left, and the next call works.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

from tests.kernels import peer_host
from tests.kernels.environments import REPOSITORY, make_environment, pip_install
from tests.kernels.harness import Kernel
from tests.kernels.matrix import DEADLINE, SLACK, STALL, Report, Traces, Trial, attempt, fresh_kernels, judge_time
from tests.kernels.processes import marked
from tests.kernels.runaways import Back, Kind

ENVIRONMENT = REPOSITORY / ".venv-peers"
PACKAGES = ("pebble>=5", "wrapt-timeout-decorator>=1.5", "func-timeout>=4.3", "joblib", "numpy")
#: A program that has not ended by then is killed, and has failed.
HANGS = 12.0


_EARLIEST = {Back.ONCE: 0.0, Back.DEADLINE: DEADLINE, Back.GRACE: DEADLINE, Back.STALLED: STALL}


def environment() -> str:
    """Return the Python of the environment of the peers, made at first use."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "made-of"
    made_of = f"{sys.version}\n{PACKAGES}"
    if not stamp.exists() or stamp.read_text() != made_of:
        print(f"making {ENVIRONMENT.name} (once)")
        make_environment(sys.executable, ENVIRONMENT)
        pip_install(python, *PACKAGES, cwd=REPOSITORY)
        stamp.write_text(made_of)
    return str(python)


def attempt_peer(python: str, peer: str, kind: Kind, directory: Path) -> Report:
    """Let a peer call the function of one kind, and judge it."""
    report, traces = Report(), Traces(directory)
    (directory / "work_module.py").write_text(_module(kind, traces))
    mark = f"IPYTIMEOUT_TEST_PEER={directory.name}-{time.monotonic_ns()}"
    name, value = mark.split("=")
    program = subprocess.Popen(
        [python, peer_host.__file__, peer, "work_module", f"{DEADLINE:g}"],
        env={**os.environ, name: value, "PYTHONPATH": str(directory)},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    seen = _Seen(program)
    try:
        seen.read(HANGS)
        left = [each for each in marked(mark) if each.pid != program.pid]
    finally:
        for each in marked(mark):
            os.kill(each.pid, 9)
        program.kill()
        program.wait()
        seen.close()
    faults = report.faults
    if not seen.ends:
        faults.append("it hangs" if seen.gave_up else f"the program ended with {program.returncode}")
    else:
        report.seconds = seen.ends[0]["at"] - seen.started
        # Their clocks run from the call, and ours from the first line: only what is too late counts.
        faults += judge_time(kind, max(report.seconds, _EARLIEST[kind.back]), SLACK)
        faults += _judge(kind, seen.ends[0])
        if len(seen.ends) < 2 or seen.ends[1]["error"] or seen.ends[1]["value"] != "str":
            faults.append("the next call does not work")
    faults += [f"left alive: {each}" for each in left]
    faults += [f"left: {name}" for name in traces.files()]
    return report


class _Seen:
    """What the program has said."""

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        assert program.stdout is not None and program.stderr is not None
        self._pipes = {program.stdout.fileno(): b"", program.stderr.fileno(): b""}
        self._program, self._out, self._err = program, program.stdout.fileno(), program.stderr.fileno()
        self.gave_up = False

    def read(self, within: float) -> None:
        """Read until there are two ends, or the program has ended, or it hangs."""
        import select

        until = time.monotonic() + within
        open_pipes = list(self._pipes)
        while open_pipes and len(self.ends) < 2:
            if time.monotonic() >= until:
                self.gave_up = True
                return
            for descriptor in select.select(open_pipes, [], [], 0.05)[0]:
                data = os.read(descriptor, 1 << 20)
                if not data:
                    open_pipes.remove(descriptor)
                kept = self._pipes[descriptor] + data
                # Of a flood only the beginning, where the start is told.
                self._pipes[descriptor] = kept[: 1 << 16] if descriptor == self._out else kept
            if self._program.poll() is not None and not select.select(open_pipes, [], [], 0)[0]:
                return  # a grandchild may hold the pipes

    @property
    def ends(self) -> list[dict[str, object]]:
        lines = self._pipes[self._err].decode(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"error"') and line.endswith("}")]

    @property
    def started(self) -> float:
        found = re.search(rb"^started ([\d.]+)$", self._pipes[self._out], re.MULTILINE)
        return float(found[1]) if found else float("nan")

    def close(self) -> None:
        for pipe in (self._program.stdout, self._program.stderr):
            assert pipe is not None
            pipe.close()


def _module(kind: Kind, traces: Traces) -> str:
    body = textwrap.indent(traces.body(kind.code) + ("\nreturn made" if kind.returns else ""), "    ")
    name = "awaiting" if kind.awaits else "work"
    module = f"rows = []\n{'async ' * kind.awaits}def {name}():\n{body}\ndef following(): return 'next'\n"
    return module + "def work():\n    import asyncio\n    asyncio.run(awaiting())\n" * kind.awaits


def _judge(kind: Kind, end: dict[str, object]) -> list[str]:
    """Tell whether the error is of the right kind: a timeout at a deadline, any other error at a death or a refusal."""
    error = str(end["error"])
    timed_out = "Timeout" in error or "TimedOut" in error
    if kind.back is not Back.ONCE:
        right = timed_out
    elif kind.function.error in ("ForeignError", "ChildDied", "PicklingError"):
        right = bool(error) and not timed_out
    else:
        right = kind.function.error in error if kind.function.error else not error
    return [] if right else [f"ended with {error.partition(' ')[0] or 'no error'}"]


def print_peers(kinds: list[Kind]) -> int:
    """Print passes and times of the peers, and ours beside them."""
    python = environment()
    kinds = [kind for kind in kinds if not kind.needs_shell]
    columns = ["ipytimeout", *peer_host.PEERS]
    print(f"{'':42}" + "".join(f"{name:>25}" for name in columns))
    passed = dict.fromkeys(columns, 0)
    faults = []
    with tempfile.TemporaryDirectory() as temporary, fresh_kernels(sys.executable, Path(temporary)) as kernel:
        for number, kind in enumerate(kinds):
            print(f"{kind.name:42}", end="", flush=True)
            for name in columns:
                directory = Path(temporary, f"{number}-{name}")
                directory.mkdir()
                report = (
                    _ours(kernel(), kind, directory)
                    if name == "ipytimeout"
                    else attempt_peer(python, name, kind, directory)
                )
                passed[name] += not report.faults
                faults += [f"{name}: {kind.name}: {fault}" for fault in report.faults]
                print(f"{report.seconds:21.2f} s {'✗' if report.faults else '✓'}", end="", flush=True)
            print()
    print(f"{'passed':42}" + "".join(f"{f'{passed[name]} of {len(kinds)}':>25}" for name in columns))
    for fault in faults:
        print(f"✗ {fault}")
    return min(1, len(kinds) - passed["ipytimeout"])


def _ours(kernel: Kernel, kind: Kind, directory: Path) -> Report:
    try:
        return attempt(kernel, Trial(kind, "warm", "function"), directory)
    except (TimeoutError, AssertionError) as error:
        return Report(faults=[f"{type(error).__name__}: {error}"])
