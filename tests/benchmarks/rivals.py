"""The other ways to call a function, or to run code on some names, in a process of its own.

They are what a user would write without this package; only pebble's has a deadline.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import struct
from collections.abc import Callable, Iterable
from multiprocessing.queues import Queue
from typing import Any, BinaryIO

import cloudpickle

TIMEOUT = 600


def process_and_queue(method: str) -> Callable[..., Any]:
    """``multiprocessing.Process`` and ``Queue``, the way of the standard library's documentation."""
    context = multiprocessing.get_context(method)

    def call(function: Callable[..., Any], *args: Any) -> Any:
        queue: Queue[Any] = context.Queue()
        process = context.Process(target=into, args=(queue, function, args))
        process.start()
        value = queue.get(timeout=TIMEOUT)
        process.join()
        return value

    return call


def into(queue: Queue[Any], function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Call, and put the value where the parent waits for it."""
    queue.put(function(*args))


def pebble_pool(function: Callable[..., Any], *args: Any) -> Any:
    """``pebble.ProcessPool``, a new one: as much of a fresh process as the others'."""
    from pebble import ProcessPool

    with ProcessPool(max_workers=1) as pool:
        return pool.schedule(function, args=args, timeout=TIMEOUT).result()


def pebble_process(function: Callable[..., Any], *args: Any) -> Any:
    """``pebble.concurrent.process``, called as a decorator would."""
    from pebble import concurrent

    return concurrent.process(timeout=TIMEOUT)(function)(*args).result()


def pebble_map(function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> list[Any]:
    """``pebble.ProcessPool.map``, each item in a process of its own."""
    from pebble import ProcessPool

    with ProcessPool(max_workers=workers, max_tasks=1) as pool:
        return list(pool.map(function, items, timeout=TIMEOUT).result())


def fork_and_wait() -> None:
    """Nothing but the system calls."""
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def through_a_pipe(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run code on some names in a forked process: all of them by plain cloudpickle, through a pipe, there and back."""
    (there_out, there_in), (back_out, back_in) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(there_in), os.close(back_out)
            with open(there_out, "rb") as reader, open(back_in, "wb") as writer:
                received = pickle.loads(_read(reader))
                exec(code, received)
                received.pop("__builtins__", None)
                _write(writer, received)
        finally:
            os._exit(0)
    os.close(there_out), os.close(back_in)
    with open(there_in, "wb") as writer, open(back_out, "rb") as reader:
        _write(writer, names)
        result: dict[str, Any] = pickle.loads(_read(reader))
    os.waitpid(pid, 0)
    return result


def _write(stream: BinaryIO, value: object) -> None:
    data = cloudpickle.dumps(value, 5)
    stream.write(struct.pack("<Q", len(data)))
    stream.write(data)
    stream.flush()


def _read(stream: BinaryIO) -> bytes:
    (size,) = struct.unpack("<Q", stream.read(8))
    return stream.read(size)
