"""Things of a process that are over, or are only a place in a file: these can leave their process after all.

A closed file, a joined thread, a generator that is used up or not begun: notebooks are full of them, since ``with``
and ``for`` leave the name behind. In both processes; each is rebuilt as what it is, in the state it is in.

Law of the file: what is still alive is refused, with its reason. No code of the notebook runs here.
"""

from __future__ import annotations

import gc
import inspect
import io
import os
import re
import stat
import threading
import types
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.facets import CannotRestore, Sight, SingleFacet, Swap

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: What ``open`` gives.
FILES = (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO)


class Refused(Exception):
    """This cannot leave its process; the text says why, in plain words."""


# ---------------------------------------------------------------- files


def reduce_file(file: Any, pickler: NamespacePickler) -> Any:
    """A file of the disk, named or not, is opened again at the same place; any other only when it is closed."""
    if _is_packed(file):
        if file.closed:
            return make_closed_file, (type(file),), plain_attributes(file)
        return make_packed, _parts_of_packed(file), file.tell(), None, None, put_place
    if type(file) is io.TextIOWrapper and not file.closed and _is_packed(file.buffer):
        return io.TextIOWrapper, (file.buffer, file.encoding, file.errors), place_of(file), None, None, put_place
    if _is_told_by_attributes(type(file)):
        return NotImplemented
    raw = getattr(getattr(file, "buffer", file), "raw", file)
    if type(file) is io.TextIOWrapper and file.closed and type(raw) is not io.FileIO:
        return make_closed_text, (getattr(file, "name", None), file.encoding, file.errors)
    if type(file) not in FILES or type(raw) is not io.FileIO:
        raise Refused("an open file cannot leave its process")
    text = {"encoding": file.encoding, "errors": file.errors} if isinstance(file, io.TextIOWrapper) else None
    mode, buffered = str(getattr(file, "mode", raw.mode)), file is not raw
    if file.closed:
        return make_file, (mode, text, buffered), (raw.name, None), None, None, set_file
    try:
        if not file.readable() or file.writable():
            file.flush()
        descriptor, place = raw.fileno(), place_of(file)
        is_of_disk = stat.S_ISREG(os.fstat(descriptor).st_mode)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
    except (OSError, ValueError):
        raise Refused("an open file cannot leave its process") from None
    if not is_of_disk:
        raise Refused("an open file cannot leave its process")
    if not _is_at(path, descriptor):  # deleted, or made without a name: by this process, as long as it has it
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
    name = None if raw.name == descriptor else raw.name
    return make_file, (mode, text, buffered, path), (name, place), None, None, set_file


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


#: The classes of C that hold nothing themselves.
_ABSTRACT = tuple(cls.__mro__[1] for cls in (io.IOBase, io.RawIOBase, io.BufferedIOBase, io.TextIOBase))


def _is_told_by_attributes(cls: type) -> bool:
    """Tell whether a kind of file is written in Python: the notebook's own, or one that is in memory until it grows."""
    return all(base.__module__ != "_io" or base in _ABSTRACT for base in cls.__mro__)


#: Files in other files.
_PACKED = ("gzip.GzipFile", "bz2.BZ2File", "lzma.LZMAFile")


def _is_packed(file: Any) -> bool:
    return f"{type(file).__module__}.{type(file).__qualname__}" in _PACKED


def _parts_of_packed(file: Any) -> tuple[Any, str, Any]:
    """Return of what a packed file that is read can be opened again."""
    inner: Any = getattr(file, "fileobj", None) or getattr(file, "_fp", None)
    try:
        path = os.readlink(f"/proc/self/fd/{inner.fileno()}")
        if not file.readable() or not os.path.samestat(os.fstat(inner.fileno()), os.stat(path)):
            raise Refused("an open file cannot leave its process")
    except (OSError, ValueError, AttributeError):
        raise Refused("an open file cannot leave its process") from None
    return type(file), path, getattr(file, "name", None) or getattr(inner, "name", path)


def make_packed(cls: Any, path: str, name: Any) -> Any:
    """Open a packed file for reading, and have it close what it is in."""
    inner: Any = open(path, "rb")  # noqa: SIM115
    inner.raw.name = name
    if hasattr(cls, "myfileobj"):
        file = cls(name, "rb", fileobj=inner)
        file.myfileobj = inner
    else:
        file = cls(inner)
        file._closefp = True
    return file


def make_closed_file(cls: Any) -> Any:
    """Make a file of one of these classes that is closed, from nothing: its attributes tell all of it."""
    file: Any = cls.__new__(cls)
    vars(file).update(fileobj=None, _fp=None, myfileobj=None)
    return file


