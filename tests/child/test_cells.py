"""Cells in a real child: what the front end would see, in order, as from a kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from ipytimeout.wire.messages.from_child import Running
from ipytimeout.wire.messages.outputs import DisplayData, Error, ExecuteResult, Payload
from tests.child.conftest import LiveChild

MakeChild = Callable[..., LiveChild]
SET_THERE = "what it has set ends with the process of the cell; call it in a cell without a deadline"
STILL_RUNNING = "it was still running, and ends with the process of the cell"


def plain(lines: list[str]) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


SHOWN: list[tuple[str, str, list[str]]] = [
    ("prints and a result", "print('a')\n1 + 1", ["stdout: a\n", "result: 2"]),
    (
        "both streams and a display in program order",
        "import sys\nprint('a')\nprint('b', file=sys.stderr)\nprint('c', end='')\ndisplay(1)\nprint('d')",
        ["stdout: a\n", "stderr: b\n", "stdout: c", "display: 1", "stdout: d\n"],
    ),
    ("an error after a line that is not finished", "print('a', end='')\n1/0", ["stdout: a", "error: ZeroDivisionError: division by zero"]),
    ("a trailing semicolon", "1 + 1;", []),
    ("None", "None", []),
    ("only a comment", "# nothing", []),
    ("nothing", "", []),
    ("top-level await", "import asyncio\nawait asyncio.sleep(0, 'slept')", ["result: 'slept'"]),
    ("a shell command", "!echo hello", ["stdout: hello\r\n"]),
    ("a captured cell", "%%capture c\nprint('a')\ndisplay(1)\n2", []),
    ("a capture that is shown", "from IPython.utils.capture import capture_output\nwith capture_output() as c: print('a')\nprint('b')\nc.show()", ["stdout: b\na\n"]),
    ("a cell in bash", "%%bash\necho out\necho err >&2", ["stdout: out\n", "stderr: err\n"]),
    ("threads that print", "import threading\nt = threading.Thread(target=print, args=('in a thread',))\nt.start(); t.join()\nprint('after')", ["stdout: in a thread\nafter\n"]),
    ("lone surrogates", r"print('\ud800')", ["stdout: \ud800\n"]),
    ("a run that ends by exit", "print('a')\nexit()\nprint('b')", ["stdout: a\n"]),
    ("a usage error of a magic", "%nothing_of_that_name", ["stderr: UsageError: Line magic function `%nothing_of_that_name` not found.\n"]),
    ("an update of a display", "h = display(1, display_id='x')\nh.update(2)", ["display: 1", "update: 2"]),
    ("clear_output", "from IPython.display import clear_output\nprint('a')\nclear_output(wait=True)\nprint('b')", ["stdout: a\n", "ClearOutput(wait=True)", "stdout: b\n"]),
    ("all descriptors closed", "import os\nos.closerange(3, 256)\nprint('still here')", ["stdout: still here\n"]),
    ("a replaced stdout", "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as f: print('a')\nf.getvalue()", ["result: 'a\\n'"]),
    ("a frozen clock", "import time\ntime.monotonic = lambda: 0.0\ntime.time = lambda: 0.0\nfor i in range(3): print(i)", ["stdout: 0\n1\n2\n"]),
    ("every expression", "%config InteractiveShell.ast_node_interactivity = 'all'\n", []),
    ("what a finalizer prints", "class A:\n    def __del__(self): print('gone')\na = A()\ndel a\nprint('b')", ["stdout: gone\nb\n"]),
    ("write with no text", "import sys\nsys.stdout.write(1)", ["error: TypeError: write() argument must be str, not <class 'int'>"]),
    ("what streams are", "import sys\nsys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.isatty(), sys.stdout.encoding", ["result: (1, 2, False, 'UTF-8')"]),
    ("an exception in a display", "class A:\n    def __repr__(self): raise ValueError('no')\nA()\nprint('b')", ["stdout: b\n"]),
    ("warnings", "import warnings\nwarnings.warn('careful')", ["stderr: /tmp/ipykernel_4711/1.py:2: UserWarning: careful\n  warnings.warn('careful')\n"]),
    ("a cell inside the cell", "inner = get_ipython().run_cell('1 + 1')", ["result: 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("code", "outline"), [case[1:] for case in SHOWN], ids=[case[0] for case in SHOWN])
def test_a_cell_shows_what_it_shows_in_a_kernel(child: LiveChild, code: str, outline: list[str]) -> None:
    """Messages come in program order, neighbouring texts joined."""
    assert child.run(code).outline == outline
    assert child.process.wait() == 0
    assert child.seen.status == b"RE"
    assert isinstance(child.seen.messages[0], Running)


@pytest.mark.parametrize(
    ("code", "name", "text"),
    [
        ("import ctypes\nctypes.CDLL(None).printf(b'from C\\n');", "stdout", b"from C\n"),
        ("import ctypes\nctypes.CDLL(None).printf(b'unfinished');", "stdout", b"unfinished"),
        ("import os\nos.system('echo out');", "stdout", b"out\n"),
        ("import os\nos.write(2, b'raw\\n');", "stderr", b"raw\n"),
        ("import sys\nprint('a', file=sys.__stdout__)", "stdout", b"a\n"),
        ("import subprocess, sys\nsubprocess.run(['echo', 'a'], stdout=sys.stdout);", "stdout", b"a\n"),
        (
            "import os\nif os.fork() == 0:\n    print('in a fork')\n    os._exit(0)\nos.wait();",
            "stdout",
            b"in a fork\n",
        ),
        ("import os\nif os.fork() == 0:\n    print('goes on')\nelse: os.wait()", "stdout", b"goes on\n"),
    ],
)
def test_what_is_written_to_descriptors_goes_there(child: LiveChild, code: str, name: str, text: bytes) -> None:
    """C code, subprocesses and forked workers write to descriptors 1 and 2."""
    seen = child.run(code)
    assert seen.raw[name] == text
    assert seen.text() == ""
    assert seen.status == b"RE"


def test_a_pool_of_forked_workers_prints_whole_lines(child: LiveChild) -> None:
    """Lines of several workers are not mixed."""
    seen = child.run(
        "import multiprocessing as mp\n"
        "def f(i): print('line', i)\n"
        "with mp.get_context('fork').Pool(3) as pool: pool.map(f, range(30))\n"
    )
    assert sorted(seen.raw["stdout"].splitlines()) == sorted(b"line %d" % i for i in range(30))


def test_a_traceback_shows_the_cells_own_lines(child: LiveChild) -> None:
    """Frames of the cell have the kernel's name for it, and there are no others."""
    seen = child.run("def f(a):\n    return 1 / a\n\nf(0)")
    shown = plain(seen.error.traceback)
    assert "Cell In[5], line 4" in shown
    assert "Cell In[5], line 2, in f(a)" in shown
    assert "ipytimeout" not in shown
    filename = "/tmp/ipykernel_4711/1.py"
    assert [tuple(frame) for frame in seen.changes.frames] == [(filename, 4, "<module>"), (filename, 2, "f")]
    assert not seen.changes.success
    assert seen.changes.error == seen.error


