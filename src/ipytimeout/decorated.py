"""What ``@timeout(5)`` makes of a function. In the user's process, any thread; and in a child, where it runs in place.

Law of the file: the function looks as it did (name, text, signature, a method's binding), and a call of itself from
inside its own run, or from one inside that, stays in place, under the deadline it already has.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import uuid
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from ipytimeout.api import timeout
    from ipytimeout.host.job import Job

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")

#: Decorated functions that this process runs right now: only ever filled in a child.
_running: set[str] = set()


class TimedFunction(Generic[P, R]):
    """A function whose every call runs in a child process: what ``@timeout(5)`` makes.

    A call of itself from inside its own run stays in place, under the deadline it already has.
    """

    __qualname__: str

    def __init__(self, limits: timeout, function: Callable[P, R], key: str = "", first: tuple[Any, ...] = ()) -> None:
        """``first``: the instance, or the class, of a method."""
        functools.update_wrapper(self, function)
        if first:
            self.__wrapped__ = functools.partial(function, *first)  # of which the signature is
        self._limits = limits
        self._function = function
        self._key = key or _new_key(function)
        self._first = first
        if inspect.iscoroutinefunction(function) and hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)  # Python 3.12: web frameworks ask before they await

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = True
        call: Any = self._in_child
        if self._key in _running:
            call = self._function
        elif inspect.iscoroutinefunction(self._function):  # as the function itself: to be awaited
            call = functools.partial(self._limits.arun, self._in_child)
        else:
            call = functools.partial(self._limits.run, self._in_child)
        value: R = call(*self._first, *args, **kwargs)
        return value

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Call it in the background; return its ``Job`` at once."""
        submit: Any = self._limits.submit
        job: Job[R] = submit(self._in_child, *self._first, *args, **kwargs)
        return job

    async def arun(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it without blocking the event loop."""
        arun: Any = self._limits.arun
        value: R = await arun(self._in_child, *self._first, *args, **kwargs)
        return value

    def map(self, items: Iterable[Any], /, **options: Any) -> Iterator[R | BaseException]:
        """Call it for each item; the options are those of ``timeout.map``."""
        first: Any = functools.partial(self._in_child, *self._first) if self._first else self._in_child
        return self._limits.map(first, items, **options)

    @property
    def _in_child(self) -> _InPlace:
        return _InPlace(frozenset((self._key, *_running)), self._function)

    @overload
    def __get__(self, instance: None, owner: type) -> TimedFunction[P, R]: ...
    @overload
    def __get__(
        self: TimedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> TimedFunction[Q, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind to an instance, as functions do: methods can be decorated."""
        if instance is None:
            return self
        return TimedFunction(self._limits, self._function, self._key, (*self._first, instance))

    def __reduce__(self) -> Any:
        """By its name, as functions are, where whoever unpickles it finds it so: a pool of processes, say."""
        found = _found(self.__module__, self.__qualname__)
        if not isinstance(found, TimedFunction) or found._key != self._key:
            return self.by_value()
        return (_bound, (self.__module__, self.__qualname__, self._first)) if self._first else self.__qualname__

    def by_value(self) -> Any:
        """Take it apart for another process that does not have it."""
        return TimedFunction, (self._limits, self._function, self._key, self._first)

    def __repr__(self) -> str:
        return f"<{self._limits!r} {self._function!r}>"


def _new_key(function: Callable[..., Any]) -> str:
    """Return what a decorated function is known by: of a module's it is the same in each process that imports it."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<locals>")
    if module in (None, "__main__") or "<locals>" in name:
        return uuid.uuid4().hex
    depth = 0  # one that is decorated twice has two deadlines
    while isinstance(function, TimedFunction):
        function, depth = function._function, depth + 1
    return f"{module}.{name} {depth}"


def _found(module: str, name: str) -> Any:
    """Return what has this name in a module; None for one of a notebook, which other processes do not have."""
    found: Any = sys.modules.get(module)
    if module == "__main__" and not hasattr(found, "__file__"):
        return None
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _bound(module: str, name: str, first: tuple[Any, ...]) -> Any:
    """Find a method, and bind it."""
    method: Any = functools.reduce(getattr, name.split("."), importlib.import_module(module))
    for each in first[len(method._first) :]:  # a class method of Python 3.12 and earlier is bound by now
        method = method.__get__(each, type(each))
    return method


class _InPlace:
    """Calls a decorated function in the child, where its calls of itself are not timed again.

    Nor are those of what runs around it: functions that call each other need a process each, and no more.
    """

    def __init__(self, keys: frozenset[str], function: Callable[..., Any]) -> None:
        self._keys = keys
        self._function = function
        self.__name__ = getattr(function, "__name__", "a function")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _in_place(self._keys):
            value = self._function(*args, **kwargs)
        return self._awaited(value) if inspect.iscoroutine(value) else value  # the child runs it to its end

    async def _awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        with _in_place(self._keys):
            return await coroutine


@contextmanager
def _in_place(keys: frozenset[str]) -> Iterator[None]:
    _running.update(keys)
    try:
        yield
    finally:
        _running.difference_update(keys)


def decorate(limits: timeout, function: Any) -> Any:
    """Decorate a function; of a class or static method, what is inside."""
    if isinstance(function, classmethod | staticmethod):
        return type(function)(decorate(limits, function.__func__))
    if isinstance(function, property) or not callable(function):
        raise TypeError(f"@timeout(...) decorates a function, not {type(function).__name__}")
    refuse_generators(function)
    if isinstance(function, type):
        raise TypeError(f"@timeout(...) decorates a function, not a class: decorate the methods of {function.__name__}")
    return TimedFunction(limits, function)


def refuse_generators(function: Any) -> None:
    """Raise for a function whose value would run here, one step at a time, after the child has ended."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        name = getattr(function, "__name__", "it")
        raise TypeError(
            f"{name}() is a generator function: its values are made one by one when they are asked for, and "
            f"its child has ended by then; have a function return list({name}(...)), or map() over the items"
        )
