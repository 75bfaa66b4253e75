"""The dump, the load and the table they share, in one process."""

from __future__ import annotations

import pickle
import random
import sys
import types
from importlib.machinery import ModuleSpec
from typing import Any, Literal

import pytest

from ipytimeout.wire import reducers
from ipytimeout.wire.pickling import (
    CALL,
    OUT_OF_BAND,
    CannotRebuild,
    dump_namespace,
    load_namespace,
    plain_reason,
)


@pytest.fixture
def names() -> dict[str, Any]:
    return {"__name__": "__main__"}


def load(dump: Any, into: dict[str, Any]) -> Any:
    return load_namespace([bytearray(b) for b in dump.buffers], into)


def test_the_tables_of_both_sides_agree(names: dict[str, Any]) -> None:
    """The same number means the same thing, whatever kinds of objects are mixed."""
    exec(
        "import collections, re\nclass C: pass\nc = C(); c.rows = [(1, 'a'), {'k': c}]; s = {2, 'b'}\n"
        "d = collections.deque([c]); e = ValueError('x'); p = re.compile('a'); f = lambda: c",
        names,
    )
    dump = dump_namespace(names, [n for n in names if not n.startswith("__")])
    loaded = load(dump, {"__name__": "__main__"})
    here, there = dump.table.objects, loaded.table.objects
    assert len(here) == len(there)
    for i, (a, b) in enumerate(zip(here, there, strict=True)):
        if i >= dump.table.seeds and i not in dump.table.private:
            assert type(a).__name__ == type(b).__name__
    number = next(i for i, obj in enumerate(here) if obj is names["c"])
    assert there[number] is loaded.values["c"]


def test_a_table_that_is_made_ahead_is_made_once_and_is_the_same(names: dict[str, Any]) -> None:
    """Whether it is asked for before it is done or afterwards, and however often it is to be made."""
    names["rows"] = [(i, str(i)) for i in range(20_000)]
    table = dump_namespace(names, ["rows"]).table
    table.make_ahead()
    table.make_ahead()
    objects = table.objects
    assert any(obj is names["rows"][-1] for obj in objects)
    table.make_ahead()
    assert table.objects is objects
    later = dump_namespace(names, ["rows"]).table
    assert [type(obj) for obj in later.objects] == [type(obj) for obj in objects]


def test_the_namespace_is_the_receivers_own(names: dict[str, Any]) -> None:
    """For functions and wherever else it is referred to; and it is not changed by the loading."""
    exec("k = 1\ndef f(): return k\ng = globals()", names)
    receiver: dict[str, Any] = {"__name__": "__main__"}
    loaded = load(dump_namespace(names, ["f", "g"]), receiver)
    assert loaded.values["g"] is receiver
    assert receiver == {"__name__": "__main__"}
    receiver["k"] = 5
    assert loaded.values["f"]() == 5


