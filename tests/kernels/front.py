"""A front end that draws widgets and has a place to type, as far as a kernel can tell. The test process, main thread."""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from tests.kernels.harness import Kernel


class Front:
    """A front end that draws widgets, as far as a kernel can tell."""

    def __init__(self, kernel: Kernel) -> None:
        self.client = kernel.client
        self.kernel = kernel
        self.iopub: list[dict[str, Any]] = []
        self.replies: list[dict[str, Any]] = []

    def send(
        self, kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None, subshell: str | None = None
    ) -> str:
        message = self.client.session.msg(kind, content, metadata=metadata)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def execute(
        self, code: str, *, stop_on_error: bool = True, subshell: str | None = None, answers: bool = False
    ) -> str:
        """Run a cell that a page shows. ``answers``: the page has a place to type."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": answers, "stop_on_error": stop_on_error}
        return self.send("execute_request", content, {"cellId": "a-cell"}, subshell)

    def new_subshell(self) -> str | None:
        """Have the kernel start a subshell; None where it has none."""
        self.client.control_channel.send(self.client.session.msg("create_subshell_request", {}))
        try:
            reply = self.client.get_control_msg(timeout=5)
        except Empty:
            return None
        return reply["content"].get("subshell_id")

    def click(self, button: str) -> None:
        """Click a button, by its text."""
        data = {"method": "custom", "content": {"event": "click"}, "buffers": []}
        self.send("comm_msg", {"comm_id": self.buttons()[button], "data": data})

    def update(self, comm_id: str, state: dict[str, Any], **more: Any) -> str:
        """Say what the user has done to a widget; return the message's id."""
        data = {"method": "update", "state": state, "buffer_paths": []}
        return self.send("comm_msg", {"comm_id": comm_id, "data": data}, **more)

    def buttons(self) -> dict[str, str]:
        """Return the comm ids of all buttons that were ever there; of equal ones the newest."""
        opened = [m["content"] for m in self.iopub if m["msg_type"] == "comm_open"]
        return {c["data"]["state"].get("description", ""): c["comm_id"] for c in opened}

    def read(self, until: Any, seconds: float = 30) -> None:
        """Read what the kernel says until a condition holds."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, [m["msg_type"] for m in self.iopub[-20:]]
            for channel, kept in ((self.client.iopub_channel, self.iopub), (self.client.shell_channel, self.replies)):
                try:
                    for _ in range(50):  # a flood has no gaps: look at the condition, and at the other channel
                        kept.append(channel.get_msg(timeout=0.01))
                except Empty:
                    continue

    def replied(self, request: str) -> bool:
        return any(r["parent_header"]["msg_id"] == request for r in self.replies)

    def of(self, request: str, kind: str) -> list[dict[str, Any]]:
        """Return the contents of what was published for a request."""
        return [
            m["content"] for m in self.iopub if m["parent_header"].get("msg_id") == request and m["msg_type"] == kind
        ]

    def line(self, request: str) -> str:
        """Return what stands in the slot of a cell."""
        contents = self.of(request, "display_data") + self.of(request, "update_display_data")
        return str(contents[-1]["data"]["text/plain"])

    def question(self) -> dict[str, Any]:
        """Wait until the user is asked something; return what."""
        return dict(self.client.get_stdin_msg(timeout=30)["content"])

    def answer(self, text: str) -> None:
        self.client.input(text)

    def reply(self, request: str) -> dict[str, Any]:
        """Wait for the reply to a request."""
        self.read(lambda: self.replied(request))
        return dict(next(r for r in self.replies if r["parent_header"]["msg_id"] == request)["content"])

    def opened(self, cell: str, model: str) -> str:
        """Wait until a cell has opened a model of this kind; return its id."""

        def ids() -> list[str]:
            return [c["comm_id"] for c in self.of(cell, "comm_open") if c["data"]["state"]["_model_name"] == model]

        self.read(ids)
        return ids()[-1]

    def set_value(self, comm_id: str, value: Any) -> str:
        """Say what a page says when the user changes a value; return the message's id."""
        return self.update(comm_id, {"value": value})

    def echoes(self, request: str) -> list[Any]:
        """Return what the kernel confirmed to a message."""
        return [c["data"]["state"] for c in self.of(request, "comm_msg") if c["data"]["method"] == "echo_update"]

    def is_idle(self, request: str) -> bool:
        return any(s["execution_state"] == "idle" for s in self.of(request, "status"))

    def state_of(self, comm_id: str) -> dict[str, Any]:
        """Return the state of a model as a page has it now."""
        state: dict[str, Any] = {}
        for message in self.iopub:
            content = message["content"]
            if message["msg_type"] in ("comm_open", "comm_msg") and content["comm_id"] == comm_id:
                state |= content["data"].get("state", {})
        return state
