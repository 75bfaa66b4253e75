"""A real warden with small programs as its children: what it ends, how fast, and what it says."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipytimeout.host.launch.warden import Warden
from ipytimeout.wire.framing import Decoder, encode
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.warden import Arm, Cancel, EndBegun, Finish, Gone, Start, Started, Usage, Verdict
from tests.warden.machine import Machine

#: Much more than it takes, on a machine that does other things too.
SLACK = 1.0

#: A child that says that its code starts, then runs the code.
PRELUDE = """
import os, signal, sys, time
status = int(sys.argv[1])
def started(): os.write(status, b"R")
def ended(): os.write(status, b"E")
"""


class Program:
    """A child of the warden, with its control socket."""

    def __init__(self, warden: Warden, code: str, *arguments: str) -> None:
        self.channel, theirs = socket.socketpair()
        null = os.open(os.devnull, os.O_RDWR)
        with theirs:
            argv = [sys.executable, "-S", "-c", PRELUDE + code, "{status}", "{channel}", "{stack}", *arguments]
            self.control = warden.send(Start(argv, dict(os.environ), "/"), [null, null, null, theirs.fileno()])
        os.close(null)
        self.decoder = Decoder()
        self.messages: list[Message] = []

    def say(self, message: Message) -> None:
        self.control.send(b"".join(encode(message)))

    def hear(self, kind: type, timeout: float = 20.0) -> Message:
        """Return the first message of a kind, waiting for it."""
        self.control.settimeout(timeout)
        while not (found := [m for m in self.messages if isinstance(m, kind)]):
            data = self.control.recv(1 << 16)
            assert data, f"the warden closed before it sent {kind.__name__}: {self.messages}"
            self.messages += self.decoder.feed(data)
        return found[0]

    @property
    def pid(self) -> int:
        message = self.hear(Started)
        assert isinstance(message, Started)
        return message.pid


@pytest.fixture
def warden() -> Iterator[Warden]:
    warden = Warden()
    yield warden
    warden.close()


def gone(pid: int, within: float = SLACK) -> bool:
    """Tell whether a process ends within some seconds."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X"):
                    return True
        except OSError:
            return True
        time.sleep(0.005)
    return False


def read_pid(path: Path) -> int:
    until = time.monotonic() + 20
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < until, f"{path} was never written"
        time.sleep(0.005)
    return int(path.read_text())


#: Programs that leave a process behind whose number they write to sys.argv[4].
LEAVERS = {
    "a grandchild": """
pid = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
open(sys.argv[4], "w").write(f"{pid}\\n")
""",
    "a grandchild in its own session": """
pid = os.fork()
if pid == 0:
    os.setsid()
    os.execlp("sleep", "sleep", "60")
open(sys.argv[4], "w").write(f"{pid}\\n")
""",
    "a double-forked daemon": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[4], "w").write(f"{os.getpid()}\\n")
        os.execve("/bin/sleep", ["sleep", "60"], {})
    os._exit(0)
os.wait()
""",
}


@pytest.mark.parametrize("leaver", LEAVERS)
@pytest.mark.parametrize("end", ["deadline", "finish", "crash", "host closes"])
def test_nothing_of_a_run_survives_its_end(warden: Warden, tmp_path: Path, leaver: str, end: str) -> None:
    """Grandchildren, new sessions and daemons whose parent is long gone all end with their run."""
    path = tmp_path / "pid"
    tail = "time.sleep(0.1); os._exit(3)" if end == "crash" else "time.sleep(60)"
    program = Program(warden, LEAVERS[leaver] + "started()\n" + tail, str(path))
    program.say(Arm(0.3 if end == "deadline" else 60.0, 0.1, 60.0, False))
    left = read_pid(path)
    child = program.pid
    if end == "finish":
        program.say(Finish())
    if end == "host closes":
        program.control.close()
        assert gone(left) and gone(child)
        return
    message = program.hear(Gone)
    assert gone(left, 0.1) and gone(child, 0.1)
    assert isinstance(message, Gone) and f"(pid {left})" in " ".join(message.ended_processes)


@pytest.mark.parametrize("leaver", LEAVERS)
def test_a_run_that_ends_leaves_other_runs_alone(warden: Warden, tmp_path: Path, leaver: str) -> None:
    """An orphan belongs to the run whose mark it carries, although all orphans are the warden's children."""
    paths = [tmp_path / "a", tmp_path / "b"]
    first, second = (Program(warden, LEAVERS[leaver] + "started(); time.sleep(60)", str(p)) for p in paths)
    for program in (first, second):
        program.say(Arm(60.0, 0.1, 60.0, False))
    left_first, left_second = map(read_pid, paths)
    first.say(Finish())
    first.hear(Gone)
    assert gone(left_first, 0.1)
    assert not gone(left_second, 0.05) and not gone(second.pid, 0.05)


