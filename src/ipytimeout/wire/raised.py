"""Exceptions, with what they came from and where they were raised: taken apart and put together. In both processes."""

from __future__ import annotations

import contextlib
import functools
import types
from typing import TYPE_CHECKING, Any

from ipytimeout.wire import tracebacks

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler


#: Members of built-in exceptions that are no arguments; what a raised exception is bound to is none of them.
_NOT_MEMBERS = frozenset(
    ("args", "__dict__", "__traceback__", "__context__", "__cause__", "__suppress_context__", "obj")
)


def exception_members(error: BaseException) -> dict[str, object]:
    """Return what the classes of this exception keep beside ``args``: ``errno``, ``code``, ``name`` …, and slots."""
    members = {}
    for cls in type(error).__mro__:
        kinds: Any = types.MemberDescriptorType
        if cls.__module__ == "builtins":
            kinds |= types.GetSetDescriptorType
        for name, member in vars(cls).items():
            if isinstance(member, kinds) and name not in _NOT_MEMBERS:
                try:
                    members[name] = member.__get__(error)
                except AttributeError:
                    continue
    return members


def reduce_exception(error: BaseException, pickler: NamespacePickler) -> Any:
    chain = (error.__cause__, error.__context__, error.__suppress_context__, error.__traceback__)
    cls = type(error)
    if _is_native(cls, "__reduce__") and _is_native(cls, "__reduce_ex__"):
        # Arguments may lead back to the exception; only a group must have its own from the start.
        first = error.args if isinstance(error, BaseExceptionGroup) else ()
        own = (vars(error), exception_members(error), error.args, chain)
        return make_exception, (cls, first), own, None, None, set_exception_state
    reduced: Any = error.__reduce_ex__(5)
    function, args, *rest = reduced
    return function, args, (rest[0] if rest else None, None, None, chain), None, None, set_exception_state


def _is_native(cls: type, name: str) -> bool:
    return not isinstance(getattr(cls, name), types.FunctionType)


def make_exception(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Make an exception without its own ``__init__``, which often takes other arguments than it passes on."""
    return cls.__new__(cls, *args)


def set_exception_state(error: BaseException, state: tuple[Any, Any, Any, tuple[Any, Any, bool, Any]]) -> None:
    attributes, members, args, (cause, context, suppress, traceback) = state
    put = functools.partial(BaseException.__setattr__, error)  # past the ``__setattr__`` of a frozen dataclass
    if args is not None:
        put("args", args)
        base = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
        with contextlib.suppress(TypeError):  # then its members are set below
            base.__init__(error, *args)  # type: ignore[misc]
        vars(error).update(attributes)
    elif attributes is not None:
        error.__setstate__(attributes)
    for name, value in (members or {}).items():
        with contextlib.suppress(AttributeError, TypeError):  # read-only: it was an argument
            # An OSError whose errno was set to None says so in its text.
            if getattr(error, name, error) is not value:
                setattr(error, name, value)
    put("__cause__", cause)
    put("__context__", context)
    put("__suppress_context__", suppress)
    put("__traceback__", traceback)


def reduce_traceback(traceback: types.TracebackType, pickler: NamespacePickler) -> Any:
    """What it shows: its frames stay where they are."""
    return tracebacks.traceback_of, (tracebacks.frames_of(traceback), tracebacks.last_lines(traceback))
