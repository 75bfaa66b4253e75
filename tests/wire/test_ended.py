"""Things that are over leave their process as what they are; what is alive is refused."""

from __future__ import annotations

import asyncio
import concurrent.futures
import csv
import importlib
import io
import multiprocessing.pool
import re
import subprocess
import tempfile
import threading
import warnings
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from ipytimeout.wire.by_name import import_quietly
from ipytimeout.wire.ended import put_place
from ipytimeout.wire.pickling import dump_namespace, load_namespace


def sent(value: Any) -> Any:
    """Return what another process would get."""
    namespace = {"x": value}
    dump = dump_namespace(namespace, ["x"])
    assert dump.refused == {}
    return load_namespace(dump.buffers, {"__name__": "__main__"}).values["x"]


def refusal(value: Any) -> str:
    return dump_namespace({"x": value}, ["x"]).refused["x"]


@pytest.mark.parametrize("mode", ["r", "w", "rb", "r+b", "a"])
def test_a_closed_file_is_closed_there_too(tmp_path: Path, mode: str) -> None:
    """With its name and its mode; nothing on the disk is touched."""
    path = tmp_path / "file.txt"
    path.write_text("text")
    with open(path, mode) as file:
        pass
    before = path.read_text()
    path.unlink()
    there = sent(file)
    assert (there.closed, there.name, there.mode, type(there)) == (True, str(path), file.mode, type(file))
    assert not path.exists()
    assert before == ("" if mode == "w" else "text")


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_an_open_file_is_read_on_where_it_was(tmp_path: Path, mode: str) -> None:
    """Both go on by themselves."""
    path = tmp_path / "lines.txt"
    path.write_text("one\ntwo\nthree\n")
    with open(path, mode) as file:
        file.readline()
        with sent(file) as there:
            assert there.readline() == file.readline()
            assert there.readline().strip() in ("three", b"three")


