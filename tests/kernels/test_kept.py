"""What a run that is ended brings back all the same, in real kernels: ``--partial`` and ``checkpoint()``."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable

import pytest

from tests.kernels.harness import Kernel, Result
from tests.kernels.test_pump import Front

IMPORTS = """
import os, time
import numpy as np, pandas as pd
from ipytimeout import RunError, checkpoint, progress, remaining, run_with_timeout, timeout
"""
STUBBORN = """
while True:
    try: time.sleep(1)
    except BaseException: pass
"""
#: How a run may end otherwise than by itself, after what it did.
ENDS = {
    "a deadline": ("1", "while True: pass", "timed out after 1 s"),
    "a kill": ("-k 0.3 0.7", STUBBORN, "timed out after 700 ms"),
    "an exit": ("60", "os._exit(3)", "exit code 3"),
    "SIGKILL": ("60", "os.kill(os.getpid(), 9)", "SIGKILL"),
    "a crash": ("60", "import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "an abort within a write": ("60", "os.write(1, b'half a line'); os.abort()", "SIGABRT"),
}


@pytest.fixture
def notebook(kernel: Kernel) -> Kernel:
    assert kernel.run(IMPORTS).status == "ok"
    return kernel


def value(kernel: Kernel, expression: str) -> str:
    result = kernel.run(f"print({expression})")
    assert result.status == "ok", result.text
    return result.stdout.rstrip("\n")


def ended(kernel: Kernel, code: str, words: str, error: str = "") -> Result:
    """Run a cell that is ended, and whose error and summary say so."""
    result = kernel.run(code)
    assert result.error is not None, result.text
    assert words in result.error.value, result.text
    assert not error or result.error.name == error
    return result


# ---------------------------------------------------------------- --partial


@pytest.mark.parametrize("start", ["warm", "spawn", "fork"])
def test_a_partial_cell_keeps_what_it_had_done_at_the_deadline(notebook: Kernel, start: str) -> None:
    """In place, under all names, with the state of the process; and it is an error all the same."""
    notebook.run(
        "rows = [1]; alias = rows; frame = pd.DataFrame({'a': [1, 2]}); same = frame; old = 1; here = os.getcwd()"
    )
    code = """
rows.append(2)
frame["b"] = frame["a"] * 2
new = {"rows": rows}
del old
os.environ["KEPT"] = "yes"; os.chdir("/")
while True: pass
"""
    result = ended(notebook, f"%%timeout -p --start {start} 1{code}", "what it had done was kept", "DeadlineExceeded")
    assert result.text.count("✗ timed out after 1 s in line 6 — what it had done was kept") == 1
    assert "nothing was changed" not in result.text
    assert value(notebook, "rows, alias is rows, new['rows'] is rows, 'old' in globals()") == "[1, 2] True True False"
    assert (
        value(notebook, "list(frame['b']), same is frame, os.environ.pop('KEPT'), os.getcwd()") == "[2, 4] True yes /"
    )
    notebook.run("os.chdir(here)")


def test_what_a_partial_cell_leaves_behind_is_named(notebook: Kernel) -> None:
    notebook.run("rows = []")
    result = ended(
        notebook, "%%timeout -p 0.5\nrows.append(1); g = (x for x in [1]); next(g)\nwhile True: pass", "kept"
    )
    assert "left behind: g (a" in result.text
    assert value(notebook, "rows, 'g' in globals()") == "[1] False"


def test_a_partial_line_keeps_what_it_had_done(notebook: Kernel) -> None:
    notebook.run("rows = []\ndef f():\n    rows.append(1)\n    time.sleep(60)")
    ended(notebook, "x = %timeout -p 0.5 f()", "what it had done was kept")
    assert value(notebook, "rows, 'x' in globals()") == "[1] False"


def test_a_partial_cell_that_swallows_the_deadline_and_ends_is_timed_out_and_kept(notebook: Kernel) -> None:
    """Its ``finally`` belongs to what it has done."""
    notebook.run("rows = []")
    code = "try: time.sleep(60)\nexcept KeyboardInterrupt: rows.append('caught')\nfinally: rows.append('finally')\nrows.append('end')"
    ended(notebook, f"%%timeout -p 0.5\n{code}", "what it had done was kept", "DeadlineExceeded")
    assert value(notebook, "rows") == "['caught', 'finally', 'end']"


def test_a_partial_cell_on_which_the_interrupt_has_no_effect_keeps_nothing_and_says_so(notebook: Kernel) -> None:
    notebook.run("rows = []")
    result = ended(
        notebook,
        f"%%timeout -p -k 0.5 0.5\nrows.append(1){STUBBORN}",
        "the interrupt took no effect in time, so nothing was",
    )
    assert "✗ timed out after 500 ms" in result.text and "the interrupt took no effect" in result.text
    assert value(notebook, "rows") == "[]"


def test_then_its_checkpoints_are_kept(notebook: Kernel) -> None:
    notebook.run("rows = []")
    words = "the interrupt took no effect in time, so only its checkpoints were kept: n"
    ended(notebook, f"%%timeout -p -k 0.5 0.5\nrows.append(1)\ncheckpoint(n=len(rows)){STUBBORN}", words)
    assert value(notebook, "rows, n") == "[] 1"


def test_what_a_partial_cell_had_done_counts_more_than_its_checkpoints(notebook: Kernel) -> None:
    """But for what cannot come back: that does as it was last safe, and this is said."""
    code = "a = [1]; b = [1]; checkpoint(a=a, b=b); a.append(2); b.append(x for x in [1]); next(b[-1])"
    result = ended(
        notebook, f"%%timeout -p 0.5\n{code}\nwhile True: pass", "what it had done was kept, and of its checkpoints b"
    )
    assert "left behind: b (" in result.text and "its checkpoint was kept instead" in result.text
    assert value(notebook, "a, b") == "[1, 2] [1]"


def test_a_partial_death_keeps_nothing(notebook: Kernel) -> None:
    notebook.run("rows = []")
    ended(notebook, "%%timeout -p 60\nrows.append(1); os._exit(3)", "nothing was changed in the notebook", "ChildDied")
    assert value(notebook, "rows") == "[]"


def test_a_partial_cell_that_dies_on_the_way_back_keeps_nothing_and_says_so(notebook: Kernel) -> None:
    notebook.run("rows = []")
    code = """
