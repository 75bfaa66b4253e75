"""Modules of the user's own: their data is made equal in place, and what was written as code is left alone."""

from __future__ import annotations

import importlib
import sys
import types
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipytimeout.wire import libraries, modules
from ipytimeout.wire.pickling import dump_namespace, load_namespace

SOURCE = """
import json
count = 1
log = []
table = {"a": [1]}
recent = __import__("collections").deque([1])
NOTHING = object()

class Settings:
    made = 0
    def __init__(self):
        self.level = 1

settings = Settings()

def bump(to=log, by=NOTHING, how=settings):
    to.append(how.level)
    return by is NOTHING
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module that lies in no folder of libraries."""
    (tmp_path / "own_of_a_test.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own_of_a_test")
    sys.modules.pop("own_of_a_test", None)


def imported_anew(own: types.ModuleType) -> Any:
    """Return the module as another process would have it."""
    del sys.modules[own.__name__]
    return importlib.import_module(own.__name__)


def test_a_module_of_the_users_is_none_of_a_library(own: types.ModuleType) -> None:
    assert libraries.users_modules()[own.__name__] is own
    assert not {"json", "pytest", "ipytimeout", "__main__"} & libraries.users_modules().keys()


def test_the_data_of_a_module_is_all_but_its_code(own: types.ModuleType) -> None:
    """What the notebook has put there counts, code too."""
    own.hook = eval("lambda: 1", {"__name__": "__main__"})  # type: ignore[attr-defined]
    assert set(modules.data_of(own)) == {"count", "log", "table", "recent", "NOTHING", "settings", "hook"}


def test_another_process_makes_its_own_objects_equal(own: Any) -> None:
    """So that defaults, sentinels and attributes of the module's code still are the module's objects."""
    own.count, own.settings.level, own.Settings.made = 5, 3, 2
    own.log.append("x")
    own.table["b"] = own.log
    own.recent.append(2)
    dump = dump_namespace({"__name__": "__main__"}, [], modules=[own.__name__])
    there = imported_anew(own)
    log, nothing = there.log, there.NOTHING
    load_namespace([bytearray(buffer) for buffer in dump.buffers], {"__name__": "__main__"})
    assert (there.count, there.settings.level, there.Settings.made) == (5, 3, 2)
    assert there.log is log and there.log == ["x"] and there.recent == deque([1, 2])
    assert there.NOTHING is nothing
    assert there.bump() is True and there.log == ["x", 3]


def test_data_that_cannot_leave_its_process_is_left_out(own: Any) -> None:
    found = modules.places_in([own.__name__], lambda value: value is not own.table)
    (state,) = [state for place, _, state in found if place[1:3] == ("", "")]
    assert "table" not in state and state["log"] is own.log


def test_what_is_not_there_in_the_other_process_is_made(own: Any) -> None:
    """A list that a cell has put into the module, say."""
    own.later = [1]
    found = {place[2]: place for place, _, _ in modules.places_in([own.__name__], lambda value: True)}
    imported_anew(own)
    assert modules.adopt(found["later"]) == []
    gone = ("a_module_that_nobody_has", *found["log"][1:])
    assert type(modules.adopt(gone)) is modules.Absent


def test_what_code_assigns_in_a_module_is_a_change(own: Any) -> None:
    """And nothing is where nothing was."""
    body, sight = modules.Body(), Any
    before = body.snapshot(own, sight)
    assert body.delta(own, before, sight) is None
    own.count, own.fresh = 2, [1]
    del own.table
    delta = body.delta(own, before, sight)
    assert delta == ({"count": 2, "fresh": [1]}, ["table"], False)
    own.count, own.table = 1, {}
    del own.fresh
    swap = body.swap(own, delta)
    swap.do()
    assert own.count == 2 and not hasattr(own, "table")
    swap.undo()
    assert own.count == 1 and own.table == {} and not hasattr(own, "fresh")


def test_a_module_that_was_loaded_again_is_loaded_again(own: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What it prints was shown where the code did that."""
    body, sight = modules.Body(), Any
    before = body.snapshot(own, sight)
    Path(own.__file__).write_text("print('loaded')\ncount = 7\ndef bump():\n    return 'new'\n")
    importlib.invalidate_caches()
    importlib.reload(own)
    delta = body.delta(own, before, sight)
    assert delta[2] and delta[0]["count"] == 7
    capsys.readouterr()
    body.swap(own, delta).do()
    assert (own.count, own.bump(), capsys.readouterr().out) == (7, "new", "")
