"""Instances of classes that have ways of their own, made bare and filled past these. In both processes.

A dict that logs what is put into it, a list that is full, a tuple that takes two arguments, a class that leaves
something out of its pickles: natively an object stays what it is from cell to cell, and none of that code runs. So
it does not run on the way to another process either.

Law of the file: what is read and written here is the built-in part, the attributes and the slots; no method of the
notebook is called.
"""

from __future__ import annotations

import collections
import copyreg
import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ipytimeout.wire import classes

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: By which methods instances are taken apart and put together, beside those of the built-in kinds.
HOOKS = ("__reduce_ex__", "__reduce__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")

#: Kinds whose items are put in one by one: the items, and how a bare instance takes them.
_FILLED: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    collections.OrderedDict: (
        lambda obj: list(collections.OrderedDict.items(obj)),
        lambda obj, items: [collections.OrderedDict.__setitem__(obj, *item) for item in items],
    ),
    collections.defaultdict: (
        lambda obj: (obj.default_factory, list(dict.items(obj))),
        lambda obj, state: collections.defaultdict.__init__(obj, *state),
    ),
    collections.deque: (
        lambda obj: (list(collections.deque.__iter__(obj)), obj.maxlen),
        lambda obj, state: collections.deque.__init__(obj, *state),
    ),
    dict: (lambda obj: list(dict.items(obj)), dict.update),
    list: (lambda obj: list(list.__iter__(obj)), list.extend),
    set: (lambda obj: list(set.__iter__(obj)), set.update),
}
#: Kinds that are what they were made of: that, as a plain one.
_VALUES: dict[type, Callable[[Any], Any]] = {
    tuple: lambda obj: tuple(tuple.__iter__(obj)),
    str: str.__str__,
    bytes: bytes.__bytes__,
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    frozenset: lambda obj: frozenset(list(frozenset.__iter__(obj))),
}
#: Methods by which pickle would put an instance of one of these together.
_USED = {
    dict: ("__new__", "__init__", "__setitem__", "items", "update"),
    list: ("__new__", "__init__", "__iter__", "append", "extend"),
    set: ("__new__", "__init__", "__iter__", "update"),
    collections.deque: ("__new__", "__init__", "__iter__", "append", "extend"),
}
_OF_VALUES = ("__new__", "__init__", "__iter__")


def find(cls: type) -> Callable[[Any, NamespacePickler], Any] | None:
    """Return the reducer for instances of this class, or None where they have no way of their own."""
    if issubclass(cls, enum.Enum):
        return None  # a member is its class's own, whatever else it is
    if cls.__base__ is object:
        return _past_hooks if _only_hooks_of_the_notebook(cls) else None
    for kind in (*_FILLED, *_VALUES):
        if issubclass(cls, kind):
            return _reducer(cls, kind)
    return _past_hooks if _only_hooks_of_the_notebook(cls) else None


def _reducer(cls: type, kind: type) -> Callable[[Any, NamespacePickler], Any] | None:
    own = cls.__mro__[: cls.__mro__.index(kind)]
    if not own or any(name in vars(base) for base in own for name in HOOKS if not _is_of_named_tuples(base)):
        return None
    used = next((names for of, names in _USED.items() if issubclass(kind, of)), _OF_VALUES)
    if not any(name in vars(base) for base in own for name in used if not _is_of_named_tuples(base)):
        return None
    if not (cls.__module__ == "__main__" or _overrides_items(own)):
        return None
    if kind in _VALUES:
        plain = _VALUES[kind]
        return lambda obj, pickler: (make_value, (cls, kind, plain(obj)), _state(obj), None, None, set_attributes)
    items = _FILLED[kind][0]
    return lambda obj, pickler: (make_bare, (cls, kind), (kind, _state(obj), items(obj)), None, None, fill)


def _is_of_named_tuples(base: type) -> bool:
    return "_fields" in vars(base)


def _overrides_items(own: tuple[type, ...]) -> bool:
    """A library's dict whose items are elsewhere, as those of scipy's sparse arrays are."""
    return any("items" in vars(base) for base in own)


def _state(obj: Any) -> Any:
    return object.__getstate__(obj)


def make_value(cls: Any, kind: Any, plain: Any) -> Any:
    return kind.__new__(cls, plain)


def make_bare(cls: Any, kind: Any) -> Any:
    return kind.__new__(cls)


def fill(obj: Any, state: tuple[Any, Any, Any]) -> None:
    kind, own, items = state
    set_attributes(obj, own)
    _FILLED[kind][1](obj, items)


def set_attributes(obj: Any, state: Any) -> None:
    """Set attributes and slots, past a ``__setattr__`` that needs what is not there yet."""
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        object.__setattr__(obj, "__dict__", attributes)
    for name, value in (slots or {}).items():
        object.__setattr__(obj, name, value)


# ---------------------------------------------------------------- ways to pickle


def _only_hooks_of_the_notebook(cls: type) -> bool:
    """Whether instances are attributes and slots only, and only the notebook has a say in how they are pickled."""
    if cls.__module__ != "__main__" or cls in copyreg.dispatch_table:
        return False
    if any(name in vars(base) for base in cls.__mro__[:-1] for name in ("__reduce_ex__", "__reduce__")):
        return False  # it says not only what is left out, but how it is made
    hooked = False
    for base in cls.__mro__[:-1]:
        hooks = [vars(base)[name] for name in HOOKS if name in vars(base)]
        if classes.is_by_value(base):
            # A dataclass with slots has two that are not the notebook's: they say what there is anyway.
            leaves_out = vars(base).get("__getstate__")
            hooked = hooked or getattr(leaves_out, "__module__", "dataclasses") != "dataclasses"
        elif hooks or base.__basicsize__ > _LARGEST:
            return False
    return hooked and cls.__itemsize__ == 0


#: Attributes and weak references.
_LARGEST = object.__basicsize__ * 2


def _past_hooks(obj: Any, pickler: NamespacePickler) -> Any:
    """As it is, where all of it can leave the process; else as it wants to."""
    state = _state(obj)
    known = pickler.whole.get(id(obj))
    if known is None:
        pickler.whole[id(obj)] = True  # what it leads to may lead back to it
        known = pickler.whole[id(obj)] = pickler.can_pickle(state)
    if not known:
        return NotImplemented
    return make_bare, (type(obj), object), state, None, None, set_attributes
