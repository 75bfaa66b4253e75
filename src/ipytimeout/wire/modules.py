"""Modules of the user's own: what their code has kept in them goes along and comes back. In host and child.

The child imports such a module itself, as it is on disk, and what that does to libraries is done there too. Then its
data is made what it is in the host, *in place*: a function of the module may hold the same list as its default, or
compare with the same sentinel. So the data of a module is in the table of objects by where it is, like a seed.

Law of the file: what a module has imported, and what was written in it as code, is its own in each process.
"""

from __future__ import annotations

import collections
import importlib
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from ipytimeout.wire.by_name import import_quietly, quietly
from ipytimeout.wire.classes import is_made_by_hand
from ipytimeout.wire.facets import MISSING, Sight, SingleFacet, Swap
from ipytimeout.wire.libraries import users_modules
from ipytimeout.wire.reducers import has_only_attributes

#: Where something is, and what: module, class in it or "", attribute or ""; module and name of its class.
Place: TypeAlias = tuple[str, str, str, str, str]
#: The pseudo-name of the states of all modules, or, with a name behind it, of one.
MODULES: Final = "\0modules "

_CODE = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)
_ATOMS = frozenset((int, float, complex, bool, str, bytes, type(None)))


class Absent:
    """Stands for what a module has in one process and not in the other."""


# ---------------------------------------------------------------- what there is


def data_of(owner: types.ModuleType | type) -> dict[str, Any]:
    """Return the data of a module or of a class: all that is no code, and that Python has not put there."""
    return {
        name: value
        for name, value in vars(owner).items()
        if type(name) is str and not (name.startswith("__") and name.endswith("__")) and _is_data(value)
    }


def _is_data(value: Any) -> bool:
    if isinstance(value, _CODE):
        return getattr(value, "__module__", None) == "__main__"  # the notebook's own, put there by a cell
    return not hasattr(type(value), "__get__")


def places_in(names: Iterable[str], can_pickle: Callable[[object], bool]) -> list[tuple[Place, Any, Any]]:
    """Return where each object is that can be made equal in place, the object, and its state.

    Data that cannot leave its process is left out: each process has its own.
    """
    found: dict[int, tuple[Place, Any, Any]] = {}
    modules = users_modules()
    for name in names:
        if name in modules:
            for where, value, state in _in_module(name, modules[name], can_pickle):
                kind = type(value)
                found.setdefault(id(value), ((*where, kind.__module__, kind.__qualname__), value, state))
    return list(found.values())


def _in_module(
    name: str, module: types.ModuleType, can_pickle: Callable[[object], bool]
) -> Iterator[tuple[tuple[str, str, str], Any, Any]]:
    owners: list[tuple[str, Any]] = [("", module)]
    owners += [
        (cls.__qualname__, cls)
        for cls in list(vars(module).values())
        if isinstance(cls, type) and cls.__module__ == name and find((name, cls.__qualname__, "")) is cls
    ]
    for path, owner in owners:
        data = {attribute: value for attribute, value in data_of(owner).items() if _goes_along(value, can_pickle)}
        yield (name, path, ""), owner, data
        for attribute, value in data.items():
            if (state := _state_of(value)) is not MISSING:
                yield (name, path, attribute), value, state


def _goes_along(value: Any, can_pickle: Callable[[object], bool]) -> bool:
    return type(value) in _ATOMS or can_pickle(value)


def find(where: tuple[str, str, str]) -> Any:
    """Return what is at a place in this process; ``MISSING`` where there is nothing."""
    module, path, attribute = where
    owner: Any = sys.modules.get(module, MISSING)
    for name in (*path.split("."), attribute) if path else (attribute,):
        if name and owner is not MISSING:
            owner = vars(owner).get(name, MISSING) if hasattr(owner, "__dict__") else MISSING
    return owner


def adopt(place: Place) -> Any:
    """Return what stands for an object here: what is at its place, or a new one."""
    module, path, attribute, *kind = place
    try:
        import_quietly(module)
        found = find((module, path, attribute))
        if [type(found).__module__, type(found).__qualname__] == kind:
            return found
        cls = find((import_quietly(kind[0]).__name__, kind[1], ""))
        return cls.__new__(cls)
    except (Exception, SystemExit):  # it cannot be had here; the code finds that out where it needs it
        return Absent()


# ---------------------------------------------------------------- states in place


def _state_of(value: Any) -> Any:
    """Return the state by which an object can be made equal to another in place, or MISSING."""
    kind = type(value)
    if kind in (list, set, collections.deque):
        return list(value)
    if kind in (dict, collections.OrderedDict):
        return list(value.items())
    if kind is object:
        return None  # a sentinel: only which one it is matters
    if has_only_attributes(kind) and not issubclass(kind, type | types.ModuleType):
        return dict(vars(value))
    return MISSING


def put(value: Any, state: Any) -> None:
    """Make an object equal, in place."""
    kind = type(value)
    if kind is Absent or kind is object:
        return
    if isinstance(value, types.ModuleType | type):
        for attribute, item in state.items():
            if not _same(vars(value).get(attribute, MISSING), item):
                type.__setattr__(value, attribute, item) if isinstance(value, type) else setattr(value, attribute, item)
    elif kind is list:
        value[:] = state
    elif kind in (set, collections.deque, dict, collections.OrderedDict):
        value.clear()
        value.extend(state) if kind is collections.deque else value.update(state)
    else:
        vars(value).clear()
        vars(value).update(state)


def _same(one: Any, other: Any) -> bool:
    """Whether a value need not be put in place of an equal one that code of the module may compare with."""
    return one is other or (
        type(one) is type(other) and type(one) in (*_ATOMS, tuple, frozenset) and bool(one == other)
    )


# ---------------------------------------------------------------- changes


class Body(SingleFacet):
    """What code has assigned in a module of the user's own, or in one that was made by hand."""

    code = "module"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        name: str = obj.__name__
        spec = getattr(obj, "__spec__", None)
        if spec is not None and vars(sys).get("modules", {}).get(name) is obj:
            return (data_of(obj), spec) if name in users_modules() else None
        # Never the notebook itself, which is the module __main__.
        return (dict(vars(obj)), None) if is_made_by_hand(obj) else None

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        if before is None:
            return None
        old, spec = before
        now = data_of(obj) if spec is not None else vars(obj)
        changed = {name: value for name, value in now.items() if value is not old.get(name, MISSING)}
        gone = [name for name in old if name not in now]
        loaded_again = spec is not None and obj.__spec__ is not spec
        return (changed, gone, loaded_again) if changed or gone or loaded_again else None

    def swap(self, obj: Any, delta: Any) -> Swap:
        changed, gone, loaded_again = delta
        old = {name: vars(obj).get(name, MISSING) for name in (*changed, *gone)}

        def put_values(values: dict[str, Any]) -> None:
            for name, value in values.items():
                if value is MISSING:
                    vars(obj).pop(name, None)
                else:
                    vars(obj)[name] = value

        def do() -> None:
            if loaded_again:
                load_again(obj)
            put_values({**changed, **dict.fromkeys(gone, MISSING)})

        return Swap(do, lambda: put_values(old))


def load_again(module: types.ModuleType) -> None:
    """Do what the code has done in the other process: ``importlib.reload``. What it printed was shown there."""
    with quietly():
        try:
            importlib.reload(module)
        except Exception:  # the code has met it
            return
