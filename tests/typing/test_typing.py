"""The types are part of what is promised: checked as a user's type checker checks them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.environments import REPOSITORY

FILE = Path(__file__).with_name("api.py")
WRONG = {number for number, line in enumerate(FILE.read_text().splitlines(), 1) if line.endswith("# wrong")}


def test_mypy_knows_the_signatures_and_finds_the_mistakes(tmp_path: Path) -> None:
    """In its strict mode; and nothing but the mistakes."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path), str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    found = {int(number) for number in re.findall(rf"{FILE.name}:(\d+): error", done.stdout)}
    assert found == WRONG, done.stdout + done.stderr


@pytest.mark.parametrize("checker", ["basedpyright", "pyright"])
def test_pyright_knows_them_too(tmp_path: Path, checker: str) -> None:
    """Installed by .ci/full: a Node.js comes along, of 200 MB."""
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"not here: {checker} brings a Node.js along")
    config = {
        "include": [os.path.relpath(FILE, tmp_path)],
        "extraPaths": [str(REPOSITORY / "src")],
        "typeCheckingMode": "standard",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    command = [
        sys.executable,
        "-m",
        checker,
        "--outputjson",
        "--pythonpath",
        sys.executable,
        "--project",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    diagnostics = json.loads(done.stdout)["generalDiagnostics"]
    found = {each["range"]["start"]["line"] + 1 for each in diagnostics if each["severity"] == "error"}
    assert found == WRONG, done.stdout
