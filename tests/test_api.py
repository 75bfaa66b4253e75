"""The functions, as a user's program calls them: scripts in processes of their own."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipytimeout import DeadlineExceeded, run_with_timeout, timeout
from ipytimeout.mistakes import OptionError


def script(tmp_path: Path, text: str, *, guard: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a script as a user would, and return what it printed."""
    text = textwrap.dedent(text)
    if guard:
        text = "if __name__ == '__main__':\n" + textwrap.indent(text, "    ")
    file = tmp_path / "script.py"
    file.write_text("import time\nfrom ipytimeout import *\n" + text)
    return subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=60)


TASKS = """
def task(seconds, value=None):
    print("start", flush=True)
    time.sleep(seconds)
    print("end", flush=True)
    return value
"""


@pytest.mark.parametrize("guard", [False, True], ids=["without a guard", "with a guard"])
def test_the_four_examples_of_the_tutorial_are_one_line_each(tmp_path: Path, guard: bool) -> None:
    """Also in a script whose main module does not guard itself against being imported again."""
    code = TASKS + textwrap.dedent(
        """
        run_with_timeout(20, task, 0.01)
        try: run_with_timeout(0.5, task, 1)
        except DeadlineExceeded: print("ended")
        print(run_with_timeout(20, task, 0.01, value=42))
        print(timeout(0.5, default=None).run(task, 1, 42))
        """
    )
    done = script(tmp_path, code, guard=guard)
    assert done.stderr == ""
    assert done.stdout.split() == ["start", "end", "start", "ended", "start", "end", "42", "start", "None"]


@pytest.mark.parametrize("start", ["warm", "spawn"])
def test_hashes_are_those_of_the_notebook_where_their_seed_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    """What is remembered of text here is right there; a seed that is set too late has no effect in either process."""
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    code = f"""
    import os
    os.environ["PYTHONHASHSEED"] = "0"
    names = {{f"name {{i}}" for i in range(20)}}
    def same(h, order): return h == hash("text"), order == list({{f"name {{i}}" for i in range(20)}}), os.environ["PYTHONHASHSEED"]
    print(timeout(20, start={start!r}).run(same, hash("text"), list(names)))
    """
    done = script(tmp_path, code)
    assert (done.stdout.strip(), done.stderr) == ("(True, True, '0')", "")


def test_what_a_function_made_safe_is_in_the_error_that_ends_it(tmp_path: Path) -> None:
    code = """
    def work(n):
        for i in progress(range(n)):
            checkpoint(i=i, rows=[remaining() < 20])
            if i == 3: time.sleep(60)
    try: run_with_timeout(1, work, 10)
    except DeadlineExceeded as e: print(dict(e.checkpoints), "error.checkpoints: i, rows" in str(e))
    print(timeout(0.5, default="late").run(work, 10), remaining(), dict(RunError().checkpoints))
    """
    done = script(tmp_path, code)
    assert done.stdout.splitlines() == ["{'i': 3, 'rows': [True]} True", "late inf {}"], done.stderr


def test_a_function_cannot_be_kept_in_part() -> None:
    """It has no value before it ends: this is said before anything runs."""
    with pytest.raises(OptionError, match=r"error\.checkpoints"):
        timeout(5, partial=True)


def test_functions_of_every_kind_work_in_a_script(tmp_path: Path) -> None:
    code = """
    K = 10
    class C:
        def __init__(self, n): self.n = n
        def times(self, k): return C(self.n * k)
        @staticmethod
        def s(x): return x + 1
    def closure(a):
        def inner(b): return a + b + K
        return inner
    async def later(x):
        import asyncio
        await asyncio.sleep(0.01)
        return x
    print(run_with_timeout(20, lambda: K + 1))
    print(run_with_timeout(20, closure(1), 2))
    result = run_with_timeout(20, C(3).times, 4)
    print(result.n, type(result) is C, run_with_timeout(20, C.s, 1), run_with_timeout(20, later, 5))
    print(run_with_timeout(20, len, "abc"), run_with_timeout(20, os.path.join, "a", "b"))
    """
    done = script(tmp_path, "import os\n" + textwrap.dedent(code))
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["11", "13", "12 True 2 5", "3 a/b"]


