"""What runs on a terminal, or in a pipe: jupyter console, IPython, plain scripts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pexpect

from tests.e2e.front_ends import environment, write_kernel
from tests.matrix.table import Feature, Mark, Row, see

_SECONDS = 40
#: What terminals are told about colours and the cursor.
_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>]")

_SCRIPT = """
import sys, time
from ipytimeout import DeadlineExceeded, run_with_timeout
def spin():
    while True: pass
def live():
    print('first')
    time.sleep(2)
    print('second')
def ask():
    print('Hello,', input('who? '))
if __name__ == '__main__':
    try: run_with_timeout(1, spin)
    except DeadlineExceeded as error: print('caught:', error, flush=True)
    run_with_timeout(60, live)
    run_with_timeout(60, ask)
    try:
        print('spinning', flush=True)
        run_with_timeout(600, spin)
    except KeyboardInterrupt: print('interrupted', flush=True)
"""


def ipython_row(name: str, directory: Path) -> Row:
    """A terminal session of IPython."""
    command = [
        sys.executable,
        "-m",
        "IPython",
        "--no-banner",
        "--no-confirm-exit",
        "--simple-prompt",
        "--colors=NoColor",
    ]
    return _session(name, directory, command, updates=True)


def console_row(name: str, directory: Path) -> Row:
    """A terminal session that speaks to a kernel. It leaves updates of displays out, whoever sends them."""
    python = environment("jupyter_console==6.6.*", "-e .[notebooks]")
    write_kernel(directory / "data", python)
    command = [
        python,
        "-m",
        "jupyter_console",
        "--kernel",
        "under-test",
        "--simple-prompt",
        "--ZMQTerminalInteractiveShell.banner=",
    ]
    return _session(name, directory, command, updates=False)


def script_row(name: str, directory: Path, *, piped: bool) -> Row:
    """A program that calls functions with a deadline: on a terminal, or with its output in a pipe."""
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / "script.py"
    script.write_text(_SCRIPT)
    return _piped(name, script) if piped else _on_terminal(name, script)


def _session(name: str, directory: Path, command: list[str], *, updates: bool) -> Row:
    directory.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, "IPYTHONDIR": str(directory / "ipython"), "JUPYTER_DATA_DIR": str(directory / "data")}
    environ |= {"TERM": "dumb", "COLUMNS": "160"}
    row = Row(name)
    child = pexpect.spawn(command[0], command[1:], env=environ, encoding="utf-8", timeout=_SECONDS, cwd=str(directory))
    try:
        _prompt(child)
        _enter(child, "%load_ext ipytimeout")
        with row.measuring(Feature.DEADLINE):
            see("DeadlineExceeded", _enter(child, "%timeout 1 exec('while True: pass')"))
        with row.measuring(Feature.LINE):
            see("✓", _enter(child, "get_ipython().run_cell_magic('timeout', '60', 'x = 7')"))
            see("7", _enter(child, "x"))
        with row.measuring(Feature.LIVE):
            child.sendline("%timeout 60 print('fir' + 'st') or __import__('time').sleep(2) or print('sec' + 'ond')")
            child.expect("first\r?\n")
            assert child.expect(["second\r?\n", pexpect.TIMEOUT], timeout=0.8) == 1
            child.expect("second\r?\n")
            _prompt(child)
        if updates:
            _measure_update(child, row)
        with row.measuring(Feature.INPUT):
            child.sendline("%timeout 60 print('Hel' + 'lo,', input('wh' + 'o? '))")
            child.expect("who\\? ")
            child.sendline("Ada")
            child.expect("Hello, Ada")
            _prompt(child)
        with row.measuring(Feature.INTERRUPT):
            child.sendline("%timeout 600 print('spin' + 'ning') or exec('while True: pass')")
            child.expect("spinning\r?\n")
            child.sendintr()
            child.expect("KeyboardInterrupt")
            _prompt(child)
            see("still", _enter(child, "print('sti' + 'll')"))
    finally:
        child.close(force=True)
    return row


def _measure_update(child: pexpect.spawn, row: Row) -> None:
    """A terminal cannot take back what it shows: the new content comes below."""
    _enter(child, "from IPython.display import display")
    code = "%timeout 60 display('bef' + 'ore', display_id='a') and display('aft' + 'er', display_id='a', update=True)"
    with row.measuring(Feature.UPDATE):
        see("after", _enter(child, code))


def _on_terminal(name: str, script: Path) -> Row:
    row = Row(name)
    child = pexpect.spawn(sys.executable, [str(script)], encoding="utf-8", timeout=_SECONDS, cwd=str(script.parent))
    try:
        with row.measuring(Feature.DEADLINE):
            child.expect("caught: timed out after 1 s")
        with row.measuring(Feature.LIVE):
            child.expect("first")
            assert child.expect(["second", pexpect.TIMEOUT], timeout=0.8) == 1
            child.expect("second")
        with row.measuring(Feature.INPUT):
            child.expect("who\\? ")
            child.sendline("Ada")
            child.expect("Hello, Ada")
        with row.measuring(Feature.INTERRUPT):
            child.expect("spinning")
            child.expect("of 10 min")  # the line of progress: it runs
            child.sendintr()
            child.expect("interrupted")
            child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    return row


def _piped(name: str, script: Path) -> Row:
    row = Row(name)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=script.parent,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    try:
        with row.measuring(Feature.DEADLINE):
            see("caught: timed out after 1 s", process.stdout.readline())
        with row.measuring(Feature.LIVE):
            see("first", process.stdout.readline())
            see("second", process.stdout.readline())
        with row.measuring(Feature.INPUT):
            process.stdin.write("Ada\n")
            process.stdin.flush()
            see("Hello, Ada", process.stdout.readline())
        with row.measuring(Feature.INTERRUPT):
            see("spinning", process.stdout.readline())
            process.send_signal(signal.SIGINT)
            see("interrupted", process.stdout.readline())
            process.wait(_SECONDS)
        if noise := process.stderr.read():
            row.marks[Feature.LIVE] = Mark.FAILS
            row.reasons[Feature.LIVE] = f"on stderr: {noise}"
    finally:
        process.kill()
        process.communicate()
    return row


def _prompt(child: pexpect.spawn) -> str:
    child.expect(r"In \[\d+\]: ")
    return _CODES.sub("", str(child.before))


def _enter(child: pexpect.spawn, line: str) -> str:
    child.sendline(line)
    return _prompt(child)