def test_a_traceback_shows_the_lines_of_earlier_cells(child: LiveChild) -> None:
    """A function of an earlier cell is shown with that cell's number."""
    source = "def f():\n    return 1 / 0\n"
    exec(compile(source, "/tmp/ipykernel_4711/3.py", "exec"), child.namespace)
    del child.namespace["__builtins__"]
    seen = child.run("f()", sources={"/tmp/ipykernel_4711/3.py": (source, 3)})
    shown = plain(seen.error.traceback)
    assert "Cell In[3], line 2, in f()" in shown
    assert "return 1 / 0" in shown


def test_a_syntax_error_has_the_cells_file_name(child: LiveChild) -> None:
    """The file name of a SyntaxError is the kernel's hash of the cell."""
    error = child.run("x = 1 +").error
    assert error.evalue.endswith("(1.py, line 1)")
    assert "Cell In[5], line 1" in plain(error.traceback)


def test_an_error_is_sent_before_what_is_shown_after_it(child: LiveChild) -> None:
    """A half-drawn figure comes after the error, as natively."""
    pytest.importorskip("matplotlib")
    seen = child.run("import matplotlib.pyplot as plt\nplt.plot([1])\n1/0")
    assert [type(m) for m in seen.messages[1:-1]] == [Error, DisplayData]


