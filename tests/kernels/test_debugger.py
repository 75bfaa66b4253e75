"""``breakpoint()``, ``%pdb on`` and ``%debug`` in timed cells."""

from __future__ import annotations

import pytest

from tests.kernels.front import Front
from tests.kernels.harness import Kernel


@pytest.fixture
def front(kernel: Kernel) -> Front:
    return Front(kernel)


def converse(front: Front, code: str, *answers: str) -> tuple[str, dict[str, object]]:
    """Run a cell, and answer its questions; return what it wrote, and the reply."""
    cell = front.execute(code, answers=True)
    for answer in answers:
        assert "db>" in front.question()["prompt"].lower() or "(pdb)" in front.question()["prompt"].lower()
        front.answer(answer)
    reply = front.reply(cell)
    front.read(lambda: front.is_idle(cell))
    return "".join(each["text"] for each in front.of(cell, "stream")), reply


def test_a_breakpoint_stops_the_code_and_the_clock(front: Front) -> None:
    code = "%%timeout -q 2\nx = 1\nbreakpoint()\ny = x"
    text, reply = converse(front, code, "p x + 41", "x = 5", "c")
    assert reply["status"] == "ok" and "42" in text
    assert front.kernel.run("print(y)").stdout == "5\n"


def test_with_pdb_on_an_error_opens_the_debugger_where_it_is(front: Front) -> None:
    front.kernel.run("%pdb on")
    try:
        text, reply = converse(front, "%%timeout -q 5\ndef f(n): return 1 / n\nf(0)", "p 'n is', n", "q")
    finally:
        front.kernel.run("%pdb off")
    assert "'n is', 0" in text and reply["ename"] == "ZeroDivisionError"


def test_where_nobody_can_answer_a_breakpoint_is_the_error_of_a_question(front: Front) -> None:
    reply = front.reply(front.execute("%%timeout -q 5\nbreakpoint()\n1"))
    assert reply["status"] == "error" and reply["ename"] == "StdinNotImplementedError"


@pytest.mark.parametrize(
    "code", ["1 / 0", "while True: pass", "import os; os._exit(3)"], ids=["raised", "timed out", "died"]
)
def test_debug_after_a_failed_run_says_that_the_process_is_gone_and_what_works(front: Front, code: str) -> None:
    front.kernel.run(f"%%timeout -q -k 0 0.5\n{code}")
    said = front.kernel.run("%debug")
    assert said.status == "ok"
    assert said.stdout.startswith("The process of this cell is gone") and "breakpoint()" in said.stdout


def test_debug_after_an_error_of_a_native_cell_works_as_ever(front: Front) -> None:
    front.kernel.run("%%timeout -q 5\n1 / 0")
    front.kernel.run("n = 0\n1 / n")
    text, _ = converse(front, "%debug", "p 'n is', n", "q")
    assert "'n is', 0" in text
