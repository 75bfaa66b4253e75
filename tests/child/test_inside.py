"""``progress``, ``remaining`` and ``checkpoint`` inside a real child."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from ipytimeout import checkpoint, progress, remaining
from ipytimeout.host.checkpoints import Checkpoints, Rebuilt
from ipytimeout.wire.messages.from_child import Checkpoint, InputRequest, Progressed
from ipytimeout.wire.messages.to_child import Clock
from tests.child.conftest import LiveChild, Seen

IMPORTS = "from ipytimeout import checkpoint, progress, remaining\nimport time\n"


def kept(child: LiveChild, names: list[str] | None = None) -> Rebuilt:
    """Rebuild what the child has made safe, as its host does when the run does not end by itself."""
    checkpoints = Checkpoints()
    for message in child.seen.of(Checkpoint):
        checkpoints.take(message)
    wanted = checkpoints.names if names is None else names
    return checkpoints.rebuild(wanted, child.namespace, child._table)


def facts(seen: Seen) -> list[tuple[float | None, str]]:
    return [(message.fraction, message.text) for message in seen.of(Progressed)]


# ---------------------------------------------------------------- remaining


def test_what_is_left_is_known_from_the_start(child: LiveChild) -> None:
    seen = child.run(IMPORTS + "a = remaining(); time.sleep(0.2); b = remaining()\na, a - b", timeout=100.0)
    left, gone = eval(seen.result)
    assert 90 < left <= 100 and 0.2 <= gone < 10


def test_without_a_deadline_it_is_infinite(child: LiveChild) -> None:
    assert child.run(IMPORTS + "remaining()").result == "inf"


def test_a_deadline_that_is_moved_is_known_at_once(child: LiveChild) -> None:
    """By whoever asks: the main thread, another one, a forked process what it knew when it was forked."""
    child.execute(
        IMPORTS + "print('go')\nwhile remaining() < 50: pass\nprint('more', remaining() < 1000)", timeout=10.0
    )
    child.until_text("go")
    child.send(Clock(time.monotonic() + 500, None))
    assert child.to_the_end().text() == "go\nmore True\n"


def test_a_deadline_that_is_over_leaves_nothing(child: LiveChild) -> None:
    child.execute(IMPORTS + "print('go')\nwhile remaining(): pass\nprint(remaining())", timeout=1000.0)
    child.until_text("go")
    child.send(Clock(time.monotonic() - 5, None))
    assert child.to_the_end().text() == "go\n0.0\n"


def test_the_clock_stands_while_the_user_is_asked(child: LiveChild) -> None:
    """Another thread sees it stand, and the answer is not lost on what is said of the clock."""
    code = """
import threading
seen = []
def look():
    while remaining() > 200: pass
    seen.extend((remaining(), time.sleep(0.1), remaining()))
    print("looked")
thread = threading.Thread(target=look); thread.start()
answer = input(); thread.join()
seen[0] == seen[2] == 100, answer, 40 < remaining() < 60
"""
    child.execute(IMPORTS + code, timeout=1000.0)
    child.until(lambda seen: seen.of(InputRequest))
    now = time.monotonic()
    child.send(Clock(now + 100, now))
    child.until_text("looked")
    child.send(Clock(time.monotonic() + 60, None))
    child.answer("yes")
    assert child.to_the_end().result == "(True, 'yes', True)"


def test_what_is_said_of_the_clock_is_no_answer(child: LiveChild) -> None:
    """Neither before a question nor after the end of the code."""
    child.execute(IMPORTS + "print('go')\ntime.sleep(0.3)\nfirst = input(); remaining(); first + input()", timeout=10.0)
    child.until_text("go")
    for _ in range(3):
        child.send(Clock(time.monotonic() + 500, None))
    for number in (1, 2):
        child.until(lambda seen, number=number: len(seen.of(InputRequest)) == number)
        child.answer(f"<{number}>")
        child.send(Clock(time.monotonic() + 500, None))
    assert child.to_the_end().result == "'<1><2>'"


# ---------------------------------------------------------------- progress


def test_a_loop_says_how_far_it_is_and_the_last_always_arrives(child: LiveChild) -> None:
    """Not each of a million steps is told: ten times a second is enough."""
    begun = time.monotonic()
    seen = child.run(IMPORTS + "sum(progress(range(1_000_000)))")
    took = time.monotonic() - begun
    assert seen.result == "499999500000"
    told = facts(seen)
    assert told[-1] == (1.0, "1000000 of 1000000")
    assert told == sorted(told) and len(told) <= 3 + took / 0.1


def test_what_is_said_before_a_long_silence_arrives(child: LiveChild) -> None:
    """Although it came too soon after another to be sent at once."""
    child.execute(IMPORTS + "progress(0.1)\nprogress(0.2)\nprogress(0.3, 'third')\ntime.sleep(600)")
    child.until(lambda seen: facts(seen)[-1:] == [(0.3, "third")])


def test_a_loop_in_a_loop_moves_the_bar_within_a_step(child: LiveChild) -> None:
    code = """
