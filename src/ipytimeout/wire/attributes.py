"""Attributes, slots, class bodies, cells, functions and exceptions, as facets. In both processes.

Descriptors of slots and ``type.__setattr__`` are called, never a ``__setattr__`` of the notebook.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ipytimeout.wire import classes
from ipytimeout.wire.containers import look_at_dicts, same_dict
from ipytimeout.wire.facets import MISSING, Facet, Sight, SingleFacet, Swap
from ipytimeout.wire.libraries import users_modules
from ipytimeout.wire.modules import data_of
from ipytimeout.wire.notes import Notes, OneClass, Rows, Seen
from ipytimeout.wire.raised import exception_members
from ipytimeout.wire.reducers import has_usual_access
from ipytimeout.wire.states import own_state, state_swap

_HEAP_TYPE = 1 << 9


class Attributes(Facet):
    """The ``__dict__`` of an object. Classes that pickle in the usual way: each value is the host's own."""

    code = "attributes"

    def note(self, objs: Sequence[Any], sight: Sight) -> Notes:
        return Rows(objs, _look_at_attributes)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        keys, values = before
        now = obj.__dict__
        if same_dict(keys, values, now):
            return None
        return _attribute_delta(dict(zip(keys, values, strict=True)), now, in_order=True)

    def swap(self, obj: Any, delta: Any) -> Swap:
        return attribute_swap(obj, delta)


def _look_at_attributes(objs: Sequence[Any]) -> Seen:
    return look_at_dicts(list(map(operator.attrgetter("__dict__"), objs)))


class OwnedAttributes(SingleFacet):
    """The ``__dict__`` of an object that pickles in a way of its own.

    What such an object holds need not be the host's: ``__getstate__`` may have copied it, ``__setstate__`` may have
    made it anew. Nobody else watches these values, so they are compared by their pickle, and sent whole. Where one has
    no pickle of its own (what a polars frame holds), the state of the whole object tells, and is put back by its
    ``__setstate__``.
    """

    def __init__(
        self, code: str = "owned", unseen: frozenset[str] = frozenset(), stale: frozenset[str] = frozenset()
    ) -> None:
        self.code = code  # type: ignore[misc]
        #: Caches and the like, that an object makes again when it needs them.
        self._unseen = unseen
        #: Those of them that are wrong once the object has changed.
        self._stale = stale

    def _seen(self, obj: Any) -> dict[str, Any]:
        return {name: value for name, value in obj.__dict__.items() if name not in self._unseen}

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        now = self._seen(obj)
        owned = {name: sight.fingerprint(value) for name, value in now.items() if not sight.shared(value)}
        whole = hasattr(obj, "__setstate__") and None in owned.values()
        return now, owned, sight.state_fingerprint(obj) if whole else None

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        values, owned, whole = before
        if whole is not None:
            return None if sight.state_fingerprint(obj) == whole else (own_state(obj),)
        now = self._seen(obj)
        delta = _attribute_delta(values, now, in_order=False)
        for name, seen in owned.items():
            if name in now and name not in delta[0] and sight.fingerprint(now[name]) != seen:
                delta[0][name] = now[name]
        return delta if delta[0] or delta[1] else None

    def swap(self, obj: Any, delta: Any) -> Swap:
        if len(delta) == 1:
            return state_swap(obj, delta[0])
        return attribute_swap(obj, delta, self._stale)


def _attribute_delta(before: dict[str, Any], now: dict[str, Any], in_order: bool) -> Any:
    """Return (what is set, what is deleted, the order of all names where setting and deleting would not give it)."""
    changed = {name: value for name, value in now.items() if before.get(name, MISSING) is not value}
    deleted = [name for name in before if name not in now]
    kept = [name for name in before if name in now]
    order = list(now) if in_order and [*kept, *(n for n in now if n not in before)] != list(now) else None
    return changed, deleted, order


def attribute_swap(obj: Any, delta: Any, stale: frozenset[str] = frozenset()) -> Swap:
    changed, deleted, order = delta
    attributes = obj.__dict__
    old = dict(attributes)
    new = {name: value for name, value in old.items() if name not in deleted and name not in stale} | changed
    if order is not None:
        new = {name: new[name] for name in order if name in new}

    def put(values: dict[str, Any]) -> Callable[[], None]:
        def put_attributes() -> None:
            dict.clear(attributes)
            dict.update(attributes, values)

        return put_attributes

    return Swap(put(new), put(old))


