"""The messages between host, child and warden, and what they are made of. Pure data, in any process.

Law of the folder: a message is a frozen dataclass whose fields are JSON, but for ``buffers``, which travel
beside it as bytes. Only our own child's pickles travel in ``buffers``; everything a front end will see is JSON.

A file is a conversation: ``to_child``, ``from_child`` with the ``outputs`` of the code, ``comms`` (both ways), and
``warden`` (both ways). ``codec`` knows all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
Json: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Attached:
    """Stands in a message for a buffer that travels as a descriptor of shared memory, beside the message's bytes."""

    descriptor: int
    size: int


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What belongs to a process rather than to a namespace, and travels both ways."""

    #: The working directory; "" where it is gone.
    cwd: str
    environ: dict[str, str]
    sys_path: list[str]
    #: The states of random generators, by the name of their module, where that is imported.
    generators: dict[str, Json] = field(default_factory=dict)
    #: matplotlib's backend; "" where matplotlib is not imported, or has not chosen one yet.
    backend: str = ""