def test_nothing_of_the_caller_is_changed(tmp_path: Path) -> None:
    code = """
    rows, count = [1], 0
    def f(x):
        global count
        count += 1
        rows.append(2)
        x.append(3)
        return x, count
    arg = [0]
    print(run_with_timeout(20, f, arg), arg, rows, count)
    """
    assert script(tmp_path, code).stdout == "([0, 3], 1) [0] [1] 0\n"


def test_an_exception_is_raised_with_its_class_its_cause_its_notes_and_the_childs_frames(tmp_path: Path) -> None:
    code = """
    class Mine(Exception):
        def __init__(self, a, b):
            super().__init__(a); self.b = b
    def fail():
        try: 1 / 0
        except ZeroDivisionError as error:
            e = Mine(1, 2); e.add_note("a note")
            raise e from error
    try: run_with_timeout(20, fail)
    except Mine as e:
        import traceback
        print(e.args, e.b, repr(e.__cause__), e.__notes__)
        print("raise e from error" in "".join(traceback.format_exception(e)))
    """
    assert script(tmp_path, code).stdout == "(1,) 2 ZeroDivisionError('division by zero') ['a note']\nTrue\n"


def test_a_decorated_function_is_timed_and_calls_itself_in_place(tmp_path: Path) -> None:
    code = """
    import os
    @timeout(20)
    def fac(n):
        "Doc."
        return (1, {os.getpid()}) if n < 2 else (n * (r := fac(n - 1))[0], r[1] | {os.getpid()})
    class C:
        @timeout(20)
        def m(self, x): return (self.k, x)
        k = 5
    value, pids = fac(5)
    print(value, len(pids), os.getpid() in pids, fac.__name__, fac.__doc__, C().m(1))
    """
    assert script(tmp_path, code).stdout == "120 1 False fac Doc. (5, 1)\n"