for i in progress(range(2)):
    for j in progress("abcd"):
        time.sleep(0.15)
"""
    told = facts(child.run(IMPORTS + code))
    fractions = [fraction for fraction, _ in told if fraction is not None]
    assert fractions == sorted(fractions) and {0.125, 0.5, 0.75} <= set(fractions)
    assert (0.375, "0 of 2 · 3 of 4") in told and told[-1] == (1.0, "2 of 2")


def test_a_fraction_within_a_loop_is_one_of_its_present_step(child: LiveChild) -> None:
    code = """
for i in progress(range(2)):
    progress(0.5, f"step {i}")
    time.sleep(0.15)
"""
    told = facts(child.run(IMPORTS + code))
    assert (0.25, "0 of 2 · step 0") in told and (0.75, "1 of 2 · step 1") in told


@pytest.mark.parametrize(
    ("loop", "last"),
    [
        ("for i in progress(iter(range(7))): pass", (None, "7")),
        ("for i in progress(range(7), total=5): pass", (None, "7")),
        ("for i in progress(range(7), total=14): pass", (0.5, "7 of 14")),
        ("for i in progress(()): pass", (None, "0 of 0")),
        ("for i in progress(range(8)):\n    if i == 2: break", (0.25, "2 of 8")),
        ("try:\n    for i in progress(range(8)): 1 / (2 - i)\nexcept ZeroDivisionError: del i", (0.25, "2 of 8")),
        ("progress(2 / 3)", (2 / 3, "")),
    ],
)
def test_every_loop_ends_with_what_was_done(child: LiveChild, loop: str, last: tuple[float | None, str]) -> None:
    assert facts(child.run(IMPORTS + loop))[-1] == last


def test_a_step_costs_next_to_nothing(child: LiveChild) -> None:
    """Around a microsecond on a quiet machine; ten are allowed here."""
    code = """