def test_all_ends_when_the_host_goes(tmp_path: Path) -> None:
    warden = Warden()
    path = tmp_path / "pid"
    program = Program(warden, LEAVERS["a double-forked daemon"] + "started(); time.sleep(60)", str(path))
    left, child = read_pid(path), program.pid
    warden.close()
    assert gone(left) and gone(child)


def test_all_ends_when_the_host_is_killed_although_a_worker_of_it_lives(tmp_path: Path) -> None:
    """A forked worker of the notebook holds the socket to the warden open: its end-of-file never comes."""
    import subprocess

    code = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from ipytimeout.host.launch.warden import Warden
sys.path.insert(0, sys.argv[2])
from test_warden import LEAVERS, Program, Arm, read_pid, Path
warden = Warden()
program = Program(warden, LEAVERS["a grandchild"] + "started(); time.sleep(60)", sys.argv[3])
read_pid(Path(sys.argv[3]))
if os.fork() == 0:
    time.sleep(20)
    os._exit(0)
print(program.pid, flush=True)
time.sleep(60)
"""
    path = tmp_path / "pid"
    source = Path(__file__).parents[2] / "src"
    host = subprocess.Popen(
        [sys.executable, "-c", code, str(source), str(Path(__file__).parent), str(path)], stdout=subprocess.PIPE
    )
    assert host.stdout is not None
    child = int(host.stdout.readline())
    host.send_signal(signal.SIGKILL)
    assert gone(child) and gone(read_pid(path))
    host.stdout.close()
    host.wait()


@pytest.mark.parametrize(
    "code",
    [
        "started(); time.sleep(60)",
        "started()\nwhile True: pass",
        "[signal.signal(s, signal.SIG_IGN) for s in range(1, 65) if s not in (9, 19, 32, 33)]; started()\nwhile 1: pass",
        "started(); os.kill(os.getpid(), signal.SIGSTOP)",
        "started(); import re; re.match(r'(a+)+$', 'a' * 40 + 'b')",
    ],
    ids=["sleeps", "is busy", "ignores all signals", "is stopped", "holds the GIL"],
)
def test_the_deadline_is_kept_by_a_child_that(warden: Warden, code: str) -> None:
    program = Program(warden, code)
    program.say(Arm(0.3, 0.2, 60.0, False))
    program.hear(Started)
    start = time.monotonic()
    program.hear(Gone)
    # The default disposition of the private signal ends the plain programs of this test already at the deadline.
    assert time.monotonic() - start < 0.5 + SLACK
    verdict = program.hear(Verdict)
    assert isinstance(verdict, Verdict) and verdict.cause == "timed out"


def test_the_verdict_comes_before_the_news_that_all_is_gone(warden: Warden) -> None:
    program = Program(warden, "started(); time.sleep(60)")
    program.say(Arm(60.0, 0.0, 60.0, False))
    program.hear(Started)
    program.say(Cancel())
    program.hear(Gone)
    kinds = [type(m) for m in program.messages if not isinstance(m, Started)]
    assert kinds == [EndBegun, Verdict, Gone]


def test_a_program_that_cannot_be_started_is_reported_as_a_death(warden: Warden) -> None:
    ours, theirs = socket.socketpair()
    null = os.open(os.devnull, os.O_RDWR)
    with ours, theirs:
        control = warden.send(Start(["/nonexistent/python"], {}, "/"), [null, null, null, theirs.fileno()])
    os.close(null)
    program = Program.__new__(Program)
    program.control, program.decoder, program.messages = control, Decoder(), []
    verdict = program.hear(Verdict)
    assert isinstance(verdict, Verdict) and (verdict.cause, verdict.returncode) == ("died", 127)


def test_a_resource_tracker_gets_the_time_to_remove_shared_memory(warden: Warden, tmp_path: Path) -> None:
    """Killed together with its run, named shared memory would stay for ever."""
    path = tmp_path / "name"
    code = """
