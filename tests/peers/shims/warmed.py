"""Plugin of pytest: one run before the first test, whose time the suites would not expect.

The first run of a program starts the warden and the template, which live as long as the program does.
"""

from __future__ import annotations

import time

from ipytimeout import timeout


def pytest_sessionstart() -> None:
    """Be a program that has run something before."""
    timeout(60).run(int)
    time.sleep(1)
