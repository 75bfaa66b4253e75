"""The kernel dies, the server dies, the warden dies: in every phase of a run, and between two runs.

Nothing that the kernel ever started may live a second later.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests.kernels.harness import MARK, Cell, Kernel, under_test
from tests.kernels.matrix import PROMISED, SLACK, Traces
from tests.kernels.phases import (
    PHASES,
    RETURNING,
    RUNNING,
    SENDING,
    STARTING,
    UNTOUCHED,
    forget_spares,
    namespace,
    reach,
)
from tests.kernels.processes import Process, marked
from tests.kernels.runaways import KINDS

IDLE = "between two runs"


def seconds_until_gone(living: Callable[[], list[Process]], since: float) -> float:
    """Wait until nothing lives any more, and return how long that took; give up after some seconds."""
    while (alive := living()) and time.monotonic() < since + 8:
        time.sleep(0.01)
    assert alive == []
    return time.monotonic() - since


def bring_to(kernel: Kernel, phase: str, directory: Path) -> Cell | None:
    if phase == IDLE:
        assert kernel.run("%%timeout 60\nmade = 1").status == "ok"
        return None
    return reach(kernel, phase, directory)


def kill(kernel: Kernel) -> None:
    kernel.kill()


def restart(kernel: Kernel) -> None:
    kernel.manager.restart_kernel(now=False)


def shut_down(kernel: Kernel) -> None:
    kernel.manager.shutdown_kernel(now=False)


@pytest.mark.parametrize("phase", [*PHASES, IDLE])
@pytest.mark.parametrize(
    "end", [kill, pytest.param(restart, marks=pytest.mark.full), pytest.param(shut_down, marks=pytest.mark.full)]
)
def test_nothing_is_left_when_the_kernel_ends_in_any_phase(
    own_kernel: Kernel, tmp_path: Path, end: Callable[[Kernel], None], phase: str, measured: Callable[[str], None]
) -> None:
    """SIGKILL, restart or shutdown: within 1 s of the kernel's own end nothing that it ever started lives."""
    bring_to(own_kernel, phase, tmp_path)
    before = own_kernel.processes()
    assert len(before) > 1
    killer = time.monotonic()
    end(own_kernel)
    while any(each.pid == own_kernel.pid for each in own_kernel.processes()):
        assert time.monotonic() < killer + 10
        time.sleep(0.005)
    ended = time.monotonic()
    pids = {each.pid for each in before}
    seconds = seconds_until_gone(lambda: [p for p in own_kernel.processes() if p.pid in pids], ended)
    measured(f"nothing left {seconds:.3f} s after the kernel")
    assert seconds <= 1.0 + SLACK
    if end is not restart:
        assert own_kernel.processes() == []


@pytest.mark.parametrize(
    "name",
    [
        "a C loop that holds the GIL",
        "a double-forked daemon",
        "a stopped process",
        "a daemon that forks and leaves, for ever",
    ],
)
def test_nothing_is_left_when_the_kernel_itself_is_killed(
    own_kernel: Kernel, tmp_path: Path, name: str, measured: Callable[[str], None]
) -> None:
    """SIGKILL of the kernel in the middle of a run, whatever the run does."""
    traces = Traces(tmp_path)
    own_kernel.run("rows = []")
    cell = own_kernel.submit(traces.cell("%%timeout 60", next(kind.code for kind in KINDS if kind.name == name)))
    cell.wait_for("started")
    assert traces.left()
    own_kernel.kill()
    seconds = seconds_until_gone(lambda: own_kernel.processes() + traces.left(), time.monotonic())
    measured(f"nothing left {seconds:.3f} s after the kernel was killed")
    assert seconds <= 1.0 + SLACK


@pytest.mark.parametrize("phase", [*PHASES, IDLE])
def test_the_death_of_the_warden_is_told_and_the_next_run_works(
    kernel: Kernel, tmp_path: Path, phase: str, measured: Callable[[str], None]
) -> None:
    """SIGKILL of the warden: the run is over, with it everything it started, and the namespace is as it was."""
    kernel.run("%%timeout 60\nNone")
    if phase == STARTING:
        forget_spares(kernel)
    cell = bring_to(kernel, phase, tmp_path)
    (warden,) = [each for each in kernel.processes() if "ipytimeout.warden.main" in each.command]
    before = {each.pid for each in kernel.processes()} - {kernel.pid}
    os.kill(warden.pid, signal.SIGKILL)
    killed = time.monotonic()
    if cell is not None:
        result = cell.wait()
        measured(f"told {result.ended - killed:.3f} s after the warden was killed")
        assert result.error is not None, result.text
        assert result.error.name == "RunError"
        assert "warden" in result.error.value and "nothing was changed in the notebook" in result.error.value
        assert result.ended - killed <= PROMISED + SLACK
        assert namespace(kernel) == UNTOUCHED
    seconds = seconds_until_gone(lambda: [each for each in kernel.processes() if each.pid in before], killed)
    assert seconds <= 1.0 + SLACK
    for method in ("warm", "spawn", "fork"):
        assert kernel.run(f"%%timeout --start {method} 60\nprint('next')").stdout == "next\n"


