"""Faults on the way back of a run: at a byte, at a message, at a line of the host. Runs in the kernel under test.

It counts what the host reads and does, and at the chosen one kills the child or interrupts the kernel, there and then:
a signal to this process is handled before the next bytecode.

Interrupts begin when the code has said its last word (``END``): before that they would end the code, which then keeps
what it had done, as natively. They also hit the lines before the code starts.
"""

from __future__ import annotations

import contextlib
import gc
import linecache
import os
import random
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from ipytimeout.host import supervise
from ipytimeout.host.launch.child import Child
from ipytimeout.wire.framing import Decoder
from ipytimeout.wire.messages.from_child import Changes, Running
from ipytimeout.wire.messages.outputs import Stream
from ipytimeout.wire.messages.warden import Started

END = "the end of the code"
_HOST = f"{os.sep}ipytimeout{os.sep}host{os.sep}"
_TAKE, _READ, _TARGET = supervise.Supervision._take, Child._read_channel, Decoder.target

#: The code under test: everything it does is on record in ``generation``.
CODE = f"""
import os, time, random, numpy
from IPython.display import display
time.sleep(0.01)
generation += 1
print("output", flush=True)
a = b = c = generation
rows.append(generation)
del rows[0]
table["generation"], table[generation] = generation, a
table.pop(generation - 1)
thing.generation = generation
array[:] = generation % 251
large[:] = bytes([generation % 251]) * len(large)
numbers[:] = [generation] * len(numbers)
fresh = [bytes([generation % 251]) * 3_000_000, list(range(generation, generation + 20_000))]
blocks = [numpy.full(60_000, generation) for _ in range(8)]  # not in shared memory: more than a socket holds
if generation % 2: odd = generation
else: del odd
os.environ["GENERATION"] = str(generation)
random.seed(generation)
display("output")
print({END!r}, flush=True)
"""

_SETUP = """
import random, os, types, numpy
generation = a = b = c = 1
rows, table, thing = [1], {"generation": 1, 1: 1}, types.SimpleNamespace(generation=1)
array, large, numbers = numpy.ones(500_000), bytearray(b"\\1" * 2_000_000), [1] * 1000
fresh, odd = [b"\\1" * 3_000_000, list(range(1, 20_001))], 1
blocks = [numpy.full(60_000, 1) for _ in range(8)]
os.environ["GENERATION"] = "1"
random.seed(1)
"""


def look(namespace: dict[str, Any]) -> set[int]:
    """Return of which generations the namespace is: of one, unless it is a mixture."""
    n = namespace
    g: int = n["generation"]
    found = {g, n["a"], n["b"], n["c"], n["thing"].generation, n["table"]["generation"], n["fresh"][1][0]}
    found |= set(n["rows"]) | set(n["numbers"]) | {key for key in n["table"] if key != "generation"}
    found.add(int(os.environ["GENERATION"]))
    found |= {int(number) for block in n["blocks"] for number in (block.min(), block.max())}
    found.add(g if ("odd" in n) == bool(g % 2) and n.get("odd", g) == g else -1)
    for values in (n["array"].astype(int), n["large"], n["fresh"][0]):
        found.add(g if len(values) and set(memoryview(values).tolist()) == {g % 251} else -2)
    found.add(g if random.getstate() == random.Random(g).getstate() else -3)
    return found


def _descriptors() -> dict[str, str]:
    """Return what is open, but for the memory of the last runs: the traceback of an interrupt in ours holds it."""
    gc.collect()
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one of this look
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return {number: what for number, what in found.items() if not what.startswith("/memfd:")}


