"""``--start warm``: a template that has imported what the notebook has imported forks a child in milliseconds.

In any thread of the user's process. The template follows the notebook in the background: it is sent each newly
imported library. One spare is forked ahead. Where the template cannot be kept clean, ``TemplateUnusable`` says
why, and the run is spawned instead.
"""

from __future__ import annotations

import dataclasses
import os
import select
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ipytimeout.host.launch import inherited
from ipytimeout.host.launch.child import Child
from ipytimeout.host.launch.plumbing import Plumbing
from ipytimeout.host.launch.spawn import interpreter, start_environ
from ipytimeout.host.launch.warden import Warden, get_warden
from ipytimeout.wire.framing import Decoder, ProtocolError, encode
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.from_child import Forked
from ipytimeout.wire.messages.to_child import Fork, Hurry, Preload, Rehearse, Settle
from ipytimeout.wire.messages.warden import Listen, Start, Started
from ipytimeout.wire.sockets import socket_pair
from ipytimeout.wire.survey import Inherited

#: So many spares are kept: runs that follow each other at once use them up faster than they are made.
_SPARES = 3
#: While there is one, the next is forked so long after it was asked for, in seconds: a run needs the processors.
_LATER = 0.03
#: So long a run waits for the template to import what is new and to fork, in seconds; then it is spawned.
PATIENCE = 10.0
#: And so long the runs after it, while the template is still at it.
_AGAIN = 0.2


class TemplateUnusable(Exception):
    """The template cannot fork a child that works; the text says why."""


class _TemplateUnclean(TemplateUnusable):
    """It has imported what does not survive a fork: so will every other one."""


class _TemplateLate(TemplateUnusable):
    """It is still importing."""


class _TemplateDied(TemplateUnusable):
    """Its process is gone."""


@dataclasses.dataclass(slots=True)
class _Spare:
    """A child that has been asked for ahead of time."""

    child: Child
    #: How many modules the template had been sent then.
    modules: int
    #: What it has rehearsed on.
    rehearsal: Rehearse | None = None

    def rehearse(self, rehearsal: Rehearse) -> None:
        """Have it rehearse, unless it has done so with the same."""
        if self.rehearsal != rehearsal:
            self.rehearsal = rehearsal
            self.child.send(rehearsal)


class WarmLauncher:
    """Fork children from one template. One instance per host process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.template: Template | None = None
        self._spares: deque[_Spare] = deque()
        #: How many of them there are to be: the most that anybody wants.
        self._wanted: Counter[int] = Counter()
        self.unusable = ""
        #: Whether a run has already waited for this template in vain.
        self._late = False
        #: While there are to be many: what the template is to rehearse on.
        self._of_many: Rehearse | None = None

    def prepare(self, settle: Settle, rehearsal: Callable[[], Rehearse | None]) -> None:
        """Have the template follow the notebook, and spares forked that rehearse. Does not wait for any of it."""
        with self._lock, suppress(ConnectionError):  # the warden was killed just now: a run will start another
            if not self.unusable:
                with self._undisturbed():
                    now = self._of_many or rehearsal()
                    self._ready(settle, now)
                    if self._of_many is None and now is not None:
                        for spare in self._spares:
                            # What is set may change again before the others are wanted.
                            if spare is self._spares[0] or spare.rehearsal is None:
                                spare.rehearse(now)

    @contextmanager
    def ahead(self, count: int, rehearsal: Rehearse) -> Iterator[None]:
        """Keep so many spares while many runs follow each other: the template forks while they run.

        Instead of each of them, which is to run at once, the template rehearses: they have what it has set.
        """
        with self._lock:
            self._wanted[count] += 1
            self._of_many = rehearsal
        try:
            yield
        finally:
            with self._lock:
                self._wanted[count] -= 1
                while len(self._spares) > self._count:
                    self._spares.pop().child.close()
                if not +self._wanted:
                    self._of_many = None
                    for spare in self._spares:
                        spare.rehearse(rehearsal)

    @property
    def spares(self) -> int:
        """How many children are ready, or are being made ready."""
        return len(self._spares)

    @property
    def _count(self) -> int:
        return max([_SPARES, *(count for count, times in self._wanted.items() if times)])

    def take(self, settle: Settle, copied: Inherited | None = None) -> Child:
        """Return a fresh child; wait for the template where it is not ready yet.

        Raises:
            TemplateUnusable: The template is not clean, died, or takes too long.
        """
        with self._lock:
            if self.unusable:
                raise TemplateUnusable(self.unusable)
            with self._undisturbed():
                try:
                    return self._fetch(settle)
                except _TemplateDied:  # somebody killed it: once more with a new one
                    return self._fetch(settle)

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Start over when an interrupt comes: nobody knows which questions to the template are answered then."""
        try:
            yield
        except TemplateUnusable:
            raise
        except BaseException:
            self._let_go()
            raise

    def _fetch(self, settle: Settle) -> Child:
        self._ready(settle)
        assert self.template is not None
        spare = self._spares[0]
        try:
            self.template.wait_for(spare.child, _AGAIN if self._late else PATIENCE)
        except _TemplateLate:
            self._late = True  # it goes on importing, and the spare that was asked for is for a later run
            raise
        except TemplateUnusable as error:
            self._let_go()
            if isinstance(error, _TemplateUnclean):
                self.unusable = str(error)
            raise
        self._spares.popleft()
        self._late = False
        if self._of_many is not None:
            self._ready(settle, self._of_many)
        return spare.child

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        self._drop_spares()
        if self.template is not None:
            self.template.close()
            self.template = None

    def _drop_spares(self) -> None:
        while self._spares:
            self._spares.popleft().child.close()

    def _ready(self, settle: Settle, rehearsal: Rehearse | None = None) -> None:
        """Have as many spares as are wanted, or on their way, and what they have in common set in the template."""
        if self.template is not None and not self.template.fits(settle):
            self._let_go()
        template = self.template = self.template or Template(get_warden(), settle)
        template.follow(settle)
        if rehearsal is not None:
            template.rehearse(rehearsal)
        if self._spares and self._spares[0].modules != len(template.sent):
            self._drop_spares()  # they lack what the notebook has imported since
        while len(self._spares) < self._count:
            after = _LATER if self._spares and self._of_many is None else 0.0
            self._spares.append(_Spare(template.request(after), len(template.sent)))


