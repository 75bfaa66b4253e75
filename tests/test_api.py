"""The functions, as a user's program calls them: scripts in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ipytimeout import DeadlineExceeded, run_with_timeout, timeout
from ipytimeout.options import OptionError


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
