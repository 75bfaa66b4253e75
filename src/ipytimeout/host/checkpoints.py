"""What a run has made safe: kept as it came, rebuilt when the run did not end by itself. In the user's process.

Law of the file: while the code runs nothing is unpickled; of each name only the last pickle is kept; and the values of
one call come back together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from ipytimeout.wire.classes import make_class
from ipytimeout.wire.enums import make_enum
from ipytimeout.wire.messages.from_child import Checkpoint
from ipytimeout.wire.pickling import staged
from ipytimeout.wire.streams import CannotRebuild, Reader, collector_paused, warnings_held
from ipytimeout.wire.table import ObjectTable

#: So many parts a class is made of.
_OF_A_CLASS = make_class.__code__.co_argcount


@dataclass(slots=True)
class Rebuilt:
    """Values that were safe, on new objects; nothing of the notebook has changed yet."""

    values: dict[str, object] = field(default_factory=dict)
    #: What cannot come back, each with its reason.
    left_behind: dict[str, str] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self) -> None:
        #: The message that has the present value of each name, in the order in which they came.
        self._last: dict[str, Checkpoint] = {}

    @property
    def names(self) -> Collection[str]:
        return self._last.keys()

    def take(self, message: Checkpoint) -> None:
        """Keep these values in place of former ones of the same names."""
        for name in message.names:
            self._last.pop(name, None)
            self._last[name] = message

    def rebuild(self, names: Collection[str], namespace: dict[str, object], table: ObjectTable) -> Rebuilt:
        """Unpickle the values of these names; the namespace is not changed."""
        rebuilt = Rebuilt()
        maker = _class_maker()
        for message in {id(message): message for message in self._last.values()}.values():
            wanted = [name for name in message.names if self._last[name] is message and name in names]
            if not wanted:
                continue
            try:
                values = _read(message, namespace, [*table.objects, maker], rebuilt.values)
            except CannotRebuild as error:
                rebuilt.left_behind.update((name, f"its checkpoint cannot be rebuilt: {error}") for name in wanted)
                continue
            rebuilt.values.update((name, values[name]) for name in wanted)
            reason = "the cell changed it; checkpoints bring back values, which use it as it was before"
            rebuilt.left_behind.update((name, reason) for name in message.changed)
        return rebuilt


def _read(
    message: Checkpoint, namespace: dict[str, object], known: list[object], others: dict[str, object]
) -> dict[str, Any]:
    if message.size != len(known) - 1 or len(message.buffers) < 1:
        raise CannotRebuild(None, "the child answered to another namespace")
    with collector_paused(), warnings_held():
        try:
            return _read_once(message, known, lambda name, value: None)
        except CannotRebuild as error:
            if not isinstance(error.__cause__, NameError):
                raise
        # The notebook's code that rebuilds an object needs another name that is only just coming back.
        with staged(namespace) as stage:
            for name, value in others.items():
                stage(name, value)
            return _read_once(message, known, stage)


def _read_once(message: Checkpoint, known: list[object], stage: Callable[[str, object], None]) -> dict[str, Any]:
    reader = Reader(message.buffers[0], message.buffers[1:], known=known)
    values: dict[str, Any] = {}
    for name in message.names:
        values[name] = reader.read(name)
        stage(name, values[name])
    return values


def _class_maker() -> Callable[..., type]:
    """Return what makes the classes of a run, each of them once: two messages may lead to the same."""
    made: dict[int, type] = {}

    def make(*args: Any) -> type:
        *parts, number = args
        if number not in made:
            # An enumeration is made with its members, so of more parts.
            made[number] = make_class(*parts) if len(parts) == _OF_A_CLASS else make_enum(*parts)
        return made[number]

    return make
