"""The deadline, Cancel and Ctrl-C inside a real child."""

from __future__ import annotations

import pytest

from ipytimeout.wire.messages.from_child import Changes, InputRequest
from ipytimeout.wire.signals import DEADLINE_SIGNAL
from tests.child.conftest import LiveChild

WHERE_CODE_CAN_BE = {
    "in a sleep": "import time\ntry:\n    print('go')\n    time.sleep(600)\nfinally:\n    print('finally')",
    "in a loop": "try:\n    print('go')\n    while True: pass\nfinally:\n    print('finally')",
    "in a lock": "import threading\nl = threading.Lock()\nl.acquire()\ntry:\n    print('go')\n    l.acquire()\nfinally:\n    print('finally')",
    "in an await": "import asyncio\ntry:\n    print('go')\n    await asyncio.sleep(600)\nfinally:\n    print('finally')",
    "in an await after a cleanup that awaits": "import asyncio\ntry:\n    print('go')\n    await asyncio.sleep(600)\nfinally:\n    await asyncio.sleep(0)\n    print('finally')",
    "between awaits": "import asyncio\nawait asyncio.sleep(0)\ntry:\n    print('go')\n    while True: pass\nfinally:\n    print('finally')",
    "in a task": "import asyncio\nasync def f():\n    print('go')\n    while True: pass\nasyncio.create_task(f())\ntry:\n    await asyncio.sleep(600)\nfinally:\n    print('finally')",
    "in a callback": "import asyncio\ndef f():\n    print('go')\n    while True: pass\nasyncio.get_running_loop().call_soon(f)\ntry:\n    await asyncio.sleep(600)\nfinally:\n    print('finally')",
    "beside a task": "import asyncio\nasync def f():\n    try: await asyncio.sleep(600)\n    finally: print('finally')\nasyncio.create_task(f())\nawait asyncio.sleep(0)\nprint('go')\nwhile True: pass",
    "beside an asynchronous generator": "import asyncio\nasync def g():\n    try: yield 1\n    finally: print('finally')\nit = g()\nawait anext(it)\nprint('go')\nawait asyncio.sleep(600)",
    "in a print": "try:\n    print('go')\n    while True: print('x' * 50)\nfinally:\n    print('finally')",
    "in a display": "try:\n    print('go')\n    while True: display({'text/plain': 'x'}, raw=True)\nfinally:\n    print('finally')",
    "in a repr": "class A:\n    def __repr__(self):\n        try:\n            print('go')\n            while True: pass\n        finally:\n            print('finally')\nA()",
    "in a question": "try:\n    print('go')\n    input()\nfinally:\n    print('finally')",
}  # fmt: skip


@pytest.mark.parametrize("code", WHERE_CODE_CAN_BE.values(), ids=WHERE_CODE_CAN_BE.keys())
def test_the_deadline_reaches_the_code_wherever_it_is(child: LiveChild, code: str) -> None:
    """``finally`` runs, nothing is shown of the interrupt, and nothing is sent back."""
    child.execute(code)
    child.until_text("go\n")
    child.deadline()
    seen = child.to_the_end()
    assert seen.text().endswith("finally\n")
    assert [line for line in seen.outline if line.startswith("error")] == []
    assert seen.changes.deadline_interrupt and not seen.changes.interrupted and not seen.changes.success
    assert seen.changes.buffers == ()
    assert seen.status == b"RE"
    assert child.process.wait() == 0


@pytest.mark.parametrize("code", WHERE_CODE_CAN_BE.values(), ids=WHERE_CODE_CAN_BE.keys())
def test_ctrl_c_is_an_error_of_the_cell_wherever_it_is(child: LiveChild, code: str) -> None:
    """It is shown, and what was done before it comes back."""
    child.execute("x = 1\n" + code)
    child.until_text("go\n")
    child.interrupt()
    seen = child.to_the_end()
    assert "finally\n" in seen.text()
    assert seen.changes.interrupted and not seen.changes.deadline_interrupt and not seen.changes.success
    assert seen.error.ename in ("KeyboardInterrupt", "CancelledError")
    child.commit()
    assert child.namespace["x"] == 1


