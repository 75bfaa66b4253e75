"""``%autotimeout``, in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernels.harness import Kernel

WHERE = "import os\nprint(os.getpid() == kernel_pid)"


@pytest.fixture
def auto(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel in which every cell has a second, and that knows its own process."""
    kernel.run("import os; kernel_pid = os.getpid()")
    assert "has 1 s" in kernel.run("%autotimeout -k 0.5 1").stdout
    yield kernel
    kernel.run("%autotimeout off")


def test_every_later_cell_has_a_deadline_until_that_is_ended(auto: Kernel) -> None:
    ended = auto.run("rows = [1]\nwhile True: pass")
    assert ended.error is not None and ended.error.name == "DeadlineExceeded" and "line 2" in ended.error.value
    assert auto.run("rows = [1]; rows").status == "ok"
    shown = auto.run("rows.append(2)\n" + WHERE + "\nrows")
    assert shown.stdout == "False\n"
    assert [o["data"]["text/plain"] for o in shown.outputs if o["output_type"] == "execute_result"] == ["[1, 2]"]
    assert "on: " in auto.run("%autotimeout").stdout
    assert auto.run("%autotimeout off").stdout == "%autotimeout is off\n"
    assert auto.run(WHERE).stdout == "True\n"
    assert auto.run("print(rows)").stdout == "[1, 2]\n"


@pytest.mark.parametrize(
    ("code", "here"),
    [
        (WHERE, False),
        ("%%time\n" + WHERE, False),
        ("import asyncio\nawait asyncio.sleep(0)\n" + WHERE, False),
        ("%precision 3\n%cd -q .\n" + WHERE, False),
        ("%load_ext autoreload\n" + WHERE, True),
        ("%config IPCompleter.greedy\n" + WHERE, True),
        ("x = %timeout 5 1\n" + WHERE, True),
        ("def f():\n    %matplotlib inline\n" + WHERE, True),
        ("s = '%load_ext nothing'\n" + WHERE, False),
        ("%%timeout 20\n" + WHERE, False),
        ("\n# only a comment", None),
    ],
    ids=["plain", "a cell magic", "await", "two magics", "load_ext", "config", "a line with its own", "in a function", "in a text", "its own", "nothing"],
)  # fmt: skip
def test_what_is_about_the_kernel_runs_in_the_kernel(auto: Kernel, code: str, here: bool | None) -> None:
    done = auto.run(code)
    assert done.status == "ok", done.text
    assert ("True\n" in done.stdout, "False\n" in done.stdout) == (here is True, here is False), done.text


def test_a_cell_that_has_its_own_deadline_keeps_it(auto: Kernel) -> None:
    assert auto.run("%%timeout 20\nimport time; time.sleep(1.5); print('slept')").stdout == "slept\n"


def test_what_the_front_end_asks_on_its_own_is_left_out(auto: Kernel) -> None:
    """Requests without history, silent or not; and code that a cell runs by a magic."""
    for silent in (True, False):
        auto.client.execute(f"silent_{silent} = os.getpid() == kernel_pid", silent=silent, store_history=False)
    assert auto.run("print(silent_True, silent_False)").stdout == "True True\n"
    assert auto.run("%timeit -n1 -r1 pass\nprint('ran')").stdout.endswith("ran\n")


def test_a_cell_that_is_about_a_job_runs_where_the_job_is(auto: Kernel) -> None:
    assert auto.run("%%timeout -q -b job 20\nmade = 1").status == "ok"
    assert auto.run("job.result()\n" + WHERE).stdout == "True\n"
    assert auto.run("import ipytimeout\nprint(ipytimeout.jobs())\n" + WHERE).stdout == "[]\nTrue\n"
    assert auto.run("print(made)\n" + WHERE).stdout == "1\nFalse\n"


def test_an_error_of_the_syntax_is_told_natively(auto: Kernel) -> None:
    error = auto.run("x = (1").error
    assert error is not None and error.name in ("SyntaxError", "_IncompleteInputError")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%autotimeout soon", "not a duration"),
        ("%autotimeout -b job 5", "for one cell"),
        ("%autotimeout 5 f(x)", "takes no code"),
        ("%autotimeout -q", "how long may it run"),
        ("%%autotimeout 5\npass", "write %%timeout 5"),
    ],
)
def test_a_mistake_changes_nothing(auto: Kernel, line: str, words: str) -> None:
    done = auto.run(line)
    assert done.status == "error" and "UsageError: " in done.stderr and words in done.stderr
    assert "has 1 s" in auto.run("%autotimeout").stdout


def test_it_ends_with_the_extension(auto: Kernel) -> None:
    auto.run("%unload_ext ipytimeout")
    assert auto.run(WHERE).stdout == "True\n"
    auto.run("%load_ext ipytimeout")
    assert "off" in auto.run("%autotimeout").stdout
    auto.run("%autotimeout 1")  # for the fixture