#: What a script does, and what it prints.
SCRIPTS = {
    "commit": (
        """
        rows, count, other = [1], 0, {"same": True}
        def f(x, *, table):
            global count, fresh
            count += 1; fresh = rows
            rows.append(2); x.append(3); table["k"] = rows
            os.environ["MINE"] = "set"; os.chdir("/")
            return x
        arg, table, kept = [0], {}, rows
        got = timeout(20, commit=True).run(f, arg, table=table)
        print(got is arg, arg, rows, kept is rows, fresh is rows, table["k"] is rows, count, os.environ["MINE"], os.getcwd())
        print(sorted(n for n in globals() if n.startswith("__")) == before)
        """,
        ["True [0, 3] [1, 2] True True True 1 set /", "True"],
    ),
    "commit of what was done before an error": (
        """
        rows = []
        def f(): rows.append(1); raise KeyError("x")
        try: timeout(20, commit=True).run(f)
        except KeyError: print(rows)
        def g(): rows.append(2); time.sleep(60)
        try: timeout(0.5, commit=True).run(g)
        except DeadlineExceeded as e: print(rows, "nothing was changed" in str(e))
        try: timeout(0.5, commit=True, partial=True).run(g)
        except DeadlineExceeded as e: print(rows, "what it had done was kept" in str(e))
        """,
        ["[1]", "[1] True", "[1, 2] True"],
    ),
    "keep and discard": (
        """
        def f(): global a, b; a = b = 1; return 5
        print(timeout(20, commit=True, keep="a").run(f), "a" in globals(), "b" in globals())
        print(timeout(20, discard=True).run(f))
        """,
        ["5 True False", "None"],
    ),
    "an exception of one's own": (
        """
        class TooSlow(Exception): pass
        class Strict(Exception):
            __slots__ = ()
            def __init__(self, text): super().__init__(text.upper())
        def f(): checkpoint(i=1); time.sleep(60)
        try: timeout(0.5, exception=TooSlow).run(f)
        except TooSlow as e: print("timed out after 500 ms in f()" in str(e), dict(e.checkpoints), "in f:" in e.where[-1], type(e.__cause__).__name__)
        try: timeout(0.5, exception=Strict).submit(f).result(20)
        except Strict as e: print("TIMED OUT" in str(e), "in f\\n" in "".join(traceback.format_exception(e)))
        print([type(v).__name__ for v in timeout(0.5, exception=TooSlow).map(time.sleep, [0, 60])])
        """,
        ["True {'i': 1} True DeadlineExceeded", "True True", "['NoneType', 'TooSlow']"],
    ),
    "what is at the deadline is not for the error of a run inside": (
        """
        def outer(): run_with_timeout(0.2, time.sleep, 60)
        try: timeout(30, default="late").run(outer)
        except DeadlineExceeded as e: print("200 ms" in str(e))
        print(timeout(0.5, default="late").run(time.sleep, 60), timeout(0.5, default="late").submit(time.sleep, 60).result(20))
        """,
        ["True", "late late"],
    ),
    "a deadline that depends on the arguments": (
        """
        limits = timeout(lambda seconds, factor="2": seconds * int(factor), default="late")
        print(limits.run(lambda s, factor="2": remaining() > 15, 10), limits.run(lambda s: time.sleep(60), 0.2))
        @timeout(lambda self, x: self.seconds * x, default="late")
        def method(self, x): time.sleep(60)
        class C: seconds = 0.1; m = method
        print(C().m(2), list(limits.map(time.sleep, [0.1])))
        try: timeout(lambda: "soon").run(print)
        except ValueError as e: print("not a duration" in str(e))
        """,
        ["True late", "late [None]", "True"],
    ),
    "methods of every kind": (
        """
        class Base:
            k = 1
            @timeout(20)
            def m(self, x): return self.k, x, os.getpid() != here
            @classmethod
            @timeout(20)
            def c(cls, x): return cls.__name__, x
            @timeout(20)
            @classmethod
            def d(cls, x): return cls.__name__, x
            @staticmethod
            @timeout(20)
            def s(x): return x
            @timeout(20)
            @staticmethod
            def t(x): return x
            @timeout(20)
            async def a(self, x): return self.k + x
            @timeout(20)
            def rec(self, n): return 1 if n < 2 else n * self.rec(n - 1)
        class Derived(Base):
            k = 2
            def m(self, x): return super().m(x)
        here = os.getpid()
        d = Derived()
        print(d.m(3), d.c(4), Derived.d(5), d.s(6), Derived.t(7), asyncio.run(d.a(8)), d.rec(5))
        print(Base.m(d, 1), Base().m.submit(2).result(20), list(d.rec.map([3, 4])))
        print(inspect.signature(Base.m), inspect.signature(d.rec), inspect.iscoroutinefunction(Base.a) or sys.version_info < (3, 12))
        """,
        ["(2, 3, True) ('Derived', 4) ('Derived', 5) 6 7 10 120", "(2, 1, True) (1, 2, True) [6, 24]", "(self, x) (n) True"],
    ),
    "decorated functions of a module": (
        """
        import multiprocessing, pathlib, pickle
        from concurrent.futures import ProcessPoolExecutor
        pathlib.Path(__file__).with_name("own.py").write_text(
            "import os, time\\nfrom ipytimeout import timeout\\n"
            "@timeout(20)\\ndef pids(n): return [os.getpid()] if n == 0 else [os.getpid(), *pids(n - 1)]\\n"
            "@timeout(20)\\n@timeout(0.4)\\ndef twice(): time.sleep(9)\\n"
            "class Own:\\n    @timeout(20)\\n    def pids(self, n): return [os.getpid()] if n == 0 else self.pids(n - 1)\\n"
            "    @classmethod\\n    @timeout(20)\\n    def of_class(cls, n): return cls.__name__\\n"
        )
        import own
        print(len(set(own.pids(3))), len(set(own.Own().pids(3))))
        try: own.twice()
        except DeadlineExceeded as error: print(error.args[0].split(" in ")[0])
        print(pickle.loads(pickle.dumps(own.pids)) is own.pids)
        @timeout(20)
        def of_main(n): return n * own.pids.__wrapped__(0)[0]
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            for function in (own.pids, own.Own().pids, own.Own.of_class, of_main):
                print(pool.submit(function, 0).exception(20))
        """,
        ["1 1", "timed out after 400 ms", "True", "None", "None", "None", "None"],
    ),
    "limits that are used inside a run": (
        """
        limits = timeout(0.3)
        def f():
            try: return limits.run(time.sleep, 60)
            except DeadlineExceeded: return "raised there"
        print(timeout(20).run(f), timeout(20).run(lambda: timeout(0.3, default="late").run(time.sleep, 60)))
        """,
        ["raised there late"],
    ),
    "functions that call each other": (
        """
        @timeout(30)
        def even(n): return (os.getpid(),) if n == 0 else (os.getpid(), *odd(n - 1))
        @timeout(30)
        def odd(n): return (os.getpid(),) if n == 0 else (os.getpid(), *even(n - 1))
        print(len(set(even(4))))
        @timeout(60)
        def outer(): return timeout(0.3, default="inner ended").run(time.sleep, 60), remaining() > 10
        print(outer())
        @timeout(0.7)
        def short(): run_with_timeout(60, time.sleep, 60)
        begun = time.monotonic()
        try: short()
        except DeadlineExceeded as e: print("700 ms" in str(e), time.monotonic() - begun < 10)
        """,
        ["2", "('inner ended', True)", "True True"],
    ),
    "from any thread": (
        """
        rows = []
        def f(i): rows.append(i); return i
        found = []
        def work(): found.append((timeout(30, commit=True).run(f, 1), timeout(0.3, default="late").run(time.sleep, 60)))
        thread = threading.Thread(target=work); thread.start(); thread.join()
        print(found, rows)
        """,
        ["[(1, 'late')] [1]"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_program_prints_what_it_should(tmp_path: Path, name: str) -> None:
    """And says nothing on stderr."""
    code, lines = SCRIPTS[name]
    header = "import asyncio, inspect, os, sys, threading, traceback\nbefore = sorted(n for n in globals() if n.startswith('__'))\n"
    done = script(tmp_path, header + textwrap.dedent(code))
    assert done.stderr == "" and done.stdout.splitlines() == lines


def _squares(count: int) -> Iterator[int]:
    for i in range(count):
        yield i * i


async def _later(count: int) -> AsyncIterator[int]:
    for i in range(count):
        yield i


@pytest.mark.parametrize("generator", [_squares, _later])
@pytest.mark.parametrize("way", ["run", "submit", "map", "__call__"])
def test_a_generator_function_is_refused_with_what_to_write(generator: Callable[..., object], way: str) -> None:
    with pytest.raises(TypeError, match=rf"return list\({generator.__name__}"):
        getattr(timeout(5), way)(generator, *([[1]] if way == "map" else []))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": "a"}, "commit=True"),
        ({"exception": TimeoutError, "default": None}, "contradict"),
        ({"exception": ValueError("x")}, "a class of exceptions"),
        ({"commit": True, "discard": True, "keep": "a"}, "contradict"),
        ({"commit": 1}, "True or False"),
        ({"with_names": "a b"}, "with_names="),
    ],
)
def test_a_wrong_option_is_told_before_anything_runs(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        timeout(5, **options)


@pytest.mark.parametrize("wrong", [3, property(len), type("C", (), {})])
def test_only_functions_are_decorated(wrong: Any) -> None:
    with pytest.raises(TypeError, match="decorates a function"):
        timeout(5)(wrong)


def test_where_the_code_was_is_in_the_traceback_of_a_script(tmp_path: Path) -> None:
    done = script(tmp_path, "def slow():\n    time.sleep(60)\nrun_with_timeout(0.3, slow)\n")
    assert done.returncode == 1
    assert "in slow\n    time.sleep(60)" in done.stderr
    assert "DeadlineExceeded: timed out after 300 ms in slow(), line 4" in done.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [("import os; os._exit(3)", "exit code 3"), ("import ctypes; ctypes.string_at(0)", "SIGSEGV")],
)
def test_a_death_is_reported_at_once_by_name(tmp_path: Path, code: str, words: str) -> None:
    text = f"""
    def f(): {code}
    begun = time.monotonic()
    try: run_with_timeout(60, f)
    except ChildDied as e: print(e, time.monotonic() - begun < 20)
    """
    done = script(tmp_path, text)
    assert words in done.stdout and done.stdout.rstrip().endswith("True")


def test_a_result_that_cannot_travel_is_an_error_that_says_why(tmp_path: Path) -> None:
    code = """
    import socket
    try: run_with_timeout(20, lambda: socket.socket())
    except Exception as e: print(type(e).__name__, e)
    """
    assert "PicklingError the function ended, but its result cannot be brought back: " in script(tmp_path, code).stdout


def test_it_works_from_any_thread_and_from_several_at_once(tmp_path: Path) -> None:
    code = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(4) as pool:
        print(sorted(pool.map(lambda n: run_with_timeout(30, pow, n, 2), range(8))))
    """
    assert script(tmp_path, code).stdout == "[0, 1, 4, 9, 16, 25, 36, 49]\n"


def test_a_forked_worker_of_the_program_has_its_own_runs(tmp_path: Path) -> None:
    code = """
    import os
    print(run_with_timeout(20, pow, 2, 3), flush=True)
    if os.fork() == 0:
        print(run_with_timeout(20, pow, 2, 4), flush=True)
        os._exit(0)
    os.wait()
    print(run_with_timeout(20, pow, 2, 5))
    """
    assert script(tmp_path, code).stdout.split() == ["8", "16", "32"]


def test_a_run_inside_a_run_works_under_the_outer_deadline(tmp_path: Path) -> None:
    code = """
    def inner(): time.sleep(60)
    def outer():
        try: run_with_timeout(0.3, inner)
        except DeadlineExceeded: return "inner ended"
    print(run_with_timeout(30, outer))
    begun = time.monotonic()
    print(timeout(0.5, default="outer ended").run(lambda: run_with_timeout(60, inner)), time.monotonic() - begun < 10)
    """
    assert script(tmp_path, code).stdout.splitlines() == ["inner ended", "outer ended True"]


def test_the_program_ends_although_a_run_was_started_and_leaves_no_process(tmp_path: Path) -> None:
    done = script(
        tmp_path,
        "run_with_timeout(20, pow, 2, 3)\nfrom ipytimeout.host.launch.warden import get_warden\nprint(get_warden().pid)",
    )
    pid = int(done.stdout)
    assert not os.path.exists(f"/proc/{pid}")


def test_using_it_as_a_context_manager_says_what_to_write() -> None:
    with pytest.raises(TypeError, match="%%timeout 5"), timeout(5):
        pass


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), "soon", None, True])
def test_a_wrong_duration_is_refused_before_anything_runs(wrong: object) -> None:
    with pytest.raises(OptionError, match="duration"):
        run_with_timeout(wrong, print)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [0, "2", "much", True, "200%"])
def test_a_wrong_limit_of_memory_is_refused_before_anything_runs(wrong: object) -> None:
    with pytest.raises(OptionError, match="--memory: "):
        timeout(5, memory=wrong)  # type: ignore[arg-type]


def test_a_call_instead_of_a_function_is_refused() -> None:
    with pytest.raises(TypeError, match=r"run\(f, 3\)"):
        run_with_timeout(5, 3)  # type: ignore[arg-type]


def test_a_function_of_a_module_is_called_in_another_process() -> None:
    assert run_with_timeout(20, os.getpid) != os.getpid()
    with pytest.raises(DeadlineExceeded):
        run_with_timeout(0.1, time.sleep, 60)


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    number: int


def test_an_exception_that_is_a_frozen_dataclass_comes_back() -> None:
    """What its class refuses to have set is set all the same: the traceback, and what it came from."""

    def fail() -> None:
        raise FrozenError(3) from KeyError("cause")

    with pytest.raises(FrozenError) as raised:
        run_with_timeout(20, fail)
    assert raised.value.number == 3
    assert isinstance(raised.value.__cause__, KeyError)
