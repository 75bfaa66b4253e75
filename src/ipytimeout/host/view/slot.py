"""A place in the output of the running cell, whose content can be replaced. In the thread of the running cell.

Law of the file: what stands in the slot is sent under the cell's own message, not through ``display()``: it is no
output of the user's code, so ``%%capture`` does not swallow it, and the child's ``clear_output`` does not remove it.
Every content is one line of the same height, so that nothing moves when one replaces another.
"""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Mapping
from typing import Any, TypeAlias

from ipytimeout.host.comms import Comms
from ipytimeout.host.supervise import Question, Relay
from ipytimeout.wire.messages.from_child import InputRequest
from ipytimeout.wire.messages.outputs import ClearOutput, DisplayData, Flush, Output, Payload

Bundle: TypeAlias = Mapping[str, Any]

#: A line without text.
BLANK: Bundle = {"text/plain": "", "text/html": '<div style="font-size:13px;line-height:28px;margin:0">&nbsp;</div>'}
#: As near to nothing as an output can be: it cannot be taken back.
NOTHING: Bundle = {"text/plain": "", "text/html": '<div style="display:none"></div>'}


class Slot:
    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._cell = kernel.get_parent()
        self._id = f"ipytimeout-{uuid.uuid4().hex}"
        self._content: Bundle = BLANK
        #: Whether it has a place on the page.
        self.shown = False
        #: Widgets of the run, some of which may take what the cell shows.
        self.comms: Comms | None = None

    def put(self, content: Bundle) -> None:
        """Show this, in place of what was shown."""
        self._content = content
        self._send("update_display_data" if self.shown else "display_data")
        self.shown = True

    def put_again(self) -> None:
        """Show the same as a new output: the page has just forgotten the old one."""
        self._send("display_data")

    def _send(self, kind: str) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # what was written before stands above
        kernel = self._kernel
        content = {"data": dict(self._content), "metadata": {}, "transient": {"display_id": self._id}}
        ident = f"kernel.{kernel.ident}.display_data".encode()
        with self.comms.beside_outputs() if self.comms is not None else contextlib.nullcontext():
            kernel.session.send(kernel.iopub_socket, kind, content, parent=self._cell, ident=ident)


class SlotRelay:
    """Relays as another one does, but puts the slot back where the code clears the output of the cell."""

    def __init__(self, relay: Relay, slot: Slot, shell: Any) -> None:
        self._relay = relay
        self._slot = slot
        self._shell = shell
        self._clears_next = False

    def show(self, message: Output) -> None:
        # A publisher without a socket is one of %%capture: what it clears is not on the page. An Output of the code
        # clears itself.
        captured = self._slot.comms is not None and self._slot.comms.captured
        if not self._slot.shown or captured or not hasattr(self._shell.display_pub, "pub_socket"):
            self._relay.show(message)
            return
        match message:
            case ClearOutput(wait=True):
                self._clears_next = True
            case ClearOutput():
                self._clear()
            case DisplayData(update=True) | Payload() | Flush():
                self._relay.show(message)
            case _:
                if self._clears_next:
                    self._clear()
                self._relay.show(message)

    def ask(self, request: InputRequest) -> Question:
        return self._relay.ask(request)

    def _clear(self) -> None:
        self._clears_next = False
        self._relay.show(ClearOutput(wait=True))  # takes place with the next message: nothing flickers
        self._slot.put_again()


def is_caught(kernel: Any) -> bool:
    """Tell whether the outputs of this cell go into an Output widget (``_instances``: ipywidgets 8.1)."""
    widgets = sys.modules.get("ipywidgets.widgets.widget")
    outputs = sys.modules.get("ipywidgets.widgets.widget_output")
    if widgets is None or outputs is None:
        return False
    cell = (kernel.get_parent().get("header") or {}).get("msg_id")
    instances = list(getattr(widgets, "_instances", {}).values())
    return any(isinstance(each, outputs.Output) and each.msg_id == cell for each in instances)
