"""Questions to the user from inside a real child."""

from __future__ import annotations

import pytest

from ipytimeout.wire.messages.from_child import InputRequest
from tests.child.conftest import LiveChild


def test_input_asks_the_host(child: LiveChild) -> None:
    """What was printed before comes first."""
    child.execute("print('hello', end='')\nname = input('name? ')\nprint(name)")
    child.until(lambda seen: seen.of(InputRequest))
    child.answer("Ada \u00e9\U0001f600")
    seen = child.to_the_end()
    assert seen.outline == ["stdout: hello", "input: name? ", "stdout: Ada \u00e9\U0001f600\n"]
    assert seen.of(InputRequest) == [InputRequest("name? ", password=False)]


def test_getpass_asks_for_a_password(child: LiveChild) -> None:
    """The front end hides it."""
    child.execute("from getpass import getpass\ngetpass()")
    child.until(lambda seen: seen.of(InputRequest))
    child.answer("secret")
    seen = child.to_the_end()
    assert seen.of(InputRequest) == [InputRequest("Password: ", password=True)]
    assert seen.result == "'secret'"


def test_several_questions_are_answered_in_turn(child: LiveChild) -> None:
    """A long answer too."""
    child.execute("a = input(); b = input(); len(a), b")
    child.until(lambda seen: seen.of(InputRequest))
    child.answer("x" * 1_000_000)
    child.until(lambda seen: len(seen.of(InputRequest)) == 2)
    child.answer("b")
    assert child.to_the_end().result == "(1000000, 'b')"


@pytest.mark.parametrize("error", ["StdinNotImplementedError", "EOFError", "KeyboardInterrupt"])
def test_a_question_may_end_with_an_error(child: LiveChild, error: str) -> None:
    """By its name, with the host's text."""
    child.execute("input()")
    child.until(lambda seen: seen.of(InputRequest))
    child.answer("not here", error)
    seen = child.to_the_end()
    assert (seen.error.ename, seen.error.evalue) == (error, "not here")


def test_a_thread_may_ask(child: LiveChild) -> None:
    """As natively."""
    child.execute("import threading\nt = threading.Thread(target=lambda: print(input('?')))\nt.start(); t.join()")
    child.until(lambda seen: seen.of(InputRequest))
    child.answer("yes")
    assert child.to_the_end().text() == "yes\n"


def test_a_forked_worker_cannot_ask(child: LiveChild) -> None:
    """It has no place in the cell."""
    seen = child.run(
        "import os\nif os.fork() == 0:\n"
        "    try: input()\n    except NotImplementedError as e: print(e)\n    finally: sys = os._exit(0)\nos.wait();"
    )
    assert b"forked process" in seen.raw["stdout"]


def test_the_debugger_asks_as_input_does(child: LiveChild) -> None:
    """``breakpoint()`` works inside."""
    child.execute("x = 5\nbreakpoint()\nprint('after')")
    child.until(lambda seen: seen.of(InputRequest))
    child.answer("p x + 1")
    child.until(lambda seen: len(seen.of(InputRequest)) == 2)
    child.answer("c")
    text = child.to_the_end().text()
    assert "\n6\n" in text or text.startswith("6\n") or "6\n" in text.splitlines(keepends=True)
    assert text.endswith("after\n")
