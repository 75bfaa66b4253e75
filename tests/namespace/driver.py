"""The child's side of the namespace tests: a throwaway program that runs cells by plain ``exec``.

It forks for each cell, so that each has a fresh process without importing anything again. It speaks pickles of plain
data, each with its length before it, over stdin and stdout.
"""

from __future__ import annotations

import ast
import os
import pickle
import struct
import sys
import types
from typing import Any

from ipytimeout.child.changes import MISSING, Watch, collect_call
from ipytimeout.wire import memory
from ipytimeout.wire.messages import Attached
from ipytimeout.wire.pickling import CALL, CannotRebuild, load_namespace


def received(buffer: bytes | tuple[int, int, int]) -> Any:
    """Return a buffer, mapped when it is in shared memory: (who holds the descriptor, which it is, its size)."""
    if isinstance(buffer, bytes):
        return bytearray(buffer)
    process, descriptor, size = buffer
    return memory.map_private(Attached(os.open(f"/proc/{process}/fd/{descriptor}", os.O_RDWR), size))


class Unbuffered:
    """Reads exactly what is asked for."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size and (some := os.read(self._descriptor, size - len(data))):
            data += some
        return bytes(data)


def read(stream: Any) -> Any:
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    return pickle.loads(stream.read(*struct.unpack("<Q", head)))


def write(stream: Any, message: Any) -> None:
    data = pickle.dumps(message, 5)
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def run(code: str, namespace: dict[str, Any]) -> Any:
    """Execute the code; return the value of a trailing expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), namespace)
    if last is None:
        return MISSING
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)


def answer(collected: Any) -> tuple[Any, ...]:
    return [bytes(b) for b in collected.buffers], collected.left_behind, collected.exception_refused


def serve(request: dict[str, Any], stdin: Any, stdout: Any) -> None:
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    namespace = vars(module)
    if not request["pages_known"]:
        memory.written = lambda address, size: None
    try:
        loaded = load_namespace(list(map(received, request["buffers"])), namespace)
    except CannotRebuild as error:
        write(stdout, error)
        return
    namespace.update(loaded.values)
    result, exception = MISSING, None
    watch = None
    try:
        if CALL in loaded.extra:
            function, args, kwargs = loaded.extra[CALL]
            result = function(*args, **kwargs)
        else:
            watch = Watch(namespace, loaded.table, dict(namespace))
            result = run(request["code"], namespace)
    except BaseException as error:
        exception = error
    if watch is None:
        write(stdout, answer(collect_call(loaded.table, result, exception)))
        read(stdin)
        return
    options: Any = {"keep": request["keep"], "hidden": {"__builtins__", "secret"}}
    write(stdout, answer(watch.collect(result=result, exception=exception, **options)))
    while (again := read(stdin)) is not None:
        write(stdout, answer(watch.collect(result=result, exception=exception, without=again, **options)))


def main() -> None:
    # Unbuffered, as the forked processes read from it in turn.
    stdin, stdout = Unbuffered(os.dup(0)), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            request = read(stdin)
        except EOFError:
            return
        for name in request["imports"]:
            __import__(name)
        pid = os.fork()
        if not pid:
            try:
                serve(request, stdin, stdout)
            except BaseException:
                import traceback

                write(stdout, RuntimeError(traceback.format_exc()))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
