"""Which modules are the user's own, and which are new, is found without looking at all of them again."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

from ipytimeout.wire.libraries import newer_than, newest_module, users_modules


def _put(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str) -> None:
    """Import an empty module of that name."""
    file = folder / f"{name}.py"
    file.touch()
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    monkeypatch.setitem(sys.modules, name, importlib.util.module_from_spec(spec))


def test_a_module_of_the_user_is_known_from_its_import_until_it_is_taken_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In whatever order, and a second time."""
    before = set(users_modules())
    for name in ("own_a", "own_b"):
        _put(monkeypatch, tmp_path, name)
        assert name in users_modules()
    monkeypatch.delitem(sys.modules, "own_a")
    assert set(users_modules()) - before == {"own_b"}
    _put(monkeypatch, tmp_path, "own_a")
    monkeypatch.setitem(
        sys.modules, "own_c", importlib.util.module_from_spec(importlib.machinery.ModuleSpec("own_c", None))
    )
    assert set(users_modules()) - before == {"own_a", "own_b"}


def test_new_modules_are_told_in_their_order_unless_others_were_taken_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Then nothing is told, and all are to be looked at."""
    _put(monkeypatch, tmp_path, "own_old")
    mark = newest_module()
    assert newer_than(mark) == []
    for name in ("own_a", "own_b"):
        _put(monkeypatch, tmp_path, name)
    assert newer_than(mark) == ["own_a", "own_b"]
    monkeypatch.delitem(sys.modules, "own_a")
    assert newer_than(mark) == ["own_b"]
    monkeypatch.delitem(sys.modules, "own_old")
    assert newer_than(mark) is None
    assert newer_than((0, "")) is None
