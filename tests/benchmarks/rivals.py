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


# ---------------------------------------------------------------- what other packages offer


def concurrent_futures(function: Callable[..., Any]) -> Any:
    """``concurrent.futures.ProcessPoolExecutor``, a new one."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(function).result(TIMEOUT)


def loky_pool(function: Callable[..., Any]) -> Any:
    """``loky.ProcessPoolExecutor``, a new one."""
    from loky import ProcessPoolExecutor

    with ProcessPoolExecutor(1) as pool:
        return pool.submit(function).result(TIMEOUT)


def wrapt_timeout_decorator(function: Callable[..., Any]) -> Any:
    from wrapt_timeout_decorator import timeout

    return timeout(TIMEOUT, use_signals=False)(function)()


def by_func_timeout(function: Callable[..., Any]) -> Any:
    """In a thread, not in a process: it cannot end what holds the GIL."""
    from func_timeout import func_timeout

    return func_timeout(TIMEOUT, function)


def by_pynisher(function: Callable[..., Any]) -> Any:
    from pynisher import limit

    return limit(function, wall_time=TIMEOUT, context="fork")()


#: Of ``ipyparallel``, where it is started: a process that lives on, so each run finds what the last one left.
_engines: list[Any] = []


def start_engine() -> None:
    """Start one engine of ipyparallel."""
    import ipyparallel

    cluster = ipyparallel.Cluster(n=1, log_level=40)
    _engines[:] = [cluster, cluster.start_and_connect_sync(activate=True)]


def stop_engine() -> None:
    """End it."""
    cluster, _ = _engines
    _engines.clear()
    cluster.stop_cluster_sync()


def by_ipyparallel(function: Callable[..., Any]) -> Any:
    """``%%px``, in an engine that is there already."""
    from IPython.core.getipython import get_ipython

    get_ipython().run_cell_magic("px", "", "r = 1 + 1")


def ways() -> dict[str, Callable[..., Any]]:
    """Return the other ways to call a function, by name."""
    return {
        "Process + Queue, fork": process_and_queue("fork"),
        "Process + Queue, spawn": process_and_queue("spawn"),
        "concurrent.futures, a new pool": concurrent_futures,
        "pebble.concurrent.process": pebble_process,
        "loky, a new pool": loky_pool,
        "wrapt_timeout_decorator": wrapt_timeout_decorator,
        "func_timeout (a thread)": by_func_timeout,
        "pynisher": by_pynisher,
        "ipyparallel %%px (lives on)": by_ipyparallel,
    }


def fork_and_wait_ms() -> float:
    """Return how long that takes, in milliseconds."""
    import time

    begin = time.perf_counter()
    fork_and_wait()
    return (time.perf_counter() - begin) * 1000


# ---------------------------------------------------------------- large objects by pickle 5


def length_through_a_pipe(value: Any) -> int:
    """Return ``len(value)``, found by a forked process that gets it through a pipe."""
    out, into_it = os.pipe()
    back_out, back = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.close(into_it)
            with open(out, "rb") as reader:
                os.write(back, struct.pack("<Q", len(pickle.loads(_read(reader)))))
        finally:
            os._exit(0)
    os.close(out), os.close(back)
    with open(into_it, "wb") as writer:
        data = pickle.dumps(value, 5)
        writer.write(struct.pack("<Q", len(data)))
        writer.write(data)
    return _length(pid, back_out)


def length_through_shared_memory(value: Any) -> int:
    """The same, with the large buffers copied into shared memory."""
    import mmap

    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, 5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    shared = mmap.mmap(-1, sum(view.nbytes for view in views) + len(data) + 1)
    places, place = [], 0
    for view in (*views, memoryview(data)):
        shared[place : place + view.nbytes] = view
        places.append((place, view.nbytes))
        place += view.nbytes
    back_out, back = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            every = [memoryview(shared)[begin : begin + size] for begin, size in places]
            os.write(back, struct.pack("<Q", len(pickle.loads(every[-1], buffers=every[:-1]))))
        finally:
            os._exit(0)
    os.close(back)
    length = _length(pid, back_out)
    shared.close()
    return length


def _length(pid: int, back: int) -> int:
    with open(back, "rb") as reader:
        (length,) = struct.unpack("<Q", reader.read(8))
    os.waitpid(pid, 0)
    return int(length)
