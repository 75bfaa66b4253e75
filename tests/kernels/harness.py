"""Drive a real kernel: started for any interpreter, spoken to by ``jupyter_client`` as a front end does.

The test process, main thread only. No test of this folder looks into the package: what it sees is what a
front end sees, and what ``/proc`` shows.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any, TypeVar

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from tests.kernels.processes import Process, marked

#: How long a kernel may take to start: a loaded machine imports slowly.
START_TIMEOUT = 60.0
Manager = TypeVar("Manager", bound=KernelManager)
MARK = "IPYTIMEOUT_TEST_KERNEL"


@dataclass(frozen=True, slots=True)
class Failure:
    """The error of a cell, as the kernel reported it."""

    name: str
    value: str
    traceback: str


@dataclass(slots=True)
class Result:
    """What one cell gave. ``seconds`` is from sending it to the kernel being idle again."""

    status: str = "running"
    streams: dict[str, str] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    error: Failure | None = None
    #: All that was published, in order: kind and content, where neighbouring texts of one stream are one.
    order: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    seconds: float = 0.0
    #: ``time.monotonic()`` at which the kernel was idle again.
    ended: float = 0.0

    @property
    def stdout(self) -> str:
        return self.streams.get("stdout", "")

    @property
    def stderr(self) -> str:
        return self.streams.get("stderr", "")

    @property
    def text(self) -> str:
        """Everything a reader of the page would see, as text."""
        plain = [output.get("data", {}).get("text/plain", "") for output in self.outputs]
        return "\n".join([*self.streams.values(), *plain, self.error.traceback if self.error else ""])


class Cell:
    """A cell that was sent to the kernel and may still be running."""

    def __init__(self, kernel: Kernel, code: str) -> None:
        self._kernel = kernel
        self._sent = time.monotonic()
        self._id = kernel.client.execute(code)
        self._idle = False
        self.result = Result()

    def wait_for(self, text: str, timeout: float = 30.0) -> None:
        """Wait until the cell has printed ``text``."""
        self._read(timeout, lambda: any(text in stream for stream in self.result.streams.values()))

    def wait(self, timeout: float = 60.0) -> Result:
        """Wait until the kernel is idle again, and return what the cell gave."""
        self._read(timeout, lambda: False)
        while True:
            reply = self._kernel.client.get_shell_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == self._id:
                self.result.status = reply["content"]["status"]
                return self.result

    def _read(self, timeout: float, enough: Callable[[], bool]) -> None:
        until = time.monotonic() + timeout
        while not self._idle and not enough():
            try:
                message = self._kernel.client.get_iopub_msg(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                raise TimeoutError(f"no end after {timeout:g} s; so far: {self.result}") from None
            if message["parent_header"].get("msg_id") == self._id:
                self._take(message["msg_type"], message["content"])

    def _take(self, kind: str, content: dict[str, Any]) -> None:
        result = self.result
        if kind not in ("status", "execute_input"):
            last = result.order[-1] if result.order else ("", {})
            if kind == last[0] == "stream" and content["name"] == last[1]["name"]:
                content = {**content, "text": last[1]["text"] + content["text"]}
                result.order[-1] = (kind, content)
                content = {**content, "text": content["text"][len(last[1]["text"]) :]}
            else:
                result.order.append((kind, content))
        if kind == "stream":
            result.streams[content["name"]] = result.streams.get(content["name"], "") + content["text"]
        elif kind in ("display_data", "update_display_data", "execute_result"):
            result.outputs.append({"output_type": kind, **content})
        elif kind == "error":
            result.error = Failure(content["ename"], content["evalue"], "\n".join(content["traceback"]))
        elif kind == "status" and content["execution_state"] == "idle":
            self._idle = True
            result.ended = time.monotonic()
            result.seconds = result.ended - self._sent


class Kernel:
    """A live kernel of one interpreter."""

    def __init__(self, python: str, directory: Path, environ: dict[str, str] | None = None, **how: Any) -> None:
        self.manager = under_test(KernelManager, python, directory)
        #: Its working directory.
        self.directory = directory
        #: The value of an environment variable that everything has which this kernel ever starts.
        self.mark = uuid.uuid4().hex
        environ = {**os.environ, **(environ or {}), MARK: self.mark}
        self.manager.start_kernel(**{"cwd": str(directory), "env": environ, **how})
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=START_TIMEOUT)
        self.pid = int(self.run("print(__import__('os').getpid())").stdout)

    def submit(self, code: str) -> Cell:
        """Send a cell and return at once."""
        return Cell(self, code)

    def run(self, code: str, timeout: float = 60.0) -> Result:
        """Run a cell to its end."""
        return self.submit(code).wait(timeout)

    def interrupt(self) -> None:
        """Interrupt as a front end's ■ does: SIGINT to the kernel's process group."""
        self.manager.interrupt_kernel()

    def kill(self) -> None:
        """Kill the kernel alone, as the out-of-memory killer would: nothing of it can react."""
        os.kill(self.pid, signal.SIGKILL)

    def processes(self) -> list[Process]:
        """Return what this kernel has started and what still lives, itself among it."""
        return marked(self.mark)

    @property
    def alive(self) -> bool:
        return bool(self.manager.is_alive())

    def close(self) -> None:
        """Shut down, as a front end does, and let go of all sockets."""
        self.client.stop_channels()
        if self.manager.has_kernel:  # a test may have shut it down
            self.manager.shutdown_kernel(now=False)
        self.manager.context.destroy(linger=0)


def under_test(manager: type[Manager], python: str, directory: Path) -> Manager:
    """Return a manager, of any kind, for a kernel of ``python``, whose specification is written to ``directory``."""
    spec = directory / "kernels" / "under-test"
    spec.mkdir(parents=True, exist_ok=True)
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "under test", "language": "python"}))
    specs = KernelSpecManager(kernel_dirs=[str(spec.parent)], ensure_native_kernel=False)
    return manager(kernel_name=spec.name, kernel_spec_manager=specs)