def plain_attributes(obj: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(obj).items() if value is None or type(value) in (int, bool, str)}


class _Named(io.BytesIO):
    name: Any = None


def make_closed_text(name: Any, encoding: str, errors: str) -> Any:
    """Make a closed file of text that is in no file of the disk, but in a packed one, say."""
    buffer = _Named()
    buffer.name = name
    file = io.TextIOWrapper(buffer, encoding, errors)
    file.close()
    return file


def make_file(mode: str, text: dict[str, Any] | None, buffered: bool, path: str = os.devnull) -> Any:
    """Open a file without making, emptying or extending it. Without a path: one to be closed."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, (flags & ~(os.O_TRUNC | os.O_CREAT | os.O_EXCL)) | os.O_CLOEXEC)

    plain = mode.replace("b", "").replace("t", "") + ("" if text else "b")
    file = open(path, plain, -1 if buffered or text else 0, opener=opener, **text or {})  # noqa: SIM115
    if text:
        vars(file)["mode"] = mode
    return file


def set_file(file: Any, state: tuple[Any, Any]) -> None:
    """Give a file its name (None: its number here) and its place, or close it."""
    name, place = state
    raw = getattr(getattr(file, "buffer", file), "raw", file)
    raw.name = raw.fileno() if name is None else name
    put_place(file, place)


def place_of(file: Any) -> Any:
    """Return where a file is; None when it is closed."""
    if file.closed:
        return None
    try:
        return file.tell()
    except OSError:
        if not isinstance(file, io.TextIOWrapper) or not file.seekable():
            raise
        return _place_by_the_rest(file)


def _place_by_the_rest(file: Any) -> Any:
    """Return where a file of text is after ``next(file)``, when it tells no more: by what is left of it."""
    if os.fstat(file.fileno()).st_size > _MOST_TEXT:
        raise Refused("an open file cannot leave its process")
    rest = "".join(file)  # at its end it tells again
    end = file.tell()
    for text in (rest, rest.replace("\n", "\r\n")):
        place = end - len(text.encode(file.encoding, file.errors or "strict"))
        if place >= 0:
            file.seek(place)
            if "".join(file) == rest:
                file.seek(place)
                return place
    raise Refused("an open file cannot leave its process")


#: More than this is not read to find a place in it.
_MOST_TEXT = 1 << 28


def put_place(file: Any, place: Any) -> None:
    if place is None:
        file.close()
    elif not file.closed:
        if isinstance(file, FILES):
            file.seek(0, os.SEEK_END)  # what was read ahead may have been written over
        file.seek(place)


# ---------------------------------------------------------------- generators


def reduce_generator(generator: Any, pickler: NamespacePickler) -> Any:
    """One that is used up; or that has not begun: its function and arguments tell everything."""
    code, frame = generator.gi_code, generator.gi_frame
    names = (generator.__name__, generator.__qualname__)
    if frame is None:
        return make_ended_generator, (names,)
    if inspect.getgeneratorstate(generator) == inspect.GEN_CREATED:
        for function in gc.get_referents(generator):
            if isinstance(function, types.FunctionType) and function.__code__ is code:
                return begin_generator, (function, *_arguments(code, frame.f_locals), names)
    raise Refused("a generator that has begun cannot leave its process")


def _arguments(code: types.CodeType, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return with which arguments a function was called that has not begun."""
    names = code.co_varnames
    positional, keywords = code.co_argcount, code.co_kwonlyargcount
    args = [values[name] for name in names[:positional]]
    kwargs = {name: values[name] for name in names[positional : positional + keywords]}
    rest = list(names[positional + keywords :])
    if code.co_flags & inspect.CO_VARARGS:
        args += values[rest.pop(0)]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        kwargs |= values[rest.pop(0)]
    return args, kwargs


def begin_generator(function: Any, args: list[Any], kwargs: dict[str, Any], names: tuple[str, str]) -> Any:
    generator = function(*args, **kwargs)
    generator.__name__, generator.__qualname__ = names
    return generator


def make_ended_generator(names: tuple[str, str]) -> Any:
    generator: Any = (None for _ in ())
    generator.close()
    generator.__name__, generator.__qualname__ = names
    return generator


def reduce_coroutine(coroutine: Any, pickler: NamespacePickler) -> Any:
    if coroutine.cr_frame is not None:
        raise Refused("a coroutine cannot leave its process")
    return make_ended_coroutine, ((coroutine.__name__, coroutine.__qualname__),)


def make_ended_coroutine(names: tuple[str, str]) -> Any:
    async def awaited() -> None: ...

    coroutine: Any = awaited()
    coroutine.close()
    coroutine.__name__, coroutine.__qualname__ = names
    return coroutine


