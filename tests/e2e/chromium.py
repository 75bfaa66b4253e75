"""A Chromium for tests: an installed one, else Playwright's own, which is downloaded when it must be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = "the tests in a browser need Chromium: install the package 'chromium' of your system, or Google Chrome"


def find_chromium(say: Callable[[str], None] = lambda text: None) -> str:
    """Return the path of a Chromium. Download one when none is installed; fail with one line when that fails too."""
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    path = _playwrights_own()
    if not Path(path).exists():
        say("no Chromium is installed: downloading Playwright's")
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not Path(path).exists():
        raise pytest.UsageError(MISSING)
    return path


def _playwrights_own() -> str:
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


@contextmanager
def open_page(profile: Path) -> Iterator[Page]:
    """Open a browser with an empty profile of its own, and yield its one page."""
    # Chromium's own sandbox does not work for root, which is who runs tests in a container.
    arguments = [*_ARGUMENTS, "--no-sandbox"] if os.geteuid() == 0 else _ARGUMENTS
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=find_chromium(),
            args=arguments,
            headless=True,
            viewport={"width": 1280, "height": 1600},
        )
        try:
            yield context.pages[0] if context.pages else context.new_page()
        finally:
            context.close()
