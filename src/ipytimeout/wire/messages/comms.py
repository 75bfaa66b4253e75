"""What child and front end say to each other on comms, by way of the host. Pure data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ipytimeout.wire.messages import Buffer, Json


@dataclass(frozen=True, slots=True)
class CommOpen:
    """The code opens a comm: a widget, mostly. As Jupyter's message of this name."""

    comm_id: str
    target_name: str
    target_module: str | None
    data: dict[str, Json]
    metadata: dict[str, Json]
    buffers: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True)
class CommMsg:
    """A message on a comm, in either direction."""

    comm_id: str
    data: dict[str, Json]
    metadata: dict[str, Json]
    #: The id of the front end's message that this is, or to which it is said; "" when the code says it by itself.
    request: str
    buffers: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True)
class CommClose:
    """The code closes a comm."""

    comm_id: str
    data: dict[str, Json]
    metadata: dict[str, Json]
    #: The id of the front end's message to which it is done; "" when the code does it by itself.
    request: str = ""
    buffers: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True)
class CommTaken:
    """The child has a widget of the notebook, and speaks on its comm too from now on."""

    comm_id: str


@dataclass(frozen=True, slots=True)
class CommHandled:
    """The callbacks for a message of the front end have run."""

    request: str


Comm: TypeAlias = CommOpen | CommMsg | CommClose | CommTaken | CommHandled
