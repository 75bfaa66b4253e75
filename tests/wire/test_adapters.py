"""Adapters of process state: what differs travels, and what cannot be set is named."""

from __future__ import annotations

import contextlib
import decimal
import logging
import math
import sys
import types
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ipytimeout.wire.adapters import Adapters, difference, load
from ipytimeout.wire.adapters.attributes import AssignedAttributes
from ipytimeout.wire.adapters.packing import Packed, as_delta, as_names, unpack


class Jar:
    """A process with settings that anything may be put into."""

    module = "sys"

    def __init__(self, **items: Any) -> None:
        self.items = items
        self.written: list[str] = []

    def read(self) -> dict[str, Any]:
        return dict(self.items)

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        if "bad" in items:
            raise ValueError("it is bad")
        self.items.update(items)
        self.written += items
        for item in gone:
            del self.items[item]


def test_one_process_becomes_like_another_and_only_what_differs_is_written() -> None:
    host, child = Jar(a=1, b=[2], new=3), Jar(a=1, b=[1], old=4)
    here, there = Adapters({"jar": host}), Adapters({"jar": child})
    assert there.write(difference(there.read(), here.read())) == {}
    assert child.items == host.items and child.written == ["b", "new"]


def test_an_item_that_cannot_be_set_is_named_and_spoils_no_other() -> None:
    child = Jar()
    failed = Adapters({"jar": child}).write(({("jar", "good"): 1, ("jar", "bad"): 2, ("jar", "fine"): 3}, []))
    assert failed == {"bad of jar": "ValueError: it is bad"} and child.items == {"good": 1, "fine": 3}


def test_a_module_that_is_not_imported_has_no_items() -> None:
    jar = Jar(a=1)
    jar.module = "a_module_that_nobody_imports"
    assert Adapters({"jar": jar}).read() == {}


def test_values_that_cannot_be_compared_count_as_different() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise TypeError("no")

        __hash__ = object.__hash__

    odd = Odd()
    assert difference({"jar": {"a": odd}}, {"jar": {"a": odd}}) == ({}, [])
    assert list(difference({"jar": {"a": odd}}, {"jar": {"a": Odd()}})[0]) == [("jar", "a")]


def test_what_is_the_notebooks_goes_with_the_names_and_the_rest_as_one_pickle() -> None:
    def function() -> None: ...

    items = {"pandas": {"width": 80, "format": function}, "attributes": {"math tau2": 6.28}}
    packed = Packed()
    extra = packed.pack(items)
    assert sorted(extra) == ["\0item\0attributes\0math tau2", "\0item\0pandas\0format", "\0plain items"]
    assert unpack(extra) == items
    assert (
        packed.pack({name: dict(values) for name, values in items.items()})["\0plain items"] is extra["\0plain items"]
    )
    changed = packed.pack({**items, "pandas": {"width": 90, "format": function}})
    assert unpack(changed)["pandas"]["width"] == 90


def test_a_difference_survives_its_way_as_names() -> None:
    delta: Any = ({("a b", "c d"): 1}, [("e", "f")])
    assert as_delta(*as_names(delta)) == delta


@pytest.fixture
def toy() -> Iterator[types.ModuleType]:
    module = types.ModuleType("toy_of_a_test")
    module.Thing = type("Thing", (), {"__module__": "toy_of_a_test"})  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize(
    ("code", "items"),
    [
        ("t.a = 1", {"toy_of_a_test a": 1}),
        ("t.a, t.b = 1, 2", {"toy_of_a_test a": 1, "toy_of_a_test b": 2}),
        ("def f():\n    t.a = 1\nf()", {"toy_of_a_test a": 1}),
        ("setattr(t, 'a', 1)", {"toy_of_a_test a": 1}),
        ("t.Thing.a = 1", {"toy_of_a_test Thing a": 1}),
        ("t.Thing.a: int = 1", {"toy_of_a_test Thing a": 1}),
        ("t.Thing().a = 1", {}),
        ("x = 5; x.real == 5", {}),
        ("t.a == 1 and =", {}),
        ("import sys; sys.stdout = sys.stdout", {}),
    ],
)
def test_attributes_that_a_cell_assigns_on_modules_are_found(
    toy: types.ModuleType, code: str, items: dict[str, Any]
) -> None:
    adapter = AssignedAttributes()
    namespace: dict[str, Any] = {"t": toy}
    with contextlib.suppress(SyntaxError):
        exec(code, namespace)
    adapter.learn(code, str, namespace)
    assert adapter.read() == items


def test_an_attribute_is_set_and_deleted_in_another_process(toy: types.ModuleType) -> None:
    adapter = AssignedAttributes()
    adapter.write({"toy_of_a_test Thing a": 1, "toy_of_a_test b": 2}, [])
    assert toy.Thing.a == 1 and toy.b == 2 and adapter.read() == {"toy_of_a_test Thing a": 1, "toy_of_a_test b": 2}
    adapter.write({}, ["toy_of_a_test b"])
    assert not hasattr(toy, "b")


def test_decimal_and_logging_become_what_they_were(tmp_path: Path) -> None:
    """Read, changed, and written back as another process would."""
    adapters = load([])
    logger = logging.getLogger("of.a.test")
    with decimal.localcontext():
        before = adapters.read()
        decimal.getcontext().prec = 4
        logger.setLevel(logging.DEBUG)
        handler = logging.FileHandler(tmp_path / "log.txt", delay=True)
        handler.setFormatter(logging.Formatter("{message}!", style="{"))
        logger.addHandler(handler)
        after = adapters.read()
        assert adapters.write(difference(after, before)) == {}
        assert decimal.getcontext().prec != 4 and not logger.level and not logger.handlers
        assert adapters.write(difference(before, after)) == {}
        assert decimal.getcontext().prec == 4
        logger.debug("told")
        assert (tmp_path / "log.txt").read_text() == "told!\n"
        adapters.write(difference(after, before))


def test_an_adapter_of_another_package_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("package_with_an_adapter")
    jar = Jar(a=math.pi)
    module.jar = jar  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "package_with_an_adapter", module)
    assert load(["jar=package_with_an_adapter:jar"]).read()["jar"] == {"a": math.pi}
    assert "broken" not in load(["broken=no_such_package_anywhere:x"]).read()