begun = time.perf_counter()
for _ in progress(range(200_000)): pass
loop = time.perf_counter() - begun
for i in range(200_000): progress(i / 200_000)
loop / 200_000, (time.perf_counter() - begun - loop) / 200_000
"""
    assert max(eval(child.run(IMPORTS + code).result)) < 10e-6


def test_an_interrupt_that_hits_our_lines_is_shown_in_the_codes(child: LiveChild) -> None:
    child.execute(IMPORTS + "for _ in progress(iter(int, 1)): pass")
    child.until(facts)
    child.deadline()
    seen = child.to_the_end()
    assert [(line, name) for _, line, name in seen.changes.frames] == [(3, "<module>")]


# ---------------------------------------------------------------- checkpoint


def test_values_are_as_they_were_at_the_call(child: LiveChild) -> None:
    seen = child.run(IMPORTS + "rows = [1]\ncheckpoint(rows=rows, n=len(rows))\nrows.append(2)")
    assert seen.changes.success
    assert kept(child) == Rebuilt({"rows": [1], "n": 1})


def test_a_later_checkpoint_replaces_the_former_by_name(child: LiveChild) -> None:
    child.run(IMPORTS + "checkpoint(a=1, b=1)\ncheckpoint(b=2, c=2)\ncheckpoint(c=3)")
    assert kept(child).values == {"a": 1, "b": 2, "c": 3}


def test_the_values_of_one_call_go_on_sharing(child: LiveChild) -> None:
    """An optimizer with its model."""
    child.run(IMPORTS + "model = [1]\ncheckpoint(model=model, optimizer={'of': model})\ncheckpoint(again=model)")
    values: Any = kept(child).values
    assert values["optimizer"]["of"] is values["model"]
    assert values["again"] is not values["model"]


def test_values_are_new_objects_beside_a_notebook_that_has_not_changed(child: LiveChild) -> None:
    """Its other names see nothing of what the cell did to an object."""
    rows: list[int] = [1]
    child.namespace.update(rows=rows, alias=rows)
    child.run(IMPORTS + "rows.append(2)\ncheckpoint(rows=rows)")
    values = kept(child).values
    assert values["rows"] == [1, 2] and values["rows"] is not rows and rows == [1]


def test_classes_and_functions_of_the_notebook_stay_the_very_same(child: LiveChild) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("class Point:\n    def __init__(self, x): self.x = x\ndef double(x): return 2 * x", namespace)
    child.namespace.update(Point=namespace["Point"], double=namespace["double"])
    child.run(IMPORTS + "checkpoint(point=Point(double(2)), f=double)")
    values: Any = kept(child).values
    assert type(values["point"]) is namespace["Point"] and values["point"].x == 4
    assert values["f"] is namespace["double"]


@pytest.mark.parametrize(
    "definition",
    [
        "class Point:\n    pass",
        "import abc\nclass Point(abc.ABC):\n    pass",
        "import enum\nclass Point(enum.Enum):\n    A = 1\n    @classmethod\n    def new(cls): return cls.A",
        "import dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: int = 1",
        "class Base:\n    pass\nclass Point(Base):\n    def me(self): return __class__",
    ],
)
def test_a_class_that_the_cell_defines_comes_back_once(child: LiveChild, definition: str) -> None:
    """However many checkpoints lead to it."""
    new = "getattr(Point, 'new', Point)()"
    child.run(f"{IMPORTS}{definition}\ncheckpoint(a={new})\ncheckpoint(b={new}, c=[{new}])\ncheckpoint(Point=Point)")
    values: Any = kept(child).values
    assert type(values["a"]) is type(values["b"]) is type(values["c"][0]) is values["Point"]


def test_a_class_of_the_notebook_that_the_cell_has_changed_is_named(child: LiveChild) -> None:
    """The notebook's own is as before: no value is stale without a word."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("class Model: made = 0\nclass Other: made = 0\ndef f(): pass", namespace)
    child.namespace.update({name: namespace[name] for name in ("Model", "Other", "f")})
    child.run(
        IMPORTS + "Other.made = 1\ncheckpoint(a=Model())\nModel.made += 1\nf.calls = 1\ncheckpoint(b=[Model()], f=f)"
    )
    rebuilt = kept(child)
    assert type(rebuilt.values["a"]) is namespace["Model"]
    assert rebuilt.left_behind.keys() == {"Model", "f"}
    assert "as it was before" in rebuilt.left_behind["Model"]


def test_what_cannot_leave_the_process_is_an_error_at_the_call_that_names_it(child: LiveChild) -> None:
    """And nothing of that call is sent."""
    seen = child.run(IMPORTS + "x = (y for y in [1]); next(x)\ncheckpoint(a=1)\ncheckpoint(a=2, rows=x, b=3)")
    assert seen.error.ename == "PicklingError"
    assert "cannot keep rows (a generator" in seen.error.evalue
    assert [line for _, line, _ in seen.changes.frames] == [5]
    assert kept(child).values == {"a": 1}


def test_code_may_go_on_after_such_an_error(child: LiveChild) -> None:
    code = "import pickle\ng = (x for x in [1]); next(g)\ntry: checkpoint(a=iter(int, 1), g=g)\nexcept pickle.PicklingError: checkpoint(a=2)"
    assert child.run(IMPORTS + code).changes.success
    assert kept(child).values == {"a": 2}


