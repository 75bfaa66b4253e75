"""The Python face: ``run_with_timeout``, ``timeout(...)``. Runs in the user's process, in any thread.

Law of the file: it checks what it is given and hands it on to ``host.run``; nothing about processes is here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeAlias, TypeVar, overload

from ipytimeout.config import settings
from ipytimeout.decorated import TimedFunction, decorate, refuse_generators
from ipytimeout.durations import parse_duration
from ipytimeout.exceptions import DeadlineExceeded
from ipytimeout.mistakes import OptionError
from ipytimeout.options import RunOptions, StartMethod, parse_max_output, parse_memory, parse_names, parse_start
from ipytimeout.platforms import refuse_unsupported

if TYPE_CHECKING:
    from ipytimeout.host.job import Job

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

#: A duration: seconds, text such as "1h30m", or a timedelta.
Duration: TypeAlias = float | str | timedelta


class _Missing:
    def __repr__(self) -> str:
        return "<raise DeadlineExceeded>"

    def __reduce__(self) -> str:
        return "_RAISE"  # there is one in each process


_RAISE = _Missing()


@overload
def run_with_timeout(
    timeout: Duration, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
) -> R: ...
@overload
def run_with_timeout(timeout: Duration, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
def run_with_timeout(timeout: Duration, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
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
        Seconds from the moment the function starts, text with units, a ``timedelta``, or ``inf``; or a function of the
        arguments of the call that returns one of these: ``timeout(lambda path: 5 + os.path.getsize(path) / 1e6)``.
    kill_after
        The grace period in seconds between the interrupt and the kill; ``0`` kills at once.
    memory
        End the run, with ``MemoryLimitExceeded``, when it and all it started use more than this together: bytes, text
        with a unit (``"2GB"``, ``"512MiB"``), or ``"50%"`` of what this container or machine may use.
    default
        Returned at the deadline instead of raising ``DeadlineExceeded``.
    exception
        Raised at the deadline instead of ``DeadlineExceeded``: a class of exceptions, which is called with the text.
        It is raised from the ``DeadlineExceeded``, and has its ``where`` and its ``checkpoints``.
    commit
        Change what a cell would change: what the function does to its arguments, to globals and to the state of the
        process comes back. Of a background call it does when its ``result()`` is asked for.
    partial
        With ``commit``: what the function had done comes back at the deadline and on Cancel, too. Without, only False:
        a function has no value before it ends. What it has given to ``checkpoint`` is in ``error.checkpoints``.
    keep
        With ``commit``: bind these globals only; ``"a, b"`` or a sequence of names.
    discard
        Bring nothing back, and unpickle nothing that the child made; the value is None.
    with_names
        Names of the notebook to be sent as well, beyond those that the function is seen to use; ``"*"`` for all.
    max_output
        How much of what the function prints is shown, head and tail: bytes, text with a unit (``"500kB"``), or ``inf``.
        Unless told, 2 MB where it goes to a page, and all of it elsewhere.
    start
        How the child is had: ``"auto"``, ``"warm"``, ``"spawn"``, or ``"fork"``: as a copy of this process, which sees
        everything and is sent nothing. With ``submit``, ``arun`` and ``map`` the copy is made when the run starts.
    quiet
        Show no panel.

    Raises
    ------
    OptionError
        A duration, a size or a start method is none, or two options contradict each other; nothing has run.
    """

    def __init__(
        self,
        timeout: Duration | Callable[..., Duration],
        *,
        kill_after: Duration | None = None,
        memory: float | str | None = None,
        default: Any = _RAISE,
        exception: type[BaseException] | None = None,
        commit: bool = False,
        partial: bool = False,
        keep: str | Sequence[str] | None = None,
        discard: bool = False,
        with_names: str | Sequence[str] = (),
        start: str | StartMethod | None = None,
        quiet: bool = False,
        max_output: float | str | None = None,
    ) -> None:
        if partial and not commit:
            raise OptionError(
                "partial=True is for cells, or with commit=True: a function brings back its value only, and has none "
                "before it ends; make values safe with checkpoint(name=value), they are in error.checkpoints"
            )
        if keep is not None and not commit:
            raise OptionError("keep= is for commit=True: a function brings back its value, and no names")
        if exception is not None and default is not _RAISE:
            raise OptionError("default= and exception= contradict each other: a value is returned, or one is raised")
        if exception is not None and not (isinstance(exception, type) and issubclass(exception, BaseException)):
            raise OptionError(f"exception= takes a class of exceptions, not {exception!r}")
        here = settings()
        #: Called with the arguments of the call; None where the deadline is always the same.
        self._seconds = timeout if callable(timeout) else None
        options = RunOptions(
            timeout=inf if callable(timeout) else parse_duration(timeout),
            kill_after=here.kill_after if kill_after is None else parse_duration(kill_after, allow_zero=True),
            start=here.start if start is None else parse_start(start),
            memory=here.memory if memory is None else parse_memory(memory),
            commit=commit,
            partial=partial,
            keep=None if keep is None else parse_names(keep, option="keep="),
            discard=discard,
            with_names=parse_names(with_names, option="with_names=", all_allowed=True) if with_names else (),
            quiet=quiet,
            max_output=here.max_output if max_output is None else parse_max_output(max_output),
        )
        self._options = options if self._seconds is not None else here.bound(options)
        self._default = default
        self._exception = exception

    def _options_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> RunOptions:
        """Return the options of one call."""
        if self._seconds is None:
            return self._options
        seconds = parse_duration(self._seconds(*args, **kwargs))
        return settings().bound(dataclasses.replace(self._options, timeout=seconds))

    def _at_deadline(self, error: DeadlineExceeded) -> Any:
        """Return or raise what is wanted at the deadline."""
        __tracebackhide__ = True
        if self._exception is not None:
            raise _like(error, self._exception) from error
        if self._default is _RAISE:
            raise error
        return self._default

    @overload
    def run(self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``function(*args, **kwargs)`` in a child; return its value, or raise what it raises."""
        __tracebackhide__ = True
        _check_function(function, "run")
        refuse_unsupported()
        from ipytimeout.host.run import run_call

        return run_call(function, args, kwargs, self._options_for(args, kwargs), self._at_deadline)

    @overload
    def submit(self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    @overload
    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``function(*args, **kwargs)`` in a child, in the background; return its ``Job`` at once.

        What is passed is what it is now: later changes of the caller's objects do not reach the child.
        """
        _check_function(function, "submit")
        refuse_unsupported()
        from ipytimeout.host.job_thread import start
        from ipytimeout.host.prepared import PreparedCall

        options = self._options_for(args, kwargs)
        call = PreparedCall.of(function, args, kwargs, options, self._at_deadline, meanwhile=True)
        return start(call, getattr(function, "__name__", "a call"))

    def _submit_item(self, function: Callable[..., Any], item: Any) -> Job[Any]:
        """Submit one call of a map: nobody looks at its job."""
        from ipytimeout.host.job_thread import start
        from ipytimeout.host.prepared import PreparedCall

        options = self._options_for((item,), {})
        call = PreparedCall.of(function, (item,), {}, options, self._at_deadline, meanwhile=True)
        return start(call, getattr(function, "__name__", "an item"), quiet=True)

    @overload
    async def arun(self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def arun(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def arun(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Do as ``run``, without blocking the event loop. When the awaiting task is cancelled, the child is ended."""
        return await self.submit(function, *args, **kwargs)

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

        submit: Any = self._submit_item
        for job in run_all(lambda item: submit(function, item), items, workers, ordered=ordered, options=self._options):
            error = job.exception()
            if error is None:
                yield job.result()
            elif raises or not isinstance(error, Exception):
                raise error
            else:
                yield error

    def __call__(self, function: Callable[P, R]) -> TimedFunction[P, R]:
        """Decorate a function or a method: every call of it runs in a child with these limits.

        Above or below ``@classmethod`` and ``@staticmethod``; of a coroutine function every call is awaited.
        """
        decorated: TimedFunction[P, R] = decorate(self, function)
        return decorated

    def __enter__(self) -> None:
        raise TypeError(
            "'with timeout(5):' cannot run its block in another process; "
            "write %%timeout 5 as the first line of a cell, or run_with_timeout(5, f, ...) for a function"
        )

    def __exit__(self, *exc_info: object) -> None:
        """Never reached: ``__enter__`` always raises."""

    def __repr__(self) -> str:
        return f"timeout({self._options.timeout:g})" if self._seconds is None else f"timeout({self._seconds!r})"


def _like(error: DeadlineExceeded, exception: type[BaseException]) -> BaseException:
    """Make an exception of another class that tells the same."""
    own = exception(str(error))
    with contextlib.suppress(AttributeError, TypeError):  # a class may allow no attributes: its cause has them
        own.where, own.checkpoints = error.where, error.checkpoints  # type: ignore[attr-defined]
    return own.with_traceback(error.__traceback__)


def _check_function(function: object, method: str) -> None:
    if not callable(function):
        raise TypeError(
            f"{method}() takes a function and its arguments, not {type(function).__name__}: "
            f"write {method}(f, 3), not {method}(f(3))"
        )
    refuse_generators(function)


@overload
def submit(
    timeout: Duration, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
) -> Job[R]: ...
@overload
def submit(timeout: Duration, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
def submit(timeout: Duration, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Do as ``run_with_timeout``, in the background: return a ``Job`` at once."""
    return _timeout(timeout).submit(function, *args, **kwargs)


def jobs() -> list[Job[Any]]:
    """Return the jobs of this process that have not ended; in a notebook they are shown with their buttons."""
    from ipytimeout.host.job import live_jobs

    return live_jobs()


_timeout = timeout