def test_figures_come_in_order(child: LiveChild) -> None:
    """The inline backend shows figures at ``show`` and at the end of the cell, as base64 text."""
    pytest.importorskip("matplotlib")
    seen = child.run(
        "import matplotlib.pyplot as plt\nplt.plot([1])\nprint('a')\nplt.show()\nprint('b')\nplt.plot([2]);"
    )
    shown, flushed = seen.of(DisplayData)
    assert [line.split(":")[0] for line in seen.outline] == ["stdout", "display", "stdout", "display"]
    assert shown.data["image/png"].startswith("iVBOR") and flushed.data["image/png"].startswith("iVBOR")


def test_a_frame_of_pandas_is_drawn_as_in_a_notebook(child: LiveChild) -> None:
    """pandas decides by the name of the shell's class."""
    pytest.importorskip("pandas")
    seen = child.run("import pandas as pd\npd.DataFrame({'a': [1]})")
    (result,) = seen.of(ExecuteResult)
    assert "<table" in result.data["text/html"]


def test_libraries_find_the_shell_of_a_kernel(child: LiveChild) -> None:
    """The class has ipykernel's name, ipykernel is not there, and there is no kernel behind it."""
    seen = child.run(
        "ip = get_ipython()\n"
        "str(type(ip)), 'IPKernelApp' in ip.config, hasattr(ip, 'kernel'), getattr(ip, 'kernel', None)"
    )
    assert seen.result == "(\"<class 'ipykernel.zmqshell.ZMQInteractiveShell'>\", True, True, None)"


def test_binary_display_data_travels_as_base64(child: LiveChild) -> None:
    """Bytes and numbers that JSON does not know are made plain."""
    seen = child.run("display({'image/png': b'\\x89PNG', 'application/json': {'a': float('nan')}}, raw=True)")
    (display,) = seen.of(DisplayData)
    assert display.data == {"image/png": "iVBORw==", "application/json": {"a": "nan"}}


def test_help_is_sent_as_a_page(child: LiveChild) -> None:
    """``x?`` opens the front end's pager."""
    (page,) = child.run("len?").of(Payload)
    assert page.payload["source"] == "page"
    assert "Docstring" in page.payload["data"]["text/plain"]


def test_sys_exit_is_an_error_of_the_cell(child: LiveChild) -> None:
    """As natively: SystemExit is shown; the warning that goes with it comes from the kernel's own shell."""
    seen = child.run("import sys\nsys.exit(3)")
    assert seen.error.ename == "SystemExit"
    assert seen.text("stderr") == ""
    assert not seen.changes.success


def test_exit_is_no_error(child: LiveChild) -> None:
    """``exit()`` ends the run, and what was done before it comes back."""
    seen = child.run("x = 1\nexit()\ny = 2")
    assert seen.changes.success
    child.commit()
    assert child.namespace == {"x": 1}


def test_an_exception_group_is_shown_once(child: LiveChild) -> None:
    """IPython prints it to stderr; the report names it too."""
    seen = child.run("raise ExceptionGroup('several', [ValueError(1)])")
    assert "ExceptionGroup: several" in seen.text("stderr")
    assert seen.changes.error is not None and seen.changes.error.ename == "ExceptionGroup"
    assert seen.of(Error) == []


@pytest.mark.parametrize(
    "code", ["x", "def f():\n    return x\nf()", "try:\n    x\nexcept NameError as e:\n    raise ValueError from e"]
)
def test_a_refused_name_says_why_where_it_is_used(child: LiveChild, code: str) -> None:
    """It is still a NameError, and only of the line that uses the name."""
    seen = child.run("print('a')\n" + code, refused={"x": "a socket cannot leave its process"})
    assert seen.text() == "a\n"
    assert "name 'x' could not be sent" in plain(seen.error.traceback)
    assert "a socket cannot leave its process" in plain(seen.error.traceback)


