"""The Python face: ``run_with_timeout``, ``timeout(...)``. Runs in the user's process, in any thread.

Law of the file: it checks what it is given and hands it on to ``host.run``; nothing about processes is here.
"""

from __future__ import annotations

import functools
import inspect
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Generic, ParamSpec, TypeVar, overload

from ipytimeout.exceptions import DeadlineExceeded
from ipytimeout.options import (
    DEFAULT_KILL_AFTER,
    OptionError,
    RunOptions,
    StartMethod,
    parse_duration,
    parse_memory,
    parse_start,
)
from ipytimeout.platforms import refuse_unsupported

P = ParamSpec("P")
R = TypeVar("R")

#: A duration: seconds, text such as "1h30m", or a timedelta.
Duration = float | str | timedelta


class _Missing:
    def __repr__(self) -> str:
        return "<raise DeadlineExceeded>"


_RAISE = _Missing()


def run_with_timeout(timeout: Duration, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a child process and end it when it takes too long.

    Follows the plain ``Process``, ``join(timeout)``, ``terminate()`` of the ``multiprocessing`` documentation,
    with everything that the three lines leave open.

    Parameters
    ----------
    timeout
        Seconds from the moment the function starts (``5``, ``0.5``), text with units (``"500ms"``, ``"2m"``,
        ``"1h30m"``), a ``timedelta``, or ``inf`` for no deadline.
    function
        Any function: of a module, of the notebook, a lambda, a closure; a coroutine function is run to its end.
    *args, **kwargs
        Its arguments. They go to the child by value, and are not changed here.

    Returns
    -------
    What the function returns, by value.

    Raises
    ------
    DeadlineExceeded
        It had not ended by the deadline. It was interrupted, and killed 1 s later if it did not stop.
    ChildDied
        Its process ended by itself, by a signal or ``os._exit``.
    OptionError
        ``timeout`` is no duration.
    Exception
        Whatever the function raises is raised here too.
    """
    __tracebackhide__ = True
    return _timeout(timeout).run(function, *args, **kwargs)


class timeout:  # lower case, as ``asyncio.timeout``: it reads as a verb in front of a function
    """Limits for a function that is called in a child process.

    ``timeout(5).run(f, 3)`` calls ``f(3)``; ``@timeout(5)`` above a function makes every call of it timed.

    Parameters
    ----------
    timeout
        Seconds from the moment the function starts, text with units, a ``timedelta``, or ``inf``.
    kill_after
        The grace period in seconds between the interrupt and the kill; ``0`` kills at once.
    memory
        End the run, with ``MemoryLimitExceeded``, when it and all it started use more than this together: bytes, text
        with a unit (``"2GB"``, ``"512MiB"``), or ``"50%"`` of what this container or machine may use.
    default
        Returned at the deadline instead of raising ``DeadlineExceeded``.
    start
        How the child is had: ``"auto"`` or ``"spawn"``.
    partial
        Only False: a function has no value before it ends. What it has given to ``checkpoint`` is in
        ``error.checkpoints`` of the ``RunError`` that is raised.

    Raises
    ------
    OptionError
        A duration, a size or a start method is none, or ``partial`` is asked for; nothing has run.
    """

    def __init__(
        self,
        timeout: Duration,
        *,
        kill_after: Duration = DEFAULT_KILL_AFTER,
        memory: float | str | None = None,
        default: Any = _RAISE,
        start: str | StartMethod = StartMethod.AUTO,
        partial: bool = False,
    ) -> None:
        if partial:
            raise OptionError(
                "partial=True is for cells: a function brings back its value only, and has none before it ends; "
                "make values safe with checkpoint(name=value), they are in error.checkpoints"
            )
        self._options = RunOptions(
            timeout=parse_duration(timeout),
            kill_after=parse_duration(kill_after, allow_zero=True),
            start=parse_start(start),
            memory=parse_memory(memory),
        )
        self._default = default

    def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``function(*args, **kwargs)`` in a child; return its value, or raise what it raises."""
        __tracebackhide__ = True
        if not callable(function):
            raise TypeError(
                f"run() takes a function and its arguments, not {type(function).__name__}: "
                "write run(f, 3), not run(f(3))"
            )
        refuse_unsupported()
        from ipytimeout.host.run import run_call

        try:
            value: R = run_call(function, args, kwargs, self._options)
        except DeadlineExceeded:
            if self._default is _RAISE:
                raise
            value = self._default
        return value

    def __call__(self, function: Callable[P, R]) -> TimedFunction[P, R]:
        """Decorate a function: every call of it runs in a child with these limits."""
        if not callable(function):
            raise TypeError(f"@timeout(...) decorates a function, not {type(function).__name__}")
        return TimedFunction(self, function)

    def __enter__(self) -> None:
        raise TypeError(
            "'with timeout(5):' cannot run its block in another process; "
            "write %%timeout 5 as the first line of a cell, or run_with_timeout(5, f, ...) for a function"
        )

    def __exit__(self, *exc_info: object) -> None:
        """Never reached: ``__enter__`` always raises."""

    def __repr__(self) -> str:
        return f"timeout({self._options.timeout:g})"


class TimedFunction(Generic[P, R]):
    """A function whose every call runs in a child process: what ``@timeout(5)`` makes.

    A call of itself from inside its own run stays in place, under the deadline it already has.
    """

    def __init__(self, limits: timeout, function: Callable[P, R]) -> None:
        functools.update_wrapper(self, function)
        self._limits = limits
        self._function = function
        self._key = uuid.uuid4().hex

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = True
        if self._key in _running:
            return self._function(*args, **kwargs)
        return self._limits.run(_InPlace(self._key, self._function), *args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type) -> TimedFunction[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., R]:
        """Bind to an instance, as functions do: methods can be decorated."""
        return self if instance is None else functools.partial(self.__call__, instance)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<{self._limits!r} {self._function!r}>"


class _InPlace(Generic[P, R]):
    """Calls a decorated function in the child, where its calls of itself are not timed again."""

    def __init__(self, key: str, function: Callable[P, R]) -> None:
        self._key = key
        self._function = function
        self.__name__ = getattr(function, "__name__", "a function")
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        with _in_place(self._key):
            value: Any = self._function(*args, **kwargs)
        if inspect.iscoroutine(value):  # the child runs it to its end
            value = self._awaited(value)
        result: R = value
        return result

    async def _awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        with _in_place(self._key):
            return await coroutine


#: Decorated functions that this process runs right now: only ever filled in a child.
_running: set[str] = set()


@contextmanager
def _in_place(key: str) -> Iterator[None]:
    _running.add(key)
    try:
        yield
    finally:
        _running.discard(key)


_timeout = timeout
