"""``input()`` and ``getpass.getpass()`` of the code: a question to the host. Runs in the child, in any thread.

Law of the file: a question is asked and answered by messages, and an interrupt ends the wait, not the channel.
"""

from __future__ import annotations

import builtins
import getpass
import os
import warnings
from typing import Any

from ipytimeout.child.channel import Channel
from ipytimeout.outcomes import EXIT_CHANNEL_LOST
from ipytimeout.wire.messages.from_child import InputEnded, InputRequest
from ipytimeout.wire.messages.to_child import InputReply


class StdinNotImplementedError(NotImplementedError):
    """Raised by ``input()`` where the front end has no place to type: a stand-in for IPython's own class."""


class Questions:
    """What ``input`` and ``getpass`` are while the code runs."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def install(self) -> None:
        builtins.input = self.input
        getpass.getpass = self.getpass

    def input(self, prompt: object = "", /) -> str:
        """Ask the user for a line of text."""
        return self._ask(str(prompt), password=False)

    def getpass(self, prompt: str = "Password: ", stream: Any = None, *, echo_char: str | None = None) -> str:
        """Ask the user for a password."""
        for name, value in (("stream", stream), ("echo_char", echo_char)):
            if value is not None:
                warnings.warn(
                    f"The `{name}` parameter of `getpass.getpass` has no effect in a notebook",
                    UserWarning,
                    stacklevel=2,
                )
        return self._ask(prompt, password=True)

    def _ask(self, prompt: str, password: bool) -> str:
        if os.getpid() != self._channel.pid:
            raise _stdin_error()("input() was called in a forked process, which cannot ask the user.")
        self._channel.forget_received()
        self._channel.send(InputRequest(prompt, password))
        try:
            reply = self._channel.receive()
        except BaseException:
            self._channel.send(InputEnded())  # or the clock would stand still for good
            raise
        match reply:
            case InputReply(value=value, error=""):
                return value
            case InputReply(value=text, error="StdinNotImplementedError"):
                raise _stdin_error()(text)
            case InputReply(value=text, error="EOFError"):
                raise EOFError(text)
            case InputReply(value=text, error="KeyboardInterrupt"):
                raise KeyboardInterrupt(text)
            case InputReply(value=text, error=name):
                raise RuntimeError(f"{name}: {text}")
            case _:
                os._exit(EXIT_CHANNEL_LOST)  # the host is gone, and with it whoever could answer


def _stdin_error() -> type[NotImplementedError]:
    """Return IPython's class where there is IPython, so that ``except StdinNotImplementedError`` holds."""
    try:
        from IPython.core import error
    except ImportError:
        return StdinNotImplementedError
    native: type[NotImplementedError] = error.StdinNotImplementedError
    return native
