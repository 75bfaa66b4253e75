"""The project itself: what the README promises is tested, its commands are what is run, and files say nothing local."""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ipytimeout
from tests.e2e.clone import tracked_files
from tests.e2e.readme import README, commands
from tests.kernels.environments import REPOSITORY

PACKAGE = REPOSITORY / "src" / "ipytimeout"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
)


def section(title: str) -> str:
    """Return the text of one section of the README."""
    _, _, rest = README.read_text().partition(f"\n## {title}\n")
    assert rest, f"the README has no section {title!r}"
    return rest.partition("\n## ")[0]


def bullets(text: str) -> list[str]:
    return [part for part in re.split(r"^- ", text, flags=re.MULTILINE)[1:] if part.strip()]


@functools.cache
def names_of_tests() -> frozenset[str]:
    """Return the names of all tests, without importing them."""
    names = set()
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return frozenset(name for name in names if name.startswith("test_"))


def named_tests(text: str) -> list[str]:
    return [
        name.strip()
        for found in re.findall(r"<!-- test: (.*?) -->", text, flags=re.DOTALL)
        for name in found.split(",")
    ]


PROMISES = [*bullets(section("What it promises")), *bullets(section("What does not come back"))]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[:40].strip())
def test_every_promise_of_the_readme_names_its_tests(promise: str) -> None:
    """A promise is followed by a comment that names at least one test, and each of these exists."""
    names = named_tests(promise)
    assert names, "a promise without a test"
    assert [name for name in names if name not in names_of_tests()] == []


def test_every_test_that_the_readme_names_exists() -> None:
    """This goes for the whole page, not for the promises alone."""
    assert [name for name in named_tests(README.read_text()) if name not in names_of_tests()] == []


def test_the_gate_runs_the_readmes_commands() -> None:
    """The test command stands in the gate word for word; the start command is run by a test that the gate runs."""
    gate = (REPOSITORY / ".ci" / "run").read_text().rstrip()
    assert gate.endswith("\n" + commands().test)
    set_up, server = commands().start_parts
    assert set_up.startswith("python3 -m venv .venv && ")
    assert server.endswith("notebooks/quickstart.ipynb")


def test_the_readme_and_the_help_know_the_same_options() -> None:
    """The table of options is complete, and tells of none that there is not."""
    documented = set(re.findall(r"`(?:-\w`, `)?(--[a-z-]+)", section("Options of the cell magic")))
    command = [sys.executable, "-m", "IPython", "--no-banner", "-c", "%load_ext ipytimeout\n%timeout -h"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    help_text = done.stdout
    assert documented == set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", help_text)) - {"--help"}


def test_no_file_names_a_path_of_one_machine_or_a_package_registry() -> None:
    """A clone works anywhere: it knows no home directory and no index of packages."""
    local = re.compile(
        r"(?<![\w.}/])/(?:root|home(?!/me/)|work|Users|farm|opt)/\w|file:///|(?:pypi|npmjs|anaconda)\.org|index-url|find-links"
    )
    binary = {".png", ".gif", ".svg"}
    found = {
        f"{path}:{number}: {line.strip()}"
        for path in tracked_files()
        if path.suffix not in binary and path != Path("tests/test_project.py")
        for number, line in enumerate((REPOSITORY / path).read_text().splitlines(), 1)
        if local.search(line)
    }
    assert found == set()


def test_the_top_of_the_repository_is_tidy() -> None:
    """Everything has its place."""
    places = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}
    places |= {"src", "notebooks", "tests", "binder"}
    assert {path.parts[0] for path in tracked_files() if not path.parts[0].startswith(".")} <= places


def test_no_module_has_the_name_of_a_public_attribute() -> None:
    """Importing ``ipytimeout.timeout`` as a module would replace the function of that name."""
    modules = {module.split(".")[1] for module in MODULES}
    assert modules.isdisjoint(ipytimeout.__all__)


def test_every_public_name_is_there_and_documented() -> None:
    """``ipytimeout.__all__`` is what a user finds."""
    for name in ipytimeout.__all__:
        assert getattr(ipytimeout, name).__doc__, name
    assert set(ipytimeout.__all__) <= set(dir(ipytimeout))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is(module: str) -> None:
    """The first thing in a file is what it is for."""
    source = (PACKAGE.parent / Path(*module.split("."))).with_suffix(".py").read_text()
    assert ast.get_docstring(ast.parse(source)), module


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a statement loads in a fresh interpreter, beyond the standard library."""
    # What every interpreter of this environment loads does not count: an editable installation has a hook.
    code = f"""
import sys
before = set(sys.modules)
sys.path.insert(0, {str(PACKAGE.parent)!r})
{statement}
print(*{{name.partition(".")[0] for name in set(sys.modules) - before}})
"""
    printed = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    return set(printed.split()) - sys.stdlib_module_names


def test_importing_the_package_loads_no_framework() -> None:
    """``import ipytimeout`` costs nothing until a name is used."""
    assert loaded_by("import ipytimeout") == {"ipytimeout"}


def test_the_warden_loads_only_the_standard_library() -> None:
    """It must start at once and stay small: one lives as long as its kernel."""
    assert loaded_by("import ipytimeout.warden.main") == {"ipytimeout"}


def test_the_child_loads_no_kernel() -> None:
    """The code runs where no kernel, no widget and no socket library is."""
    loaded = loaded_by("import ipytimeout.child.main")
    assert loaded.isdisjoint({"zmq", "ipykernel", "ipywidgets", "jupyter_client", "tornado"})


@pytest.mark.parametrize(
    ("reason", "ci", "failed"),
    [("no browser", "true", True), ("no browser", "", False), ("not here: macOS", "true", False)],
)
def test_a_skip_is_a_failure_in_the_gate(tmp_path: Path, reason: str, ci: str, failed: bool) -> None:
    """With CI=true nothing is skipped but what the machine cannot have."""
    test = tmp_path / "test_skipped.py"
    test.write_text(f"import pytest\n\ndef test_it():\n    pytest.skip({reason!r})\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(tmp_path), "-c", "/dev/null"]
    environ = {**os.environ, "CI": ci}
    done = subprocess.run([*command, str(test)], cwd=REPOSITORY, env=environ, capture_output=True, text=True)
    assert done.returncode == failed, done.stdout
    assert (f"nothing may be skipped with CI=true: {reason}" in done.stdout) == failed


def test_every_library_that_the_package_imports_is_declared() -> None:
    """But for those of the kernel that it may find itself in, and those of which only types are used."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=\[ ]", each)[0].replace("ipython", "IPython") for each in project["dependencies"]}
    imported = set()
    for module in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            match node:
                case ast.Import():
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                case ast.ImportFrom(module=str(name), level=0):
                    imported.add(name.partition(".")[0])
    of_the_kernel = {"ipykernel", "zmq"}
    assert imported - sys.stdlib_module_names - {"ipytimeout"} - of_the_kernel <= declared


def test_the_version_is_written_once() -> None:
    """The distribution takes its version from the package."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["hatch"]["version"]["path"] == "src/ipytimeout/__init__.py"
    assert (REPOSITORY / "src/ipytimeout/__init__.py").read_text().count("__version__ = ") == 1