class Slots(Facet):
    """The slots of an object, set and empty, whatever its class makes of attribute access."""

    code = "slots"

    def __init__(self) -> None:
        #: In the child only, where classes of the notebook need not go away.
        self._known: dict[type, tuple[Any, ...]] = {}

    def _slots(self, cls: type) -> tuple[Any, ...]:
        try:
            return self._known[cls]
        except KeyError:
            slots = self._known[cls] = slots_of(cls)
            return slots

    def note(self, objs: Sequence[Any], sight: Sight) -> Notes:
        return SlotColumns(objs, self._slots(type(objs[0])), sight)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        values, owned = before
        now = _slot_values(obj, self._slots(type(obj)))
        changed = {}
        for i, (value, old) in enumerate(zip(now, values, strict=True)):
            if value is not old or (i in owned and sight.fingerprint(value) != owned[i]):
                changed[i] = () if value is MISSING else (value,)
        return changed or None

    def swap(self, obj: Any, delta: Any) -> Swap:
        old = _slot_values(obj, slots_of(type(obj)))
        new = {i: value[0] if value else MISSING for i, value in delta.items()}
        return Swap(_put_slots(obj, new), _put_slots(obj, {i: old[i] for i in delta}))


class SlotColumns(Notes):
    """What each slot of some objects holds, and the fingerprints of what nobody else watches."""

    def __init__(self, objs: Sequence[Any], slots: tuple[Any, ...], sight: Sight) -> None:
        self._cls = type(objs[0])
        self._slots = slots
        self._columns = [_slot_column(objs, self._cls, slot) for slot in slots]
        self._owned: dict[int, dict[int, object]] = {}
        for i, column in enumerate(self._columns):
            for index in sight.unshared(column):
                seen = sight.fingerprint(column[index])
                if seen is not None:
                    self._owned.setdefault(index, {})[i] = seen

    def suspects(self, objs: Sequence[Any]) -> Iterable[int]:
        if any(map(operator.is_not, map(type, objs), itertools.repeat(self._cls))):
            return range(len(objs))  # some have a class now that may have other slots
        found = set(self._owned)
        for slot, before in zip(self._slots, self._columns, strict=True):
            moved = map(operator.is_not, before, _slot_column(objs, self._cls, slot))
            found.update(itertools.compress(itertools.count(), moved))
        return sorted(found)

    def before(self, index: int) -> Any:
        return [column[index] for column in self._columns], self._owned.get(index, {})


def _slot_column(objs: Sequence[Any], cls: type, slot: Any) -> list[Any]:
    name = slot.__name__
    found: Any = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    if found is slot and has_usual_access(cls) and not hasattr(cls, "__getattr__"):
        # The ordinary way gives the same, and an empty slot is no error.
        return list(map(getattr, objs, itertools.repeat(name), itertools.repeat(MISSING)))
    return [_slot_values(obj, (slot,))[0] for obj in objs]


def _put_slots(obj: Any, values: dict[int, Any]) -> Callable[[], None]:
    slots = slots_of(type(obj))

    def put() -> None:
        for i, value in values.items():
            if value is not MISSING:
                slots[i].__set__(obj, value)
            else:
                with contextlib.suppress(AttributeError):
                    slots[i].__delete__(obj)

    return put


def slots_of(cls: type) -> tuple[Any, ...]:
    """Return the descriptors of all slots that Python classes of the method resolution order define."""
    return tuple(
        member
        for base in reversed(cls.__mro__)
        if base.__flags__ & _HEAP_TYPE and "__slots__" in vars(base)
        for name, member in vars(base).items()
        if isinstance(member, types.MemberDescriptorType) and member.__objclass__ is base and name != _HASH
    )


#: Where sympy remembers the hash of an expression: another process has another one.
_HASH = "_mhash"


def _slot_values(obj: Any, slots: tuple[Any, ...]) -> list[Any]:
    values = []
    for slot in slots:
        try:
            values.append(slot.__get__(obj))
        except AttributeError:
            values.append(MISSING)
    return values


