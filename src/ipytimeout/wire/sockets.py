"""Sockets between our own processes. In any of them.

Law of the file: they wait as long as it takes, whatever the notebook has told ``socket.setdefaulttimeout``.
"""

from __future__ import annotations

import socket


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two sockets that are connected."""
    pair = socket.socketpair()
    for each in pair:
        each.setblocking(True)  # both ends: who gets one by its descriptor cannot tell
    return pair


def socket_of(fd: int) -> socket.socket:
    """Return the socket of a descriptor."""
    found = socket.socket(fileno=fd)
    found.setblocking(True)
    return found
