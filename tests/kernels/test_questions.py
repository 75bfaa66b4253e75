"""``input()`` and ``getpass()`` in a timed cell: the user is asked, and the run goes on being a run meanwhile."""

from __future__ import annotations

import time

import pytest

from tests.kernels.front import Front
from tests.kernels.harness import Kernel


@pytest.fixture
def front(kernel: Kernel) -> Front:
    return Front(kernel)


def test_a_question_is_asked_and_the_clock_stands_still_until_it_is_answered(front: Front) -> None:
    cell = front.execute("%%timeout -q 0.5\nname = input('who? ')\nprint('hello', name)", answers=True)
    assert front.question() == {"prompt": "who? ", "password": False}
    time.sleep(0.8)
    front.answer("Ada")
    reply = front.reply(cell)
    assert reply["status"] == "ok", reply
    front.read(lambda: front.of(cell, "stream"))
    assert front.of(cell, "stream")[-1]["text"].endswith("hello Ada\n")
    assert front.kernel.run("print(name)").stdout == "Ada\n"


def test_a_password_is_asked_for_as_one(front: Front) -> None:
    cell = front.execute("%%timeout -q 5\nimport getpass\nword = getpass.getpass()", answers=True)
    assert front.question() == {"prompt": "Password: ", "password": True}
    front.answer("secret")
    assert front.reply(cell)["status"] == "ok"
    assert front.kernel.run("print(word)").stdout == "secret\n"


def test_two_questions_get_their_own_answers(front: Front) -> None:
    cell = front.execute("%%timeout -q 5\npair = input('a'), input('b')", answers=True)
    for prompt, answer in (("a", "1"), ("b", "2")):
        assert front.question()["prompt"] == prompt
        front.answer(answer)
    front.reply(cell)
    assert front.kernel.run("print(pair)").stdout == "('1', '2')\n"


def test_the_end_of_the_input_is_an_error_as_natively(front: Front) -> None:
    cell = front.execute("%%timeout -q 5\ninput()", answers=True)
    front.question()
    front.answer("\x04")
    assert front.reply(cell)["ename"] == "EOFError"


def test_a_page_without_a_place_to_type_gives_the_native_error(front: Front) -> None:
    cell = front.execute("%%timeout -q 5\ninput()")
    assert front.reply(cell)["ename"] == "StdinNotImplementedError"


def test_an_interrupt_ends_a_question_and_what_was_done_stays(front: Front) -> None:
    cell = front.execute("%%timeout -q 5\ndone = 1\ninput()\ndone = 2", answers=True)
    front.question()
    front.kernel.interrupt()
    assert front.reply(cell)["ename"] == "KeyboardInterrupt"
    assert front.kernel.run("print(done)").stdout == "1\n"


def test_a_click_on_cancel_ends_a_question(front: Front) -> None:
    """The kernel's own way to wait for an answer would let no click in."""
    code = "import time\nbegun = 1\ntime.sleep(0.6)\ntry: input()\nfinally: print('cleaned up')"
    cell = front.execute(f"%%timeout 600\n{code}", answers=True)
    front.read(lambda: "Cancel" in front.buttons())
    front.question()
    front.click("Cancel")
    assert front.reply(cell)["ename"] == "RunCancelled"
    front.read(lambda: front.of(cell, "stream"))
    assert front.of(cell, "stream")[-1]["text"] == "cleaned up\n"
    assert front.kernel.run("print('begun' in globals())").stdout == "False\n"


def test_code_that_gives_up_its_question_has_its_deadline_again(front: Front) -> None:
    code = """%%timeout -q 1
import signal
def alarm(*args): raise OSError("no answer")
signal.signal(signal.SIGALRM, alarm)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try: input()
except OSError: pass
while True: pass"""
    cell = front.execute(code, answers=True)
    front.question()
    assert front.reply(cell)["ename"] == "DeadlineExceeded"
