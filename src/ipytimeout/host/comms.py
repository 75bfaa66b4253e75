"""Comms of a child: between it and the front end, and what is left of them. In the thread that waits for the run.

Each comm that the child opens is one of the kernel's own, with the same id; what is said on it is passed on as it is.
So is what the front end says to a widget of the notebook that the child has been sent. A message of the front end comes
through the pump, or in the thread of a subshell: ``_arrived`` may be called in any thread, all else is in one.

Laws of the file:

1. The front end hears *busy* when its message is passed on, and *idle* when the child has handled it: that is how it
   keeps from sending more than can be handled.
2. A child speaks on its own comms, and on those of widgets that it was sent; on no others.
3. What the child has not handled is for the kernel, after the cell, as natively. When nothing of the run comes back,
   that goes for everything that was said to the notebook's own widgets.
4. A widget that came back is alive: its comm is the one that it had. One that did not is dead: its last state stays on
   the page, where it can be used no more, and the kernel keeps nothing of it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from ipytimeout.host.comm_messages import Said
from ipytimeout.host.widget_records import WidgetRecords
from ipytimeout.wire.messages import Buffer
from ipytimeout.wire.messages.comms import CommClose, CommHandled, CommMsg, CommOpen, CommTaken
from ipytimeout.wire.widgets import WIDGETS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_WIDGET = "jupyter.widget"


class Wakes(Protocol):
    """Who waits for the child, and can wait for a descriptor too."""

    def watch(self, descriptor: int) -> None:
        """Wait for this one too."""


@dataclass(slots=True)
class _Own:
    """A comm that the child has opened, and what is known of its model."""

    comm: Any
    target: str
    #: Whether the user can do something with it.
    usable: bool


@dataclass(slots=True)
class _Asked:
    """A message of the front end that was passed on."""

    comm_id: str
    message: dict[str, Any]
    #: Have the kernel handle it, as natively.
    natively: Callable[[], None]
    #: Tell the front end that it is handled; None: the kernel does.
    tell_idle: Callable[[], None] | None
    handled: bool = False


@dataclass(slots=True)
class Comms:
    """The comms of one run; of the second attempt too, where there is one."""

    kernel: Any
    #: Whether what the code has done comes back.
    comes_back: bool = False
    _cell: dict[str, Any] = field(init=False)
    _own: dict[str, _Own] = field(default_factory=dict)
    #: The notebook's own that the child has: each with the names of the traits that the child has set on the page.
    _taken: dict[str, set[str]] = field(default_factory=dict)
    _closed: set[str] = field(default_factory=set)
    #: The Outputs that take what the cell shows now, in the order in which they began to.
    _capturing: list[str] = field(default_factory=list)
    #: What the front end has said, by the ids of its messages, in its order.
    _asked: dict[str, _Asked] = field(default_factory=dict)
    _outgoing: deque[CommMsg] = field(default_factory=deque)
    _wake: tuple[int, int] | None = None
    _wakes: Wakes | None = None
    #: What a page that is opened meanwhile is told of the child's widgets.
    records: WidgetRecords = field(default_factory=WidgetRecords)

    def __post_init__(self) -> None:
        self._cell = self.kernel.get_parent() or {}

    def __del__(self) -> None:
        """A job that nobody waits for any more may never be concluded."""
        self._close_wake()

    @property
    def request(self) -> str:
        """The id of the request in whose cell the run is."""
        return str((self._cell.get("header") or {}).get("msg_id", ""))

    def __contains__(self, comm_id: str) -> bool:
        """Whether the child has this comm: what is said on it is to be passed on."""
        return comm_id in self._own or comm_id in self._taken

    # ------------------------------------------------------------ from the child

    def wait_with(self, wakes: Wakes) -> None:
        """Learn who waits for the child, of this attempt."""
        self._wakes = wakes

    def take(self, message: Said | CommTaken) -> None:
        """Do as the child says."""
        match message:
            case CommOpen(comm_id) if comm_id not in self._manager.comms:
                self._open(message)
                self._watch()
            case CommOpen():
                pass  # a comm of the notebook has this id
            case CommTaken(comm_id):
                self._intercept(self._manager.comms.get(comm_id))
                self._taken[comm_id] = set()
                self._watch()
            case CommMsg(comm_id, data):
                if comm_id in self:
                    self._note(comm_id, data)
                    self.records.note(comm_id, data, message.buffers)
                    self._publish("comm_msg", message)
            case CommClose(comm_id):
                if comm_id in self and comm_id not in self._closed:
                    self._closed.add(comm_id)
                    self.records.withdraw(comm_id)
                    self._publish("comm_close", message)
            case CommHandled(request):
                self._has_handled(request)

    def _open(self, message: CommOpen) -> None:
        own = sys.modules["comm"].create_comm(
            comm_id=message.comm_id,
            target_name=message.target_name,
            target_module=message.target_module,
            primary=False,
        )
        self._manager.register_comm(own)
        self._intercept(own)
        self._own[message.comm_id] = _Own(own, message.target_name, "disabled" in message.data.get("state", {}))
        # Said by the comm itself, which notes from where: that decides where ipykernel 7.4 brings the answers.
        own.publish_msg(
            "comm_open",
            data=message.data,
            metadata=message.metadata,
            buffers=_as_bytes(message.buffers),
            target_name=message.target_name,
            target_module=message.target_module,
        )
        if message.target_name == _WIDGET:
            self.records.open(message.comm_id, message.data, message.buffers)

    def _note(self, comm_id: str, data: Mapping[str, Any]) -> None:
        """Note what the page is told of a model."""
        state = data.get("state") if data.get("method") == "update" else None
        if not isinstance(state, dict):
            return
        if comm_id in self._taken:
            self._taken[comm_id].update(state)
        if "msg_id" in state:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()  # what was printed before is not for this Output
            if comm_id in self._capturing:
                self._capturing.remove(comm_id)
            if state["msg_id"] == self.request and state["msg_id"]:
                self._capturing.append(comm_id)

    def _publish(self, kind: str, message: CommMsg | CommClose) -> None:
        asked = self._asked.get(message.request)
        content = {"data": message.data, "comm_id": message.comm_id}
        self._send(kind, content, asked.message if asked is not None else self._cell, message)

    def _send(
        self, kind: str, content: dict[str, Any], parent: dict[str, Any], like: CommMsg | CommClose | None = None
    ) -> None:
        kernel = self.kernel
        metadata, buffers = (like.metadata, _as_bytes(like.buffers)) if like is not None else ({}, [])
        ident = f"comm-{content['comm_id']}".encode()
        kernel.session.send(
            kernel.iopub_socket, kind, content, metadata=metadata, parent=parent, ident=ident, buffers=buffers
        )

    def _has_handled(self, request: str) -> None:
        asked = self._asked.get(request)
        if asked is None:
            return
        asked.handled = True
        if asked.tell_idle is not None:
            asked.tell_idle()
        if asked.comm_id not in self._taken:
            del self._asked[request]

    @property
    def captured(self) -> bool:
        """Whether an Output of the child takes what the cell shows now."""
        return bool(self._capturing)

    @contextlib.contextmanager
    def beside_outputs(self) -> Iterator[None]:
        """Let no Output take what is shown in this block."""
        capturing = list(self._capturing)
        for comm_id in reversed(capturing):
            self._set(comm_id, {"msg_id": ""})
        yield
        for comm_id in capturing:
            self._set(comm_id, {"msg_id": self.request})

    def _set(self, comm_id: str, state: dict[str, Any]) -> None:
        """Tell the page this of a model."""
        data = {"method": "update", "state": state, "buffer_paths": []}
        self._send("comm_msg", {"data": data, "comm_id": comm_id}, self._cell)

    # ------------------------------------------------------------ from the front end

    def pass_on(
        self, message: dict[str, Any], natively: Callable[[], None], tell_idle: Callable[[], None] | None
    ) -> None:
        """Pass a message of the front end to the child. In any thread."""
        content, request = message["content"], message["header"]["msg_id"]
        self._asked[request] = _Asked(content["comm_id"], message, natively, tell_idle)
        buffers = [bytes(each) for each in message.get("buffers", ())]
        self.records.note(content["comm_id"], content["data"], buffers)
        self._outgoing.append(CommMsg(content["comm_id"], content["data"], {}, request, buffers))
        if self._wake is not None:
            with contextlib.suppress(OSError):
                os.write(self._wake[1], b"\0")

    def to_child(self) -> list[CommMsg]:
        """Return what is to be sent to the child now."""
        if not self._outgoing:
            return []
        if self._wake is not None:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake[0], 1 << 12)
        return [self._outgoing.popleft() for _ in range(len(self._outgoing))]

    def _intercept(self, comm: Any) -> None:
        """Get what the kernel would hand to this comm: a subshell may, in its thread, while the cell runs."""
        if comm is not None:
            comm.handle_msg = lambda message: self.pass_on(message, lambda: type(comm).handle_msg(comm, message), None)

    def _watch(self) -> None:
        if self._wake is None:
            self._wake = os.pipe()
            for descriptor in self._wake:
                os.set_blocking(descriptor, False)
        if self._wakes is not None:
            self._wakes.watch(self._wake[0])

    # ------------------------------------------------------------ the end

    @property
    def _manager(self) -> Any:
        return self.kernel.comm_manager

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.conclude()

    def conclude(self) -> int:
        """End it: nothing comes from the child any more, and what came back is in place.

        Return how many widgets that the user could use are dead now.
        """
        self.records.withdraw_all()
        is_seen_elsewhere = self.records.were_asked_for
        own, self._own = self._own, {}
        taken, self._taken = self._taken, {}
        asked, self._asked = self._asked, {}
        closed, self._closed = self._closed, set()
        for comm_id in [*own, *taken]:
            widget = WIDGETS.rebuilt.pop(comm_id, None)
            if (comm := self._manager.comms.get(comm_id)) is not None:
                vars(comm).pop("handle_msg", None)
                if widget is not None and self.comes_back and comm_id in own:
                    widget.comm = comm
        for comm_id in closed & (own.keys() | (taken.keys() if self.comes_back else set())):
            self._forget(comm_id)
        dead = 0
        for comm_id, each in own.items():
            if comm_id not in closed and each.comm._msg_callback is None:
                dead += self._lay_to_rest(comm_id, each)
        if not self.comes_back or is_seen_elsewhere:  # by a page that has got the kernel's own, of before
            for comm_id, names in taken.items():
                self._show_again(comm_id, names)
        for each_asked in asked.values():
            undone = each_asked.comm_id in taken and not self.comes_back
            lives = each_asked.comm_id in self._manager.comms
            if lives and (undone or not each_asked.handled):
                each_asked.natively()
            elif not each_asked.handled and each_asked.tell_idle is not None:
                each_asked.tell_idle()
        self._capturing.clear()
        self._close_wake()
        return dead

    def _lay_to_rest(self, comm_id: str, own: _Own) -> bool:
        """Leave a model as it is on the page, but to be used no more. Tell whether it could be."""
        if own.target != _WIDGET:
            own.comm.close()
            return False
        last = {"disabled": True} if own.usable else {"msg_id": ""} if comm_id in self._capturing else {}
        if last:
            self._set(comm_id, last)
        self._forget(comm_id)
        return own.usable

    def _forget(self, comm_id: str) -> None:
        if (comm := self._manager.comms.pop(comm_id, None)) is not None:
            comm._closed = True  # it says nothing more, also when it is dropped

    def _show_again(self, comm_id: str, names: set[str]) -> None:
        """Have the page show a widget of the notebook as it is here."""
        widgets = sys.modules.get("ipywidgets.widgets.widget")
        widget = getattr(widgets, "_instances", {}).get(comm_id)
        if widget is not None and names:
            widget.send_state(sorted(names & set(widget.keys)))

    def _close_wake(self) -> None:
        wake, self._wake = self._wake, None
        for descriptor in wake or ():
            os.close(descriptor)


def _as_bytes(buffers: Sequence[Buffer]) -> list[bytes]:
    return [bytes(each) for each in buffers]


def comms_of(shell: InteractiveShell | None) -> Comms | None:
    """Return the comms of a run that begins in this shell; None where no front end can have widgets."""
    kernel: Any = getattr(shell, "kernel", None)
    return Comms(kernel) if kernel is not None and hasattr(kernel, "comm_manager") else None