sys.path[:0] = sys.argv[5].split(os.pathsep)
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=4096)
time.sleep(0.5)  # the tracker is a fresh interpreter: it gets its time only once it is up
open(sys.argv[4], "w").write(memory.name + "\\n")
started(); time.sleep(60)
"""
    program = Program(warden, code, str(path), os.pathsep.join(p for p in sys.path if p))
    program.say(Arm(60.0, 0.1, 60.0, False))
    until = time.monotonic() + 20
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < until
        time.sleep(0.01)
    segment = Path("/dev/shm") / path.read_text().strip()
    assert segment.exists()
    program.say(Finish())
    message = program.hear(Gone)
    assert not segment.exists()
    assert isinstance(message, Gone) and message.ended_processes == []


def test_the_warden_is_small(warden: Warden) -> None:
    """One small process: only the standard library, and little of it."""
    program = Program(warden, "started(); time.sleep(60)")
    program.hear(Started)
    with open(f"/proc/{warden.pid}/maps") as file:
        maps = file.read()
    assert "site-packages" not in maps
    with open(f"/proc/{warden.pid}/status") as file:
        status = dict(line.split(":", 1) for line in file)
    assert int(status["Threads"]) == 1
    assert int(status["VmRSS"].split()[0]) < 30_000


def test_a_fork_bomb_is_ended_and_the_verdict_gets_through(warden: Warden) -> None:
    """Bounded: three generations of eight. Nothing outruns the kill, and the news of it stays short."""
    code = """
started()
for _ in range(3):
    for _ in range(8):
        if os.fork() == 0:
            break
    else:
        time.sleep(60)
time.sleep(60)
"""
    program = Program(warden, code)
    program.say(Arm(0.5, 0.1, 60.0, False))
    message = program.hear(Gone)
    assert isinstance(message, Gone)
    assert len(message.ended_processes) == 11 and message.ended_processes[-1].endswith(" more")
    pids = [int(text.rpartition("(pid ")[2].rstrip(")")) for text in message.ended_processes[:-1]]
    assert all(gone(pid, 0.1) for pid in pids)
    with open(f"/proc/{warden.pid}/task/{warden.pid}/children") as file:
        left = [int(pid) for pid in file.read().split()]
    assert all(gone(pid, 5.0) for pid in left)


#: Programs that go on taking memory until they have 300 MB: 10 MB at a time, each written to.
GROWING = """
import mmap, subprocess
def shared():
    file = os.memfd_create("x")
    while True: yield os.write(file, bytes(10**7))
def private():
    while True: yield bytearray(b"x") * 10**7
def grow(parts, most=30):
    kept = []
    for part in parts:
        kept.append(part)
        if len(kept) == most: time.sleep(60)
        time.sleep(0.01)
"""


@pytest.mark.parametrize(
    "code",
    [
        "grow(private())",
        "grow(shared())",
        "x = bytearray(b'x') * 300_000_000; time.sleep(60)",
        (
            "x = [subprocess.Popen([sys.executable, '-Sc', 'x = bytearray(b\"x\") * 10**8; input()'],"
            " stdin=subprocess.PIPE) for _ in range(3)]; time.sleep(60)"
        ),
    ],
    ids=["grows", "grows in shared memory", "takes it at once", "has its children take it"],
)
def test_a_run_ends_when_it_uses_more_than_it_may_that(warden: Warden, code: str) -> None:
    program = Program(warden, GROWING + "started(); " + code)
    program.say(Arm(60.0, 10.0, 60.0, False, memory=200e6))
    verdict, gone_ = program.hear(Verdict), program.hear(Gone)
    assert isinstance(verdict, Verdict) and verdict.cause == "over memory"
    assert verdict.elapsed < 20
    assert isinstance(gone_, Gone) and 200e6 < gone_.peak < 330e6
    assert gone(program.pid, 0.1)


def test_a_run_may_use_what_it_is_allowed_and_its_peak_and_cpu_time_are_told(warden: Warden) -> None:
    """``untouched`` is more than the limit, and nothing of it is used."""
    program = Program(
        warden,
        GROWING + "started(); untouched = mmap.mmap(-1, 10**9, flags=mmap.MAP_PRIVATE)\n"
        "x = bytearray(b'x') * 100_000_000\nfor _ in range(3_000_000): pass\ntime.sleep(0.4); del x; ended(); time.sleep(60)",
    )
    program.say(Arm(60.0, 0.1, 60.0, False, memory=200e6, tell_usage=True))
    verdict, usage = program.hear(Verdict), program.hear(Usage)
    assert isinstance(verdict, Verdict) and verdict.cause == ""
    assert isinstance(usage, Usage) and usage.used > 0
    program.say(Finish())
    end = program.hear(Gone)
    assert isinstance(end, Gone)
    assert 100e6 < end.peak < 130e6 and 0.02 < end.cpu < 10


def test_the_host_is_told_of_memory_only_where_it_wants_to_be(warden: Warden) -> None:
    program = Program(warden, "started(); x = bytearray(b'x') * 10**8; time.sleep(0.7); ended(); time.sleep(60)")
    program.say(Arm(60.0, 0.1, 60.0, False))
    program.hear(Verdict)
    program.say(Finish())
    program.hear(Gone)
    assert not any(isinstance(message, Usage) for message in program.messages)


def test_the_short_time_between_vfork_and_exec_is_not_taken_for_twice_the_memory(warden: Warden) -> None:
    """A process that starts others, one after the other, and uses more than half of what it may."""
    code = """
