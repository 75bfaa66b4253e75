"""Adapters of process state: what differs travels, and what cannot be set is named."""

from __future__ import annotations

import atexit
import contextlib
import copy
import decimal
import io
import logging
import math
import numbers
import os
import resource
import sys
import types
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ipytimeout.wire.adapters import Adapters, difference, load
from ipytimeout.wire.adapters.attributes import AssignedAttributes, Registered
from ipytimeout.wire.adapters.packing import Packed, as_delta, as_names, unpack
from ipytimeout.wire.adapters.process import PROCESSORS
from ipytimeout.wire.cell_text import CellText


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
    adapter.learn(CellText(code, str), namespace)
    assert adapter.read() == items


def test_an_attribute_is_set_and_deleted_in_another_process(toy: types.ModuleType) -> None:
    adapter = AssignedAttributes()
    adapter.write({"toy_of_a_test Thing a": 1, "toy_of_a_test b": 2}, [])
    assert toy.Thing.a == 1 and toy.b == 2 and adapter.read() == {"toy_of_a_test Thing a": 1, "toy_of_a_test b": 2}
    adapter.write({}, ["toy_of_a_test b"])
    assert not hasattr(toy, "b")


def test_what_sympy_counts_goes_on_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for sympy: of two dummies with one number, which two processes would make, each is the other."""
    library: Any = types.ModuleType("sympy.core.symbol")
    library.Dummy = type("Dummy", (), {"_count": 7, "_base_dummy_index": 1000})
    monkeypatch.setitem(sys.modules, library.__name__, library)
    for name in ("sympy", "sympy.core"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    adapters = load([])
    there = adapters.read()
    library.Dummy._count, library.Dummy._base_dummy_index = 0, 5000
    assert adapters.write(difference(adapters.read(), there)) == {}
    assert (library.Dummy._count, library.Dummy._base_dummy_index) == (7, 1000)


def test_a_function_that_networkx_compiled_is_compiled_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for networkx: what is compiled there is compiled here, under its number, and only once."""
    library: Any = types.ModuleType("networkx.utils.decorators")
    made: list[str] = []

    def compiled(function: Any) -> None:
        made.append(function.__name__)
        library.argmap._argmap__count += 4
        name = f"<class 'argmap'> compilation {library.argmap._argmap__count}"
        function.__code__ = function.__code__.replace(co_filename=name)

    library.argmap = type("argmap", (), {"_argmap__count": 0, "_lazy_compile": staticmethod(compiled)})
    for name in ("first", "second", "third"):
        function: Any = types.FunctionType((lambda: None).__code__, {}, name)
        function.__module__, function.__argmap__, function.__self__ = library.__name__, True, function
        setattr(library, name, function)
    monkeypatch.setitem(sys.modules, library.__name__, library)
    for package in ("networkx", "networkx.utils"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    adapters = load([])
    assert adapters.read()["networkx"] == {}
    compiled(library.first)  # the objects that are sent have come before what is set
    there = {"count": 20, **{f"{library.__name__} {name} 0": (n, False) for name, n in (("third", 4), ("first", 16))}}
    for _ in range(2):
        assert adapters.write(difference(adapters.read(), {"networkx": there})) == {}
        assert adapters.read()["networkx"] == there
    assert made == ["first", "third", "third", "first", "first"]


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


def test_a_handler_of_a_logger_is_the_very_object_that_a_name_has() -> None:
    """Also one of the notebook's own class; those of the kernel's machinery stay where they are."""
    stream = io.StringIO()
    mine = logging.StreamHandler(stream)
    logger, machinery = logging.getLogger("of.a.test"), logging.getLogger("traitlets.of.a.test")
    adapters = load([])
    before = adapters.read()
    for each in (logger, machinery):
        each.addHandler(mine)
    try:
        after = adapters.read()
        assert [key for key in difference(before, after)[0] if "handlers" in key[0]] == [
            ("the handlers of logging", "logger of.a.test")
        ]
        assert adapters.write(difference(after, before)) == {} and logger.handlers == []
        assert adapters.write(difference(before, after)) == {} and logger.handlers[0] is mine
    finally:
        logger.removeHandler(mine)
        machinery.removeHandler(mine)


def test_accessors_of_frames_are_registered_and_gone() -> None:
    pandas = pytest.importorskip("pandas", reason="not here: pandas")
    made: dict[str, Any] = {"__name__": "__main__"}
    exec(
        "class Half:\n    def __init__(self, frame): self.frame = frame\n    def size(self): return len(self.frame) / 2",
        made,
    )
    adapters = load([])
    item = ("the accessors of pandas", "DataFrame.half_of_a_test")
    assert adapters.write(({item: made["Half"]}, [])) == {}
    try:
        assert pandas.DataFrame({"a": [1, 2]}).half_of_a_test.size() == 1
        assert adapters.read()[item[0]] == {item[1]: made["Half"]}
    finally:
        adapters.write(({}, [item]))
    assert not hasattr(pandas.DataFrame, "half_of_a_test") and not adapters.read()[item[0]]


def test_open_figures_stay_open_under_their_numbers() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="not here: matplotlib")
    adapters = load([])
    figure = pyplot.figure(7)
    after = adapters.read()
    pyplot.close(7)
    before = adapters.read()
    try:
        assert adapters.write(difference(before, after)) == {}
        assert pyplot.gcf() is figure and pyplot.get_fignums() == [7]
        assert adapters.write(difference(after, before)) == {} and pyplot.get_fignums() == []
    finally:
        pyplot.close(7)


