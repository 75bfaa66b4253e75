"""What a child is told about this process."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from ipytimeout.host import settle
from ipytimeout.wire import libraries


def test_libraries_are_named_and_what_belongs_to_the_kernel_is_not() -> None:
    importlib.import_module("numpy")
    modules = settle.library_modules()
    assert {"json", "numpy"} <= set(modules)
    assert not {"__main__", "zmq", "ipykernel", "ipytimeout"} & {name.partition(".")[0] for name in modules}


def test_a_module_of_the_users_own_is_not_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change on disk between two runs."""
    (tmp_path / "users_own.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("users_own")
    try:
        assert "users_own" not in settle.library_modules()
    finally:
        del sys.modules["users_own"]


def test_what_another_folder_of_packages_holds_is_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's dist-packages, and those of the interpreter below a virtual environment."""
    packages = tmp_path / "dist-packages"
    packages.mkdir()
    (packages / "from_debian.py").write_text("")
    monkeypatch.syspath_prepend(packages)
    libraries.library_folders.cache_clear()
    importlib.import_module("from_debian")
    try:
        assert "from_debian" in settle.library_modules()
    finally:
        del sys.modules["from_debian"]
        libraries.library_folders.cache_clear()


def test_what_is_new_is_seen_at_the_next_look() -> None:
    before = settle.library_modules()
    assert settle.library_modules() is before
    sys.modules.pop("colorsys", None)
    importlib.import_module("colorsys")
    assert "colorsys" in settle.library_modules()


def test_a_module_whose_text_was_changed_is_known_until_it_is_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one of the user's own, and only where it is asked for."""
    path = tmp_path / "changing_of_a_test.py"
    path.write_text("a = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(path.stem)
    try:
        assert settle.changed_on_disk([path.stem]) == []
        os.utime(path, (2_000_000_000, 2_000_000_000))
        assert settle.changed_on_disk([path.stem, "json"]) == [path.stem]
        assert settle.changed_on_disk(["json"]) == []
        importlib.reload(module)
        assert settle.changed_on_disk([path.stem]) == []
    finally:
        del sys.modules[path.stem]