def test_the_deadline_says_where_the_code_was(child: LiveChild) -> None:
    """The frames are the code's own, also where our own lines were interrupted."""
    child.execute("def f():\n    print('go')\n    input()\n\nf()")
    child.until(lambda seen: seen.of(InputRequest))
    child.deadline()
    seen = child.to_the_end()
    assert [(line, name) for _, line, name in seen.changes.frames] == [(5, "<module>"), (3, "f")]
    assert seen.changes.error is not None
    assert "child/" not in "".join(seen.changes.error.traceback)


def test_a_partial_run_sends_what_was_done(child: LiveChild) -> None:
    """With ``--partial`` the changes come although the deadline ended the code."""
    child.execute("import time\nx = 1\nprint('go')\ntime.sleep(600)\nx = 2", partial=True)
    child.until_text("go")
    child.deadline()
    assert child.to_the_end().changes.deadline_interrupt
    child.commit()
    assert child.namespace["x"] == 1


@pytest.mark.parametrize("error", ["Exception", "OSError", "TimeoutError"])
def test_retry_code_does_not_swallow_the_deadline(child: LiveChild, error: str) -> None:
    """It is a KeyboardInterrupt, and no OSError."""
    child.execute(f"import time\nprint('go')\nwhile True:\n    try: time.sleep(600)\n    except {error}: pass")
    child.until_text("go")
    child.deadline()
    assert child.to_the_end().changes.deadline_interrupt


def test_code_that_swallows_the_deadline_meets_it_again(child: LiveChild) -> None:
    """Each signal of the warden raises."""
    child.execute(
        "import time\n"
        "for i in range(3):\n"
        "    try:\n        print('go', i)\n        while True: pass\n"
        "    except KeyboardInterrupt as e: print(type(e).__name__)"
    )
    for i in range(3):
        child.until_text(f"go {i}\n")
        child.process.send_signal(DEADLINE_SIGNAL)
    seen = child.to_the_end()
    assert seen.text() == "".join(f"go {i}\nDeadlineInterrupt\n" for i in range(3))
    assert seen.changes.success and seen.changes.buffers == ()


def test_code_may_handle_ctrl_c_and_go_on(child: LiveChild) -> None:
    """An early-stopping loop finishes, as natively."""
    child.execute("import time\ntry:\n    print('go')\n    time.sleep(600)\nexcept KeyboardInterrupt: best = 7")
    child.until_text("go")
    child.interrupt()
    assert child.to_the_end().changes.success
    child.commit()
    assert child.namespace["best"] == 7


def test_signals_outside_of_the_code_do_nothing(child: LiveChild) -> None:
    """Before it runs and after it has ended."""
    child.execute("import time\nprint('go')")
    child.until(lambda seen: seen.of(Changes))
    child.deadline()
    child.interrupt()
    assert child.to_the_end().changes.success
    assert child.process.wait() == 0


@pytest.mark.parametrize(
    "code",
    [
        "while True: print('x' * 200)",
        "while True: display({'text/plain': 'x' * 200000}, raw=True)",
        "import sys\nwhile True: print('a'); print('b', file=sys.stderr, flush=True)",
    ],
)
def test_a_storm_of_signals_cuts_no_message(child: LiveChild, code: str) -> None:
    """A handler that raises within a write leaves a whole frame behind it: the decoder would notice."""
    child.execute(
        "import signal\n"
        "class Tick(Exception): pass\n"
        "def tick(*args):\n    global ticks\n    ticks += 1\n    raise Tick\n"
        "ticks = 0\n"
        "signal.signal(signal.SIGALRM, tick)\n"
        "while ticks < 300:\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0.0002 + ticks * 1e-5)\n"
        + "".join(f"        {line}\n" for line in code.splitlines())
        + "    except Tick: pass\n"
        "print('done', ticks)"
    )
    seen = child.to_the_end()
    assert seen.changes.success, seen.changes.error
    assert seen.text().endswith("done 300\n")


def test_an_interrupted_question_can_be_asked_again(child: LiveChild) -> None:
    """The late answer to the first one is dropped."""
    child.execute(
        "try: input('one? ')\nexcept KeyboardInterrupt: print('caught')\nimport time\ntime.sleep(1)\ninput('two? ')"
    )
    child.until(lambda seen: seen.of(InputRequest))
    child.interrupt()
    child.answer("late")
    child.until(lambda seen: len(seen.of(InputRequest)) == 2)
    child.answer("right")
    assert child.to_the_end().result == "'right'"
