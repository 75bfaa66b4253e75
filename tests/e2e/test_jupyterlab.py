"""The README's first command in a fresh clone, and the tutorial in JupyterLab as a user sees it.

One test function for the browser: a Playwright session keeps an event loop running in this thread.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chromium import open_page
from tests.e2e.clone import Clone
from tests.e2e.quickstart import check_outputs, count_code_cells
from tests.e2e.readme import commands

pytestmark = [pytest.mark.browser, pytest.mark.notebook, pytest.mark.fresh, pytest.mark.timeout(900)]
TOKEN = "token-of-the-test"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its address, and the address that it opened a browser at."""

    url: str
    opened: str

    def ask(self, path: str) -> Any:
        """Ask the server's own interface."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"token {TOKEN}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture
def server(readme_clone: Clone, tmp_path: Path) -> Iterator[Server]:
    """The server that the README's first command starts; the browser that it opens only notes the address."""
    config, runtime = (Path(readme_clone.environ[f"JUPYTER_{name}_DIR"]) for name in ("CONFIG", "RUNTIME"))
    browser, opened, log = (tmp_path / name for name in ("browser", "opened", "jupyterlab.log"))
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(0o755)
    config.mkdir(exist_ok=True)
    server = {"IdentityProvider": {"token": TOKEN}, "ServerApp": {"browser": f"{browser} %s"}}
    # Nothing is asked of the network, and no question about news covers the page.
    lab = {"LabApp": {"news_url": None, "check_for_updates_class": "jupyterlab.NeverCheckForUpdate"}}
    (config / "jupyter_server_config.json").write_text(json.dumps(server))
    (config / "jupyter_lab_config.json").write_text(json.dumps(lab))
    _, command = commands().start_parts
    with readme_clone.running(command, log) as process:
        until = time.monotonic() + 90
        while not opened.exists():
            if time.monotonic() > until or process.poll() is not None:
                pytest.fail(f"{command!r} opened no browser:\n{log.read_text()}")
            time.sleep(0.1)
        info = json.loads((runtime / f"jpserver-{process.pid}.json").read_text())
        yield Server(info["url"], opened.read_text().strip())


def test_the_quickstart_runs_in_jupyterlab_as_the_readme_starts_it(
    server: Server, profile: Path, tmp_path: Path
) -> None:
    """The first command opens the tutorial; Run All Cells gives what the text says, and shows it on the page."""
    with open_page(profile) as page:
        page.goto(server.opened)
        page.get_by_role("heading", name="A first look at ipytimeout").wait_for(timeout=90_000)
        page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for(timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        # The page sends a cell when the one before is done, and may take its time: the last prompt is the end.
        page.get_by_text(f"[{count_code_cells()}]:", exact=True).first.wait_for(timeout=180_000)
        page.wait_for_timeout(1000)
        page.screenshot(path=str(tmp_path / "top.png"))
        page.keyboard.press("Control+s")
        page.keyboard.press("Escape")
        page.keyboard.press("End")
        page.locator(".jp-OutputArea-output img").first.scroll_into_view_if_needed()
        page.screenshot(path=str(tmp_path / "plot.png"))
        page.get_by_text("one result from before']").first.scroll_into_view_if_needed()
        page.screenshot(path=str(tmp_path / "bottom.png"))
        assert page.locator(".jp-Dialog").count() == 0
        page.wait_for_timeout(1000)
    check_outputs(server.ask("api/contents/quickstart.ipynb")["content"])
