"""The test suites of other packages, from their own source archives, run on shims over this package.

``python -m tests.peers`` prints a table: how many tests of each suite pass, and each that does not, with the reason.
The suites are taken from the package index when they are asked for, kept in ``.as-if`` and never committed. Two
packages have none in what they distribute: theirs are run from a clone of the repository, where there is one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.as_if.source_archives import NotFetched, source_archive

SHIMS = Path(__file__).parent / "shims"


@dataclass(frozen=True, slots=True, eq=False)
class Suite:
    package: str
    version: str
    #: Where its tests are, and which of its files are about what this package has too.
    folder: str
    files: tuple[str, ...]
    #: Tests that do not pass, by a pattern of their names: each with the reason.
    deviations: Mapping[str, str] = field(default_factory=dict)
    #: Why they are not in what the package distributes; "" where they are.
    missing: str = ""

    def __str__(self) -> str:
        return self.package


@dataclass(frozen=True, slots=True)
class Outcome:
    passed: list[str]
    #: By name, what it said.
    failed: dict[str, str]

    def unexplained(self, suite: Suite) -> dict[str, str]:
        """Return the failures for which no reason is known."""
        return {name: text for name, text in self.failed.items() if reason_of(suite, name) is None}


def reason_of(suite: Suite, name: str) -> str | None:
    found = (reason for pattern, reason in suite.deviations.items() if re.search(pattern, name))
    return next(found, None)


_OWN_HELPERS = "it is about a helper of the package's own implementation"
_PROCESS_OF_MULTIPROCESSING = "a run is no process of multiprocessing: it has no name and is no daemon there"
SUITES = (
    Suite(
        "wrapt_timeout_decorator",
        "1.5.1",
        "tests",
        ("test_wrapt_timeout_decorator.py",),
        {
            "test_pickle_(detection|analyser)|test_get_object_name": _OWN_HELPERS,
            "test_timeout_pickle_error": "what cannot come back raises PicklingError, which is no TypeError",
        },
    ),
    Suite(
        "pebble",
        "5.1.1",
        "test",
        ("test_concurrent_process_fork.py", "test_asynchronous_process_fork.py"),
        {
            "test_(name|daemon)_keyword_decorated": _PROCESS_OF_MULTIPROCESSING,
            "test_pool_decorated": "no process runs two calls: a kept worker leaks state from one to the other",
            "test_pickling_error_decorated": "an Event comes back: nothing need be refused",
        },
    ),
    Suite(
        "func_timeout",
        "4.3.5",
        "tests/FuncTimeoutTests",
        ("test_Basic.py", "test_Decorator.py", "test_TestUtils.py", "test_TestUtilsSleep.py"),
    ),
    Suite(
        "timeout-decorator",
        "0.5.0",
        "tests",
        ("test_timeout_decorator.py",),
        {"test_timeout_pickle_error": "an instance of a class inside a function comes back: nothing need be refused"},
        missing="its source archives (0.4.1, 0.5.0) have no tests in them",
    ),
    Suite(
        "pynisher",
        "1.0.10",
        "test",
        ("test_api.py", "test_walltime.py", "test_raises.py", "test_limit_decorator.py", "test_memory.py"),
        {
            "cputime": "there is no limit of CPU time",
            r"test_memory\.test_fail|test_memory_no_raise": "memory is looked at 20 to 200 times a second: what is gone sooner is not seen",
        },
        missing="its source archive has no tests in it; those of 0.6.4 import a file that is not there",
    ),
)


def fetch(suite: Suite, folder: Path, clones: Path | None = None) -> Path:
    """Put a suite into a folder, without the package that it tests; return the folder of its tests.

    Raises:
        NotFetched: It cannot be had; the text says why.
    """
    tests = folder / Path(suite.folder).name
    if not suite.missing:
        archive = source_archive(sys.executable, suite.package, suite.version)
        with tarfile.open(archive) as file:
            top = f"{archive.name.removesuffix('.tar.gz')}/{suite.folder}/"
            for member in file:
                if member.name.startswith(top):
                    member.name = member.name.removeprefix(top)
                    file.extract(member, tests, filter="data")
    elif clones is not None and (clones / suite.package / suite.folder).exists():
        shutil.copytree(clones / suite.package / suite.folder, tests)
    else:
        raise NotFetched(suite.missing)
    return tests


def run(suite: Suite, folder: Path, clones: Path | None = None) -> Outcome:
    """Fetch a suite into a folder, and run it on the shim."""
    tests = fetch(suite, folder, clones)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:rerunfailures", "-p", "warmed"]
    command += ["-c", os.devnull, f"--rootdir={tests}", f"--junitxml={report}", *suite.files]
    path = os.pathsep.join(filter(None, (str(SHIMS), str(tests), os.environ.get("PYTHONPATH", ""))))
    environ = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=tests, env=environ, capture_output=True, text=True, timeout=400, check=False)
    if not report.exists():
        raise RuntimeError(done.stdout + done.stderr)
    return _read(report)


def _read(report: Path) -> Outcome:
    outcome = Outcome([], {})
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        wrong = case.find("failure") if case.find("failure") is not None else case.find("error")
        if wrong is not None:
            outcome.failed[name] = (wrong.get("message") or "").partition("\n")[0]
        elif case.find("skipped") is None:
            outcome.passed.append(name)
    return outcome


def table(outcomes: Mapping[Suite, Outcome]) -> str:
    """Return the table: a line for each suite, and below it one for each test that does not pass."""
    lines = []
    for suite, outcome in outcomes.items():
        count = len(outcome.passed) + len(outcome.failed)
        lines.append(f"{suite.package} {suite.version}: {len(outcome.passed)} of {count} pass")
        lines += [
            f"  – {name.rpartition('.')[2]}: {reason_of(suite, name) or 'NO REASON: ' + text}"
            for name, text in outcome.failed.items()
        ]
    return "\n".join(lines)