def test_a_refused_name_that_is_not_used_spoils_nothing(child: LiveChild) -> None:
    """And the cell may make its own."""
    assert child.run("x = 5\nx", refused={"x": "a socket cannot leave its process"}).result == "5"


def test_the_result_comes_back_as_an_object(child: LiveChild) -> None:
    """So that ``Out[n]`` and ``_`` can be set in the kernel."""
    child.namespace["rows"] = rows = [1]
    child.run("rows.append(2)\nrows")
    commit = child.commit()
    assert commit.result is rows and rows == [1, 2]
    assert commit.names == []


def test_a_quiet_expression_has_no_result(child: LiveChild) -> None:
    """Natively ``Out`` has nothing of it either."""
    child.run("1 + 1;")
    assert not child.commit().has_result


@pytest.mark.parametrize(("code", "value"), [("1 + 1", 2), ("1 + 1;", 2), ("y = 3", None), ("import asyncio\nawait asyncio.sleep(0, 4)", 4)])  # fmt: skip
def test_a_statement_gives_its_value_and_shows_nothing(child: LiveChild, code: str, value: Any) -> None:
    """The value of a line magic: also with a semicolon after it."""
    seen = child.run(code, statement=True)
    assert seen.outline == []
    assert child.commit().result == value


def test_bookkeeping_of_the_shell_stays_behind(child: LiveChild) -> None:
    """But a name of the shell that the user has assigned is the user's."""
    child.run("1 + 1\n_i7 = 'mine'\nopen = print\nx = 3")
    commit = child.commit()
    assert sorted(commit.names) == ["_i7", "open", "x"]


def test_outputs_of_earlier_cells_are_there(child: LiveChild) -> None:
    """``_`` and ``Out`` are the kernel's, and go on from there."""
    child.namespace.update({"_": 41, "Out": {4: 41}, "In": ["", "a", "b", "c", "d", "e"]})
    seen = child.run("_, Out[4], len(In), In[-1][:1]")
    assert seen.result == "(41, 41, 6, '_')"
    assert child.commit().names == []


def test_the_process_is_like_the_kernels(child: LiveChild, tmp_path: Any) -> None:
    """Directory, environment and path come from the kernel, and go back when they changed."""
    from ipytimeout.wire.messages import ProcessState

    state = ProcessState(str(tmp_path), {"PATH": "/bin", "ONLY": "this"}, ["/nowhere", "/work"])
    seen = child.run(
        "import os, sys\nprint(os.getcwd(), dict(os.environ), sys.path)\nos.environ['NEW'] = '1'\nos.chdir('/')",
        state=state,
    )
    assert seen.text().strip() == f"{tmp_path} {state.environ} {state.sys_path}"
    after = seen.changes.state
    assert after is not None
    assert (after.cwd, after.environ, after.sys_path) == ("/", {**state.environ, "NEW": "1"}, state.sys_path)


def test_an_unchanged_process_says_nothing(child: LiveChild) -> None:
    """There is no state to bring back."""
    assert child.run("x = 1").changes.state is None


def test_files_that_stay_open_are_written(child: LiveChild, tmp_path: Any) -> None:
    """Natively the file would stay open and be written later; here it is the last chance."""
    path = tmp_path / "log.txt"
    child.run(f"f = open({str(path)!r}, 'w')\nf.write('half a line')\nw = print")
    assert path.read_text() == "half a line"