def test_what_a_library_has_under_the_same_name_is_the_librarys_own(
    names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``from library import *`` brings things that cannot be pickled; each process has them already."""
    begun = (n for n in (1, 2))
    next(begun)
    monkeypatch.setattr(types, "begun", begun, raising=False)
    names.update(begun=begun, other=[begun])
    dump = dump_namespace(names, ["begun", "other"])
    assert dump.refused.keys() == {"other"}
    loaded = load(dump, {})
    assert loaded.values["begun"] is begun
    number = next(i for i, obj in enumerate(loaded.table.objects) if obj is begun)
    assert dump.table.objects[number] is begun


def test_what_belongs_to_a_process_is_the_receivers_own(names: dict[str, Any]) -> None:
    """Standard streams, builtins, modules: never a copy."""
    names.update(out=sys.stdout, builtins=__builtins__, modules=sys.modules, module=types)
    loaded = load(dump_namespace(names, ["out", "modules", "module"]), {})
    assert loaded.values["out"] is sys.stdout
    assert loaded.values["modules"] is sys.modules
    assert loaded.values["module"] is types


def test_extras_share_objects_with_the_names(names: dict[str, Any]) -> None:
    """A function's argument may be what a global shows."""
    names["rows"] = rows = [1]
    loaded = load(dump_namespace(names, ["rows"], {CALL: (len, (rows,), {})}), {})
    assert list(loaded.values) == ["rows"]
    assert loaded.extra[CALL][1][0] is loaded.values["rows"]


def test_large_memory_travels_beside_the_pickle_and_is_writable(names: dict[str, Any]) -> None:
    """Small memory travels in it, and owns itself afterwards."""
    numpy = pytest.importorskip("numpy")
    names.update(small=numpy.zeros(3), large=numpy.zeros(OUT_OF_BAND), fixed=numpy.ones(OUT_OF_BAND))
    names["fixed"].flags.writeable = False
    dump = dump_namespace(names, ["small", "large", "fixed"])
    assert len(dump.buffers) == 4
    assert len(dump.buffers[0]) < len(dump_namespace(names, ["small"]).buffers[0]) + 1000
    values = load(dump, {}).values
    values["large"][0] = values["small"][0] = 1
    assert values["small"].flags.owndata
    assert not values["fixed"].flags.writeable
    assert names["large"][0] == 0


def test_unknown_names_are_passed_over(names: dict[str, Any]) -> None:
    """Who asks for names may be behind."""
    assert load(dump_namespace(names, ["nowhere"]), {}).values == {}


def test_a_module_that_is_missing_there_is_named(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which name needs it."""
    module = types.ModuleType("nowhere_to_be_found")
    module.__spec__ = ModuleSpec(module.__name__, None)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names["x"] = module
    dump = dump_namespace(names, ["x"])
    monkeypatch.delitem(sys.modules, module.__name__)
    with pytest.raises(CannotRebuild) as info:
        load(dump, {})
    assert info.value.name == "x"
    assert "'nowhere_to_be_found', which cannot be imported" in info.value.reason


def test_a_bad_name_is_found_among_many(names: dict[str, Any]) -> None:
    """All good ones travel, and still share objects."""
    shared = [1]
    names.update({f"n{i}": [shared, i] for i in range(50)})
    bad = random.Random(0).sample(range(50), 5)
    for i in bad:
        names[f"n{i}"].append(begun := (_ for _ in (1, 2)))
        next(begun)
    dump = dump_namespace(names, list(names))
    assert dump.refused.keys() == {f"n{i}" for i in bad}
    values = load(dump, {}).values
    assert len({id(value[0]) for name, value in values.items() if name != "__name__"}) == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TypeError("cannot pickle '_thread.RLock' object"), "a _thread.RLock object cannot leave its process"),
        (RecursionError("deep"), "it is nested too deeply"),
        (ModuleNotFoundError("no", name="m"), "it needs the module 'm', which cannot be imported"),
        (reducers.Refused("a socket cannot leave its process"), "a socket cannot leave its process"),
        (ValueError("one\ntwo"), "ValueError: one"),
        (KeyError(), "KeyError"),
    ],
)
def test_reasons_are_in_plain_words(error: Exception, text: str) -> None:
    """One line, no address."""
    assert plain_reason(error) == text


def test_cannot_rebuild_pickles() -> None:
    """It may cross a process."""
    error = pickle.loads(pickle.dumps(CannotRebuild("x", "no")))
    assert (error.name, error.reason, str(error)) == ("x", "no", "x: no")


def test_an_instance_of_a_library_is_not_copied_when_the_library_has_it(names: dict[str, Any]) -> None:
    """A copy of ``rcParams`` would be another one than the library uses."""
    import decimal

    names.update(BasicContext=decimal.BasicContext, context=decimal.BasicContext)
    loaded = load(dump_namespace(names, ["BasicContext"]), {})
    assert loaded.values["BasicContext"] is decimal.BasicContext


def test_an_instance_of_a_class_without_a_module_travels(names: dict[str, Any]) -> None:
    """As sympy's undefined functions have none."""
    exec("class Plain: pass\nx = Plain()\nPlain.__module__ = None", names)
    assert dump_namespace(names, ["x", "Plain"]).refused == {}


@pytest.mark.parametrize(
    "error", [OSError("text"), OSError(2, "no", "file"), TimeoutError(), UnicodeDecodeError("utf-8", b"x", 0, 1, "why")]
)
def test_an_exception_says_there_what_it_says_here(error: Exception, names: dict[str, Any]) -> None:
    there: dict[str, Any] = load_namespace(dump_namespace(names, [], {"error": error}).buffers, {}).extra
    assert (str(there["error"]), repr(there["error"])) == (str(error), repr(error))


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_long_array_of_texts_travels_in_one_piece(order: Literal["C", "F"]) -> None:
    """Its items are values: a million of them would be a million entries of the object table."""
    numpy = pytest.importorskip("numpy")
    texts = numpy.array([*(f"text {i}" for i in range(19_997)), None, 1.5, True], dtype=object)
    texts = texts.reshape((4, 5_000), order=order).copy(order=order)
    texts.flags.writeable = False
    namespace: dict[str, object] = {"texts": texts, "part": texts[1:]}
    dump = dump_namespace(namespace, list(namespace))
    assert len(dump.table.objects) < 2000  # the 20,000 items are none of them; modules of the test run are
    loaded: Any = load_namespace([bytearray(memoryview(each)) for each in dump.buffers], {})
    copy = loaded.values["texts"]
    assert copy.tolist() == texts.tolist() and copy.flags[order] and not copy.flags.writeable and copy.base is None
    assert loaded.values["part"].base is copy
