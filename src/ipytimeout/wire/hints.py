"""What annotations are made of: aliases, new types, and the parameters of generic code. In both processes.

Those of libraries travel by their names. Those of the notebook are made anew, with the module that they had: most of
them take the module of the code that makes them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler


def reduce_type_alias(alias: Any, pickler: NamespacePickler) -> Any:
    """``type Alias = int``."""
    if _has_a_name(alias, alias.__name__):
        return NotImplemented
    args = (alias.__name__, alias.__value__)
    return make_as_code_of, (alias.__module__, "TypeAliasType", args, {"type_params": alias.__type_params__})


def reduce_new_type(made: Any, pickler: NamespacePickler) -> Any:
    """``UserId = NewType("UserId", int)``."""
    if _has_a_name(made, made.__qualname__):
        return NotImplemented
    no_more: dict[str, Any] = {}
    args = (made.__module__, "NewType", (made.__qualname__, made.__supertype__), no_more)
    return make_as_code_of, args, dict(vars(made)), None, None, set_attributes


def reduce_parameter(parameter: Any, pickler: NamespacePickler) -> Any:
    """``T`` of ``T = TypeVar("T")`` and of ``class Stack[T]``, ``P`` of ``**P`` and ``Ts`` of ``*Ts``."""
    if _has_a_name(parameter, parameter.__name__):
        return NotImplemented
    names = {
        "bound": "__bound__",
        "covariant": "__covariant__",
        "contravariant": "__contravariant__",
        "infer_variance": "__infer_variance__",
    }
    said = {name: value for name, own in names.items() if (value := getattr(parameter, own, None))}
    if getattr(parameter, "has_default", bool)():
        said["default"] = parameter.__default__
    args = (parameter.__name__, *getattr(parameter, "__constraints__", ()))
    return make_as_code_of, (parameter.__module__, type(parameter).__name__, args, said)


def _has_a_name(obj: Any, name: str) -> bool:
    """Tell whether this is in a library under its name; a parameter that ``class Stack[T]`` makes is nowhere."""
    module = obj.__module__
    return module != "__main__" and getattr(sys.modules.get(module), name, None) is obj


def make_as_code_of(module: str, kind: str, args: tuple[Any, ...], said: dict[str, Any]) -> Any:
    """Make one, as code of that module does."""
    own = {"made": getattr(sys.modules["typing"], kind), "args": args, "said": said}
    return eval("made(*args, **said)", {"__name__": module, **own})


def set_attributes(made: Any, state: dict[str, Any]) -> None:
    vars(made).update(state)


def reduce_part(part: Any, pickler: NamespacePickler) -> Any:
    """``P.args`` and ``P.kwargs``."""
    return getattr, (part.__origin__, "args" if type(part).__name__.endswith("Args") else "kwargs")