def test_what_still_runs_is_named(child: LiveChild) -> None:
    """Tasks and threads end with the process."""
    seen = child.run(
        "import asyncio, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), name='sleeper').start()\n"
        "asyncio.create_task(asyncio.sleep(60), name='nap')\n;"
    )
    left_behind = seen.changes.left_behind
    assert {left_behind["thread sleeper"], left_behind["asyncio task nap"]} == {STILL_RUNNING}


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import atexit\n@atexit.register\ndef f(): ...", ["atexit.register"]),
        ("from codecs import register as r\nr(lambda name: None)", ["codecs.register"]),
        ("import sys, signal\nsys.settrace(None); signal.alarm(9); signal.alarm(0)", []),
        ("import signal\nsignal.alarm(99)", ["signal.alarm"]),
        ("import mimetypes as m\ndef f(): m.add_type('text/x', '.x')\nf(); 1 / 0", ["mimetypes.add_type"]),
        ("class Shop:\n    def register(self, x): ...\nShop().register(1)", []),
    ],
)
def test_what_a_cell_sets_that_nobody_can_ask_for_is_named(child: LiveChild, code: str, named: list[str]) -> None:
    """By the text of the cell; where it can be told that nothing is left, nothing is named."""
    assert child.run(code).changes.left_behind == dict.fromkeys(named, SET_THERE)


def test_a_discarded_run_sends_no_pickle(child: LiveChild) -> None:
    """The kernel then unpickles nothing that the child made."""
    seen = child.run("x = 1\nx", discard=True)
    assert seen.changes.success and seen.changes.buffers == ()
    assert seen.result == "1"


def test_changes_are_sent_again_without_a_name(child: LiveChild) -> None:
    """As often as the host asks."""
    from ipytimeout.wire.messages.from_child import Changes
    from ipytimeout.wire.messages.to_child import Resend

    child.execute("x = 1\ny = 2")
    child.until(lambda seen: seen.of(Changes))
    child.send(Resend(None, {"x": "it cannot be rebuilt"}))
    child.until(lambda seen: len(seen.of(Changes)) == 2)
    assert child.seen.changes.left_behind == {"x": "it cannot be rebuilt"}
    child.commit()
    assert child.namespace == {"y": 2}


def test_a_namespace_that_cannot_be_rebuilt_is_told(child: LiveChild) -> None:
    """Changes come without Running before them, and name what is at fault."""
    child.namespace["x"] = _Unloadable()
    seen = child.run("print('a')")
    assert [type(m).__name__ for m in seen.messages] == ["Changes"]
    assert list(seen.changes.left_behind) == ["x"]
    assert seen.status == b""


class _Unloadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


def test_preloaded_modules_are_silent(make_child: MakeChild, tmp_path: Any) -> None:
    """Their output and their errors belong to a cell long ago."""
    (tmp_path / "noisy.py").write_text("import os\nprint('a')\nos.write(1, b'b')\nos.write(2, b'c')\n")
    (tmp_path / "broken.py").write_text("raise SystemExit")
    import sys

    path = [str(tmp_path), *[entry for entry in sys.path if entry]]
    child = make_child(sys_path=path, preload=["noisy", "broken", "not_there"])
    seen = child.run("import sys\n'noisy' in sys.modules, sys.argv")
    assert seen.result == "(True, ['notebook'])"
    assert seen.raw == {"stdout": b"", "stderr": b""}
    assert seen.text() == seen.text("stderr") == ""


@pytest.mark.parametrize("exit_code", [0, 3])
def test_a_process_that_ends_itself_loses_no_line(child: LiveChild, exit_code: int) -> None:
    """Each line has left the process when ``print`` returns, where there is no flood."""
    child.execute(f"import os\nfor i in range(8): print(i)\nos._exit({exit_code})")
    child.until_dead()
    assert child.seen.text() == "".join(f"{i}\n" for i in range(8))
    assert child.process.wait() == exit_code


def test_a_crash_leaves_its_stack(child: LiveChild) -> None:
    """faulthandler writes where the code was; C's lines are not lost."""
    import os

    child.execute("import ctypes\nprint('a')\nctypes.CDLL(None).printf(b'c\\n')\nctypes.string_at(0)")
    child.until_dead()
    assert child.process.wait() == -11
    assert child.seen.text() == "a\n" and child.seen.raw["stdout"] == b"c\n"
    assert b'"/tmp/ipykernel_4711/1.py", line 4' in os.read(child.stack_fd, 1 << 16)


def test_a_host_without_a_run_lets_the_child_leave(child: LiveChild) -> None:
    """End-of-file before a run: the spare is not needed."""
    import socket

    child.channel.shutdown(socket.SHUT_WR)
    assert child.process.wait(60) == 0