class Deadly:
    def __reduce__(self): os._exit(7)
checkpoint(n=1)
rows.append(Deadly())
while True: pass"""
    words = "what it had done could not be brought back, so only its checkpoints were kept: n"
    ended(notebook, f"%%timeout -p 0.5{code}", words, "DeadlineExceeded")
    assert value(notebook, "rows, n") == "[] 1"


def test_bringing_back_what_a_partial_cell_had_done_is_given_up_when_nothing_moves(notebook: Kernel) -> None:
    """The limit of all ways back."""
    code = """
class Endless:
    def __reduce__(self):
        while True: pass
endless = Endless()
while True: pass"""
    result = ended(notebook, f"%%timeout -p 0.5{code}", "could not be brought back", "DeadlineExceeded")
    assert 10 < result.seconds < 14
    assert value(notebook, "'endless' in globals()") == "False"


def test_what_cannot_be_rebuilt_of_a_partial_cell_is_left_out_and_named(notebook: Kernel) -> None:
    """The child is asked again, without it."""
    code = """
class Broken:
    def __init__(self): self.x = 1
    def __setstate__(self, state): raise ValueError("no")
broken = Broken(); fine = [1]
while True: pass"""
    result = ended(notebook, f"%%timeout -p 0.5{code}", "what it had done was kept")
    assert "left behind: broken (ValueError: no)" in result.text
    assert value(notebook, "fine, 'broken' in globals()") == "[1] False"


@pytest.mark.parametrize("partial", [True, False])
def test_a_click_on_cancel_keeps_what_a_partial_cell_had_done(notebook: Kernel, partial: bool) -> None:
    front = Front(notebook)
    prepared = front.execute("rows = []")
    front.read(lambda: front.replied(prepared))
    cell = front.execute(f"%%timeout {'-p' if partial else ''} 600\nrows.append(1)\ncheckpoint(n=5)\nwhile True: pass")
    front.read(lambda: "Cancel" in front.buttons() and front.of(cell, "update_display_data"))
    front.click("Cancel")
    front.read(lambda: front.replied(cell) and front.of(cell, "error"))
    assert front.of(cell, "error")[0]["ename"] == "RunCancelled"
    assert front.line(cell).endswith("what it had done was kept" if partial else "only its checkpoints were kept: n")
    assert value(notebook, "rows, globals().get('n')") == ("[1] None" if partial else "[] 5")


def test_more_time_in_the_grace_period_has_no_effect(notebook: Kernel) -> None:
    """What has begun to end ends; before that, each click counts once."""
    front = Front(notebook)
    cell = front.execute("%%timeout -k 2 600\nimport time\nleft = []\n" + STUBBORN)
    front.read(lambda: "+ 10 min" in front.buttons() and front.of(cell, "update_display_data"))
    front.click("+ 10 min")
    front.read(lambda: any("of 20 min" in str(m["content"]) for m in front.iopub))
    front.click("Cancel")
    front.read(lambda: any("End now" in str(m["content"]) for m in front.iopub))
    clicked = time.monotonic()
    for _ in range(3):
        front.click("+ 10 min")
    front.read(lambda: front.replied(cell) and front.of(cell, "error"))
    assert time.monotonic() - clicked < 2 + 1
    assert not any("of 30 min" in str(m["content"]) for m in front.iopub)
    assert "of 20 min" in front.line(cell)


# ---------------------------------------------------------------- checkpoint


@pytest.mark.parametrize("start", ["warm", "spawn", "fork"])
@pytest.mark.parametrize("end", list(ENDS))
def test_whatever_ends_a_cell_its_checkpoints_are_kept(notebook: Kernel, start: str, end: str) -> None:
    """As they were, and nothing else; the error and the line name them."""
    notebook.run("rows = [0]; alias = rows; other = {'a': 1}")
    options, code, words = ENDS[end]
    cell = f"rows.append(1); other['b'] = 2; new = 3\ncheckpoint(rows=rows, best=9)\nrows.append(2)\n{code}"
    result = ended(notebook, f"%%timeout --start {start} {options}\n{cell}", words)
    assert "only its checkpoints were kept: rows, best" in result.error.value  # type: ignore[union-attr]
    assert "— only its checkpoints were kept: rows, best" in result.text
    assert value(notebook, "rows, alias, best, other, 'new' in globals()") == "[0, 1] [0] 9 {'a': 1} False"


@pytest.mark.parametrize("end", list(ENDS))
def test_whatever_ends_a_function_its_checkpoints_are_in_the_error(notebook: Kernel, end: str) -> None:
    options, code, words = ENDS[end]
    *kill_after, seconds = options.replace("-k ", "").split()
    limits = f"timeout({seconds}{''.join(f', kill_after={k}' for k in kill_after)})"
    function = "def work(n):\n    checkpoint(rows=[n], n=n)\n" + "\n".join(f"    {line}" for line in code.splitlines())
    notebook.run(f"{function}\nrows = 'mine'\ntry: {limits}.run(work, 5)\nexcept RunError as raised: error = raised")
    assert words in value(notebook, "error")
    assert "its checkpoints are in error.checkpoints: rows, n" in value(notebook, "error")
    assert value(notebook, "dict(error.checkpoints), rows") == "{'rows': [5], 'n': 5} mine"


@pytest.mark.parametrize("call", ["run_with_timeout(0.3, slow)", "timeout(0.3).run(slow)", "timeout(0.3)(slow)()"])
def test_a_traceback_at_the_deadline_shows_the_users_code_and_none_of_this_package(notebook: Kernel, call: str) -> None:
    notebook.run("import time\nfrom ipytimeout import run_with_timeout, timeout\ndef slow():\n    time.sleep(60)")
    result = notebook.run(call)
    assert result.error is not None and result.error.name == "DeadlineExceeded"
    shown = re.sub(r"\x1b\[[\d;]*m", "", result.error.traceback)
    assert call in shown and "time.sleep(60)" in shown
    assert "site-packages" not in shown and "ipytimeout/" not in shown, shown


def test_an_error_of_a_function_without_checkpoints_has_none(notebook: Kernel) -> None:
    notebook.run("try: run_with_timeout(0.3, time.sleep, 60)\nexcept RunError as raised: error = raised")
    assert value(notebook, "dict(error.checkpoints)") == "{}"


def test_a_cell_that_ends_by_itself_needs_no_checkpoints(notebook: Kernel) -> None:
    """Finished or raised, it leaves what it would have left without a deadline."""
    assert notebook.run("%%timeout 60\na = [1]; checkpoint(a=a, b=2); a.append(2)").status == "ok"
    assert value(notebook, "a, 'b' in globals()") == "[1, 2] False"
    assert notebook.run("%%timeout 60\na.append(3); checkpoint(a=a, b=2); a.append(4); 1 / 0").status == "error"
    assert value(notebook, "a, 'b' in globals()") == "[1, 2, 3, 4] False"


def test_what_such_a_cell_has_to_leave_behind_comes_back_as_it_was_last_safe(notebook: Kernel) -> None:
    result = notebook.run("%%timeout 60\na = [1]; c = 5; checkpoint(a=a, b=2); a.append(x for x in [1]); next(a[-1])")
    assert result.status == "ok"
    assert "left behind: a (" in result.text and "its checkpoint was kept instead" in result.text
    assert value(notebook, "a, c, 'b' in globals()") == "[1] 5 False"


@pytest.mark.parametrize(
    ("options", "found"),
    [("--keep a,c", "1 None None"), ("--keep c", "None None None"), ("--discard", "None None None")],
)
def test_only_what_is_wanted_is_kept(notebook: Kernel, options: str, found: str) -> None:
    result = ended(notebook, f"%%timeout {options} 60\ncheckpoint(a=1, b=2); c = 3; os._exit(3)", "exit code 3")
    assert ("checkpoints were kept: a (" in result.text) == (found[0] == "1")
    assert value(notebook, "*map(globals().get, 'abc')") == found


@pytest.mark.parametrize("start", ["warm", "spawn", "fork"])
def test_large_arrays_are_as_they_were_at_the_call(notebook: Kernel, start: str) -> None:
    """In shared memory, of which the kernel keeps the last only."""
    code = """
