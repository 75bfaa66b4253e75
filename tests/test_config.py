"""Settings: from the environment and from IPython's configuration, and the limits that no option exceeds."""

from __future__ import annotations

import subprocess
import sys
from math import inf

import pytest

from ipytimeout import timeout
from ipytimeout.config import PREFIX, Settings, settings
from ipytimeout.mistakes import OptionError
from ipytimeout.options import RunOptions, StartMethod
from ipytimeout.sizes import Share


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TIMEOUT", "KILL_AFTER", "MEMORY", "START", "MAX_TIMEOUT", "MAX_MEMORY", "MAX_OUTPUT"):
        monkeypatch.delenv(PREFIX + name, raising=False)


def test_without_settings_there_are_no_limits() -> None:
    assert settings() == Settings() and Settings().bound(RunOptions(inf)) == RunOptions(inf)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "TIMEOUT": "2m",
        "KILL_AFTER": "0",
        "MEMORY": "50%",
        "START": "spawn",
        "MAX_TIMEOUT": "1h",
        "MAX_MEMORY": "2GB",
        "MAX_OUTPUT": "500kB",
    }
    for name, value in given.items():
        monkeypatch.setenv(PREFIX + name, value)
    assert settings() == Settings(120.0, 0.0, Share(50), StartMethod.SPAWN, 3600.0, 2 * 10**9, 500_000)


@pytest.mark.parametrize(
    ("name", "value"), [("TIMEOUT", "soon"), ("MAX_MEMORY", "much"), ("START", "quick"), ("MAX_OUTPUT", "much")]
)
def test_a_mistake_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(OptionError, match=PREFIX + name):
        settings()


def test_a_function_heeds_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTIMEOUT_MAX_TIMEOUT", "60")
    monkeypatch.setenv("IPYTIMEOUT_KILL_AFTER", "3")
    monkeypatch.setenv("IPYTIMEOUT_MAX_OUTPUT", "5kB")
    assert timeout(60)._options.max_output == 5000 and timeout(60, max_output="inf")._options.max_output == inf
    assert timeout(60)._options.kill_after == 3.0 and timeout(60, kill_after=1)._options.kill_after == 1.0
    with pytest.raises(OptionError, match="2 min is more than max_timeout allows: 1 min"):
        timeout(120)
    with pytest.raises(OptionError, match="inf is more than"):
        timeout(inf)


def test_a_limit_of_memory_holds_where_nothing_is_said() -> None:
    limited = Settings(max_memory=10**9)
    assert limited.bound(RunOptions(5)).memory == 10**9
    assert limited.bound(RunOptions(5, memory=10**8)).memory == 10**8
    with pytest.raises(OptionError, match="2 GB is more than max_memory allows: 1 GB"):
        limited.bound(RunOptions(5, memory=2 * 10**9))


def test_settings_hold_where_nothing_is_said_and_limits_are_not_exceeded() -> None:
    """In IPython, where its own configuration is above the environment."""
    code = """
%load_ext ipytimeout
%config TimeoutMagics.default_timeout = '20'
%config TimeoutMagics.max_timeout = '1m'
def attempt(line):
    from IPython.core.error import UsageError
    try: get_ipython().run_cell_magic("timeout", line, "x = 2")
    except UsageError as error: print(error)
get_ipython().run_cell_magic("timeout", "-q", "x = 1")
attempt("2m")
%config TimeoutMagics.default_timeout = 'soon'
attempt("")
print(x)
"""
    command = [sys.executable, "-m", "IPython", "--no-banner", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert lines[0] == "2 min is more than max_timeout allows: 1 min"
    assert lines[1].startswith("TimeoutMagics.default_timeout: not a duration: 'soon'") and lines[2] == "1"
