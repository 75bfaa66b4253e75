"""The warden: parent of every child, owner of every deadline and of every kill.

One process per host, standard library only, one thread, one wait on descriptors until the next monotonic
moment that a run named. It needs neither the host's GIL nor the child's cooperation. Each run has a control
socket of its own: when it closes, the run is ended; when the host's own socket closes, or the host dies,
everything is ended and the warden leaves.

This file only moves events and signals; what is to be done is decided in ``lifecycle``.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from math import inf

from ipytimeout.warden import lifecycle, limits, tree
from ipytimeout.warden.child import Child, adopt_child, start_child
from ipytimeout.warden.lifecycle import (
    Action,
    ChildExited,
    CodeEnded,
    CodeStarted,
    Event,
    HostGone,
    Phase,
    StackWritten,
    Tick,
    TooMuchMemory,
    TreeGone,
)
from ipytimeout.wire import marks
from ipytimeout.wire.framing import Decoder, ProtocolError
from ipytimeout.wire.messages.warden import (
    Adopt,
    Arm,
    Cause,
    EndBegun,
    Extended,
    Gone,
    Listen,
    Stack,
    Start,
    Started,
    Usage,
    Verdict,
)
from ipytimeout.wire.signals import DEADLINE_SIGNAL, HARD_STACK_SIGNAL, STACK_SIGNAL
from ipytimeout.wire.sockets import socket_of

_STRANGERS = 64
#: So long killed processes may take to go away when the warden leaves, in seconds.
_LAST_WAIT = 0.5
#: A selector waits for whole milliseconds; what is due sooner is waited for by itself, in seconds.
_COARSE = 0.001


@dataclass(slots=True, eq=False)
class Asker:
    """Who asks for children: the host, and its templates."""

    socket: socket.socket
    decoder: Decoder = field(default_factory=Decoder)
    descriptors: list[int] = field(default_factory=list)

    def take(self, count: int) -> list[int]:
        """Take the descriptors of a message, which come no later than it."""
        mine, self.descriptors = self.descriptors[:count], self.descriptors[count:]
        return mine


class Warden:
    def __init__(self, host: socket.socket, host_pid: int, reserve: limits.Reserve | None = None) -> None:
        self.host = Asker(host)
        self.reserve = reserve or limits.Reserve()
        self.children: list[Child] = []
        #: How orphans ended that no run is known for: one of them may be adopted when it is already dead.
        self.strangers: dict[int, int] = {}
        self.selector = selectors.DefaultSelector()
        self.leaving = False
        wakeup_read, wakeup_write = os.pipe()
        os.set_blocking(wakeup_read, False)
        os.set_blocking(wakeup_write, False)
        signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(wakeup_read, selectors.EVENT_READ, self._reap)
        self.wakeup = wakeup_read
        self._listen(self.host)
        if hasattr(os, "pidfd_open"):
            # A forked worker of the notebook may hold the host's end of our socket open after its death.
            try:
                self.selector.register(os.pidfd_open(host_pid), selectors.EVENT_READ, self._host_died)
            except OSError:
                self.leaving = True

    def run(self) -> None:
        """Wait and act until the host is gone and nothing of any run is left."""
        self._reap()  # a child that this process had before it became a warden may be dead by now
        while not (self.leaving and not self.children):
            if self.leaving:
                for child in list(self.children):
                    self._step(child, HostGone())
            moments = [min(lifecycle.wake(c.run), c.sweep.due, c.look_at) for c in self.children]
            if any(c.is_armed for c in self.children):
                moments.append(self.reserve.due)
            wait = max(0.0, min(moments, default=inf) - time.monotonic())
            if wait < _COARSE:  # between two looks at a tree that is being killed
                time.sleep(wait)
                wait = 0.0
            for key, _ in self.selector.select(None if wait == inf else wait):
                if self.selector.get_map().get(key.fileobj) is key:  # an earlier event may have closed it
                    key.data()
            for child in list(self.children):
                self._step(child, Tick())
                if time.monotonic() >= child.sweep.due:
                    if not child.sweep.goes_on(partial(self._roots, child)):
                        self._step(child, TreeGone())
                elif time.monotonic() >= child.look_at:
                    self._look(child)
            if time.monotonic() >= self.reserve.due:
                self._mind_the_reserve()
        self._wait_for_the_dead()

    # ------------------------------------------------------------ what arrives

    def _host_died(self) -> None:
        self.leaving = True

    def _listen(self, asker: Asker) -> None:
        self.selector.register(asker.socket, selectors.EVENT_READ, lambda: self._asked(asker))

    def _asked(self, asker: Asker) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(asker.socket, 1 << 16, 64)
        except OSError:
            data, descriptors = b"", []
        if not data:
            self.leaving = self.leaving or asker is self.host
            self.selector.unregister(asker.socket)
            asker.socket.close()
            return
        asker.descriptors += descriptors
        for message in asker.decoder.feed(data):
            match message:
                case Start():
                    self._watch(start_child(message, *asker.take(5)))
                case Adopt(pid, of_host):
                    self._adopted(adopt_child(pid, of_host, *asker.take(3)))
                case Listen():
                    self._listen(Asker(socket_of(asker.take(1)[0])))

    def _control_said(self, child: Child) -> None:
        try:
            data = child.control.recv(1 << 16)
            messages = child.decoder.feed(data)
        except BlockingIOError:  # read already, for the sake of the status that came with it
            return
        except (OSError, ProtocolError):
            data, messages = b"", []
        for message in messages:
            if isinstance(message, Arm) and child.watch is None:
                child.watch = limits.Watch(child.pid, message.memory, message.tell_usage, child.of_host)
                child.oom_kills = self.reserve.bounds.kills()
                self.reserve.watch()
            self._step(child, message)  # type: ignore[arg-type]  # only events of lifecycle are sent here
        if not data:
            self.selector.unregister(child.control)
            self._step(child, HostGone())

    def _status_said(self, child: Child) -> None:
        if child.control in self.selector.get_map() and _readable(child.control.fileno()):
            self._control_said(child)  # what the host said before the code could start counts first
        try:
            data = os.read(child.status, 64)
        except BlockingIOError:
            return
        if not data:
            self.selector.unregister(child.status)
        for byte in data:
            match byte:
                case 0x52:  # "R"
                    self._step(child, CodeStarted())
                    if child.watch is not None:
                        child.watch.code_starts()
                case 0x45:  # "E"
                    self._step(child, CodeEnded())

    def _stack_said(self, child: Child) -> bool:
        try:
            data = os.read(child.stack, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self.selector.unregister(child.stack)
        child.wrote(data)
        return bool(data)

    def _stack_arrived(self, child: Child) -> None:
        if self._stack_said(child):
            self._step(child, StackWritten())

    def _reap(self) -> bool:
        """Take note of every child that exited, also of orphans that came to us; tell whether there are others."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wakeup, 4096)
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            for child in self.children:
                child.sweep.hurry()
            known = [c for c in self.children if c.pid == pid]
            if not known:
                self.strangers[pid] = status
                while len(self.strangers) > _STRANGERS:
                    del self.strangers[next(iter(self.strangers))]
            for child in known:
                child.cpu = usage.ru_utime + usage.ru_stime
                self._exited(child, status)

    def _wait_for_the_dead(self) -> None:
        """Leave no zombie to a first process that may not reap any."""
        until = time.monotonic() + _LAST_WAIT
        while self._reap() and time.monotonic() < until:
            select.select([self.wakeup], [], [], _LAST_WAIT / 10)

    def _exited(self, child: Child, status: int) -> None:
        child.reaped = True
        self._drain(child)  # what it had said before it exited counts first
        returncode = os.waitstatus_to_exitcode(status)
        if returncode == -signal.SIGKILL and child.watch is not None:
            child.oom_killed = self.reserve.bounds.kills() > child.oom_kills
        self._step(child, ChildExited(returncode))

    def _drain(self, child: Child) -> None:
        """Read what is already there of the status and stack pipes."""
        for said, descriptor in ((self._status_said, child.status), (self._stack_said, child.stack)):
            for _ in range(64):
                if descriptor not in self.selector.get_map() or not _readable(descriptor):
                    break
                said(child)

    # ------------------------------------------------------------ memory

    def _look(self, child: Child) -> None:
        """Look at the memory of a run whose code runs."""
        assert child.watch is not None
        if child.watch.look(self._members(child)):
            self._step(child, TooMuchMemory(Cause.OVER_MEMORY))
        if (used := child.watch.news()) is not None:
            child.tell(Usage(used))

    def _mind_the_reserve(self) -> None:
        """When almost no memory is left, end the run that has taken the most of it, before the kernel ends anything.

        The kernel would take a run first, too, but in some containers it takes all processes together.
        """
        armed = [(c, c.watch.meter) for c in self.children if c.is_armed and c.watch is not None]
        if not armed:
            self.reserve.pause(inf)
        elif self.reserve.is_short():
            worth = self.reserve.size
            grown = {child: meter.grown(self._members(child), worth) for child, meter in armed}
            largest = max(grown, key=grown.__getitem__)
            if grown[largest] >= worth:
                self.reserve.pause(self.reserve.PAUSE)
                self._step(largest, TooMuchMemory(Cause.OUT_OF_MEMORY))
            else:  # no end of a run would help
                self.reserve.pause(self.reserve.LONGEST)

    def _members(self, child: Child) -> list[int]:
        """Return all processes of a run."""
        roots = self._roots(child)
        return list(dict.fromkeys([*roots, *(pid for root in roots for pid in tree.descendants(root))]))

    # ------------------------------------------------------------ what is done

    def _step(self, child: Child, event: Event) -> None:
        child.run, actions = lifecycle.step(child.run, event, time.monotonic())
        for action in actions:
            self._act(child, action)

    def _act(self, child: Child, action: Action) -> None:
        cause = child.run.cause.value if child.run.cause is not None else ""
        match action:
            case Action.DUMP_STACK:
                self._drain(child)
                child.stack_text = b""
                child.signal(STACK_SIGNAL)
            case Action.DUMP_HARD:
                self._drain(child)
                if not child.stack_text:
                    child.signal(HARD_STACK_SIGNAL)
            case Action.RAISE:
                child.signal(DEADLINE_SIGNAL)
            case Action.INTERRUPT:
                child.signal(signal.SIGINT)
            case Action.TELL_STACK:
                self._drain(child)
                child.tell(Stack(child.told_stack))
            case Action.TELL_EXTENDED:
                assert child.run.limits is not None
                child.tell(Extended(child.run.limits.timeout))
            case Action.TELL_BEGUN:
                child.tell(EndBegun(cause))
            case Action.JUDGE:
                self._drain(child)
                run = child.run
                child.tell(Verdict(cause, run.elapsed, run.returncode, child.told_stack, child.oom_killed))
                if child.watch is not None and run.phase is Phase.RETURNING and limits.LINUX:
                    child.watch.meter.measure(self._members(child), closely=False)
            case Action.KILL_TREE:
                child.sweep.begin(partial(self._roots, child))
            case Action.TELL_GONE:
                peak = child.watch.meter.peak if child.watch is not None else 0
                cpu = child.cpu if child.cpu is not None else tree.cpu_seconds(child.pid)
                child.tell(Gone(child.sweep.ended, peak, cpu))
                self._forget(child)

    def _roots(self, child: Child) -> list[int]:
        """Return the tops of a run's tree: its child, and the orphans that carry its mark, or nobody's."""
        own = {c.pid for c in self.children if not c.reaped}
        others = {c.mark for c in self.children if c is not child}
        orphans = [p for p in tree.children(os.getpid()) if p not in own and marks.mark_of(p) not in others]
        return ([] if child.reaped else [child.pid]) + orphans

    def _adopted(self, child: Child) -> None:
        self._watch(child)
        if child.pid in self.strangers:
            self._exited(child, self.strangers.pop(child.pid))

    def _watch(self, child: Child) -> None:
        for descriptor in (child.control.fileno(), child.status, child.stack):
            os.set_blocking(descriptor, False)
        self.children.append(child)
        self.selector.register(child.control, selectors.EVENT_READ, lambda: self._control_said(child))
        self.selector.register(child.status, selectors.EVENT_READ, lambda: self._status_said(child))
        self.selector.register(child.stack, selectors.EVENT_READ, lambda: self._stack_arrived(child))
        child.tell(Started(child.pid, child.mark))

    def _forget(self, child: Child) -> None:
        for file in (child.control, child.status, child.stack):
            if file in self.selector.get_map():
                self.selector.unregister(file)
        child.close()
        self.children.remove(child)


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def main(host_fd: int, host_pid: int) -> None:
    """Be the warden of the host at the other end of ``host_fd`` until it is gone."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_IGN)
    tree.become_subreaper()
    sys.setswitchinterval(1)
    Warden(socket_of(host_fd), host_pid).run()
