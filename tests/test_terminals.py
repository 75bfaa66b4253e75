"""Timed code without a notebook: IPython in a terminal, a script in a terminal, a script whose output is piped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_PROMPT = r"In \[\d+\]: $"


class Terminal:
    """IPython in a terminal, spoken to as a user does."""

    def __init__(self, directory: Path) -> None:
        environ = {**os.environ, "IPYTHONDIR": str(directory), "TERM": "xterm"}
        arguments = ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
        self._spawned = pexpect.spawn(
            sys.executable, arguments, env=environ, encoding="utf-8", timeout=60, echo=False, dimensions=(40, 200)
        )
        self._spawned.expect(_PROMPT)

    def type(self, line: str) -> None:
        self._spawned.sendline(line)

    def run(self, line: str) -> str:
        """Type a line; return what is written until the next prompt."""
        self.type(line)
        return self.answer()

    def answer(self) -> str:
        self._spawned.expect(_PROMPT)
        return _ESCAPES.sub("", self._spawned.before).replace("\r\n", "\n")

    def wait_for(self, text: str) -> None:
        self._spawned.expect_exact(text)

    def interrupt(self) -> None:
        self._spawned.sendintr()

    def close(self) -> None:
        self._spawned.close(force=True)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    opened.run("%load_ext ipytimeout")
    yield opened
    opened.close()


def test_a_terminal_shows_output_value_and_error_and_goes_on(terminal: Terminal) -> None:
    shown = terminal.run("%timeout 60 [print(i) for i in (1, 2)] and 'value'")
    assert "\n2\n" in shown and "'value'" in shown
    assert "ZeroDivisionError: division by zero" in terminal.run("%timeout 60 1 / 0")
    assert "DeadlineExceeded" in terminal.run("%timeout 0.5 __import__('time').sleep(60)")
    assert "2" in terminal.run("1 + 1")


def test_a_question_is_answered_in_the_terminal(terminal: Terminal) -> None:
    terminal.type("name = %timeout 60 input('who? ')")
    terminal.wait_for("who? ")
    terminal.run("Ada")
    assert "'Ada'" in terminal.run("name")


def test_with_pdb_on_an_error_opens_the_debugger_in_the_terminal(terminal: Terminal) -> None:
    terminal.run("f = lambda n: 1 / n")
    terminal.run("%pdb on")
    terminal.type("%timeout 2 f(0)")
    terminal.wait_for("db> ")
    terminal.type("p 'n is', n")
    terminal.wait_for("('n is', 0)")
    terminal.wait_for("db> ")
    terminal.type("q")
    terminal.answer()
    assert "2" in terminal.run("1 + 1")
    assert "The process of this cell is gone" in terminal.run("%debug")


@pytest.mark.parametrize("line", ["%timeout 60 breakpoint()", "x = %timeout 60 (breakpoint(), 1)[1]"])
def test_a_breakpoint_opens_the_debugger_in_the_terminal(terminal: Terminal, line: str) -> None:
    """Also where nothing comes after it."""
    terminal.type(line)
    terminal.wait_for("db) ")
    terminal.type("p 'is', 6 * 7")
    terminal.wait_for("('is', 42)")
    terminal.type("c")
    terminal.answer()
    assert "2" in terminal.run("1 + 1")


def test_control_c_ends_a_run_and_the_terminal_goes_on(terminal: Terminal) -> None:
    terminal.run("import time")
    terminal.type("%timeout 600 print('be' + 'gun') or time.sleep(600)")
    terminal.wait_for("begun")
    terminal.interrupt()
    assert "KeyboardInterrupt" in terminal.answer()
    assert "2" in terminal.run("1 + 1")


SCRIPT = """
import sys
import time
from ipytimeout import run_with_timeout, timeout

def work(n):
    for i in range(n):
        print("line", i)
    print("done", file=sys.stderr)

if __name__ == "__main__":
    print("before")
    run_with_timeout(60, work, 200_000)
    print("after")
    timeout(60, max_output="10kB").run(work, 10_000)
"""


def test_a_script_whose_output_is_piped_passes_everything_on_in_order(tmp_path: Path) -> None:
    """More than a page would get; but no more than is asked for."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=100)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and done.stderr == "done\ndone\n"
    assert lines[:200_002] == ["before", *(f"line {i}" for i in range(200_000)), "after"]
    limited = lines[200_002:]
    assert limited[0] == "line 0" and limited[-1] == "line 9999" and len("\n".join(limited)) < 11_000
    assert [line for line in limited if "of text left out here" in line]


def test_a_script_whose_reader_has_gone_ends(tmp_path: Path) -> None:
    """As natively: ``python script.py | head``."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    command = f"{sys.executable} {path} 2>/dev/null | head -n 2"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=100)
    assert done.stdout == "before\nline 0\n"