x = bytearray(b"x") * 120_000_000
started()
end = time.monotonic() + 3
while time.monotonic() < end:
    # Not to be found: the child looks through many directories before it gives up.
    try: subprocess.run(["no-such-program"], env={"PATH": "/none:" * 2000})
    except OSError: pass
ended()
time.sleep(60)
"""
    program = Program(warden, GROWING + code)
    program.say(Arm(60.0, 0.1, 60.0, False, memory=200e6))
    verdict = program.hear(Verdict)
    assert isinstance(verdict, Verdict) and verdict.cause == "", verdict
    program.say(Finish())
    end = program.hear(Gone)
    assert isinstance(end, Gone) and end.peak < 200e6


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path / "machine")
    machine.used_by_wardens(monkeypatch)
    return machine


def test_when_memory_runs_out_the_largest_run_goes_and_no_other(machine: Machine) -> None:
    """Before the kernel's own choice, which in some containers is everything."""
    warden = Warden()
    small, large = (Program(warden, GROWING + f"started(); grow(private(), {most})") for most in (2, 15))
    for program in (small, large):
        program.say(Arm(60.0, 10.0, 60.0, False, tell_usage=True))
    until = time.monotonic() + 20
    while not any(isinstance(m, Usage) and m.used > 140e6 for m in large.messages):
        assert time.monotonic() < until
        large.messages = [m for m in large.messages if not isinstance(m, Usage)]
        large.hear(Usage)
    begin = time.monotonic()
    machine.has(20)
    verdict, end = large.hear(Verdict), large.hear(Gone)
    assert isinstance(verdict, Verdict) and verdict.cause == "out of memory"
    assert isinstance(end, Gone) and end.peak > 140e6
    assert time.monotonic() - begin < 0.5 + SLACK
    assert not gone(small.pid, 1.5), "its end would not help"
    warden.close()


def test_a_child_that_the_kernel_killed_for_want_of_memory_is_told_from_one_that_somebody_killed(
    machine: Machine,
) -> None:
    warden = Warden()
    for kills in (0, 1):
        program = Program(warden, "started(); time.sleep(60)")
        program.say(Arm(60.0, 10.0, 60.0, False))
        time.sleep(0.1)  # the warden reads the count when it hears of the run
        machine.has_killed(kills)
        os.kill(program.pid, signal.SIGKILL)
        verdict = program.hear(Verdict)
        assert isinstance(verdict, Verdict) and (verdict.cause, verdict.oom_killed) == ("died", bool(kills))
    warden.close()


def test_a_message_and_the_start_of_the_code_at_the_same_moment_are_both_heard(warden: Warden) -> None:
    """The status makes the warden read the control socket, which it was about to read anyway."""
    for _ in range(10):
        program = Program(warden, "os.read(int(sys.argv[2]), 1)\nstarted(); time.sleep(60)")
        program.hear(Started)
        os.kill(warden.pid, signal.SIGSTOP)
        program.channel.send(b"x")
        time.sleep(0.02)
        program.say(Arm(60.0, 0.1, 60.0, False))
        os.kill(warden.pid, signal.SIGCONT)
        time.sleep(0.02)
        program.say(Cancel())
        verdict = program.hear(Verdict)
        assert isinstance(verdict, Verdict) and verdict.cause == "cancelled"
        program.hear(Gone)
