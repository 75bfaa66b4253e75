"""Variables of a context, and asyncio's futures, tasks, loops and processes. In both processes.

A loop is each process's own: what is bound to one here is bound to the other's there. A future that is done is what it
came to.
"""

from __future__ import annotations

import contextvars
import functools
import gc
import threading
import types
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.ended import Refused
from ipytimeout.wire.facets import MISSING, CannotRestore, Sight, SingleFacet, Swap

if TYPE_CHECKING:
    import asyncio

    from ipytimeout.wire.streams import NamespacePickler

# ---------------------------------------------------------------- variables


def reduce_variable(variable: Any, pickler: NamespacePickler) -> Any:
    """A variable of the notebook, with its value in the context that the code has."""
    default = tuple(gc.get_referents(variable)[1:2])
    value = variable.get(MISSING)
    return make_variable, (variable.name, default), () if value is MISSING else (value,), None, None, set_variable


def make_variable(name: str, default: tuple[Any, ...]) -> Any:
    return contextvars.ContextVar(name, default=default[0]) if default else contextvars.ContextVar(name)


def set_variable(variable: Any, value: tuple[Any, ...]) -> None:
    if value:
        variable.set(value[0])


class Value(SingleFacet):
    """The value of a variable in the context of the code."""

    code = "context"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return obj.get(MISSING)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = obj.get(MISSING)
        return None if now is before else () if now is MISSING else (now,)

    def swap(self, obj: Any, delta: Any) -> Swap:
        if not delta:
            raise CannotRestore("a variable of a context cannot be unset from outside")
        old = obj.get(MISSING)
        return Swap(functools.partial(obj.set, delta[0]), int if old is MISSING else functools.partial(obj.set, old))


# ---------------------------------------------------------------- contexts


def reduce_context(context: Any, pickler: NamespacePickler) -> Any:
    """A copy of one, with the variables of the notebook; of those of libraries each process has its own."""
    own = {id(value) for value in pickler.namespace.values() if type(value) is contextvars.ContextVar}
    values = [(variable, value) for variable, value in context.items() if id(variable) in own]
    return contextvars.copy_context, (), values, None, None, set_context


def set_context(context: Any, values: list[tuple[Any, Any]]) -> None:
    for variable, value in values:
        context.run(variable.set, value)


class Values(SingleFacet):
    """What ``context.run`` has set in a context."""

    code = "values of a context"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return dict(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        return [(name, now) for name, now in obj.items() if before.get(name, MISSING) is not now] or None

    def swap(self, obj: Any, delta: Any) -> Swap:
        old = [(variable, obj[variable]) for variable, _ in delta if variable in obj]
        return Swap(functools.partial(set_context, obj, delta), functools.partial(set_context, obj, old))


# ---------------------------------------------------------------- futures, tasks, loops


def the_loop() -> asyncio.AbstractEventLoop:
    """Return the loop that runs, or is to run, the code of this process's main thread."""
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return _next_loop()


@functools.cache
def _next_loop() -> asyncio.AbstractEventLoop:
    import asyncio

    return asyncio.new_event_loop()


def forget_loop() -> None:
    """Have a loop of this process's own: it is a copy of another, whose loop must not be closed here."""
    if _next_loop.cache_info().currsize:
        _of_another.append(_next_loop())
        _next_loop.cache_clear()


_of_another: list[object] = []


def reduce_loop(loop: Any, pickler: NamespacePickler) -> Any:
    return the_loop, ()


def reduce_future(future: Any, pickler: NamespacePickler) -> Any:
    import asyncio

    if not future.done():
        raise Refused("an asyncio task that is not done cannot leave its process")
    outcome: tuple[Any, ...] = ()
    if not future.cancelled():
        error = future.exception()
        outcome = (error, None if error is not None else future.result())
    if not isinstance(future, asyncio.Task):
        return make_future, (outcome,)
    coroutine: Any = future.get_coro()
    return make_task, (future.get_name(), (coroutine.__name__, coroutine.__qualname__), outcome)


def make_future(outcome: tuple[Any, ...]) -> Any:
    """Make a future that is done. ``outcome``: its exception and its result; nothing when it was cancelled."""
    future = the_loop().create_future()
    if not outcome:
        future.cancel()
    elif outcome[0] is not None:
        future.set_exception(outcome[0])
        future.exception()  # or its end is taken for an error that nobody saw
    else:
        future.set_result(outcome[1])
    return future


def make_task(name: str, names: tuple[str, str], outcome: tuple[Any, ...]) -> Any:
    """Make a task that is done, in a thread of its own: where a loop is running, no other can run."""
    import asyncio

    made: list[Any] = []

    async def task() -> Any:
        if outcome[0] is not None:
            raise outcome[0]
        return outcome[1]

    def make() -> None:
        loop = asyncio.new_event_loop()
        coroutine: Any = task()
        coroutine.__name__, coroutine.__qualname__ = names
        made.append(loop.create_task(coroutine, name=name))
        if not outcome:
            made[0].cancel()
        loop.run_until_complete(asyncio.wait(made))
        if outcome:
            made[0].exception()  # or its end is taken for an error that nobody saw
        loop.close()

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


# ---------------------------------------------------------------- processes


def reduce_process(process: Any, pickler: NamespacePickler) -> Any:
    """One that has ended, and whose output was read: what is left of it is how it ended."""
    transport = process._transport
    if process.returncode is None or not transport._finished:
        raise Refused("a running process cannot leave its process")
    if any(stream is not None and stream._buffer for stream in (process.stdout, process.stderr)):
        raise Refused("a process with unread output cannot leave its process")
    return make_ended_process, (process.pid, process.returncode, sorted(transport._pipes))


def make_ended_process(pid: int, returncode: int, pipes: list[int]) -> Any:
    """Make a process of asyncio that has ended. ``pipes``: which of its three streams were pipes."""
    import asyncio.base_subprocess
    import asyncio.subprocess

    loop = the_loop()
    transport: Any = object.__new__(asyncio.base_subprocess.BaseSubprocessTransport)
    ended = {"_closed": True, "_finished": True, "_pid": pid, "_returncode": returncode, "_extra": {}}
    ends = {fd: types.SimpleNamespace(pipe=_closed_pipe(), disconnected=True) for fd in pipes}
    vars(transport).update(ended, _proc=None, _loop=None, _protocol=None, _exit_waiters=None, _pipes=ends)
    protocol: Any = asyncio.subprocess.SubprocessStreamProtocol(limit=1 << 16, loop=loop)
    protocol.connection_made(transport)
    for fd in pipes:
        protocol.pipe_connection_lost(fd, None)
    protocol._process_exited, protocol._transport = True, None
    return asyncio.subprocess.Process(transport, protocol, loop)


def _closed_pipe() -> asyncio.Transport:
    import asyncio

    class ClosedPipe(asyncio.Transport):
        def is_closing(self) -> bool:
            return True

        def close(self) -> None: ...

        def write(self, data: object) -> None: ...

    return ClosedPipe()
