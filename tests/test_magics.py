"""The magics and their loading: what the user writes, and what the run is told. The run itself is replaced."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from ipytimeout import loading, magics
from ipytimeout.options import RunOptions


class FakeRun:
    """Stands for ``run_cell``: remembers its calls, returns 42, or raises what it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, RunOptions, bool]] = []
        self.error: BaseException | None = None

    def __call__(self, shell: Any, code: str, options: RunOptions, *, statement: bool = False) -> object:
        self.calls.append((code, options, statement))
        if self.error is not None:
            raise self.error
        return 42 if statement else None


@pytest.fixture(autouse=True)
def run(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """Replace the run."""
    fake = FakeRun()
    module = types.ModuleType("ipytimeout.host.run")
    module.run_cell = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ipytimeout.host.run", module)
    for name in ("host.settle.get_ready", "host.launch.warden.get_warden"):
        monkeypatch.setattr(f"ipytimeout.{name}", lambda *args, **how: None)
    return fake


def new_shell() -> Any:
    """Make a shell without history."""
    shell: Any = InteractiveShell()  # type: ignore[no-untyped-call]
    shell.history_manager.enabled = False
    return shell


@pytest.fixture(autouse=True)
def _interpreter_as_before() -> Iterator[None]:
    """Undo what making a shell does to the process of the tests."""
    main, hooks = sys.modules["__main__"], (sys.displayhook, sys.excepthook)
    yield
    sys.modules["__main__"] = main
    sys.displayhook, sys.excepthook = hooks


@pytest.fixture
def shell() -> Any:
    """Make a shell of its own with the magics."""
    shell = new_shell()
    loading.load(shell)
    return shell


@pytest.fixture
def execute(shell: Any) -> Callable[[str], Any]:
    """Run a cell as a front end does, and return its result."""

    def execute(cell: str) -> Any:
        with capture_output() as captured:
            result = shell.run_cell(cell)
        result.text = captured.stdout + captured.stderr
        return result

    return execute


@pytest.mark.parametrize(
    "body",
    ["x = 1\n", "print(f'{x}', $y)\n", "if x:\n    %time y\n\n\n", "\n# only a comment\n", "s = '''\n  a\n'''\n"],
)
def test_the_body_of_a_cell_reaches_the_run_unchanged(run: FakeRun, execute: Callable[[str], Any], body: str) -> None:
    """No expansion, no dedent."""
    execute(f"%%timeout 5\n{body}").raise_error()
    assert run.calls == [(body, RunOptions(5), False)]


def test_options_and_duration_are_read_from_the_first_line(
    run: FakeRun, shell: Any, execute: Callable[[str], Any]
) -> None:
    """With expressions of the notebook in the place of a duration."""
    shell.user_ns["n"] = 4
    execute("%%timeout -q --keep a, b -k {n / 2} {60 * n}  # four minutes\na = 1").raise_error()
    assert run.calls == [("a = 1\n", RunOptions(240, kill_after=2, keep=("a", "b"), quiet=True), False)]


@pytest.mark.parametrize("cell", ["%%timeout 5", "%%timeout 5\n", "%%timeout 5\n  \n\n"])
def test_an_empty_body_does_nothing_and_is_no_error(run: FakeRun, execute: Callable[[str], Any], cell: str) -> None:
    """IPython itself refuses a cell magic that is one line."""
    execute(cell).raise_error()
    assert run.calls == []


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%timeout 0\nx", "more than zero"),
        ("%%timeout abc\nx", "a duration is seconds"),
        ("%%timeout\nx", "how long"),
        ("%%timeout 5 x = 1\ny", "begins on the next line"),
        ("%%timeout 5 -k 2\ny", "options come before DURATION: write -k in front"),
        ("%%timeout --max-output x 5\nx", "--max-output: not a size"),
        (
            "%%timeout --memory 2 5\nx",
            "--memory: '2' is 2 bytes, and a process needs more than 1 MB; did you mean 2GB?",
        ),
        ("%%timeout {nothing}\nx", "cannot evaluate {nothing}: NameError"),
        ("%%timeout 0", "more than zero"),
        ("%timeout 0 x", "more than zero"),
        ("%timeout 5", "takes a statement"),
        ("%timeout", "how long"),
        ("%timeout --kill 2 5 x", "did you mean --kill-after"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_has_run(
    run: FakeRun, execute: Callable[[str], Any], cell: str, says: str
) -> None:
    """A UsageError, which IPython shows without a traceback."""
    result = execute(cell)
    assert isinstance(result.error_in_exec, UsageError)
    assert says in str(result.error_in_exec)
    assert "\n" not in str(result.error_in_exec)
    assert "Traceback" not in result.text
    assert run.calls == []


@pytest.mark.parametrize(
    ("line", "statement"),
    [
        ("x = %timeout 5 f(x, '-p')", "f(x, '-p')"),
        ("x = %timeout -k 2 5 f('a  b',  \"{c}\", $d)", "f('a  b',  \"{c}\", $d)"),
        ("x = %timeout 5 f(n) -n", "f(n) -n"),
        ("x = %timeout 5 f();", "f();"),
    ],
)
def test_the_line_magic_takes_its_statement_verbatim_and_returns_its_value(
    run: FakeRun, shell: Any, execute: Callable[[str], Any], line: str, statement: str
) -> None:
    """``x = %timeout …`` works, whatever the statement has in it."""
    execute(line).raise_error()
    assert [(code, is_statement) for code, _, is_statement in run.calls] == [(statement, True)]
    assert shell.user_ns["x"] == 42


def test_a_semicolon_silences_the_line_magic_as_it_does_a_statement(
    run: FakeRun, execute: Callable[[str], Any]
) -> None:
    """And only then is there no result."""
    assert execute("%timeout 5 f()").result == 42
    assert execute("%timeout 5 f();").result is None
    assert execute("1\n%timeout 5 f(';')").result == 42
    assert len(run.calls) == 3


def test_the_line_magic_works_inside_a_function_of_the_notebook(
    run: FakeRun, shell: Any, execute: Callable[[str], Any]
) -> None:
    """Its duration may be a local variable; its statement may not use one, and says so."""
    execute("def f(n):\n    x = %timeout {n} g()\n    return x\nf(3)").raise_error()
    assert run.calls == [("g()", RunOptions(3), True)]
    result = execute("def f(n):\n    %timeout 5 g(n)\nf(3)")
    assert isinstance(result.error_in_exec, UsageError)
    assert "%timeout does not see n" in str(result.error_in_exec)
    assert len(run.calls) == 1


@pytest.mark.parametrize("outer", ["%%capture out", "%%time"])
def test_the_cell_magic_works_inside_other_cell_magics(run: FakeRun, execute: Callable[[str], Any], outer: str) -> None:
    """Then its body is what the other one hands on."""
    execute(f"{outer}\n%%timeout 5\nx = 1").raise_error()
    assert [code for code, _, _ in run.calls] == ["x = 1\n"]


@pytest.mark.parametrize(
    ("cell", "taken"),
    [
        ("%%timeout 5\nx = 1", "x = 1"),
        ("%%timeout 5\nx = 1\n", "x = 1\n"),
        ("%%timeout 5\n  \nx = 1", "  \nx = 1"),
        ("\n\n%%timeout 5\nx = 1", "x = 1"),
        ("%%capture out\n%%timeout 5\nx = 1", "x = 1\n"),
        ("  %%timeout 5\n  x = 1", "x = 1\n"),
        ("get_ipython().run_cell_magic('timeout', '5', 'x = 1\\n')", "x = 1\n"),
    ],
)
def test_in_a_kernel_the_body_is_taken_from_the_request(
    run: FakeRun, shell: Any, execute: Callable[[str], Any], cell: str, taken: str
) -> None:
    """Without the newline that IPython adds: the cell's file name is a hash of its text."""
    object.__setattr__(shell, "get_parent", lambda: {"content": {"code": cell}})
    execute(cell).raise_error()
    assert [code for code, _, _ in run.calls] == [taken]


@pytest.mark.parametrize("parent", [{}, {"content": {}}, None, {"content": {"code": None}}])
def test_a_request_that_is_no_cell_does_no_harm(
    run: FakeRun, shell: Any, execute: Callable[[str], Any], parent: object
) -> None:
    """As in a comm callback."""
    object.__setattr__(shell, "get_parent", lambda: parent)
    execute("%%timeout 5\nx = 1").raise_error()
    assert [code for code, _, _ in run.calls] == ["x = 1\n"]


def test_what_the_run_raises_is_what_the_cell_raises(run: FakeRun, execute: Callable[[str], Any]) -> None:
    """The very exception."""
    run.error = ZeroDivisionError("from the code")
    assert execute("%%timeout 5\nx").error_in_exec is run.error
    assert execute("%timeout 5 x").error_in_exec is run.error


@pytest.mark.parametrize("cell", ["%%timeout -h", "%%timeout --help\nx = 1", "%timeout -h", "%timeout -h 5 x"])
def test_help_is_shown_and_nothing_runs(run: FakeRun, execute: Callable[[str], Any], cell: str) -> None:
    """Usage and examples."""
    result = execute(cell)
    result.raise_error()
    assert "--kill-after DURATION" in result.text
    assert "x = %timeout 2m" in result.text
    assert run.calls == []


@pytest.mark.parametrize("cell", ["%timeout?", "%%timeout?"])
def test_a_question_mark_shows_the_help(run: FakeRun, execute: Callable[[str], Any], cell: str) -> None:
    """As for every magic."""
    assert "--kill-after DURATION" in execute(cell).text
    assert run.calls == []


def test_the_help_names_every_option_that_a_line_may_have() -> None:
    """The parser of the help and the reader of the line are two."""
    from ipytimeout import magic_line

    helped = {name for action in magics.argument_parser()._actions for name in action.option_strings}
    assert helped == {*magic_line._FLAGS, *magic_line._VALUES}


def test_a_terminal_goes_on_asking_for_the_body(shell: Any) -> None:
    """The empty body that we add for IPython does not make a cell complete."""
    assert shell.input_transformer_manager.check_complete("%%timeout 5\n")[0] == "incomplete"
    assert shell.input_transformer_manager.check_complete("%%timeout 5\nx = 1\n\n")[0] == "complete"


def test_loading_twice_is_harmless_and_unloading_leaves_nothing(shell: Any, run: FakeRun) -> None:
    """Nor is unloading twice."""
    fresh = new_shell()
    shows = fresh.showtraceback
    after_cell = list(fresh.events.callbacks["post_run_cell"])
    transformers = list(fresh.input_transformers_cleanup)
    loading.load(fresh)
    loading.load(fresh)
    assert len(fresh.input_transformers_cleanup) == len(transformers) + 1
    fresh.run_cell("x = %timeout 5 f()").raise_error()
    loading.unload(fresh)
    loading.unload(fresh)
    assert fresh.find_magic("timeout") is None
    assert fresh.find_cell_magic("timeout") is None
    assert fresh.input_transformers_cleanup == transformers
    assert fresh.events.callbacks["post_run_cell"] == after_cell
    assert fresh.showtraceback == shows


def test_load_ext_and_reload_ext_work(run: FakeRun) -> None:
    """The way users load it."""
    fresh = new_shell()
    for cell in ("%load_ext ipytimeout", "%load_ext ipytimeout", "%reload_ext ipytimeout", "%%timeout 5\nx = 1"):
        with capture_output():
            fresh.run_cell(cell).raise_error()
    assert len(run.calls) == 1


def test_what_a_run_needs_is_imported_beside_what_the_user_does(tmp_path: Path) -> None:
    """So ``%load_ext`` waits for none of it, and neither does the cell that loads it."""
    file = tmp_path / "load.py"
    file.write_text(
        "import sys, threading\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "def start(self): self.is_alive = lambda: True\n"
        "threading.Thread.start = start\n"
        "InteractiveShell.instance().run_cell('%load_ext ipytimeout').raise_error()\n"
        "print([name for name in sys.modules if name.startswith(('ipytimeout.host.run', 'ipytimeout.wire.messages'))])\n"
    )
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_unloading_leaves_a_timeout_magic_of_somebody_else() -> None:
    """Only our own is taken back."""
    fresh = new_shell()

    def timeout(line: str) -> None:
        """Do nothing."""

    fresh.register_magic_function(timeout, "line")
    loading.unload(fresh)
    assert fresh.find_line_magic("timeout") is not None


def test_the_template_imports_what_the_configuration_says(shell: Any) -> None:
    """And leaves out what it forbids, also where the notebook has imported it."""
    from ipytimeout.host.settle import settle_like_here

    assert "json" in settle_like_here(shell).preload
    shell.run_line_magic("config", "TimeoutMagics.preload = ['not_yet_imported']")
    shell.run_line_magic("config", "TimeoutMagics.never_preload = ['json']")
    preload = settle_like_here(shell).preload
    assert "not_yet_imported" in preload and not any(name.partition(".")[0] == "json" for name in preload)


@pytest.mark.parametrize(("platform", "says"), [("win32", "Windows"), ("emscripten", "JupyterLite")])
def test_where_it_cannot_work_loading_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, platform: str, says: str
) -> None:
    """And registers nothing."""
    fresh = new_shell()
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(UsageError, match=says) as caught:
        loading.load(fresh)
    assert "\n" not in str(caught.value)
    assert fresh.find_cell_magic("timeout") is None
