"""Functions of the notebook, and the cells of their closures: taken apart and put together. In both processes.

Law of the file: a function has the live globals of where it was made, in whichever process it is: the notebook's own,
those of a module, or those that a library made for it.
"""

from __future__ import annotations

import gc
import importlib
import sys
import types
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ipytimeout.wire import classes

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler


class ModuleGlobals:
    """Stands for the globals of an importable module in the stream."""

    def __init__(self, name: str, namespace: Mapping[str, Any], by_hand: types.ModuleType | None = None) -> None:
        self.name = name
        self.by_hand = by_hand
        #: What rewrote the module's code has put there, as pytest does for ``assert``: no source can have such names.
        self.hidden = {
            key: value
            for key, value in namespace.items()
            if isinstance(value, types.ModuleType) and not key.isidentifier()
        }

    def __reduce__(self) -> Any:
        return (module_globals, (self.name, self.hidden)) if self.by_hand is None else (vars, (self.by_hand,))


def module_globals(name: str, hidden: Mapping[str, Any]) -> dict[str, Any]:
    namespace = vars(importlib.import_module(name))
    for key, value in hidden.items():
        namespace.setdefault(key, value)
    return namespace


def reduce_function(func: types.FunctionType, pickler: NamespacePickler) -> Any:
    if classes.by_reference(func):
        return NotImplemented
    namespace: Any = func.__globals__
    module = sys.modules.get(namespace.get("__name__") or "")
    if namespace is not pickler.namespace and (module is None or vars(module) is not namespace):
        module = _made_by_hand(namespace)
    if namespace is pickler.namespace or module is None or vars(module) is not namespace:
        namespace = _globals_of(func, pickler)
    elif classes.is_made_by_hand(module):
        key = f"{module.__name__} {id(module)}"
        namespace = pickler.module_globals.setdefault(key, ModuleGlobals(module.__name__, {}, module))
    else:
        name = module.__name__
        namespace = pickler.module_globals.setdefault(name, ModuleGlobals(name, vars(module)))
    state = {
        "__qualname__": func.__qualname__,
        "__module__": func.__module__,
        "__doc__": func.__doc__,
        "__defaults__": func.__defaults__,
        "__kwdefaults__": func.__kwdefaults__,
        "__annotations__": func.__annotations__,
        "__dict__": func.__dict__,
        "__type_params__": getattr(func, "__type_params__", ()),
    }
    args = (func.__code__, namespace, func.__name__, func.__closure__)
    return make_function, args, state, None, None, set_function_state


def _made_by_hand(namespace: dict[str, Any]) -> types.ModuleType | None:
    """Return the module that these are the globals of, where only the notebook has it."""
    if not ("__loader__" in namespace and "__spec__" in namespace and namespace["__spec__"] is None):
        return None
    if not isinstance(namespace.get("__name__"), str):
        return None  # of a script: ``%run`` takes its name away when it has run
    holders = (each for each in gc.get_referrers(namespace) if type(each) is types.ModuleType)
    return next((each for each in holders if vars(each) is namespace), None)


def _globals_of(func: types.FunctionType, pickler: NamespacePickler) -> dict[str, Any]:
    """Return the globals that belong to no module. Of those of a library, as ``lambdify`` makes them, what is used."""
    namespace = func.__globals__
    if namespace is pickler.namespace or len(namespace) < _MANY_GLOBALS:
        return namespace
    used = {name for code in _codes(func.__code__) for name in code.co_names} | {"__name__"}
    return {name: namespace[name] for name in used & namespace.keys()}


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _codes(const)


#: A namespace of so many names was made by a library.
_MANY_GLOBALS = 300


def make_function(
    code: types.CodeType, namespace: dict[str, Any], name: str, closure: tuple[types.CellType, ...] | None
) -> types.FunctionType:
    return types.FunctionType(code, namespace, name, None, closure)


def set_function_state(func: types.FunctionType, state: dict[str, Any]) -> None:
    for name, value in state.items():
        # Empty ones are what a new function has, and 3.11 has no __type_params__.
        if name in ("__dict__", "__module__", "__doc__") or value not in (None, {}, ()):
            setattr(func, name, value)


def reduce_cell(cell: types.CellType, pickler: NamespacePickler) -> Any:
    # The contents are a state and not an argument: they may lead back to the cell.
    try:
        contents = (cell.cell_contents,)
    except ValueError:
        return types.CellType, ()
    return types.CellType, (), contents, None, None, set_cell


def set_cell(cell: types.CellType, contents: tuple[object]) -> None:
    cell.cell_contents = contents[0]