class Template:
    """A running template process."""

    def __init__(self, warden: Warden, settle: Settle) -> None:
        self._warden = warden
        self._settle = settle
        self._decoder = Decoder()
        #: Modules that the template has been told to import.
        self.sent: set[str] = set()
        self._followed: list[str] | None = None
        self._rehearsal: Rehearse | None = None
        self._asked: list[Child] = []
        self._answers: list[Forked] = []
        self._channel, channel = socket_pair()
        inherited.add(self._channel)
        null = os.open(os.devnull, os.O_RDWR)
        try:
            start = Start(interpreter("from ipytimeout.child.template import main"), start_environ(), "/")
            self._control = warden.send(start, [null, null, null, channel.fileno()])
            inherited.add(self._control)
        finally:
            channel.close()
            os.close(null)
        with warden.send(Listen(), []) as adopting:
            self._send(dataclasses.replace(settle, preload=[]), [adopting.fileno()])

    def pid(self) -> int:
        """Return the number of the process, waiting until the warden has started it."""
        self._control.settimeout(PATIENCE)
        decoder = Decoder()
        while True:
            for message in decoder.feed(self._control.recv(1 << 16)):
                if isinstance(message, Started):
                    return message.pid

    def fits(self, settle: Settle) -> bool:
        """Whether the template lives and is like this host."""
        mine = self._settle
        return self._warden.alive and (mine.shell, mine.kernel) == (settle.shell, settle.kernel)

    def follow(self, settle: Settle) -> None:
        """Tell the template what the notebook has imported since."""
        if settle.preload is self._followed:  # the very list of the last time: a look at a thousand names less
            return
        self._followed = settle.preload
        new = [name for name in settle.preload if name not in self.sent]
        if new:
            self.sent.update(new)
            self._rehearsal = None
            self._send(Preload(new, dict(os.environ), settle.sys_path))

    def rehearse(self, rehearsal: Rehearse) -> None:
        """Have it set what a run of this moment finds set, unless it has done so with the same."""
        if self._rehearsal != rehearsal:
            self._rehearsal = rehearsal
            self._send(rehearsal)

    def request(self, after: float = 0.0) -> Child:
        """Ask for a child, to be adopted by the warden; do not wait. One that is closed unused is ended."""
        with Plumbing() as plumbing:
            control, theirs = socket_pair()
            with theirs:
                try:
                    status, status_child = plumbing.pipe()
                    stack, stack_child = plumbing.pipe()
                    output = [plumbing.stdout[1], plumbing.stderr[1]]
                    for_child = [*output, plumbing.channel[1].fileno(), status_child, stack_child]
                    self._send(Fork(after), [*for_child, theirs.fileno(), status, stack])
                except BaseException:
                    control.close()
                    raise
            child = plumbing.child(control)
        self._asked.append(child)
        return child

    def wait_for(self, child: Child, patience: float) -> None:
        """Wait until a child that was asked for is there."""
        while True:
            answer = self._next_answer(patience)
            if self._asked.pop(0) is child:
                break
        if not answer.pid:
            raise _TemplateUnclean(answer.reason)

    def close(self) -> None:
        self._channel.close()
        self._control.close()

    def _next_answer(self, patience: float) -> Forked:
        if not (self._answers or _readable(self._channel)):
            self._send(Hurry())
        self._channel.settimeout(patience)
        try:
            while not self._answers:
                data = self._channel.recv(1 << 16)
                if not data:
                    raise _TemplateDied("the template process ended")
                self._answers += [m for m in self._decoder.feed(data) if isinstance(m, Forked)]
        except TimeoutError:
            raise _TemplateLate(f"the template is still importing after {PATIENCE:g} s") from None
        except (OSError, ProtocolError) as error:
            raise _TemplateDied(f"the template process cannot be reached: {error}") from None
        return self._answers.pop(0)

    def _send(self, message: Message, descriptors: list[int] | None = None) -> None:
        frame = b"".join(bytes(part) for part in encode(message))
        self._channel.settimeout(None)
        try:
            sent = socket.send_fds(self._channel, [frame], descriptors) if descriptors else 0
            self._channel.sendall(frame[sent:])
        except OSError:
            return  # it has ended; the next wait for an answer says so


def _readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
