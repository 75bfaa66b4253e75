"""Changes → the namespace, all or nothing. In the user's process, in the thread that runs the cell.

``prepare`` does everything that can fail or run the notebook's code: it unpickles, on new objects, and makes a list
of swaps. ``apply`` only swaps: slots of built-in objects, then names.

Law of the file: until ``apply`` nothing of the notebook has changed; after it, everything has, or nothing.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from ipytimeout.wire import kinds
from ipytimeout.wire.adapters import Delta
from ipytimeout.wire.adapters.packing import ITEM, as_delta
from ipytimeout.wire.facets import Swap, Turn
from ipytimeout.wire.messages import Buffer
from ipytimeout.wire.modules import MODULES, put
from ipytimeout.wire.pickling import CHANGES, EXCEPTION, RESULT, staged
from ipytimeout.wire.streams import FAULTS, CannotRebuild, Reader, collector_paused, plain_reason, warnings_held
from ipytimeout.wire.table import ObjectTable

__all__ = ["CannotRebuild", "Commit", "prepare"]


class Commit:
    """Everything a run leaves, rebuilt and ready to be put in place.

    ``left_behind`` names what cannot be restored in place, each with its reason; it is complete after ``prepare``.
    """

    def __init__(self, namespace: dict[str, object]) -> None:
        self._namespace = namespace
        self._swaps: list[Swap] = []
        #: The same, for each object by its number.
        self._of: dict[int, list[Swap]] = {}
        self._names: dict[str, object] = {}
        self._deleted: list[str] = []
        self.has_result = False
        self.result: object = None
        self.exception: BaseException | None = None
        #: Why there is no ``exception`` although the code raised one; "" otherwise.
        self.exception_reason = ""
        self.left_behind: dict[str, str] = {}
        #: What the run has set in its process, beside names.
        self.settings: Delta = {}, []

    def bind(self, values: Mapping[str, object]) -> None:
        """Bind these names too, in place of what was prepared for them."""
        self._names.update(values)
        self._deleted = [name for name in self._deleted if name not in values]

    def spare(self, names: Collection[str] = (), objects: Collection[int] = ()) -> None:
        """Leave these names, and these objects by their numbers, as they are here."""
        for name in names:
            self._names.pop(name, None)
        self._deleted = [name for name in self._deleted if name not in names]
        spared = {id(swap) for number in objects for swap in self._of.pop(number, ())}
        self._swaps = [swap for swap in self._swaps if id(swap) not in spared]

    @property
    def objects(self) -> list[int]:
        """The numbers of the objects that are changed in place."""
        return list(self._of)

    @property
    def changed(self) -> int:
        """How many changes in place there are."""
        return len(self._swaps)

    @property
    def names(self) -> list[str]:
        """The names that are bound or deleted."""
        return [*self._names, *self._deleted]

    def apply(self) -> None:
        """Put everything in place. An interrupt waits until it is done; an error undoes what was done."""
        namespace = self._namespace
        missing: Any = object()
        # Whatever is replaced lives until the end: no __del__ of the notebook runs in between.
        old = {name: namespace.get(name, missing) for name in self.names}
        with interrupts_held(), collector_paused(), warnings_held():
            done = 0
            try:
                for swap in self._swaps:
                    done += 1
                    swap.do()
                namespace.update(self._names)
                for name in self._deleted:
                    namespace.pop(name, None)
            except BaseException:
                for swap in reversed(self._swaps[:done]):
                    with contextlib.suppress(Exception):
                        swap.undo()
                for name, value in old.items():
                    if value is missing:
                        namespace.pop(name, None)
                    else:
                        namespace[name] = value
                raise
        self._swaps.clear()
        self._of.clear()


def prepare(buffers: Sequence[Buffer], namespace: dict[str, object], table: ObjectTable) -> Commit:
    """Rebuild what ``child.changes`` collected. The namespace and its objects are not changed yet.

    Raises:
        CannotRebuild: A part cannot be unpickled here. Ask the child again, with ``Resend(without={name: reason})``
            and the ``name`` and ``reason`` of the error, added to those of earlier tries.
    """
    size, names, deleted, refusal = pickle.loads(buffers[0])
    known = table.objects if names else []
    if names and size != len(known):
        raise CannotRebuild(None, "the child answered to another namespace")
    with collector_paused(), warnings_held():
        try:
            parts = _read(buffers, known, names)
        except CannotRebuild as error:
            if not isinstance(error.__cause__, NameError):
                raise
            # The notebook's code that rebuilds an object needs another name that is only just coming back.
            with staged(namespace) as stage:
                parts = _read(buffers, known, names, stage)
        commit = Commit(namespace)
        commit._deleted = [name for name in deleted if not name.startswith(ITEM)]
        items = {name: value for name, value in parts.items() if name.startswith(ITEM)}
        commit.settings = as_delta(items, [name for name in deleted if name.startswith(ITEM)])
        commit.exception_reason = refusal
        for name, value in parts.items():
            if name.startswith(CHANGES):
                for number, deltas in value:
                    _prepare_object(commit, number, table.objects[number], deltas)
            elif name.startswith(MODULES):
                commit._swaps += [Swap(functools.partial(put, obj, state), int, Turn.FIRST) for obj, state in value]
            elif name == RESULT:
                commit.has_result, commit.result = True, value
            elif name == EXCEPTION:
                commit.exception = value
            elif name not in items:
                commit._names[name] = value
    commit._swaps.sort(key=lambda swap: swap.turn)
    return commit


def _read(
    buffers: Sequence[Buffer],
    known: Sequence[object],
    names: list[str],
    stage: Callable[[str, object], None] = lambda name, value: None,
) -> dict[str, Any]:
    reader = Reader(buffers[1], buffers[2:], known=known)
    parts: dict[str, Any] = {}
    for name in names:
        parts[name] = reader.read(name)
        if not name.startswith("\0"):
            stage(name, parts[name])
    reader.close()
    return parts


def _prepare_object(commit: Commit, number: int, obj: Any, deltas: list[tuple[str, object]]) -> None:
    swaps: list[Swap] = []
    try:
        for code, delta in deltas:
            swaps.append(kinds.FACETS[code].swap(obj, delta))
    except FAULTS as error:
        commit.left_behind[kinds.describe(obj, commit._namespace)] = plain_reason(error)
    else:
        commit._swaps += swaps
        commit._of[number] = swaps


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Let an interrupt wait until the block is done.

    A signal mask would not do: it is a thread's own, and in a kernel another thread takes the signal, whose handler
    then runs in the main thread all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda signum, frame: came.append(signum))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)
        if came:
            signal.raise_signal(signal.SIGINT)
