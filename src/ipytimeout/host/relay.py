"""A child's message becomes the same Jupyter message, in this cell. Runs in the thread that waits for the run.

Law of the file: everything goes through the user's own ``sys.stdout`` and the shell's own publishers, so that
``%%capture``, ``Output`` widgets and the recording of outputs work as natively.
"""

from __future__ import annotations

import builtins
import contextlib
import getpass
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def write_stream(message: Stream) -> None:
    """Write what the child wrote, to the stream of the same name."""
    stream = sys.stderr if message.name == "stderr" else sys.stdout
    if stream is None:  # pythonw, or a daemon that closed its streams
        return
    try:
        stream.write(message.text)
    except UnicodeEncodeError:  # lone surrogates, or a terminal that knows only ASCII
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(message.text.encode(encoding, "backslashreplace").decode(encoding))


def flush_stream(name: str) -> None:
    """Flush the stream of this name: a kernel gathers for a while what is written."""
    stream = sys.stderr if name == "stderr" else sys.stdout
    if stream is not None:
        stream.flush()


def ask_user(request: InputRequest) -> InputReply:
    """Ask through this process's own ``input`` or ``getpass``, whatever its front end makes of them.

    An interrupt meanwhile ends the question, as natively, and the code gets it from there.
    """
    try:
        with native_interrupts():
            answer = getpass.getpass(request.prompt) if request.password else builtins.input(request.prompt)
    except (KeyboardInterrupt, Exception) as error:
        return InputReply(str(error), type(error).__name__)
    return InputReply(answer)


@contextlib.contextmanager
def native_interrupts() -> Iterator[None]:
    """Let an interrupt raise ``KeyboardInterrupt`` again for a while."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def question_for_user(request: InputRequest) -> Question:
    """Ask when the answer is looked for, and wait for it."""
    return lambda: ask_user(request)


class PlainRelay:
    """For a process without IPython: text goes to the streams, displays show their plain text."""

    def show(self, message: Output) -> None:
        match message:
            case Stream():
                write_stream(message)
                if message.name == "stdout" and sys.stdout is not None:
                    sys.stdout.flush()  # a pipe would otherwise hold back what the child had already sent
            case DisplayData() | ExecuteResult():
                if text := message.data.get("text/plain"):
                    write_stream(Stream("stdout", f"{text}\n"))
            case Error():
                write_stream(Stream("stderr", "\n".join(message.traceback) + "\n"))
            case Flush(name):
                flush_stream(name)
            case ClearOutput() | Payload():
                return

    def ask(self, request: InputRequest) -> Question:
        return question_for_user(request)


class ShellRelay:
    """For a process with an IPython shell: a kernel or a terminal."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def show(self, message: Output) -> None:
        shell: Any = self._shell
        match message:
            case Stream():
                write_stream(message)
            case Flush(name):
                flush_stream(name)
            case DisplayData(data, metadata, transient, update):
                shell.display_pub.publish(data, metadata, transient=transient, update=update)
            case ClearOutput(wait):
                sys.stdout.flush()
                sys.stderr.flush()
                shell.display_pub.clear_output(wait)
            case ExecuteResult(data, metadata) if hasattr(sys.displayhook, "outputs"):  # of %%capture
                sys.displayhook.outputs.append({"data": data, "metadata": metadata})
            case ExecuteResult(data, metadata):
                hook = shell.displayhook
                hook.start_displayhook()
                hook.write_output_prompt()
                hook.write_format_data(data, metadata)
                hook.log_output(data)
                hook.finish_displayhook()
            case Error(ename, evalue, traceback, displaying):
                named = type(ename, (Exception,), {})
                if displaying:
                    shell.displayhook.start_displayhook()
                shell._showtraceback(named, named(evalue), traceback)
                if displaying:
                    shell.displayhook.msg = None  # there is nothing more to send
            case Payload(payload):
                shell.payload_manager.write_payload(payload)

    def ask(self, request: InputRequest) -> Question:
        kernel: Any = getattr(self._shell, "kernel", None)
        if kernel is not None:
            from ipytimeout.host.pump import question_in

            if (question := question_in(kernel, request)) is not None:
                return question
        return question_for_user(request)
