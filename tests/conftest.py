"""What every session of tests shares: nothing is skipped in silence, and what is missing is made first.

With ``CI=true`` in the environment a skipped test is a failed test. The one exception says so itself: a skip whose
reason begins with ``not here:``, for what this operating system or this Python version cannot have.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from typing import Any

import pytest

EXPECTED_SKIP = "not here:"
#: Under this name a report carries it, from the process of the test to the one that prints.
MEASURED = "measured"


def _skips_fail() -> bool:
    return os.environ.get("CI", "").lower() in ("true", "1")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(reason).removeprefix("Skipped: ")


def _fail_when_skipped(report: Any) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and _skips_fail():
        reason = _reason(report)
        if not reason.startswith(EXPECTED_SKIP):
            report.outcome = "failed"
            report.longrepr = f"skipped, and nothing may be skipped with CI=true: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_when_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_when_skipped(report)
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Let what the tests start be interrupted: a worker of xdist ignores SIGINT, and so would all that it starts."""
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make what the selected tests need, before the first of them and outside its time limit."""
    if session.config.option.collectonly or not session.items:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")

    def say(text: str) -> None:
        if reporter:
            reporter.write_line(text)

    if any("ipykernel6" in item.keywords or "ipykernel6" in item.name for item in session.items):
        from tests.kernels.environments import second_environment

        second_environment(say)
    if any("browser" in item.keywords for item in session.items):
        from tests.e2e.chromium import find_chromium

        find_chromium(say)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Any:
    """Note a measured number: it is printed at the end of the session, whether the test passes or not."""

    def note(text: str) -> None:
        request.node.user_properties.append((MEASURED, f"{request.node.name}: {text}"))

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for status in ("passed", "failed") for report in terminalreporter.stats.get(status, [])]
    lines = [text for report in reports for name, text in report.user_properties if name == MEASURED]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)
