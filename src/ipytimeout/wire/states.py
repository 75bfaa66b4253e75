"""Objects that are nothing but a state they can be asked for: streams, generators of random numbers, iterators …

The last facet here, ``Opaque``, is for every type that nothing else is known of: its pickle tells whether it changed,
and its ``__setstate__``, if it has one, puts that back. In both processes.
"""

from __future__ import annotations

import functools
import itertools
import re
import threading
import weakref
from collections.abc import Callable
from typing import Any

from ipytimeout.wire.facets import CannotRestore, Sight, SingleFacet, Swap, Turn

#: Longer than this, an iterator is not advanced in the host one by one.
_MOST_STEPS = 10_000_000


class OwnState(SingleFacet):
    """What ``get`` returns and ``put`` takes."""

    def __init__(
        self, code: str, get: Callable[[Any], Any], put: Callable[[Any, Any], object], turn: Turn = Turn.MIDDLE
    ) -> None:
        self.code = code  # type: ignore[misc]
        self._get = get
        self._put = put
        self._turn = turn

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return self._get(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = self._get(obj)
        return None if same_state(now, before) else (now,)

    def swap(self, obj: Any, delta: Any) -> Swap:
        put = functools.partial(self._put, obj)
        return Swap(functools.partial(put, delta[0]), functools.partial(put, self._get(obj)), self._turn)


def same_state(a: Any, b: Any) -> bool:
    """Compare states that are made of plain data, arrays among it."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_state(value, b[key]) for key, value in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_state, a, b))
    if hasattr(a, "tobytes"):
        return bool(a.tobytes() == b.tobytes())
    return a is b or bool(a == b)


# ---------------------------------------------------------------- streams in memory


def text_state(stream: Any) -> Any:
    return None if stream.closed else stream.__getstate__()[:3]


def bytes_state(stream: Any) -> Any:
    return None if stream.closed else stream.__getstate__()[:2]


def put_stream_state(stream: Any, state: Any) -> None:
    if state is None:
        stream.close()
    else:
        stream.__setstate__((*state, None))


# ---------------------------------------------------------------- numbers


def decimal_state(context: Any) -> Any:
    plain = tuple(getattr(context, name) for name in _DECIMAL)
    return plain, dict(context.flags), dict(context.traps)


def put_decimal_state(context: Any, state: Any) -> None:
    plain, flags, traps = state
    for name, value in zip(_DECIMAL, plain, strict=True):
        setattr(context, name, value)
    context.flags.update(flags)
    context.traps.update(traps)


_DECIMAL = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def put_bits(generator: Any, state: Any) -> None:
    generator.state = state


# ---------------------------------------------------------------- locks


def put_lock(lock: Any, locked: bool) -> None:
    if locked and not lock.locked():
        lock.acquire(blocking=False)
    elif not locked and lock.locked():
        lock.release()


def times_held(lock: Any) -> int:
    """Return how often a lock is held by the thread that may take it again; 0 for any other."""
    if type(lock) is type(threading.Lock()) or not lock._is_owned():
        return 0
    return int(re.search(r"count=(\d+)", repr(lock))[1])  # type: ignore[index]


def hold(lock: Any, count: int) -> None:
    """Let the main thread hold a lock so often; no other has a lock of its own that outlives a cell."""
    if threading.current_thread() is not threading.main_thread():
        return
    for _ in range(times_held(lock), count):
        lock.acquire(blocking=False)
    for _ in range(count, times_held(lock)):
        lock.release()


# ---------------------------------------------------------------- iterators of built-in containers


class Position(SingleFacet):
    """How far an iterator of a built-in container is. The container is an object by itself.

    Most tell the index of the next item; those of dicts and sets travel as one over the list of what was left, and
    those of ranges begin anew at each pickling, so for these what counts is how much is left.
    """

    code = "position"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return _position(obj), obj.__length_hint__()

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = self.snapshot(obj, sight)
        return None if now == before else now

    def swap(self, obj: Any, delta: Any) -> Swap:
        index, left = delta
        if index is None or type(obj) in _RANGES or not hasattr(obj, "__setstate__"):
            return Swap(functools.partial(_advance_to, obj, left), _nothing, Turn.SECOND)
        old = _position(obj)
        undo = _nothing if old is None else functools.partial(obj.__setstate__, old)
        return Swap(functools.partial(obj.__setstate__, index), undo, Turn.SECOND)


_RANGES = (type(iter(range(0))), type(iter(range(1 << 70))))


def _position(iterator: Any) -> int | None:
    """Return the index of the next item; None when the iterator is used up."""
    state = iterator.__reduce__()[2:]
    if state and state[0] is not None:  # None: a range that is just what is left
        return int(state[0])
    return 0 if iterator.__length_hint__() else None


def _advance_to(iterator: Any, left: int) -> None:
    """Take items until so many are left; nothing when another swap did that already."""
    if left:
        _advance(iterator, iterator.__length_hint__() - left)
    else:
        _advance(iterator, None)


def _advance(iterator: Any, steps: int | None) -> None:
    for _ in itertools.islice(iterator, steps):
        continue


def _nothing() -> None:
    return None


class Slice(SingleFacet):
    """How far an ``islice`` is. It cannot be set: it is advanced, and takes along what it goes over.

    Only where that is an iterator of the standard library, which runs no code of the notebook and is put right by
    itself afterwards.
    """

    code = "slice"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return _of_slice(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = _of_slice(obj)
        return None if now == before else (now,)

    def swap(self, obj: Any, delta: Any) -> Swap:
        inner = obj
        while type(inner) is itertools.islice or type(inner) is enumerate:
            inner = inner.__reduce__()[1][0]
        if type(inner) not in ADVANCED:
            raise CannotRestore("what it goes over cannot be set from outside")
        return Swap(functools.partial(_advance_slice, obj, delta[0]), _nothing, Turn.OUTERMOST)


def _of_slice(obj: Any) -> Any:
    """Return where a slice goes on, and how many it has seen; None when it is used up."""
    _, args, *seen = obj.__reduce__()
    return (*args[1:], *seen) if len(args) == 4 and args[1:] != (0, 0, 1) else None


def _advance_slice(obj: Any, to: Any) -> None:
    while (now := _of_slice(obj)) != to and now is not None:
        next(obj, None)


class Tee(SingleFacet):
    """What ``itertools.tee`` remembers for those of its iterators that are behind."""

    code = "tee"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        _, values, further = obj.__reduce__()[1]
        return len(values), further is None

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        return None if self.snapshot(obj, sight) == before else ()

    def swap(self, obj: Any, delta: Any) -> Swap:
        raise CannotRestore("an iterator of itertools.tee that went on cannot be set from outside")


class Steps(SingleFacet):
    """How far an iterator is that tells it by a number in its pickle: ``itertools.count``, ``repeat``, ``enumerate``.

    It cannot be set, only advanced. What it iterates over is put right afterwards, by itself.
    """

    code = "steps"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return _counter(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = _counter(obj)
        return None if now == before else (before, now)

    def swap(self, obj: Any, delta: Any) -> Swap:
        before, now = delta
        args: Any = obj.__reduce__()[1]
        step = args[1] if type(obj) is itertools.count and len(args) > 1 else 1
        steps = abs(now - before) / abs(step) if step else 0
        if steps != int(steps) or steps > _MOST_STEPS:
            raise CannotRestore(f"it was advanced by {steps:g} steps")
        if type(obj) is enumerate and not hasattr(args[0], "__length_hint__"):
            raise CannotRestore("what it iterates over cannot be set")
        return Swap(functools.partial(_advance_by, obj, now, step), _nothing, Turn.FIRST)


def _advance_by(iterator: Any, to: Any, step: Any) -> None:
    """Advance as far as is left: a slice of this one may have taken it along."""
    _advance(iterator, round(abs(to - _counter(iterator)) / abs(step)) if step else 0)


def _counter(iterator: Any) -> Any:
    args = iterator.__reduce__()[1]
    match iterator:
        case itertools.count():
            return args[0]
        case itertools.repeat():
            return args[1] if len(args) > 1 else 0
        case _:
            return args[1]


#: What a slice, or a reader, may be over: iterators that run no code of the notebook, and are put right by themselves.
ADVANCED = frozenset(
    (
        *(*_RANGES, type(iter([])), type(iter(())), type(iter("")), type(iter("é")), type(iter(b"")), type(iter({}))),
        *(type(iter({}.values())), type(iter({}.items())), type(iter(set())), type(reversed([]))),
        *(itertools.count, itertools.repeat),
    )
)


# ---------------------------------------------------------------- weak collections


class WeakItems(SingleFacet):
    """The live entries of a weak collection. The snapshot holds none of them."""

    code = "weak"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return [tuple(map(id, entry)) for entry in _entries(obj)]

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = _entries(obj)
        return None if sorted(tuple(map(id, entry)) for entry in now) == sorted(before) else now

    def swap(self, obj: Any, delta: Any) -> Swap:
        return Swap(functools.partial(_put_entries, obj, delta), functools.partial(_put_entries, obj, _entries(obj)))


def _entries(obj: Any) -> list[tuple[Any, ...]]:
    return [(item,) for item in obj] if isinstance(obj, weakref.WeakSet) else list(obj.items())


def _put_entries(obj: Any, entries: list[tuple[Any, ...]]) -> None:
    obj.clear()
    obj.update([entry[0] for entry in entries] if isinstance(obj, weakref.WeakSet) else entries)


# ---------------------------------------------------------------- everything else


class Opaque(SingleFacet):
    """What only the type itself knows: seen by its pickle, put back by its ``__setstate__``."""

    code = "opaque"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return sight.state_fingerprint(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        if before is None or sight.state_fingerprint(obj) == before:
            return None
        return (own_state(obj),)

    def swap(self, obj: Any, delta: Any) -> Swap:
        return state_swap(obj, delta[0])


def state_swap(obj: Any, state: Any) -> Swap:
    """Let an object take a state as it does when it is unpickled."""
    if state is None or not hasattr(obj, "__setstate__"):
        raise CannotRestore(f"a {type(obj).__name__} object cannot be changed in place from outside")
    undo = functools.partial(obj.__setstate__, own_state(obj))
    return Swap(functools.partial(obj.__setstate__, state), undo)


def own_state(obj: Any) -> Any:
    """Return the state part of what an object gives to pickle, if it has one."""
    reduced = obj.__reduce_ex__(5)
    return reduced[2] if isinstance(reduced, tuple) and len(reduced) > 2 else None
