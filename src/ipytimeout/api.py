"""The Python face: ``run_with_timeout``, ``timeout(...)``. Runs in the user's process, in any thread.

Law of the file: it checks what it is given and hands it on to ``host.run``; nothing about processes is here.
"""

from __future__ import annotations

import functools
import inspect
import os
import uuid
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, overload

from ipytimeout.config import settings
from ipytimeout.exceptions import DeadlineExceeded
from ipytimeout.options import (
    OptionError,
    RunOptions,
    StartMethod,
    parse_duration,
    parse_max_output,
    parse_memory,
    parse_start,
)
from ipytimeout.platforms import refuse_unsupported

if TYPE_CHECKING:
    from ipytimeout.host.job import Job

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

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
    max_output
        How much of what the function prints is shown, head and tail: bytes, text with a unit (``"500kB"``), or ``inf``.
        Unless told, 2 MB where it goes to a page, and all of it elsewhere.
    start
        How the child is had: ``"auto"``, ``"warm"`` or ``"spawn"``.
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
        kill_after: Duration | None = None,
        memory: float | str | None = None,
        default: Any = _RAISE,
        start: str | StartMethod | None = None,
        partial: bool = False,
        max_output: float | str | None = None,
    ) -> None:
        if partial:
            raise OptionError(
                "partial=True is for cells: a function brings back its value only, and has none before it ends; "
                "make values safe with checkpoint(name=value), they are in error.checkpoints"
            )
        here = settings()
        options = RunOptions(
            timeout=parse_duration(timeout),
            kill_after=here.kill_after if kill_after is None else parse_duration(kill_after, allow_zero=True),
            start=here.start if start is None else parse_start(start),
            memory=here.memory if memory is None else parse_memory(memory),
            max_output=here.max_output if max_output is None else parse_max_output(max_output),
        )
        self._options = here.bound(options)
        self._default = default

    def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``function(*args, **kwargs)`` in a child; return its value, or raise what it raises."""
        __tracebackhide__ = True
        _check_function(function, "run")
        refuse_unsupported()
        from ipytimeout.host.run import run_call

        try:
            value: R = run_call(function, args, kwargs, self._options)
        except DeadlineExceeded:
            if self._default is _RAISE:
                raise
            value = self._default
        return value

    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Call ``function(*args, **kwargs)`` in a child, in the background; return its ``Job`` at once.

        What is passed is what it is now: later changes of the caller's objects do not reach the child.
        """
        _check_function(function, "submit")
        refuse_unsupported()
        from ipytimeout.host.job import start
        from ipytimeout.host.run import PreparedCall

        return start(PreparedCall.of(function, args, kwargs, self._options), getattr(function, "__name__", "a call"))

    async def arun(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do as ``run``, without blocking the event loop. When the awaiting task is cancelled, the child is ended."""
        try:
            return await self.submit(function, *args, **kwargs)
        except DeadlineExceeded:
            if self._default is _RAISE:
                raise
            default: R = self._default
            return default

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        /,
        *,
        workers: int | None = None,
        errors: Literal["return", "raise"] = "return",
        ordered: bool = True,
    ) -> Iterator[R | BaseException]:
        """Call a function for each item, each in a process of its own and with its own deadline.

        Follows ``concurrent.futures.Executor.map``; but nothing runs before the first value is asked for, and items are
        read as they are needed, so that there may be endlessly many.

        Parameters
        ----------
        workers
            How many run at once; as many as there are processors unless told.
        errors
            ``"return"``: what an item raised, or why it was ended, is at its place, or ``default`` at the deadline.
            ``"raise"``: it is raised there, and the rest is ended.
        ordered
            Whether the values come in the order of the items, or as they are ready.

        Raises
        ------
        ValueError
            ``workers`` is less than 1, or ``errors`` is neither of the two.
        """
        _check_function(function, "map")
        if errors not in ("return", "raise"):
            raise ValueError(f'errors is "return" or "raise", not {errors!r}')
        count = (os.cpu_count() or 1) if workers is None else workers
        if count < 1:
            raise ValueError(f"workers is how many run at once, at least 1, not {workers!r}")
        refuse_unsupported()
        return self._map(function, items, count, errors == "raise", ordered)

    def _map(
        self, function: Callable[[T], R], items: Iterable[T], workers: int, raises: bool, ordered: bool
    ) -> Iterator[R | BaseException]:
        from ipytimeout.host.mapping import run_all

        call: Callable[[T], Job[R]] = functools.partial(self.submit, function)  # type: ignore[call-arg]
        for job in run_all(call, items, workers, ordered=ordered):
            error = job.exception()
            if error is None:
                yield job.result()
            elif isinstance(error, DeadlineExceeded) and self._default is not _RAISE:
                yield self._default
            elif raises or not isinstance(error, Exception):
                raise error
            else:
                yield error

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


def _check_function(function: object, method: str) -> None:
    if not callable(function):
        raise TypeError(
            f"{method}() takes a function and its arguments, not {type(function).__name__}: "
            f"write {method}(f, 3), not {method}(f(3))"
        )


def submit(timeout: Duration, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
    """Do as ``run_with_timeout``, in the background: return a ``Job`` at once."""
    return _timeout(timeout).submit(function, *args, **kwargs)


def jobs() -> list[Job[Any]]:
    """Return the jobs of this process that have not ended."""
    from ipytimeout.host.job import live_jobs

    return live_jobs()


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
        if inspect.iscoroutinefunction(self._function):
            awaitable: Any = self.arun(*args, **kwargs)  # as the function itself: to be awaited
            return awaitable  # type: ignore[no-any-return]
        return self._limits.run(_InPlace(self._key, self._function), *args, **kwargs)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Call it in the background; return its ``Job`` at once."""
        return self._limits.submit(_InPlace(self._key, self._function), *args, **kwargs)

    async def arun(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it without blocking the event loop."""
        return await self._limits.arun(_InPlace(self._key, self._function), *args, **kwargs)

    def map(self, items: Iterable[Any], /, **options: Any) -> Iterator[R | BaseException]:
        """Call it for each item; the options are those of ``timeout.map``."""
        function: Any = _InPlace(self._key, self._function)
        return self._limits.map(function, items, **options)

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
