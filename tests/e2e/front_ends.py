"""Real front ends with real kernels: a server in an environment of its own, one page in Chromium, one notebook.

The server's environment and the kernel's are two, as on a hub: each front end is tried with each kernel. Environments
are made once, at the top of the repository (git-ignored), and made anew when what they are made of changes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Locator, Page

from tests.e2e.chromium import open_page
from tests.e2e.programs import running
from tests.kernels.environments import REPOSITORY, make_environment, one_at_a_time, pip_install, second_environment
from tests.kernels.interpreters import interpreters

TOKEN = "token-of-the-test"
KERNEL_NAME = "under-test"


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """One release of one front end. ``requirements``: of its server; none: what these tests run in."""

    app: str
    release: str
    requirements: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{'JupyterLab' if self.app == 'lab' else 'Notebook'} {self.release}"

    @property
    def knows_subshells(self) -> bool:
        return self.requirements == _NEW

    def python(self, say: Callable[[str], None] = lambda text: None) -> str:
        return environment(*self.requirements, say=say) if self.requirements else sys.executable


def environment(*requirements: str, say: Callable[[str], None] = lambda text: None) -> str:
    """Return the Python of an environment with these requirements; make it first when it is not there.

    It is named after the first requirement and has the newest Python found. Listed last, ``-e .[notebooks]`` is
    this project.
    """
    base = interpreters()[-1]
    name = re.sub(r"[^a-z0-9.]+", "-", requirements[0]).strip("-.")
    where = REPOSITORY / f".venv-{name}"
    stamp, python = where / "made-of", where / "bin" / "python"
    recipe = "\n".join((str(base), *requirements))
    with one_at_a_time(where):
        if not (stamp.exists() and stamp.read_text() == recipe and python.exists()):
            say(f"making {where.name}: {', '.join(requirements)} (once; a minute or so)")
            shutil.rmtree(where, ignore_errors=True)
            make_environment(base.path, where)
            pip_install(python, *(part for each in requirements for part in each.split()), cwd=REPOSITORY)
            stamp.write_text(recipe)
    return str(python)


_OLD = ("jupyterlab==4.3.*", "notebook==7.3.*", "jupyterlab_widgets==3.*")
_NEW = ("jupyterlab==4.6.*", "notebook==7.6.*", "jupyterlab_widgets==3.*")
LAB_HERE = FrontEnd("lab", "as installed")
FRONT_ENDS = (
    FrontEnd("lab", "4.6", _NEW),
    FrontEnd("lab", "4.3", _OLD),
    FrontEnd("notebook", "7.6", _NEW),
    FrontEnd("notebook", "7.3", _OLD),
)


#: The kernels of the matrix, each made on first use.
KERNELS: dict[str, Callable[[], str]] = {
    "ipykernel 7.4": lambda: environment("ipykernel==7.4.*", "-e .[notebooks]"),
    "ipykernel 7.3": lambda: environment("ipykernel==7.3.*", "-e .[notebooks]"),
    "ipykernel 6.31": second_environment,
}


@dataclass(frozen=True, slots=True)
class Served:
    """A notebook that is open in a page."""

    page: Page
    front_end: FrontEnd
    url: str
    directory: Path
    log: Path

    def cell(self, number: int) -> Locator:
        """Return a cell, counted from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def button(self, number: int, name: str) -> Locator:
        """Return a button of the panel of a cell."""
        return self.cell(number).locator(f".ipytimeout button.ipt-{name}")

    def run(self, number: int) -> None:
        """Run one cell, without waiting for its end."""
        before = self.prompt(number)
        self.cell(number).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")
        until = time.monotonic() + 10
        while self.prompt(number) == before and time.monotonic() < until:
            self.page.wait_for_timeout(5)

    def run_all(self) -> None:
        """Run every cell in order, as *Run All Cells* does."""
        self.page.get_by_role("menuitem", name="Run", exact=True).first.click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).first.click()

    def prompt(self, number: int) -> str:
        """Return what stands in front of a cell: "[1]:", "[*]:", "[ ]:"."""
        return self.cell(number).locator(".jp-InputPrompt").inner_text().strip()

    def wait_for_prompt(self, number: int, seconds: float = 60) -> None:
        """Wait until a cell is neither running nor waiting."""
        until = time.monotonic() + seconds
        while "*" in self.prompt(number):
            assert time.monotonic() < until, f"cell {number} did not end: {self.cell(number).inner_text()}"
            self.page.wait_for_timeout(20)

    def output(self, number: int) -> str:
        """Return what the output of a cell says."""
        return self.cell(number).locator(".jp-Cell-outputArea").inner_text()

    def ended(self, number: int, settle: float = 0.5) -> str:
        """Wait for the end of a cell, and until the page has settled; return what its output says."""
        self.wait_for_prompt(number)
        self.page.wait_for_timeout(settle * 1000)
        return self.output(number)

    def run_to_the_end(self, number: int) -> str:
        """Run a cell; return what its output says then."""
        self.run(number)
        return self.ended(number)

    def save(self) -> dict[str, Any]:
        """Save, and return the file's content."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        self.page.wait_for_timeout(1500)
        notebook: dict[str, Any] = json.loads((self.directory / "notebook.ipynb").read_text())
        return notebook

    def open(self) -> None:
        """Open the notebook in the page."""
        address = "lab/tree" if self.front_end.app == "lab" else "notebooks"
        self.page.goto(f"{self.url}{address}/notebook.ipynb?token={TOKEN}")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=90_000)

    def lose_kernel(self) -> None:
        """Make the server forget how the kernel is started."""
        (self.directory / "data" / "kernels" / KERNEL_NAME / "kernel.json").unlink()

    def ask(self, path: str) -> Any:
        """Ask the server's own interface."""
        with self._request(path, "GET") as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        """Have the server end what is at ``path``."""
        self._request(path, "DELETE").close()

    def _request(self, path: str, method: str) -> Any:
        headers = {"Authorization": f"token {TOKEN}"}
        return urllib.request.urlopen(
            urllib.request.Request(self.url + path, headers=headers, method=method), timeout=30
        )


