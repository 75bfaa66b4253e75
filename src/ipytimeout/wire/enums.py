"""Enumerations of the notebook, by value. In both processes.

The members of an enumeration are made with it, and cannot be put into it later. So they are made by ``enum`` itself, of
what they are, under all their names; neither the ``__new__`` nor the ``__init__`` of the notebook runs once more. What
each member has beside its value follows, with the rest of the class.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ipytimeout.wire import classes
from ipytimeout.wire.facets import Sight, SingleFacet, Swap, same_items

#: What ``enum`` finds out by itself while it makes the class.
_OF_MEMBERS = frozenset(
    (
        *("_member_names_", "_member_map_", "_member_type_", "_value2member_map_"),
        *("_unhashable_values_", "_unhashable_values_map_", "_hashable_values_"),
    )
)
#: Of these a member is made as a plain one of its kind: how to get that, past what ``enum`` has put there.
_DATA: dict[type, Callable[[Any], object]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    str: str.__str__,
    bytes: bytes.__bytes__,
    tuple: lambda member: tuple(tuple.__iter__(member)),
}


def reduce_enum(cls: Any) -> Any:
    members = [(name, each._value_, _data_of(each)) for name, each in cls.__members__.items()]
    birth = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    args = (type(cls), cls.__name__, cls.__bases__, birth, members, getattr(cls, "_boundary_", None))
    attributes = {
        name: value
        for name, value in classes.class_attributes(cls).items()
        if name not in _OF_MEMBERS and name not in cls.__members__
    }
    own = {each._name_: dict(vars(each)) for each in cls.__members__.values()}
    return make_enum, args, (attributes, own, classes.registered(cls)), None, None, set_enum_state


def _data_of(member: Any) -> tuple[Any, ...]:
    """Return what makes an instance of the kind of data that the members are too, a number or a date say."""
    for kind, plain in _DATA.items():
        if isinstance(member, kind):
            return (plain(member),)
    value = member._value_
    if isinstance(value, member._member_type_) and member._member_type_ is not object:
        reduced = value.__reduce_ex__(5)
        if reduced[0] is type(value) and len(reduced) == 2:
            return tuple(reduced[1])
    return value if type(value) is tuple else (value,)


class _Member:
    """Stands for the value of a member while the class is made."""

    def __init__(self, value: object, data: tuple[Any, ...]) -> None:
        self.value = value
        self.data = data


def make_enum(
    meta: Any,
    name: str,
    bases: tuple[type, ...],
    birth: dict[str, Any],
    members: list[tuple[str, Any, tuple[Any, ...]]],
    boundary: Any,
) -> type:
    """Make the class with its members, without the notebook's own ``__new__``, ``__init__`` and hooks."""
    maker = next(m for m in meta.__mro__ if not classes.is_by_value(m))
    body = maker.__prepare__(name, bases)
    body.update(birth)
    body["__new__"], body["__init__"] = _new_member, _leave_as_it_is
    for member, value, data in members:
        body[member] = _Member(value, data)
    with classes.hooks_muted(bases):
        made: type = maker.__new__(meta, name, bases, body, boundary=boundary)
    return made


def _new_member(cls: Any, made_of: _Member) -> Any:
    kind = cls._member_type_
    # Without a way of their own, all that they are is in their attributes.
    member = object.__new__(cls) if kind.__new__ is object.__new__ else kind.__new__(cls, *made_of.data)
    member._value_ = made_of.value
    return member


def _leave_as_it_is(self: object, *args: object) -> None:
    return None


def set_enum_state(cls: Any, state: tuple[dict[str, Any], dict[str, dict[str, Any]], list[type]]) -> None:
    attributes, own, registered = state
    for name in ("__new__", "__init__", "__new_member__", "_new_member_"):
        if name in vars(cls) and name not in attributes:
            type.__delattr__(cls, name)
    classes.set_class_state(cls, (attributes, registered))
    for name, values in own.items():
        vars(cls._member_map_[name]).update(values)


class MemberAttributes(SingleFacet):
    """What the members of an enumeration have beside their values. They are in no table: their class makes them."""

    code = "members"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        if not classes.is_by_value(obj):
            return {}
        return {name: dict(vars(member)) for name, member in obj.__members__.items()}

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        changed = {name: now for name, now in self.snapshot(obj, sight).items() if not _same(now, before.get(name, {}))}
        return changed or None

    def swap(self, obj: Any, delta: Any) -> Swap:
        old = {name: dict(vars(obj.__members__[name])) for name in delta}
        return Swap(functools.partial(_put, obj, delta), functools.partial(_put, obj, old))


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and same_items(one.values(), other.values())


def _put(cls: Any, attributes: dict[str, dict[str, Any]]) -> None:
    for name, values in attributes.items():
        own = vars(cls._member_map_[name])
        own.clear()
        own.update(values)
