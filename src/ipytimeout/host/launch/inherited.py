"""Sockets of this process that a forked copy of it must not keep. In any thread of the user's process.

The end of a run is told by the end of its socket; a copy that had it too would hide that.
"""

from __future__ import annotations

import socket
import weakref

_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def add(own: socket.socket) -> None:
    """Note a socket, until it is gone."""
    _sockets.add(own)


def let_go() -> None:
    """Close them all, in a copy."""
    for own in list(_sockets):
        own.close()