big = np.zeros(8_000_000); frame = pd.DataFrame({"x": np.arange(500_000)})
for i in range(20):
    big[:] = i
    checkpoint(big=big, view=big[10:20], frame=frame, i=i)
big[:] = -1
os.kill(os.getpid(), 9)
"""
    ended(notebook, f"%%timeout --start {start} 60{code}", "only its checkpoints were kept: big, view, frame, i")
    assert value(notebook, "set(big), big.size, len(frame), i, np.shares_memory(big, view)").endswith(
        "8000000 500000 19 True"
    )
    assert value(notebook, "big[0], big[-1], view.flags.writeable") == "19.0 19.0 True"
    notebook.run("big[:] = 5; frame['x'] = 1")
    assert value(notebook, "view[0], frame['x'].sum()") == "5.0 500000"


def test_the_kernel_keeps_only_the_last_value_of_each_name(notebook: Kernel) -> None:
    """A checkpoint in a loop fills no memory, and a busy kernel lets no more than one pile up."""
    code = """
def used():
    line = next(line for line in open("/proc/meminfo") if line.startswith("Shmem:"))
    return int(line.split()[1]) / 1000
big = np.ones(12_500_000); checkpoint(big=big)
before = used()
for i in range(60): checkpoint(big=big)
grown = used() - before
checkpoint(grown=grown)
os._exit(3)
"""
    ended(notebook, f"%%timeout 100{code}", "kept: big, grown")
    assert float(value(notebook, "grown")) < 1500, "60 copies would be 6,000 MB"


def test_ten_thousand_checkpoints_in_a_loop(notebook: Kernel, measured: Callable[[str], None]) -> None:
    """The last one is what is kept."""
    code = """
