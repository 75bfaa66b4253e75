"""The clean process that has imported what the notebook has imported, and forks children. Runs in the template.

Law of the file: it imports and never runs user code, so that its copies are safe: a process that has *used*
OpenMP, polars or torch hangs when it is forked. It has one thread; where an import starts native threads that do
not survive a fork, it says so and forks no more.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import inspect
import io
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from ipytimeout.child.main import Child
from ipytimeout.child.orphans import fork_orphan
from ipytimeout.child.streams import silenced
from ipytimeout.wire.framing import Decoder, encode
from ipytimeout.wire.libraries import users_modules
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.from_child import Forked
from ipytimeout.wire.messages.to_child import Fork, Hurry, Preload, Rehearse, Settle
from ipytimeout.wire.messages.warden import Adopt
from ipytimeout.wire.sockets import socket_of
from ipytimeout.wire.state import apply_state, read_state

#: Native threads, by the start of their name, that a fork may lose: jemalloc makes its own anew, and polars'
#: cleaner of spilled files has nothing to do in a process that has run no query.
_DISPENSABLE = ("jemalloc_bg_thd", "polars-")
#: Of a fork: the child's, and the warden's.
_DESCRIPTORS, _FOR_WARDEN = 8, 3
_PR_SET_PDEATHSIG = 1


def main(channel_fd: int, status_fd: int, stack_fd: int) -> NoReturn:
    """Be the template of the host at the other end of the channel until it closes."""
    os.close(status_fd)  # a template is no run: it has no clock and no stack to show
    os.close(stack_fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Template(socket_of(channel_fd)).serve()
    os._exit(0)


class Template:
    def __init__(self, host: socket.socket) -> None:
        self._host = host
        self._child = Child()
        self._warden = os.getppid()
        #: Where to tell the warden of a child.
        self._adopting: socket.socket
        self._decoder = Decoder()
        self._descriptors: list[int] = []
        #: When to fork, and with which descriptors: in the order in which it was asked for.
        self._forks: list[tuple[float, list[int]]] = []
        #: What is to be set before the next fork.
        self._rehearsal: Rehearse | None = None
        #: How many threads this process may have: its own, and those that survive a fork.
        self._threads = 1
        #: Libraries whose first use has been paid for.
        self._used: set[str] = set()
        #: Why nothing is forked any more.
        self._unclean = ""

    def serve(self) -> None:
        """Import and fork as the host asks, until it is gone."""
        arrived = select.poll()
        arrived.register(self._host, select.POLLIN)
        while True:
            while self._forks and self._forks[0][0] <= time.monotonic():
                due, descriptors = self._forks.pop(0)
                if self._rehearsal is not None and due:  # unless a run waits for it
                    self._child.be_like_host(self._rehearsal)
                    self._rehearsal = None
                self._answer(descriptors)
            wait = (self._forks[0][0] - time.monotonic()) * 1000 if self._forks else None
            if not arrived.poll(wait):
                continue
            data, descriptors, _, _ = socket.recv_fds(self._host, 1 << 16, 64)
            self._descriptors += descriptors
            if not data:
                return
            for message in self._decoder.feed(data):
                self._do(message)

    def _do(self, message: Message) -> None:
        match message:
            case Settle():
                self._adopting = socket_of(self._descriptors.pop(0))
                self._child.settle_in(message)
                self._warm_up()
            case Preload(modules, environ, sys_path):
                self._child.forget()
                state = read_state()
                apply_state(type(state)(state.cwd, environ, sys_path))
                self._child.of_host.update(modules)
                with silenced(self._child.channel):
                    for name in modules:
                        self._import(name)
                self._warm_up()
            case Rehearse():
                self._rehearsal = message
            case Fork(after):
                mine, self._descriptors = self._descriptors[:_DESCRIPTORS], self._descriptors[_DESCRIPTORS:]
                self._forks.append((time.monotonic() + after, mine))
            case Hurry():
                self._forks[:1] = [(0.0, mine) for _, mine in self._forks[:1]]
            case _:
                raise ValueError(f"a template is not sent {type(message).__name__}")

    def _answer(self, descriptors: list[int]) -> None:
        answer = self._fork(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self._host.sendall(b"".join(bytes(part) for part in encode(answer)))

    def _import(self, name: str) -> None:
        if name in sys.modules or self._unclean:
            return
        with contextlib.suppress(BaseException):  # what it raises, the host has seen long ago
            importlib.import_module(name)
        if threading.active_count() > 1:
            self._unclean = f"importing {name} started a thread"
        elif _count_threads() > self._threads:
            self._threads = 1 + _count_openblas()
            if _count_threads() > self._threads:
                self._unclean = f"importing {name} started native threads"

    def _warm_up(self) -> None:
        """Pay for the first use of a library once, in its own code only; then keep the collector off what is here."""
        with silenced(self._child.channel):
            for name, use in _FIRST_USES.items():
                if name in sys.modules and name not in self._used and not self._unclean:
                    self._used.add(name)
                    with contextlib.suppress(Exception):
                        use()
            if self._child.shell is not None and not self._unclean:
                # The first traceback looks up the file of every module there is, unless that is known.
                inspect.getmodule(compile("", "<a cell>", "exec"))
        users_modules()  # there are none here: a child looks only at what it imports itself
        gc.collect()
        gc.freeze()

    def _fork(self, descriptors: list[int]) -> Forked:
        if not self._unclean and _count_threads() > self._threads:
            self._unclean = "a library that the notebook has imported started threads"
        if self._unclean:
            return Forked(0, self._unclean)
        # Where that fails this process ends too: the host tries with another one, and then without.
        pid = fork_orphan(lambda between: self._become_child(descriptors, between))
        frame = b"".join(bytes(part) for part in encode(Adopt(pid)))  # the warden is its parent by now
        socket.send_fds(self._adopting, [frame], descriptors[-_FOR_WARDEN:])
        return Forked(pid, "")

    def _become_child(self, descriptors: list[int], between: int) -> NoReturn:
        try:
            stdout, stderr, channel, status, stack, *of_warden = descriptors
            os.setsid()
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            for descriptor in (stdout, stderr, *of_warden, self._host.detach(), self._adopting.detach()):
                os.close(descriptor)
            _reseed()
            self._child.was_forked()
            while os.getppid() == between:  # it ends now
                time.sleep(0.0002)
            # From here on the parent is the warden, which has one thread: this signal means that it is dead.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self._warden:
                os._exit(0)  # it was dead already
            self._child.attach(channel, status, stack)
            self._child.live()
        finally:
            os._exit(70)


def _show_a_frame() -> None:
    """The first HTML of a frame takes 10 ms."""
    sys.modules["pandas"].DataFrame({"a": [1]})._repr_html_()


def _draw_a_figure() -> None:
    """The first figure looks for its fonts. Without pyplot, whose figures and settings are the notebook's."""
    figure = sys.modules["matplotlib.figure"].Figure()
    figure.subplots().plot([1, 2])
    sys.modules["matplotlib.backends.backend_agg"].FigureCanvasAgg(figure).print_png(io.BytesIO())


_FIRST_USES: dict[str, Callable[[], None]] = {
    "pandas": _show_a_frame,
    "matplotlib.backends.backend_agg": _draw_a_figure,
}


def _count_threads() -> int:
    """Return how many threads this process has, those of native libraries too."""
    count = 0
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/comm") as file:
            count += not file.read().startswith(_DISPENSABLE)
    return count


def _count_openblas() -> int:
    """Return how many threads OpenBLAS keeps: it stops and restarts them around a fork (pthread_atfork)."""
    from threadpoolctl import threadpool_info

    return sum(max(0, info["num_threads"] - 1) for info in threadpool_info() if info["internal_api"] == "openblas")


def _reseed() -> None:
    """Let no two children draw the same random numbers; the host's own state comes with the run."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
