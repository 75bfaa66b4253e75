"""The parts of an object's state, and how a change of one is put back. Vocabulary of ``kinds``; in both processes.

An object's state is made of one or more *facets*: a ``Counter`` with an attribute has its items and its ``__dict__``.
For each facet the child notes what all objects of a class hold before the run (``notes``), and compares it by
identity afterwards; what changed travels as a delta; the host turns it into a ``Swap``.

Law of the facets: a note never calls the notebook's code, and neither does a swap: everything with a user's
``__hash__``, ``__eq__`` or ``__setattr__`` in it happens while the delta is unpickled or prepared, on new objects.
"""

from __future__ import annotations

import enum
import hashlib
import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from ipytimeout.wire import memory
from ipytimeout.wire.notes import Each, Notes

#: "There is nothing", where None is something.
MISSING: Any = object()
#: Above this size a snapshot keeps a digest and not a copy.
_DIGEST_FROM = 4096


class CannotRestore(Exception):
    """This change cannot be put back in place; the text says why, in plain words."""


class Turn(enum.IntEnum):
    """When a swap has its turn."""

    #: Slices of iterators, whatever those are.
    OUTERMOST = -1
    #: Iterators over iterators, which take those along.
    FIRST = 0
    #: Iterators over containers, which must not have changed yet.
    SECOND = 1
    MIDDLE = 2
    #: Writes that cannot fail, and so need no way back: the content of arrays.
    LAST = 3


@dataclass(frozen=True, slots=True)
class Swap:
    """One change of one object of the host: how it is made and how it is unmade. Neither runs the notebook's code."""

    do: Callable[[], object]
    undo: Callable[[], object]
    turn: Turn = Turn.MIDDLE


class Sight(Protocol):
    """What a facet may ask about the table while it looks at an object. The child's side has one."""

    def shared(self, obj: object) -> bool:
        """Whether the host has this very object: then it is watched by itself."""

    def unshared(self, objs: Sequence[object]) -> Iterable[int]:
        """Return which of these objects the host has not."""

    def fingerprint(self, obj: object) -> object:
        """Return something equal as long as nothing changes in an object that only its owner has; None: unknown."""

    def state_fingerprint(self, obj: object) -> object:
        """The same for what an object gives to pickle, down to the objects that the host has."""


class Facet(ABC):
    """One part of an object's state."""

    #: How a delta names its facet.
    code: ClassVar[str]

    @abstractmethod
    def note(self, objs: Sequence[Any], sight: Sight) -> Notes:
        """Note what these objects, all of one class, are now. Called in the child before the code runs."""

    @abstractmethod
    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        """Return what changed since, to be pickled, or None. Called in the child after the code ran.

        ``before`` is what the notes tell of this object.
        """

    @abstractmethod
    def swap(self, obj: Any, delta: Any) -> Swap:
        """Prepare to put the change into the host's object. Called in the host; may raise CannotRestore."""


class SingleFacet(Facet):
    """A facet of objects that a namespace has few of: each is looked at by itself."""

    def note(self, objs: Sequence[Any], sight: Sight) -> Notes:
        return Each([self.snapshot(obj, sight) for obj in objs])

    @abstractmethod
    def snapshot(self, obj: Any, sight: Sight) -> Any:
        """Return what ``delta`` compares with."""


def same_items(a: Iterable[object], b: Iterable[object]) -> bool:
    """Whether two sequences of the same length hold the very same objects."""
    return all(map(operator.is_, a, b))


@dataclass(frozen=True, slots=True)
class Untouched:
    """Stands for memory of a mapping into which nothing was written yet: the kernel tells what is."""

    address: int
    size: int
    #: As long as the mapping is held, nothing else can be at this address.
    holder: object = field(compare=False)

    def written(self) -> list[tuple[int, int]] | None:
        """Return the parts that were written since, as (offset, length); None when that is not known any more."""
        return memory.written(self.address, self.size)


def fingerprint(data: Any) -> object:
    """Return something to compare the content of a buffer with later.

    That is where it is, when it is mapped and untouched; else a copy of a small one, a digest of a large one:
    SHA-256 in hardware (0.6 s/GiB) is faster than a copy into fresh memory, and needs none.
    """
    view = memoryview(data)
    if view.nbytes < _DIGEST_FROM:
        return bytes(view)
    numpy = sys.modules.get("numpy")
    if numpy is not None and view.nbytes >= memory.THRESHOLD and view.c_contiguous:
        address = int(numpy.frombuffer(view, "u1").__array_interface__["data"][0])
        if memory.written(address, view.nbytes) == []:
            return Untouched(address, view.nbytes, view)
    return hashlib.sha256(view).digest()