begun = time.perf_counter()
for i in range(10_000): checkpoint(i=i, square=i * i)
checkpoint(took=time.perf_counter() - begun)
os.kill(os.getpid(), 9)
"""
    ended(notebook, f"%%timeout 100{code}", "only its checkpoints were kept: i, square, took")
    assert value(notebook, "i, square") == "9999 99980001"
    measured(f"{float(value(notebook, 'took')) / 10_000 * 1e6:.0f} µs each")


def test_what_one_call_makes_safe_comes_back_whole_or_not_at_all(notebook: Kernel) -> None:
    """A value that cannot be rebuilt spoils its call, and no other."""
    code = """
class Broken:
    def __init__(self): self.x = 1
    def __setstate__(self, state): raise ValueError("no")
checkpoint(a=1, b=1)
checkpoint(b=2, broken=Broken())
checkpoint(c=3)
os._exit(3)"""
    result = ended(notebook, f"%%timeout 60{code}", "only its checkpoints were kept: a, c")
    assert "left behind: b (its checkpoint cannot be rebuilt: broken: ValueError: no)" in result.text
    assert value(notebook, "a, globals().get('b'), c") == "1 None 3"


def test_a_long_value_that_was_being_sent_at_the_end_leaves_the_former(notebook: Kernel) -> None:
    """Killed at many moments of a checkpoint: what is kept is one whole value or another."""
    code = """
