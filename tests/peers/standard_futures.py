"""The standard library's own tests of futures and executors, run on jobs. A program: prints what failed, as JSON.

``python -m tests.peers.standard_futures``. The suite is the interpreter's (``test.test_concurrent_futures``), and only
what makes a future or an executor in it is replaced. A process of its own: the suite looks at threads and at signals.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import unittest
import weakref
from collections.abc import Callable
from concurrent import futures
from math import inf
from typing import Any, TypeVar

from ipytimeout import timeout
from ipytimeout.host.handle import Handle
from ipytimeout.host.job import Job

R = TypeVar("R")
SUITE = "test.test_concurrent_futures"


class JobExecutor(futures.Executor):
    """What a program would write that has to pass an executor on."""

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        self._jobs: weakref.WeakSet[Job[Any]] = weakref.WeakSet()
        self._shut = False

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Job[R]:
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        job = timeout(inf).submit(fn, *args, **kwargs)
        self._jobs.add(job)
        return job

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._shut = True
        if wait:
            futures.wait(list(self._jobs))


def new_job(state: str = "PENDING", exception: BaseException | None = None, result: Any = None) -> Job[Any]:
    """Make a job as the suite makes a future in some state."""
    job: Job[Any] = Job("f", Handle(inf))
    inner: Any = job
    inner._state, inner._exception, inner._result = state, exception, result
    return job


def tests() -> unittest.TestSuite:
    """Return the tests of the suite, on jobs."""
    parts = {name: importlib.import_module(f"{SUITE}.{name}") for name in _PARTS}
    base = parts["util"].BaseTestCase
    mixin = type("JobMixin", (parts["util"].ExecutorMixin,), {"executor_type": JobExecutor})
    parts["test_future"].Future = new_job
    for name in list(vars(parts["util"])):
        if name.endswith("_FUTURE"):
            made = getattr(parts["util"], name)
            job = new_job(made._state, made._exception, made._result)
            for part in parts.values():
                if hasattr(part, name):
                    setattr(part, name, job)
    for part in parts.values():
        if hasattr(part, "create_future"):
            part.create_future = new_job
    loader = unittest.TestLoader()
    cases = [parts["test_future"].FutureTests] + [
        type(name, (mixin, getattr(parts[part], name), base), {})
        for part, name in (
            ("executor", "ExecutorTest"),
            ("test_wait", "WaitTests"),
            ("test_as_completed", "AsCompletedTests"),
        )
    ]
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in cases)


_PARTS = ("util", "executor", "test_future", "test_wait", "test_as_completed")


def main() -> None:
    with contextlib.redirect_stdout(io.StringIO()):  # the suite tells how long each test took
        result = unittest.TextTestRunner(stream=io.StringIO()).run(tests())
    failed = {case.id().rpartition(".")[2]: text for case, text in [*result.failures, *result.errors]}
    skipped = [case.id().rpartition(".")[2] for case, _ in result.skipped]
    json.dump({"run": result.testsRun, "failed": failed, "skipped": skipped}, sys.stdout)


if __name__ == "__main__":
    main()
