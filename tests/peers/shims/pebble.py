"""The decorators of ``pebble`` 5.1 for functions that run in processes, on ipytimeout."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future
from math import inf
from types import SimpleNamespace
from typing import Any

from ipytimeout import ChildDied, DeadlineExceeded, Job, timeout


class ProcessExpired(OSError):
    """The process has died."""

    def __init__(self, text: str, code: int, pid: int) -> None:
        super().__init__(text)
        self.exitcode, self.pid = code, pid


class ProcessPool:
    """Named by a decorator; each call has a process of its own all the same."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass


class ProcessFuture(Future[Any]):
    """A job, with the errors of pebble."""

    def __init__(self, job: Job[Any]) -> None:
        super().__init__()
        self._job = job
        self.set_running_or_notify_cancel()
        job.add_done_callback(self._take)

    def cancel(self) -> bool:
        return self._job.cancel()

    def _take(self, job: Future[Any]) -> None:
        try:
            error = job.exception()
        except BaseException as cancelled:
            error = cancelled
        match error:
            case None:
                self.set_result(job.result())
            case ChildDied():
                self.set_exception(ProcessExpired(str(error), error.returncode or 0, 0))
            case DeadlineExceeded():
                self.set_exception(TimeoutError("Task timeout"))
            case _:
                self.set_exception(error)


def _process(wrap: Callable[[ProcessFuture], Any]) -> Callable[..., Any]:
    def process(
        function: Any = None, *, timeout: Any = None, name: str | None = None, daemon: bool = True, **options: Any
    ) -> Any:
        if timeout is not None and not isinstance(timeout, int | float):
            raise TypeError("Timeout expected to be None or integer or float")
        if function is None:
            return functools.partial(process, timeout=timeout, name=name, daemon=daemon, **options)

        def start(*args: Any, **kwargs: Any) -> Any:
            return wrap(ProcessFuture(_limits(timeout).submit(_as_process, name, function, args, kwargs)))

        return functools.update_wrapper(start, function)

    return process


def _as_process(name: str | None, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Be called by that name; runs in the child."""
    if name is not None:
        multiprocessing.current_process().name = name
    return function(*args, **kwargs)


def _limits(seconds: float | None) -> Any:
    return timeout(inf if seconds is None else seconds, kill_after=0)


concurrent = SimpleNamespace(process=_process(lambda future: future))
asynchronous = SimpleNamespace(process=_process(asyncio.wrap_future))
