"""Voilà: a page without a notebook, in which a callback of a widget calls a function with a deadline."""

from __future__ import annotations

import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.chromium import open_page
from tests.e2e.front_ends import environment, write_kernel, write_notebook
from tests.e2e.programs import running

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(600)]

#: The two buttons each run a function until it is cancelled, or to its end.
_APP = """
import time, ipywidgets
from ipytimeout import RunCancelled, run_with_timeout
told = ipywidgets.Label("nothing yet")
def spin():
    while True: pass
def start(name, function):
    button, out = ipywidgets.Button(description=name), ipywidgets.Output()
    def clicked(_):
        with out:
            try: told.value = f"value {run_with_timeout(600, function)}"
            except RunCancelled: told.value = "it was cancelled"
    button.on_click(clicked)
    return ipywidgets.VBox([button, out])
ipywidgets.VBox([told, start("Endless", spin), start("Slow", lambda: (time.sleep(1.5), 7)[1])])
"""


@contextmanager
def voila(directory: Path, app: str) -> Iterator[str]:
    """Serve an app, and yield its address."""
    python = environment("voila==0.5.*", "ipywidgets==8.*", "-e .[notebooks]")
    directory.mkdir(parents=True, exist_ok=True)
    write_notebook(directory / "notebook.ipynb", [app])
    write_kernel(directory / "data", python)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {**os.environ, "JUPYTER_DATA_DIR": str(directory / "data"), "IPYTHONDIR": str(directory / "ipython")}
    log = directory / "voila.log"
    command = [python, "-m", "voila", "notebook.ipynb", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    with running(command, log, cwd=directory, environ=environ) as process:
        address = f"http://127.0.0.1:{port}/"
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(address + "static/", timeout=1).close()
            except urllib.error.HTTPError:
                break
            except OSError:
                assert time.monotonic() < until and process.poll() is None, log.read_text()[-4000:]
                time.sleep(0.2)
        yield address


def test_a_callback_of_a_voila_page_shows_the_panel_and_is_cancelled_by_a_click(tmp_path: Path) -> None:
    with voila(tmp_path, _APP) as address, open_page(tmp_path / "profile") as page:
        page.goto(address)
        page.get_by_role("button", name="Endless").click(timeout=60_000)
        page.locator(".ipytimeout button.ipt-cancel").click(timeout=30_000)
        page.get_by_text("it was cancelled").wait_for(timeout=10_000)
        page.locator(".ipytimeout").wait_for(state="detached", timeout=10_000)
        page.get_by_role("button", name="Slow").click()
        page.locator(".ipytimeout").wait_for(timeout=10_000)
        page.get_by_text("value 7").wait_for(timeout=10_000)
        page.locator(".ipytimeout").wait_for(state="detached", timeout=10_000)