class Parts(SingleFacet):
    """Attributes that are in no ``__dict__``: what a function or a defaultdict is made of."""

    def __init__(self, code: str, *names: str) -> None:
        self.code = code  # type: ignore[misc]
        self._names = names

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return [getattr(obj, name) for name in self._names]

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = self.snapshot(obj, sight)
        return {n: v for n, v, old in zip(self._names, now, before, strict=True) if v is not old} or None

    def swap(self, obj: Any, delta: Any) -> Swap:
        return Swap(_put_parts(obj, delta), _put_parts(obj, {name: getattr(obj, name) for name in delta}))


def _put_parts(obj: Any, values: dict[str, Any]) -> Callable[[], None]:
    def put() -> None:
        for name, value in values.items():
            setattr(obj, name, value)

    return put


class Contents(SingleFacet):
    """What a closure's cell holds."""

    code = "cell"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return _contents(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = _contents(obj)
        if now is before:
            return None
        return () if now is MISSING else (now,)

    def swap(self, obj: Any, delta: Any) -> Swap:
        return Swap(self._put(obj, delta[0] if delta else MISSING), self._put(obj, _contents(obj)))

    def _put(self, cell: types.CellType, value: Any) -> Callable[[], None]:
        def put() -> None:
            if value is not MISSING:
                cell.cell_contents = value
            elif _contents(cell) is not MISSING:
                del cell.cell_contents

        return put


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


class ClassBody(SingleFacet):
    """The attributes of a class of the notebook, set and deleted, and its bases."""

    code = "class"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        if classes.is_by_value(obj):
            return classes.class_attributes(obj), obj.__bases__
        # Of a class in a module of the user's own, its data.
        return (data_of(obj), obj.__bases__) if obj.__module__ in users_modules() else None

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        if before is None:
            return None
        attributes, bases = before
        now = classes.class_attributes(obj) if classes.is_by_value(obj) else data_of(obj)
        changed = {name: value for name, value in now.items() if attributes.get(name, MISSING) is not value}
        deleted = [name for name in attributes if name not in now]
        new_bases = None if obj.__bases__ == bases else obj.__bases__
        return (changed, deleted, new_bases) if changed or deleted or new_bases else None

    def swap(self, obj: Any, delta: Any) -> Swap:
        changed, deleted, bases = delta
        old = {name: vars(obj).get(name, MISSING) for name in (*changed, *deleted)}
        new = {**changed, **dict.fromkeys(deleted, MISSING)}
        old_bases = obj.__bases__ if bases is not None else None
        return Swap(self._put(obj, new, bases), self._put(obj, old, old_bases))

    def _put(self, cls: type, values: dict[str, Any], bases: tuple[type, ...] | None) -> Callable[[], None]:
        def put() -> None:
            if bases is not None:
                cls.__bases__ = bases
            for name, value in values.items():
                if value is not MISSING:
                    classes.set_attribute(cls, name, value)
                elif name in vars(cls):
                    type.__delattr__(cls, name)

        return put


class Raised(SingleFacet):
    """What an exception carries: its arguments, its cause and context, what its built-in class keeps."""

    code = "exception"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return self._parts(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        return {n: v for n, v in self._parts(obj).items() if v is not before.get(n, MISSING)} or None

    def swap(self, obj: Any, delta: Any) -> Swap:
        old = self._parts(obj)
        return Swap(self._put(obj, delta), self._put(obj, {name: old.get(name) for name in delta}))

    def _parts(self, error: BaseException) -> dict[str, Any]:
        return {
            "args": error.args,
            "__cause__": error.__cause__,
            "__context__": error.__context__,
            # Setting the cause sets this too, so it comes after it.
            "__suppress_context__": error.__suppress_context__,
            "__traceback__": error.__traceback__,
            **exception_members(error),
        }

    def _put(self, error: BaseException, values: dict[str, Any]) -> Callable[[], None]:
        def put() -> None:
            for name, value in values.items():
                with contextlib.suppress(AttributeError, TypeError):  # read-only: args hold it
                    setattr(error, name, value)

        return put


class Kind(Facet):
    """The class of an object, when the code assigns ``__class__``."""

    code = "kind"

    def note(self, objs: Sequence[Any], sight: Sight) -> Notes:
        return OneClass(type(objs[0]))

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        return None if type(obj) is before else (type(obj),)

    def swap(self, obj: Any, delta: Any) -> Swap:
        put = functools.partial(object.__setattr__, obj, "__class__")
        return Swap(functools.partial(put, delta[0]), functools.partial(put, type(obj)))
