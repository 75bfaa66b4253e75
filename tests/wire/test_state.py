"""What belongs to a process: read in one, applied in another. In a fresh interpreter, which it changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ipytimeout


def fresh(code: str, cwd: Path) -> list[str]:
    source = Path(ipytimeout.__file__).parents[1]
    text = f"import sys; sys.path.insert(0, {str(source)!r})\nimport os\n{code}"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=cwd, check=True)
    return done.stdout.splitlines()


def test_directory_environment_and_path_are_made_the_same(tmp_path: Path) -> None:
    code = """
from ipytimeout.wire.state import *
from ipytimeout.wire.messages import ProcessState
os.environ["GONE"] = "1"
apply_state(ProcessState("/", {"NEW": "2"}, ["/x"], {}))
print(os.getcwd(), dict(os.environ), sys.path)
print(read_state() == ProcessState("/", {"NEW": "2"}, ["/x"], read_state().generators))
"""
    assert fresh(code, tmp_path) == ["/ {'NEW': '2'} ['/x']", "True"]


def test_a_directory_that_is_gone_is_no_error(tmp_path: Path) -> None:
    code = """
from ipytimeout.wire.state import *
import dataclasses
os.mkdir("d"); os.chdir("d"); os.rmdir("../d")
gone = read_state()
apply_state(dataclasses.replace(gone, cwd="/nonexistent"))
os.chdir("/")
apply_state(gone)
print(repr(gone.cwd), os.getcwd())
"""
    assert fresh(code, tmp_path) == ["'' /"]


@pytest.mark.parametrize(
    ("module", "draw"),
    [("random", "random.gauss(0, 1)"), ("numpy.random", "numpy.random.normal()")],
)
def test_random_numbers_go_on_where_they_were_also_after_json(tmp_path: Path, module: str, draw: str) -> None:
    """A number drawn here, then one there, are the two that one process would have drawn."""
    code = f"""
import json, subprocess
from ipytimeout.wire.state import *
from ipytimeout.wire.messages import ProcessState
if len(sys.argv) == 1: pass
import {module}
{module}.seed(7); {draw}
state = json.dumps(read_state().generators)
expected = {draw}
{module}.seed(1)
apply_state(ProcessState("", dict(os.environ), sys.path, json.loads(state)))
print(expected == {draw})
"""
    assert fresh(code, tmp_path) == ["True"]


def test_what_the_other_process_had_not_imported_is_not_imported_here(tmp_path: Path) -> None:
    code = """
from ipytimeout.wire.state import *
print("numpy" in sys.modules, "random" in sys.modules, read_state().generators)
"""
    assert fresh(code, tmp_path) == ["False False {}"]


def test_matplotlib_draws_with_the_backend_that_the_other_process_has_chosen(tmp_path: Path) -> None:
    code = """
from ipytimeout.wire.state import *
from ipytimeout.wire.messages import ProcessState
import matplotlib
matplotlib.use("svg")
state = read_state()
print(state.backend)
matplotlib.use("agg")
import matplotlib.pyplot
apply_state(state)
print(matplotlib.get_backend(), matplotlib.pyplot.get_backend())
"""
    assert fresh(code, tmp_path) == ["svg", "svg svg"]


def test_a_backend_that_matplotlib_has_not_chosen_yet_stays_unchosen(tmp_path: Path) -> None:
    code = """
from ipytimeout.wire.state import *
os.environ.pop("MPLBACKEND", None)
import matplotlib
before = dict.get(matplotlib.rcParams, "backend")
print(repr(read_state().backend), dict.get(matplotlib.rcParams, "backend") is before)
"""
    assert fresh(code, tmp_path) == ["'' True"]
