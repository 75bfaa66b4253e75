"""What the types of the public names promise. Compiled by type checkers, never run.

A line with ``# wrong`` must be an error; ``assert_type`` says what everything else is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import assert_type

from ipytimeout import (
    DeadlineExceeded,
    Job,
    checkpoint,
    jobs,
    progress,
    remaining,
    run_with_timeout,
    submit,
    timeout,
)


def count(text: str, *, start: int = 0) -> int:
    return len(text) + start


async def later(text: str) -> bytes:
    await asyncio.sleep(0)
    return text.encode()


# the functions
assert_type(run_with_timeout(5, count, "a", start=1), int)
assert_type(run_with_timeout("2m", later, "a"), bytes)
assert_type(run_with_timeout(timedelta(seconds=5), lambda: "x"), str)
run_with_timeout(5, count, 3)  # wrong
run_with_timeout(5, count, "a", begin=1)  # wrong
run_with_timeout(5, count)  # wrong
run_with_timeout([5], count, "a")  # wrong

# the object
limits = timeout(5, memory="2GB", kill_after=0, commit=True, exception=ValueError, quiet=True)
assert_type(limits.run(count, "a"), int)
assert_type(limits.run(later, "a"), bytes)
assert_type(limits.submit(count, "a"), Job[int])
assert_type(limits.submit(later, "a").result(), bytes)
assert_type(submit(5, count, "a").result(timeout=3), int)
assert_type(limits.map(count, ["a", "b"], workers=2), Iterator[int | BaseException])
timeout(lambda text: len(text)).run(count, "a")
limits.run(count, 3)  # wrong
limits.map(count, [1])  # wrong
limits.map(count, ["a"], errors="ignore")  # wrong
timeout(5, exception=ValueError("x"))  # wrong


# the decorator
@timeout(5)
def add(a: int, b: int = 1) -> int:
    return a + b


@timeout(5)
async def fetch(url: str) -> bytes:
    return url.encode()


class Model:
    @timeout(5)
    def fit(self, rows: list[int]) -> float:
        return float(len(rows))

    @classmethod
    @timeout(5)
    def load(cls, path: str) -> str:
        return path

    @staticmethod
    @timeout(5)
    def name(number: int) -> str:
        return str(number)


assert_type(add(1, b=2), int)
assert_type(add.submit(1), Job[int])
assert_type(Model().fit([1]), float)
assert_type(Model().fit.submit([1]), Job[float])
assert_type(Model.name(1), str)
add("a")  # wrong
add(1, c=2)  # wrong
Model().fit("a")  # wrong


async def main() -> None:
    assert_type(await fetch("a"), bytes)
    assert_type(await add.arun(1), int)
    assert_type(await limits.arun(count, "a"), int)
    assert_type(await limits.arun(later, "a"), bytes)
    assert_type(await submit(5, count, "a"), int)


# a job is a future with more to tell
job: Future[int] = submit(5, count, "a")
assert_type(submit(5, count, "a").remaining, float)
assert_type(jobs()[0].state, str)
submit(5, count, "a").extend("soon")  # wrong

# inside a run
assert_type(remaining(), float)
assert_type(progress([1, 2]), Iterator[int])
progress(0.5, "half")
checkpoint(rows=[1])
try:
    run_with_timeout(5, count, "a")
except DeadlineExceeded as error:
    assert_type(error.where, tuple[str, ...])
