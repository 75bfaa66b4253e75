"""Functions in a real child."""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from ipytimeout.wire.messages.outputs import DisplayData, Error
from tests.child.conftest import LiveChild


def notebook(source: str, namespace: dict[str, Any]) -> None:
    """Define names as a notebook's cell does."""
    namespace["__name__"] = "__main__"
    exec(compile(source, "/tmp/ipykernel_4711/1.py", "exec"), namespace)
    del namespace["__builtins__"], namespace["__name__"]


def called(child: LiveChild, function: Callable[..., Any], *args: Any, **fields: Any) -> Any:
    child.call(function, *args, **fields)
    child.to_the_end()
    return child.commit()


def test_a_function_brings_its_value_and_its_prints(child: LiveChild) -> None:
    """Nothing is displayed as a result."""
    notebook("def f(a):\n    print('in f', a)\n    return [a, a]", child.namespace)
    assert called(child, child.namespace["f"], 3).result == [3, 3]
    assert child.seen.outline == ["stdout: in f 3\n"]
    assert child.seen.status == b"RE"


def test_closures_and_globals_travel(child: LiveChild) -> None:
    """The function sees the notebook's names, and changes none in the kernel."""
    notebook("n = 2\ndef make(k):\n    def g(x):\n        global n\n        n += 1\n        return x * k + n\n    return g\ng = make(10)", child.namespace)  # fmt: skip
    assert called(child, child.namespace["g"], 1).result == 13
    assert child.namespace["n"] == 2


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: functools.partial(f), lambda f: lambda *a: f(*a)])
def test_a_coroutine_function_runs_to_its_end(child: LiveChild, wrap: Callable[..., Any]) -> None:
    """In a loop of its own, and its left-over tasks are ended."""

    async def left_over() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            print("ended")

    async def f(a: int) -> int:
        task = asyncio.create_task(left_over())
        await asyncio.sleep(0)
        print("task", task.done())
        return a + 1

    assert called(child, wrap(f), 1).result == 2
    assert child.seen.text() == "task False\nended\n"


@pytest.mark.parametrize("shell", [True, False])
def test_an_exception_comes_back_and_is_not_shown(make_child: Callable[..., LiveChild], shell: bool) -> None:
    """Its rendered traceback has the code's own frames only."""
    child = make_child(shell=shell, kernel=shell)
    notebook("def f(a):\n    return g(a)\ndef g(a):\n    return 1 / a", child.namespace)
    commit = called(child, child.namespace["f"], 0)
    assert isinstance(commit.exception, ZeroDivisionError)
    changes = child.seen.changes
    assert [(line, name) for _, line, name in changes.frames] == [(2, "f"), (4, "g")]
    assert changes.error is not None
    shown = "\n".join(changes.error.traceback)
    assert "ZeroDivisionError" in shown and "ipytimeout" not in shown
    assert child.seen.outline == [] and not changes.success


@pytest.mark.parametrize(("function", "error"), [(sys.exit, "SystemExit"), (len, "TypeError")])
def test_other_exceptions_come_back_too(child: LiveChild, function: Callable[..., Any], error: str) -> None:
    """SystemExit is raised, as natively."""
    assert type(called(child, function).exception).__name__ == error


def test_displays_and_figures_of_a_function_are_shown(child: LiveChild) -> None:
    """Half-drawn figures too, at its end, as at the end of a cell."""
    pytest.importorskip("matplotlib")

    def f() -> int:
        import matplotlib.pyplot as plt

        plt.plot([1])
        display("here")  # type: ignore[name-defined]  # noqa: F821
        return 1

    assert called(child, f).result == 1
    assert len(child.seen.of(DisplayData)) == 2


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_deadline_ends_a_function(child: LiveChild, asynchronous: bool) -> None:
    """A coroutine's ``finally`` runs, and the exception is the interrupt."""

    def f() -> None:
        try:
            print("go")
            time.sleep(600)
        finally:
            print("finally")

    async def g() -> None:
        try:
            print("go")
            await asyncio.sleep(600)
        finally:
            print("finally")

    child.call(g if asynchronous else f)
    child.until_text("go")
    child.deadline()
    seen = child.to_the_end()
    assert seen.text() == "go\nfinally\n"
    assert seen.changes.deadline_interrupt
    assert seen.changes.error is not None and seen.changes.error.ename == "DeadlineInterrupt"
    assert seen.of(Error) == []


def test_asyncio_run_in_a_function_is_interrupted_as_by_ctrl_c(child: LiveChild) -> None:
    """The loop is the function's own."""

    async def g() -> None:
        try:
            print("go")
            await asyncio.sleep(600)
        finally:
            print("finally")

    child.call(lambda: asyncio.run(g()))
    child.until_text("go")
    child.deadline()
    assert child.to_the_end().text() == "go\nfinally\n"
    assert child.seen.changes.deadline_interrupt


def test_a_refused_name_is_explained(child: LiveChild) -> None:
    """Where the function uses it."""
    notebook("def f():\n    return missing", child.namespace)
    commit = called(child, child.namespace["f"], refused={"missing": "a lock cannot leave its process"})
    assert "a lock cannot leave its process" in str(commit.exception)


def test_a_value_that_cannot_travel_is_named(child: LiveChild) -> None:
    """With its reason."""

    def f() -> Any:
        started = (i for i in range(3))
        next(started)
        return started

    child.call(f)
    seen = child.to_the_end()
    assert list(seen.changes.left_behind) == ["the result"]
    assert seen.changes.success
