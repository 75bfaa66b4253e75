"""The output of a background run, in the cell that started it while later cells run. In the thread of the run.

Law of the file: every message goes out under the starting cell's own header. The publishers of the shell belong to the
cell that runs now, and the standard streams of some kernels too.
"""

from __future__ import annotations

from typing import Any

from ipytimeout.host.supervise import Question
from ipytimeout.wire.messages.from_child import InputRequest
from ipytimeout.wire.messages.outputs import (
    ClearOutput,
    DisplayData,
    Error,
    ExecuteResult,
    Flush,
    Output,
    Payload,
    Stream,
)
from ipytimeout.wire.messages.to_child import InputReply


class CellRelay:
    """Shows messages in one cell of a kernel, whatever runs now. Made in the thread of that cell."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._cell = kernel.get_parent()

    def show(self, message: Output) -> None:
        match message:
            case Stream(name, text):
                # A lone surrogate is no text that can be sent.
                text = text.encode("utf-8", "backslashreplace").decode("utf-8")
                self._send("stream", {"name": name, "text": text})
            case DisplayData(data, metadata, transient, update):
                kind = "update_display_data" if update else "display_data"
                self._send(kind, {"data": data, "metadata": metadata, "transient": transient})
            case ClearOutput(wait):
                self._send("clear_output", {"wait": wait})
            case ExecuteResult(data, metadata):
                # No execute_result: its number is the cell's, and front ends expect it while the cell runs.
                self._send("display_data", {"data": data, "metadata": metadata, "transient": {}})
            case Error(ename, evalue, traceback):
                self._send("error", {"ename": ename, "evalue": evalue, "traceback": traceback})
            case Flush():
                pass  # every text is a message of its own
            case Payload(payload):  # a page or a next input: for the front end of a cell that runs
                if text := payload.get("data", {}).get("text/plain"):
                    self._send("stream", {"name": "stdout", "text": f"{text}\n"})

    def ask(self, request: InputRequest) -> Question:
        """Nobody can be asked: a front end shows the question of a running cell only."""
        words = "a run in the background cannot ask; run the cell without --background, or pass the answer"
        return lambda: InputReply(words, "StdinNotImplementedError")

    def _send(self, kind: str, content: dict[str, Any]) -> None:
        kernel = self._kernel
        ident = f"kernel.{kernel.ident}.{kind}".encode()
        kernel.session.send(kernel.iopub_socket, kind, content, parent=self._cell, ident=ident)