# ---------------------------------------------------------------- a real server


class Server:
    """A real Jupyter server with one kernel, spoken to through the kernel's own sockets."""

    def __init__(self, python: str, directory: Path) -> None:
        manager = under_test(__import__("jupyter_client").KernelManager, python, directory)
        self.mark = f"server-{directory.name}-{time.monotonic_ns()}"
        self.runtime = directory / "runtime"
        environ = {
            "JUPYTER_PATH": str(directory),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_CONFIG_DIR": str(directory / "config"),
            MARK: self.mark,
        }
        options = [
            "--ServerApp.port=0",
            "--ServerApp.ip=127.0.0.1",
            "--IdentityProvider.token=",
            "--no-browser",
            "--allow-root",
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *options, "--ServerApp.disable_check_xsrf=True"],
            env={**os.environ, **environ},
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._kernel_name = manager.kernel_name
        self.client: BlockingKernelClient | None = None

    def connect(self) -> None:
        """Start the kernel, through the server as a page does, and wait until it answers."""
        until = time.monotonic() + 60
        while not (found := list(self.runtime.glob("jpserver-*.json"))) or not found[0].read_text().strip():
            assert time.monotonic() < until and self.process.poll() is None
            time.sleep(0.05)
        self._url = json.loads(found[0].read_text())["url"]
        request = urllib.request.Request(
            f"{self._url}api/kernels", json.dumps({"name": self._kernel_name}).encode(), method="POST"
        )
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    identity = json.loads(answer.read())["id"]
                    break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)
        self.client = BlockingKernelClient(connection_file=str(self.runtime / f"kernel-{identity}.json"))
        self.client.load_connection_file()
        self.client.start_channels()
        while True:
            try:
                self.client.wait_for_ready(timeout=60)
                break
            except RuntimeError:  # a client without a manager takes the heart of a kernel that just starts for dead
                assert time.monotonic() < until

    def processes(self) -> list[Process]:
        return marked(self.mark)

    def close(self) -> None:
        if self.client is not None:
            self.client.stop_channels()
        for each in self.processes():
            with contextlib.suppress(OSError):
                os.kill(each.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(python: str, tmp_path: Path) -> Iterator[Server]:
    server = Server(python, tmp_path)
    try:
        server.connect()
        yield server
    finally:
        server.close()


@pytest.mark.parametrize(
    ("signum", "phase"),
    [
        pytest.param(
            signum,
            phase,
            id=f"{word} {phase}",
            marks=[] if (signum, phase) == (signal.SIGKILL, RUNNING) else pytest.mark.full,
        )
        for signum, word in ((signal.SIGKILL, "killed while"), (signal.SIGTERM, "stopped while"))
        for phase in (SENDING, RUNNING, RETURNING, IDLE)
    ],
)
def test_nothing_is_left_when_a_real_server_ends(
    server: Server, tmp_path: Path, signum: signal.Signals, phase: str, measured: Callable[[str], None]
) -> None:
    """The kernel notices the death of its server within some seconds by itself; the run ends with the kernel."""
    kernel = ServersKernel(server)
    assert kernel.run("%load_ext ipytimeout").status == "ok"
    bring_to(kernel, phase, tmp_path)
    assert any(each.pid == kernel.pid for each in server.processes())
    server.process.send_signal(signum)
    server.process.wait()
    until = time.monotonic() + 20
    while any(each.pid == kernel.pid for each in server.processes()):
        assert time.monotonic() < until, "the kernel itself outlives its server"
        time.sleep(0.005)
    seconds = seconds_until_gone(server.processes, time.monotonic())
    measured(f"nothing left {seconds:.3f} s after the kernel")
    assert seconds <= 1.0 + SLACK


class ServersKernel(Kernel):
    """The kernel of a server."""

    def __init__(self, server: Server) -> None:
        self.client, self.mark = server.client, server.mark
        self.pid = int(self.run("print(__import__('os').getpid())").stdout)