class Begun(SingleFacet):
    """Whether a generator has begun, and whether it has ended."""

    code = "generator"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return inspect.getgeneratorstate(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = inspect.getgeneratorstate(obj)
        return None if now == before else (now,)

    def swap(self, obj: Any, delta: Any) -> Swap:
        if delta[0] != inspect.GEN_CLOSED:
            raise CannotRestore("a generator that has begun cannot leave its process")
        return Swap(obj.close, int)


# ---------------------------------------------------------------- threads, futures, processes


def reduce_thread(thread: Any, pickler: NamespacePickler) -> Any:
    if thread.ident is None or thread.is_alive():
        raise Refused("a thread cannot leave its process")
    usual = vars(threading.Thread()).keys() | {"_target", "_args", "_kwargs", "_tstate_lock", "_handle"}
    own = {name: value for name, value in vars(thread).items() if name not in usual}
    ended = (thread.name, thread.daemon, thread.ident, thread.native_id)
    return make_ended_thread, (type(thread), ended), own or None


def make_ended_thread(cls: Any, ended: tuple[str, bool, int, int]) -> Any:
    """Make a thread that has done its work, by doing none."""
    thread = cls.__new__(cls)
    name, daemon, ident, native = ended
    threading.Thread.__init__(thread, name=name, daemon=daemon)
    thread.run = int
    threading.Thread.start(thread)
    threading.Thread.join(thread)
    del thread.run
    thread._ident, thread._native_id = ident, native
    return thread


def reduce_future(future: Any, pickler: NamespacePickler) -> Any:
    if not future.done():
        raise Refused("a future cannot leave its process")
    return NotImplemented


def reduce_process(process: Any, pickler: NamespacePickler) -> Any:
    if process.returncode is None:
        raise Refused("a running process cannot leave its process")
    return NotImplemented


def reduce_executor(executor: Any, pickler: NamespacePickler) -> Any:
    attributes = vars(executor)
    if type(executor).__module__ not in ("concurrent.futures.thread", "concurrent.futures.process") or not (
        attributes.get("_shutdown") or attributes.get("_shutdown_thread")
    ):
        raise Refused("an executor cannot leave its process")
    plain = plain_attributes(executor)
    return make_shut_executor, (type(executor), plain)


def make_shut_executor(cls: type, plain: dict[str, Any]) -> Any:
    """Make an executor that takes no work any more."""
    executor: Any = object.__new__(cls)
    vars(executor).update(_shutdown_lock=threading.Lock(), _threads=set(), _pending_work_items={})
    if "_shutdown" in plain:
        import queue

        executor._work_queue = queue.SimpleQueue()
    else:
        gone = ("_executor_manager_thread", "_executor_manager_thread_wakeup", "_call_queue", "_result_queue")
        vars(executor).update(dict.fromkeys((*gone, "_processes")))
    vars(executor).update(plain)
    return executor


def reduce_pool(pool: Any, pickler: NamespacePickler) -> Any:
    if pool._state == "RUN" or any(worker.is_alive() for worker in pool._pool):
        raise Refused("a pool of processes cannot leave its process")
    return make_closed_pool, (type(pool), pool._state, pool._processes)


def make_closed_pool(cls: type, state: str, processes: int) -> Any:
    pool: Any = object.__new__(cls)
    vars(pool).update(_state=state, _processes=processes, _pool=[], _cache={}, _terminate=int)
    return pool


# ---------------------------------------------------------------- matches


def reduce_match(match: re.Match[Any], pickler: NamespacePickler) -> Any:
    """Found again by the same pattern in the same text."""
    for how in ("search", "match", "fullmatch"):
        args = (match.re, how, match.string, match.pos, match.endpos)
        if _same_match(find_match(*args), match):
            return find_match, args
    # One of several that an iterator found.
    args = (match.re, "match", match.string, match.start(), match.endpos)
    if _same_match(find_match(*args), match):
        return find_match, args
    raise Refused("a match cannot leave its process")


def find_match(pattern: re.Pattern[Any], how: str, string: Any, start: int, end: int) -> Any:
    return getattr(pattern, how)(string, start, end)


def _same_match(one: Any, two: re.Match[Any]) -> bool:
    return one is not None and one.regs == two.regs


def reduce_pattern(pattern: re.Pattern[Any], pickler: NamespacePickler) -> Any:
    """With the flags that were given: then ``re.compile`` of the same pattern is the very same object, as natively."""
    flags = pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, str) else pattern.flags
    return re.compile, (pattern.pattern, flags)