@pytest.mark.parametrize("mode", ["w", "a", "x", "w+", "wb"])
def test_an_open_file_is_written_on_where_it_was(tmp_path: Path, mode: str) -> None:
    """What was written is not lost, and not written twice."""
    path = tmp_path / "log.txt"
    one, two = (b"one", b"two") if "b" in mode else ("one", "two")
    with open(path, mode) as file:
        file.write(one)
        with sent(file) as there:
            there.write(two)
    assert path.read_text() == "onetwo"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_text_of_which_lines_were_taken_is_read_on(tmp_path: Path, newline: str) -> None:
    """``next(file)`` has the file tell no more where it is."""
    path = tmp_path / "file"
    path.write_text(newline.join(["a", "ä", "c", ""]), newline="", encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        next(file)
        other = sent(file)
        assert [*other] == ["ä\n", "c\n"] == [*file]
        other.close()


@pytest.mark.parametrize("kind", ["gzip", "bz2", "lzma"])
@pytest.mark.parametrize("mode", ["rb", "rt"])
def test_a_packed_file_is_read_on_where_it_was(tmp_path: Path, kind: str, mode: str) -> None:
    """Its name stays, and to close it closes the file that it is in."""
    library: Any = importlib.import_module(kind)
    path = tmp_path / "file"
    with library.open(path, "wt") as file:
        file.write("one\ntwo\n")
    with library.open(path, mode) as file:
        file.readline()
        other = sent(file)
        assert other.read() == file.read() != ""
        assert getattr(other, "name", "") == getattr(file, "name", "")  # that of some is newer than Python 3.11
        other.close()
        assert other.closed


def test_a_reader_of_csv_goes_on(tmp_path: Path) -> None:
    """And knows how many lines it has read."""
    path = tmp_path / "file"
    path.write_text('a,b\n"c\nd",e\nf,g\n')
    with path.open(newline="") as file:
        reader = csv.reader(file)
        assert next(reader) == ["a", "b"]
        once = sent(reader)
        assert next(once) == ["c\nd", "e"]
        twice = sent(once)
        assert (next(twice), twice.line_num) == (["f", "g"], 4)


def test_a_file_that_is_none_of_the_disk_is_refused() -> None:
    """A pipe has no place."""
    import os

    read, write = os.pipe()
    with os.fdopen(read) as reader, os.fdopen(write, "w"):
        assert refusal(reader) == "an open file cannot leave its process"


@pytest.mark.parametrize("mode", ["w+", "w+b"])
def test_a_deleted_file_goes_on(tmp_path: Path, mode: str) -> None:
    """It has no name any more, but the process has it."""
    path = tmp_path / "gone"
    one, two = (b"one", b"two") if "b" in mode else ("one", "two")
    with open(path, mode) as file:
        file.write(one)
        path.unlink()
        with sent(file) as there:
            assert (there.name, there.tell()) == (str(path), 3)
            there.write(two)
        file.seek(0)
        assert file.read() == one + two


@pytest.mark.parametrize("mode", ["w+", "w+b"])
def test_a_temporary_file_goes_on(mode: str) -> None:
    """It never had a name: what stands for it is its number, in each process its own."""
    one, two = (b"one\n", b"two") if "b" in mode else ("one\n", "two")
    with tempfile.TemporaryFile(mode) as file:
        file.write(one + two)
        file.seek(len(one))
        with sent(file) as there:
            assert there.read() == two
            assert there.name == there.fileno() != file.fileno()


def test_a_temporary_file_with_a_name_goes_at_its_end() -> None:
    """Not before: the copy has the same file."""
    file = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115
    file.write("text")
    there = sent(file)
    assert (there.name, there.tell()) == (file.name, 4)
    assert Path(there.name).read_text() == "text"
    there.close()
    assert not Path(there.name).exists()


@pytest.mark.parametrize("size", [2, 100])
def test_a_temporary_file_that_may_be_in_memory_goes_on(size: int) -> None:
    """Wherever it is."""
    with tempfile.SpooledTemporaryFile(size) as file:
        file.write(b"text")
        with sent(file) as there:
            there.seek(0)
            assert there.read() == b"text"


class Upper(io.TextIOBase):
    """A stream of the notebook's own."""

    def __init__(self, parts: list[str]) -> None:
        self.parts = parts

    def write(self, text: str) -> int:
        self.parts.append(text.upper())
        return len(text)


def test_a_stream_of_the_notebooks_own_is_its_attributes() -> None:
    """As any object."""
    stream = Upper([])
    print("a", file=stream)
    there = sent(stream)
    print("b", file=there)
    assert (stream.parts, there.parts) == (["A", "\n"], ["A", "\n", "B", "\n"])


def test_what_a_file_had_read_ahead_is_not_read_when_it_was_written_over(tmp_path: Path) -> None:
    """By the code of a run, say, that has moved on in the same file."""
    path = tmp_path / "file"
    path.write_bytes(b"one two three")
    with open(path, "r+b") as file:
        file.read(3)
        with open(path, "r+b") as other:
            other.write(b"ONE TWO")
        put_place(file, 0)
        assert file.read() == b"ONE TWO three"


def numbers(first: int, *rest: int, last: int = 9, **more: int) -> Any:
    yield first
    yield from rest
    yield last
    yield from more.values()


def test_a_generator_that_has_not_begun_has_its_arguments_there() -> None:
    """Positional, by keyword, and the variables of a closure."""
    factor = 2
    assert list(sent(numbers(1, 2, 3, last=4, other=5))) == [1, 2, 3, 4, 5]
    assert list(sent(factor * n for n in [1, 2])) == [2, 4]


def test_a_generator_that_has_ended_has_ended_there() -> None:
    """Under its name."""
    ended = numbers(1)
    list(ended)
    there = sent(ended)
    assert (list(there), there.__name__) == ([], "numbers")


def test_a_coroutine_that_was_awaited_has_ended_there() -> None:
    """One that was not would run twice."""

    async def work() -> None: ...

    coroutine = work()
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert sent(coroutine).__name__ == "work"
    coroutine = work()
    assert refusal(coroutine) == "a coroutine cannot leave its process"
    coroutine.close()


def test_a_generator_that_has_begun_is_refused() -> None:
    """Where it is cannot be set."""
    begun = numbers(1)
    next(begun)
    assert refusal(begun) == "a generator that has begun cannot leave its process"


class Worker(threading.Thread):
    result = 0

    def run(self) -> None:
        self.result = 7


def test_a_joined_thread_has_ended_there() -> None:
    """With what it has left in itself."""
    worker = Worker(name="worker", daemon=True)
    worker.start()
    worker.join()
    there = sent(worker)
    assert (there.is_alive(), there.name, there.daemon, there.ident) == (False, "worker", True, worker.ident)
    assert there.result == 7
    there.join()
    with pytest.raises(RuntimeError):
        there.start()


def test_a_thread_that_has_not_begun_is_refused() -> None:
    """Who starts it there does not start it here."""
    assert refusal(Worker()) == "a thread cannot leave its process"


def test_done_futures_and_executors_that_are_shut_down_keep_their_results() -> None:
    """As a ``with`` block leaves them."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        good, bad = pool.submit(int, "5"), pool.submit(int, "x")
    there, failed, executor = sent([good, bad, pool])
    assert there.result() == 5
    assert isinstance(failed.exception(), ValueError)
    with pytest.raises(RuntimeError):
        executor.submit(int)
    executor.shutdown()


def test_an_executor_of_processes_that_is_shut_down_takes_no_work_there() -> None:
    """It needs none of its queues."""
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        pass
    there = sent(pool)
    with pytest.raises(RuntimeError):
        there.submit(int)
    there.shutdown()


def test_a_closed_pool_is_closed_there() -> None:
    """As a ``with`` block leaves it."""
    with multiprocessing.pool.ThreadPool(1) as pool:
        pool.map(int, ["1"])
    pool.join()
    there = sent(pool)
    with pytest.raises(ValueError, match="not running"):
        there.map(int, ["1"])
    assert "TERMINATE" in repr(there)


def test_a_process_that_has_ended_keeps_its_return_code() -> None:
    """And its pipes, which are closed."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.communicate(b"text")
    there = sent(process)
    assert (there.returncode, there.args, there.wait(), there.stdin.closed) == (0, ["cat"], 0, True)


@pytest.mark.parametrize(
    "match",
    [
        re.search("b+", "abbc"),
        re.fullmatch("a|ab", "ab"),
        re.compile("^b", re.MULTILINE).search("a\nb", 1),
        re.compile("(?P<x>b)(c)?").search("ab", 1, 2),
        list(re.finditer(r"\w+", "one two"))[1],
        re.compile(b"a").match(b"a"),
    ],
)
def test_a_match_is_the_same_match_there(match: re.Match[Any]) -> None:
    """With its groups, and where they are."""
    there = sent(match)
    assert (there.regs, there.groupdict(), there.re, there.string) == (
        match.regs,
        match.groupdict(),
        match.re,
        match.string,
    )


def test_a_pattern_is_the_one_that_compile_gives() -> None:
    """``re`` remembers patterns, and so they are one object natively."""
    pattern = re.compile("a+b")
    re.purge()
    there = sent(pattern)
    assert re.compile("a+b") is there


def test_a_wrapped_file_is_refused() -> None:
    """Only what ``open`` gives is known well enough."""
    import gzip

    assert "open file" in refusal(gzip.GzipFile(fileobj=io.BytesIO(), mode="w"))


def test_a_module_is_imported_without_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other process has shown it; what other threads write meanwhile passes."""
    (tmp_path / "prints_when_imported.py").write_text(
        "import threading\nprint('seen long ago')\n"
        "other = threading.Thread(target=print, args=('from another thread',))\nother.start(); other.join()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert import_quietly("prints_when_imported").__name__ == "prints_when_imported"
    assert capsys.readouterr().out == "from another thread\n"


def test_pickling_does_not_make_warnings_new() -> None:
    """One that was shown at a place is not shown there again."""

    def warn() -> None:
        warnings.warn("shown once", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        warn()
        sent([1])
        warn()
    assert len(shown) == 1


def test_a_process_of_asyncio_that_has_ended_has_ended_there() -> None:
    """With its number and how it ended; what it is asked again, it answers as it would natively."""

    async def ended() -> Any:
        made = await asyncio.create_subprocess_exec("sh", "-c", "cat; exit 3", stdin=PIPE, stdout=PIPE)
        assert await made.communicate(b"said") == (b"said", None)
        await asyncio.sleep(0)  # its end is noted in the next turn of the loop
        return made

    async def ask(process: Any) -> Any:
        with pytest.raises(ProcessLookupError):
            process.kill()
        return await process.wait(), await process.communicate(), process.stdout.at_eof(), process.stdin.is_closing()

    async def both() -> None:
        here = await ended()
        there = sent(sent(here))
        assert (there.pid, there.returncode, repr(there)) == (here.pid, 3, repr(here))
        assert await ask(there) == await ask(here) == (3, (b"", None), True, True)

    asyncio.run(both())


def test_a_process_of_asyncio_that_runs_or_has_unread_output_is_refused() -> None:
    """Both belong to the loop that watches them."""

    async def refused() -> list[str]:
        process = await asyncio.create_subprocess_exec("sh", "-c", "echo said; read line", stdin=PIPE, stdout=PIPE)
        runs = refusal(process)
        process.stdin.close()  # type: ignore[union-attr]
        await process.wait()
        await asyncio.sleep(0)  # its end is noted in the next turn of the loop
        return [runs, refusal(process)]

    assert asyncio.run(refused()) == [
        "a running process cannot leave its process",
        "a process with unread output cannot leave its process",
    ]
