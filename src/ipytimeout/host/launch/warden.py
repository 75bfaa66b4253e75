"""The host's handle on its warden. Any thread of the user's process may use it.

Law of the file: one warden per process, started at first use.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import ipytimeout
from ipytimeout.host.launch import inherited
from ipytimeout.wire.framing import encode
from ipytimeout.wire.messages.warden import Adopt, Listen, Start
from ipytimeout.wire.sockets import socket_pair

#: The directory that holds this package: a fresh interpreter appends it to its path.
PACKAGE_PARENT = str(Path(ipytimeout.__file__).resolve().parent.parent)
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); from ipytimeout.warden.main import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]))"
)


def command(socket_fd: int, host: int) -> list[str]:
    """Return the command line of the warden of a host at the other end of this socket."""
    # -I and -S: nothing of the user's environment, no site-packages: it stays small and its own.
    return [sys.executable, "-I", "-S", "-c", _BOOT, PACKAGE_PARENT, str(socket_fd), str(host)]


def send(warden: socket.socket, message: Start | Listen | Adopt, descriptors: list[int]) -> socket.socket:
    """Send it with its descriptors; return the other end of the socket that is the first of them."""
    frame = b"".join(encode(message))
    ours, theirs = socket_pair()
    try:
        with theirs:
            sent = socket.send_fds(warden, [frame], [theirs.fileno(), *descriptors])
            warden.sendall(frame[sent:])
    except BaseException:
        ours.close()
        raise
    return ours


class Warden:
    """A running warden process. ``send`` gives it a child to start, or somebody who has children to adopt."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        ours, theirs = socket_pair()
        with theirs:
            self._process = subprocess.Popen(
                command(theirs.fileno(), self.owner),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                cwd="/",
            )
        self._socket = ours
        inherited.add(ours)
        self._sending = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def send(self, message: Start | Listen, descriptors: list[int]) -> socket.socket:
        """Send it with its descriptors; return the other end of the socket that is the first of them."""
        with self._sending:
            return send(self._socket, message, descriptors)

    def close(self) -> None:
        """Let the warden end everything and leave."""
        if self.owner == os.getpid():
            self._socket.close()
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


_lock = threading.Lock()
_warden: Warden | None = None


def get_warden() -> Warden:
    """Return this process's warden, started now if there is none (or if it was killed)."""
    global _warden
    with _lock:
        if _warden is None or not _warden.alive:
            if _warden is None or _warden.owner != os.getpid():
                atexit.register(_close)
            _warden = Warden()
        return _warden


def _renew_lock() -> None:
    """In a forked process: another thread may have held it, which is not there."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def _close() -> None:
    if _warden is not None:
        _warden.close()