def test_only_kept_names_are_sent(child: LiveChild) -> None:
    """What is not wanted is not pickled either."""
    child.run(IMPORTS + "g = (y for y in [1]); next(g)\ncheckpoint(a=1, b=g)\ncheckpoint(c=3)", keep=["a", "x"])
    assert [message.names for message in child.seen.of(Checkpoint)] == [["a"]]


def test_nothing_is_sent_where_nothing_is_to_come_back(child: LiveChild) -> None:
    seen = child.run(IMPORTS + "checkpoint(a=1)", discard=True)
    assert seen.changes.success and seen.of(Checkpoint) == []


def test_a_checkpoint_in_a_function(child: LiveChild) -> None:
    def work() -> None:
        checkpoint(a=[1])

    child.call(work)
    child.to_the_end()
    assert kept(child).values == {"a": [1]}


def test_functions_of_the_notebook_find_ours_by_name(child: LiveChild) -> None:
    """They were imported in the kernel, and work in the child."""
    child.namespace.update(checkpoint=checkpoint, progress=progress, remaining=remaining)
    seen = child.run("[checkpoint(i=i) for i in progress(range(3))]; remaining() > 0")
    assert seen.result == "True" and kept(child).values == {"i": 2}


def test_threads_make_values_safe(child: LiveChild) -> None:
    code = """
import threading
def work(name):
    for i in range(50): checkpoint(**{name: [i] * 100})
threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    assert child.run(IMPORTS + code).changes.success
    assert kept(child).values == {f"t{n}": [49] * 100 for n in range(4)}


def test_a_signal_handler_within_a_checkpoint_may_make_one_too(child: LiveChild) -> None:
    code = """
import signal
ticks = 0
def tick(*args):
    global ticks
    ticks += 1
    checkpoint(ticks=ticks)
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.002)
for i in range(300): checkpoint(rows=list(range(1000)), i=i)
signal.setitimer(signal.ITIMER_REAL, 0)
ticks > 3
"""
    seen = child.run(IMPORTS + code)
    assert seen.changes.success and seen.result == "True"
    values = kept(child).values
    assert values["i"] == 299 and 3 < cast("int", values["ticks"]) <= len(seen.of(Checkpoint))


def test_a_forked_process_is_told_that_it_makes_nothing_safe(child: LiveChild) -> None:
    code = "import os\nif os.fork() == 0:\n    try: checkpoint(a=1)\n    except RuntimeError as e: print(e)\n    os._exit(0)\nos.wait();"
    seen = child.run(IMPORTS + code)
    assert b"forked process" in seen.raw["stdout"] and seen.of(Checkpoint) == []


def test_a_checkpoint_is_finished_before_the_deadline_ends_the_code(child: LiveChild) -> None:
    """What is nearly safe is to be safe; the next signal of the warden ends the code."""
    code = """
class Slow:
    def __reduce__(self):
        print("go")
        until = time.monotonic() + 0.5
        while time.monotonic() < until: pass
        return int, (7,)
checkpoint(slow=Slow())
while True: pass
"""
    child.execute(IMPORTS + code)
    child.until_text("go")
    child.deadline()
    assert child.to_the_end().changes.deadline_interrupt
    assert kept(child).values == {"slow": 7}


def test_after_the_code_has_ended_nothing_is_sent_any_more(child: LiveChild) -> None:
    """A ``__reduce__`` that is called for the changes may use what the code may use."""
    code = """
class Late:
    def __reduce__(self):
        checkpoint(late=1); progress(0.9)
        return int, (int(remaining() == float("inf")),)
late = Late()
"""
    seen = child.run(IMPORTS + code, timeout=50.0)
    assert seen.of(Checkpoint) == [] and facts(seen) == []
    child.commit()
    assert child.namespace["late"] == 1


def test_without_a_shell_it_works_too(make_child: Any) -> None:
    """For a script."""
    child = make_child(shell=False, kernel=False)

    def work() -> float:
        checkpoint(a=1)
        return remaining()

    child.call(work)
    seen = child.to_the_end()
    assert seen.changes.success and kept(child).values == {"a": 1}
