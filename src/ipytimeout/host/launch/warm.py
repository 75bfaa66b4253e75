"""``--start warm``: a template that has imported what the notebook has imported forks a child in milliseconds.

In any thread of the user's process. The template follows the notebook in the background: it is sent each newly
imported library. One spare is forked ahead. Where the template cannot be kept clean, ``TemplateUnusable`` says
why, and the run is spawned instead.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ipytimeout.host.launch.child import Child
from ipytimeout.host.launch.plumbing import Plumbing
from ipytimeout.host.launch.spawn import interpreter, start_environ
from ipytimeout.host.launch.warden import Warden, get_warden
from ipytimeout.wire.framing import Decoder, ProtocolError, encode
from ipytimeout.wire.messages import Fork, Forked, Listen, Message, Preload, Settle, Start, Started

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


class WarmLauncher:
    """Fork children from one template. One instance per host process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.template: Template | None = None
        #: A child that has been asked for ahead of time, and how many modules the template had been sent then.
        self._spare: tuple[Request, int] | None = None
        self.unusable = ""
        #: Whether a run has already waited for this template in vain.
        self._late = False

    def prepare(self, settle: Settle) -> None:
        """Have the template follow the notebook, and a spare forked. Does not wait for either."""
        with self._lock, suppress(ConnectionError):  # the warden was killed just now: a run will start another
            if not self.unusable:
                with self._undisturbed():
                    self._ready(settle)

    def prepare_during_run(self, settle: Settle) -> None:
        """Nothing: a fork takes milliseconds, which the run that has just begun would miss."""

    def take(self, settle: Settle) -> Child:
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
        assert self.template is not None and self._spare is not None
        try:
            child = self.template.fetch(self._spare[0], _AGAIN if self._late else PATIENCE)
        except _TemplateLate:
            self._late = True  # it goes on importing, and the spare that was asked for is for a later run
            raise
        except TemplateUnusable as error:
            self._spare[0].abandon()
            self._spare = None
            self.template.close()
            self.template = None
            if isinstance(error, _TemplateUnclean):
                self.unusable = str(error)
            raise
        self._spare, self._late = None, False
        return child

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._spare is not None:
            self._spare[0].abandon()
            self._spare = None
        if self.template is not None:
            self.template.close()
            self.template = None

    def _ready(self, settle: Settle) -> None:
        template = self.template
        if template is None or not template.fits(settle):
            if self._spare is not None:
                self._spare[0].abandon()
            self._spare = None
            if template is not None:
                template.close()
            template = self.template = Template(get_warden(), settle)
        template.follow(settle)
        if self._spare is not None and self._spare[1] != len(template.sent):
            self._spare[0].abandon()  # it lacks what the notebook has imported since
            self._spare = None
        if self._spare is None:
            self._spare = template.request(), len(template.sent)


class Request:
    """A child that the template has been asked to fork, and the warden to adopt."""

    def __init__(self, plumbing: Plumbing, control: socket.socket) -> None:
        self.plumbing = plumbing
        self.control = control

    def abandon(self) -> None:
        """The child, should it come, meets a closed channel and leaves; should it be adopted, it is ended."""
        self.plumbing.close()
        self.control.close()


class Template:
    """A running template process."""

    def __init__(self, warden: Warden, settle: Settle) -> None:
        self._warden = warden
        self._settle = settle
        self._decoder = Decoder()
        #: Modules that the template has been told to import.
        self.sent: set[str] = set()
        self._asked: list[Request] = []
        self._answers: list[Forked] = []
        self._channel, channel = socket.socketpair()
        null = os.open(os.devnull, os.O_RDWR)
        try:
            start = Start(interpreter("from ipytimeout.child.template import main"), start_environ(), "/")
            self._control = warden.send(start, [null, null, null, channel.fileno()])
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
        new = [name for name in settle.preload if name not in self.sent]
        if new:
            self.sent.update(new)
            self._send(Preload(new, dict(os.environ), settle.sys_path))

    def request(self) -> Request:
        """Ask for a child; do not wait."""
        plumbing = Plumbing()
        control, theirs = socket.socketpair()
        try:
            status, status_child = plumbing.pipe()
            stack, stack_child = plumbing.pipe()
            for_child = [
                plumbing.stdout[1],
                plumbing.stderr[1],
                plumbing.channel[1].fileno(),
                status_child,
                stack_child,
            ]
            self._send(Fork(), [*for_child, theirs.fileno(), status, stack])
        except BaseException:
            plumbing.close()
            control.close()
            raise
        finally:
            theirs.close()
        request = Request(plumbing, control)
        self._asked.append(request)
        return request

    def fetch(self, request: Request, patience: float) -> Child:
        """Wait until a child that was asked for is there."""
        while True:
            answer = self._next_answer(patience)
            asked = self._asked.pop(0)
            if asked is request:
                break
        with request.plumbing as plumbing:
            if not answer.pid:
                raise _TemplateUnclean(answer.reason)
            return plumbing.child(request.control)

    def close(self) -> None:
        self._channel.close()
        self._control.close()

    def _next_answer(self, patience: float) -> Forked:
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