#: What changes something, and what shows it.
SET = {
    "the mask of new files": ("import os\nos.umask(0o031)", "umask()"),
    "a limit": (
        "import resource as r\nr.setrlimit(r.RLIMIT_NOFILE, (999, r.getrlimit(r.RLIMIT_NOFILE)[1]))",
        "r.getrlimit(r.RLIMIT_NOFILE)[0]",
    ),
    "the time-out of sockets": ("import socket\nsocket.setdefaulttimeout(1.5)", "socket.getdefaulttimeout()"),
    "a dialect": ("import csv\ncsv.register_dialect('own', delimiter='|')", "'own' in csv.list_dialects()"),
    "the longest field": ("import csv\ncsv.field_size_limit(7)", "csv.field_size_limit()"),
    "digits": ("import sys\nsys.set_int_max_str_digits(999)", "sys.get_int_max_str_digits()"),
    "the week": ("import calendar\ncalendar.setfirstweekday(3)", "calendar.firstweekday()"),
    "tracing": ("import tracemalloc\ntracemalloc.start(2)", "tracemalloc.is_tracing()"),
    "the start method": (
        "import multiprocessing as m\nm.set_start_method('spawn', force=True)",
        "m.get_start_method(allow_none=True)",
    ),
    "a filter": (
        "import logging\nlogging.getLogger('of.a.test').addFilter(own)",
        "logging.getLogger('of.a.test').filters",
    ),
    "warnings that are logged": (
        "import logging\nlogging.captureWarnings(True)",
        "logging._warnings_showwarning is None",
    ),
    "how objects are pickled": ("import copyreg\ncopyreg.dispatch_table[Own] = own", "Own in copyreg.dispatch_table"),
    "the debugging of the collector": ("import gc\ngc.set_debug(gc.DEBUG_UNCOLLECTABLE)", "gc.get_debug()"),
}


@pytest.mark.parametrize("what", SET)
def test_what_is_set_by_a_function_is_unset_and_set_in_another_process(what: str) -> None:
    """Read before and after, and written back as another process would."""
    change, shown = SET[what]
    names: dict[str, Any] = {"__name__": "__main__", "umask": lambda: adapters.read()["the process"].get("umask")}
    exec("def own(*args): return True\nclass Own: pass", names)
    imports = change.partition("\n")[0]
    exec(imports, names)
    adapters = load([])
    before, first = adapters.read(), copy.copy(eval(shown, names))
    try:
        exec(change, names)
        after, second = adapters.read(), copy.copy(eval(shown, names))
        assert second != first
        assert adapters.write(difference(after, before)) == {} and eval(shown, names) == first
        assert adapters.write(difference(before, after)) == {} and eval(shown, names) == second
    finally:
        adapters.write(difference(adapters.read(), before))


def test_classes_that_a_cell_registers_with_abstract_ones_are_registered_in_another_process() -> None:
    """Those of which a cell speaks; what is no class of a library is left alone."""
    names: dict[str, Any] = {"__name__": "__main__"}
    code = "import numbers, atexit\nclass Own: pass\nnumbers.Real.register(Own)\natexit.register(print); Own.register = 1; {}.register"
    with contextlib.suppress(AttributeError):
        exec(code, names)
    atexit.unregister(print)
    here, there = Registered(), Registered()
    assert here.learn(CellText(code, str), names) and not here.learn(CellText(code, str), names)
    items = here.read()
    assert list(items) == ["numbers Real Own"] and items["numbers Real Own"] is names["Own"]
    other = type("Own", (), {"__module__": "__main__"})
    there.write({"numbers Real Own": other}, [])
    assert issubclass(other, numbers.Real) and len(there.read()) == 1


def test_processors_are_looked_at_once_a_cell_speaks_of_them() -> None:
    """A library that binds threads is not taken for the notebook."""
    adapter = type(PROCESSORS)()
    assert not adapter.learn("x = 1") and adapter.read() == {}
    assert adapter.learn("os.sched_setaffinity(0, {1})") and not adapter.learn("os.sched_getaffinity(0)")
    assert adapter.read() == {"allowed": os.sched_getaffinity(0)}


def test_a_limit_below_what_is_in_use_is_not_set() -> None:
    """It would end the process, or all that it does."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    assert load([]).write(({("resource", "RLIMIT_AS"): (1 << 20, limits[1])}, [])) == {
        "RLIMIT_AS of resource": "ValueError: this process uses more already"
    }
    assert resource.getrlimit(resource.RLIMIT_AS) == limits


def test_an_adapter_of_another_package_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("package_with_an_adapter")
    jar = Jar(a=math.pi)
    module.jar = jar  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "package_with_an_adapter", module)
    assert load(["jar=package_with_an_adapter:jar"]).read()["jar"] == {"a": math.pi}
    assert "broken" not in load(["broken=no_such_package_anywhere:x"]).read()