@contextmanager
def served(
    front_end: FrontEnd,
    kernel: str,
    cells: list[str],
    directory: Path,
    *,
    dark: bool = False,
    settings: dict[str, dict[str, Any]] | None = None,
) -> Iterator[Served]:
    """Start a server, open a notebook with these cells on the kernel of the interpreter ``kernel``."""
    directory.mkdir(parents=True, exist_ok=True)
    write_notebook(directory / "notebook.ipynb", cells)
    write_kernel(directory / "data", kernel)
    defaults: dict[str, dict[str, Any]] = {
        "@jupyterlab/apputils-extension/themes": {"theme": "JupyterLab Dark"} if dark else {},
        # Nothing is asked of the network, and no question about news covers the page.
        "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        # Cells that are out of sight stay in the page: they are found by their number.
        "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    }
    _write_settings(directory / "settings", {**defaults, **(settings or {})})
    log = directory / "server.log"
    with _server(front_end, directory, log) as url, open_page(directory / "profile") as page:
        notebook = Served(page, front_end, url, directory, log)
        notebook.open()
        _wait_for_kernel(notebook)
        yield notebook


def _wait_for_kernel(notebook: Served) -> None:
    until = time.monotonic() + 90
    calm = 0
    while calm < 3:
        assert time.monotonic() < until, f"the kernel did not start:\n{notebook.log.read_text()[-4000:]}"
        notebook.page.wait_for_timeout(300)
        try:
            kernels = notebook.ask("api/kernels")
        except urllib.error.HTTPError:  # a server that is asked while a kernel starts may fail
            kernels = []
        calm = calm + 1 if kernels and all(each["execution_state"] == "idle" for each in kernels) else 0
    notebook.page.wait_for_timeout(500)


def write_notebook(path: Path, cells: list[str]) -> None:
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": KERNEL_NAME, "display_name": "under test", "language": "python"}
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(notebook, path)


def write_kernel(data: Path, python: str) -> None:
    where = data / "kernels" / KERNEL_NAME
    where.mkdir(parents=True, exist_ok=True)
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (where / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "under test", "language": "python"}))


def _write_settings(where: Path, settings: dict[str, dict[str, Any]]) -> None:
    for name, content in settings.items():
        path = where / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


@contextmanager
def _server(front_end: FrontEnd, directory: Path, log: Path) -> Iterator[str]:
    """Run a server, and yield its address."""
    ours = ("PYTEST", "VIRTUAL_ENV", "JUPYTER", "IPYTHON", "IPYTIMEOUT")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ |= {f"JUPYTER_{name}_DIR": str(directory / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environ |= {"IPYTHONDIR": str(directory / "ipython"), "JUPYTERLAB_SETTINGS_DIR": str(directory / "settings")}
    module = "jupyterlab" if front_end.app == "lab" else "notebook"
    options = [
        "--no-browser",
        "--allow-root",
        "--port=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={directory}",
    ]
    with running([front_end.python(), "-m", module, *options], log, cwd=directory, environ=environ) as process:
        info = directory / "runtime" / f"jpserver-{process.pid}.json"
        until = time.monotonic() + 90
        while not info.exists():
            assert time.monotonic() < until and process.poll() is None, f"no server:\n{log.read_text()[-4000:]}"
            time.sleep(0.1)
        yield json.loads(info.read_text())["url"]