class Injector:
    """Runs the code again and again, each time with a fault somewhere."""

    def __init__(self, shell: Any, seed: int) -> None:
        self._shell = shell
        self._random = random.Random(seed)
        self._fire: Callable[[], None] | None = None
        self._kind, self._at = "", 0
        #: How many bytes, messages and lines there have been since counting began.
        self.counts: dict[str, int] = {}
        self._ended, self._running, self._pid = False, False, 0
        self._decoder: Decoder | None = None
        supervise.Supervision._take = self._hook_take()  # type: ignore[method-assign]
        Child._read_channel = self._hook_read()  # type: ignore[method-assign]
        Decoder.target = self._hook_target()  # type: ignore[method-assign]
        exec(_SETUP, shell.user_ns)

    def close(self) -> None:
        supervise.Supervision._take = _TAKE  # type: ignore[method-assign]
        Child._read_channel = _READ  # type: ignore[method-assign]
        Decoder.target = _TARGET  # type: ignore[method-assign]

    # ------------------------------------------------------------ the runs

    def run(self, times: int) -> list[str]:
        """Run the code so often with a fault; return what was wrong, and print how the runs ended."""
        totals = self._measure()
        self._once("", 0)
        before = _descriptors()
        faults: list[str] = []
        endings: dict[str, int] = {}
        for number in range(times):
            kind = self._random.choice(list(totals))
            at = self._random.randrange(1, totals[kind] + 2)
            ending, text = self._once(kind, at)
            endings[f"{kind}: {ending}"] = endings.get(f"{kind}: {ending}", 0) + 1
            if text:
                faults.append(f"run {number}, {kind} {at} of {totals[kind]}: {ending}: {text}")
                print("FAULT", faults[-1], flush=True)
        ending, text = self._once("", 0)
        if ending != "finished" or text:
            faults.append(f"a run without a fault after all these: {ending} {text}")
        after = _descriptors()
        if len(after) > len(before):
            new = [f"{number} {what}" for number, what in after.items() if before.get(number) != what]
            old = [f"{number} {what}" for number, what in before.items() if after.get(number) != what]
            faults.append(f"{len(after) - len(before)} more descriptors: {', '.join(new)}; gone: {', '.join(old)}")
        print(totals, *sorted(endings.items()), sep="\n")
        return faults

    def _measure(self) -> dict[str, int]:
        """Count all that a run without a fault has."""
        self._once("", 0)
        totals: dict[str, int] = {}
        for kind in ("interrupt at line", "interrupt at early line"):
            ending, text = self._once(kind, -1)
            assert (ending, text) == ("finished", ""), (ending, text)
            totals[kind] = self.counts[kind]
        for what in ("byte", "message"):
            for how in ("kill", "interrupt"):
                totals[f"{how} at {what}"] = self.counts[f"{how} at {what}"]
        return totals

    def _once(self, kind: str, at: int) -> tuple[str, str]:
        """Run the code once with a fault; return how it ended, and what is wrong with that."""
        namespace = self._shell.user_ns
        before = namespace["generation"]
        self.counts = {}
        self._kind, self._at, self._ended, self._running, self._pid = kind, at, False, False, 0
        error: BaseException | None = None
        try:
            if "line" in kind:
                sys.settrace(self._trace)
            try:
                self._shell.run_cell_magic("timeout", "--quiet 60", CODE)
            finally:
                sys.settrace(None)
        except BaseException as raised:
            error = raised
        self._kind, self._decoder = "", None
        ending = type(error).__name__ if error is not None else "finished"
        found = look(namespace)
        if len(found) != 1 or not found <= {before, before + 1}:
            text = f"generations {sorted(found)} after {before}"
            exec(_SETUP, namespace)
            return ending, text
        if error is None and found != {before + 1}:
            return ending, "it finished, and nothing came back"
        if ending not in ("finished", "KeyboardInterrupt", "ChildDied"):
            return ending, str(error)
        if ending == "ChildDied" and found != {before}:
            return ending, "it came back although the process died"
        return ending, str(error) if ending == "ChildDied" and not kind.startswith("kill") else ""

    # ------------------------------------------------------------ the faults

    def _count(self, kind: str, count: int = 1) -> None:
        """Count, and let the fault happen when its turn has come."""
        now = self.counts.get(kind, 0)
        self.counts[kind] = now + count
        if kind == self._kind and now < self._at <= now + count:
            if kind.startswith("kill"):
                with contextlib.suppress(ProcessLookupError):  # at the last message it may have ended by itself
                    os.kill(self._pid, signal.SIGKILL)
            else:
                os.kill(os.getpid(), signal.SIGINT)  # to the process: where this thread blocks it, another takes it

    def _hook_take(self) -> Any:
        def take(run: Any, message: Any) -> None:
            match message:
                case Started():
                    self._pid = message.pid
                case Running():
                    self._running = True
                case Stream("stdout", text) if END in text:
                    self._ended = True
                case Changes():
                    self._ended = True
            if self._running:
                self._count("kill at message")
            if self._ended:
                self._count("interrupt at message")
            _TAKE(run, message)

        return take

    def _hook_read(self) -> Any:
        def read(child: Any) -> Any:
            self._decoder = child._decoder
            before = child.moved
            for message in _READ(child):
                self._count_bytes(child.moved - before)
                before = child.moved
                yield message
            self._count_bytes(child.moved - before)

        return read

    def _count_bytes(self, count: int) -> None:
        if count and self._running:
            self._count("kill at byte", count)
        if count and self._ended:
            self._count("interrupt at byte", count)

    def _hook_target(self) -> Any:
        def target(decoder: Any) -> memoryview:
            """Offer no more room than up to the byte at which something is to happen."""
            room = _TARGET(decoder)
            if decoder is self._decoder and self._kind.endswith("byte"):
                left = self._at - self.counts.get(self._kind, 0)
                if 0 < left < room.nbytes and (self._ended if "interrupt" in self._kind else self._running):
                    return room[:left]
            return room

        return target

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._trace_line if _HOST in frame.f_code.co_filename else None

    def _trace_line(self, frame: FrameType, event: str, argument: object) -> Any:
        # Where a block ends, its ``with`` is a line again, but one at which Python lets no signal in: the exit comes first.
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not text.lstrip().startswith("with "):
            if self._ended:
                self._count("interrupt at line")
            elif not self._running:
                self._count("interrupt at early line")
        return self._trace_line