import threading
def kill():
    time.sleep({delay})
    os.kill(os.getpid(), 9)
checkpoint(n=-1, text="")
threading.Thread(target=kill).start()
n = 0
while True:
    n += 1
    checkpoint(n=n, text=[str(n)] * 30_000, mass=np.full(200_000, n))
"""
    for number in range(6):
        ended(notebook, "%%timeout -q 60" + code.replace("{delay}", str(0.05 + 0.007 * number)), "SIGKILL")
        assert (
            value(notebook, "n == -1 or (set(text) == {str(n)} and len(text) == 30_000 and bool((mass == n).all()))")
            == "True"
        )


def test_functions_and_classes_of_the_cell_come_back_and_work(notebook: Kernel) -> None:
    code = """
class Model:
    def __init__(self): self.weights = [1]
    def total(self): return sum(self.weights) + offset
offset = 10
def build(): return Model()
model = build()
checkpoint(model=model, build=build)
checkpoint(Model=Model, offset=offset)
os._exit(3)"""
    ended(notebook, f"%%timeout 60{code}", "kept: ")
    assert value(notebook, "model.total(), isinstance(model, Model), type(build()) is Model") == "11 True True"


def test_an_interrupt_that_has_no_effect_leaves_the_checkpoints(notebook: Kernel) -> None:
    """The code was killed; had it obeyed, all that it did would have stayed."""
    cell = notebook.submit(f"%%timeout -k 0.5 60\nrows = [1]; checkpoint(n=1)\nprint('go', flush=True){STUBBORN}")
    cell.wait_for("go")
    notebook.interrupt()
    result = cell.wait()
    assert result.error is not None and result.error.name == "KeyboardInterrupt"
    assert "took no effect" in result.error.value and "only its checkpoints were kept: n" in result.error.value
    assert value(notebook, "n, 'rows' in globals()") == "1 False"


def test_when_the_warden_is_killed_the_checkpoints_are_kept(own_kernel: Kernel) -> None:
    own_kernel.run(IMPORTS)
    pid = int(value(own_kernel, "__import__('ipytimeout.host.launch.warden', fromlist=['x']).get_warden().pid"))
    killer = threading.Timer(1.0, os.kill, (pid, signal.SIGKILL))
    cell = own_kernel.submit("%%timeout 60\nx = 1; checkpoint(n=1, rows=[1] * 100_000)\nprint('go')\nwhile True: pass")
    cell.wait_for("go")
    killer.start()
    result = cell.wait()
    assert (
        result.error is not None and "only its checkpoints were kept: n, rows. Run the cell again" in result.error.value
    )
    assert value(own_kernel, "n, len(rows), 'x' in globals()") == "1 100000 False"
    assert own_kernel.run("%%timeout 60\ny = 1").status == "ok"


# ---------------------------------------------------------------- progress and remaining


def test_the_bar_shows_how_far_the_code_says_it_is(notebook: Kernel) -> None:
    front = Front(notebook)
    code = "for i in progress(range(10)):\n    time.sleep(60 if i == 4 else 0.1)"
    cell = front.execute(f"%%timeout 600\n{code}")

    def bar() -> list[float]:
        states = [
            m["content"]["data"].get("state", {}) for m in front.iopub if m["msg_type"] in ("comm_open", "comm_msg")
        ]
        return [s["value"] for s in states if isinstance(s.get("value"), float)]

    front.read(lambda: 0.4 in bar() and any("4 of 10" in str(m["content"]) for m in front.iopub))
    front.click("Cancel")
    front.read(lambda: front.replied(cell))


def test_more_time_is_known_to_the_code(notebook: Kernel) -> None:
    """``remaining()`` grows by a click on +."""
    front = Front(notebook)
    cell = front.execute("%%timeout 600\nfirst = remaining()\nwhile remaining() < first: pass\nsecond = remaining()")
    front.read(lambda: "+ 10 min" in front.buttons() and front.of(cell, "update_display_data"))
    front.click("+ 10 min")
    front.read(lambda: front.replied(cell))
    assert value(notebook, "590 < first <= 600, 1100 < second <= 1200") == "True True"


def test_a_nested_run_knows_its_own_deadline(notebook: Kernel) -> None:
    code = "outer = remaining(); inner = run_with_timeout(20, remaining); again = remaining()"
    assert notebook.run(f"%%timeout 600\n{code}").status == "ok"
    assert value(notebook, "10 < inner <= 20, 500 < again < outer <= 600") == "True True"
