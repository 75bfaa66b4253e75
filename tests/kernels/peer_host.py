"""A program that calls ``work`` of a module with a timeout, by another package, and says how it ended. A process of its own.

Standard library only: it runs in an environment that has the peers and not this package. Everything that goes wrong in
it is seen from outside by ``peers.py``, which also kills it when it hangs.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

Function = Callable[[], Any]


def pebble(function: Function, seconds: float) -> Any:
    from concurrent.futures import Future

    from pebble import concurrent  # type: ignore[import-not-found,unused-ignore]

    future: Future[Any] = concurrent.process(timeout=seconds)(function)()
    return future.result()


def wrapt_timeout_decorator(function: Function, seconds: float) -> Any:
    from wrapt_timeout_decorator import timeout  # type: ignore[import-not-found,unused-ignore]

    return timeout(seconds, use_signals=False)(function)()


def func_timeout(function: Function, seconds: float) -> Any:
    from func_timeout import func_timeout as call  # type: ignore[import-not-found,unused-ignore]

    return call(seconds, function)


def concurrent_futures(function: Function, seconds: float) -> Any:
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor(1)
    try:
        return pool.submit(function).result(timeout=seconds)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


PEERS: dict[str, Callable[[Function, float], Any]] = {
    "pebble": pebble,
    "wrapt_timeout_decorator": wrapt_timeout_decorator,
    "func_timeout": func_timeout,
    "concurrent.futures": concurrent_futures,
}


def main(peer: str, module: str, seconds: str) -> None:
    """Call twice: the work, then something that has to work after it. One line of JSON for each."""
    functions = importlib.import_module(module)
    for function, limit in ((functions.work, float(seconds)), (functions.following, 30.0)):
        error, value = "", None
        try:
            value = PEERS[peer](function, limit)
        except BaseException as raised:
            error = " ".join(cls.__name__ for cls in type(raised).__mro__)
        kind = type(value).__name__
        print(json.dumps({"error": error, "value": kind, "at": time.monotonic()}), file=sys.__stderr__, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
