"""Which names a piece of code needs."""

from __future__ import annotations

import functools
import importlib
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from ipytimeout.host import capture
from ipytimeout.host.capture import Needed, needed_by_call, needed_names, reachable
from ipytimeout.mistakes import OptionError

transform: Callable[[str], str] = TransformerManager().transform_cell  # type: ignore[no-untyped-call]

NOTEBOOK = """
import functools, types
from collections import namedtuple
k = 1; m = 2; z = 99; unused = 0
def helper(a): return a + k
def decorator(f):
    @functools.wraps(f)
    def wrapper(*a): return f(*a) + m
    return wrapper
@decorator
def decorated(x): return helper(x)
class Base:
    y: "z" = 1
    def go(self): return helper(1)
    @property
    def p(self): return m
class Sub(Base):
    @staticmethod
    def s(): return k
    @classmethod
    def c(cls): return z
class Meta(type):
    def __call__(cls): return k
class WithMeta(metaclass=Meta): pass
class Nothing:
    __slots__ = ()
    def q(self): return z
class Slots:
    __slots__ = ("f",)
slots = Slots(); slots.f = helper
base = Base(); listed = [Nothing()]; nested = {"a": {"b": [(base,)]}}; keyed = {Nothing(): 1}
part = functools.partial(helper, 1)
method = base.go
def outer(w):
    def inner(): return z
    return inner
closure = outer(1)
def defaults(f=helper, *, g=closure): pass
@functools.lru_cache
def cached(): return z
def gen():
    yield z
started = gen()
def even(n): return odd(n - 1)
def odd(n): return even(n - 1)
def annotated(x: "Nothing") -> Slots: pass
def evaluates(text): return eval(text)
def has_locals(): return locals(), vars(), dir()
def shell_inside():
    !echo {k}
def magic_inside():
    %timeit helper(m)
def documented():
    'It has nothing to do with z.'
Pair = namedtuple("Pair", "a b"); pair = Pair(helper, 1)
data = {"col": 1}
big = bytearray(2**21)
"""


def notebook(code: str = NOTEBOOK, **more: Any) -> dict[str, Any]:
    """Make a namespace as a notebook has it."""
    namespace: dict[str, Any] = {"__name__": "__main__", **more}
    exec(compile(transform(code), "<cell>", "exec", dont_inherit=True), namespace)
    return namespace


def needed(cell: str, namespace: dict[str, Any], **more: Any) -> Needed:
    return needed_names(textwrap.dedent(cell), namespace, transform=transform, **more)


# ---------------------------------------------------------------- what a cell mentions

DIFFICULT = [
    ("a + 1", "a"),
    ("a.b.c", "a"),
    ("a[b]", "a b"),
    ("a[b] = 1", "a b"),
    ("a.b = 1", "a"),
    ("a += 1", "a"),
    ("del a", "a"),
    ("a = 1\ndel a", "a"),
    ("for a in q: pass\ndel a", "a"),
    ("f'{a}{b!r:{c}}'", "a b c"),
    ("[x + b for x in a]", "a b"),
    ("lambda x: a", "a"),
    ("def f(x=a): return b", "a b"),
    ("def f():\n    global a\n    a += 1", "a"),
    ("class C(a):\n    x: b = 1\n    def f(self): return super().f() + c", "a b c"),
    ("@a\ndef f(): pass", "a"),
    ("with a as x: b", "a b"),
    ("match a:\n    case b.c: pass", "a b"),
    ("await a", "a"),
    ("async for x in a: pass", "a"),
    ("if (x := a): x", "a"),
    ("try:\n    a\nexcept b: pass", "a b"),
    ("!echo {a} $b", "a b"),
    ("x = !ls {a}", "a"),
    ("%timeit -n1 f(a)", "a"),
    ("x = %time a", "a"),
    ("%%time\na\n%timeit b", "a b"),
    ("%%bash\necho $a", "a"),
    ("%%capture out\nprint(a)", "a"),
    ("%%sql\nselect * from q where x = :a", "a"),
    ("a?", "a"),
    ("q.query('x > @a')", "a"),
    ("getattr(a, 'b')", "a b"),
    ("q('''a b''')", "a b"),
    ("q('a' 'b')", "ab"),
    ("for a in q: a", "a"),
    ("if q: a = 1\na", "a"),
    ("try:\n    a = q()\nexcept E: pass\na", "a"),
    ("def f(): return a\na = 1", "a"),
    ("a = a + 1", "a"),
    ("x = 1\n" * 300 + "a", "a"),
]


@pytest.mark.parametrize(("cell", "names"), DIFFICULT, ids=lambda text: text[:24])
def test_a_name_that_a_cell_uses_is_found_wherever_it_stands(cell: str, names: str) -> None:
    """Thirty and some difficult cells (research/transport.md, section 5)."""
    namespace = {"__name__": "__main__", **dict.fromkeys(["a", "b", "c", "ab", "unused"], 1)}
    assert needed(cell, namespace) == Needed(frozenset(names.split()), dynamic=False)


@pytest.mark.parametrize(
    "cell",
    [
        "# a",
        "q.a",
        "f(a=1)",
        "from q import a",
        "import a",
        "a = 1\na",
        "def a(): pass\na()",
        "def f(a): return a",
        "def f():\n    a = 1\n    return a",
        "lambda a: a",
        "q.a = 1",
    ],
)
def test_a_name_that_is_not_loaded_is_not_sent(cell: str) -> None:
    """Attributes, keywords, parameters, and what the cell defines before it uses it."""
    assert needed(cell, {"__name__": "__main__", "a": 1}).names == set()


# ---------------------------------------------------------------- dynamic code


@pytest.mark.parametrize(
    "cell",
    [
        "globals()['a']",
        "g = globals",
        "eval('a')",
        "exec(text)",
        "vars()",
        "dir()",
        "locals()",
        "def f(): return eval('a')",
        "[eval(x) for x in 'a']",
        "get_ipython().user_ns['a']",
        "shell = get_ipython()",
        "%run script.py",
        "%run -i script.py",
        "%who",
        "%%time\nglobals()['a']",
        "%%time\n%who",
        "%time eval(text)",
        "from math import *",
        "import pickle\npickle.load(file)",
        "from pickle import load",
        "import __main__",
        "import sys\nsys.modules['__main__']",
        "import sys\nsys._getframe()",
        "import unittest\nunittest.main(argv=[''], exit=False)",
        "breakpoint()",
        "pd.read_pickle(file)",
    ],
)
def test_code_that_may_use_any_name_is_dynamic(cell: str) -> None:
    """Then all small names are sent."""
    assert needed(cell, {"__name__": "__main__", "a": 1, "b": 2}) == Needed(frozenset("ab"), dynamic=True)


@pytest.mark.parametrize("name", ["evaluates", "listed_evaluates", "alias", "load", "holder", "keeper"])
def test_what_is_reached_makes_the_cell_dynamic(name: str) -> None:
    """A function that calls eval, a module of unpicklers, its functions, a reference to globals()."""
    namespace = notebook("""
import pickle as alias
from pickle import load
def evaluates(text): return eval(text)
listed_evaluates = [evaluates]
class Holder: pass
holder = Holder(); holder.f = evaluates
keeper = {1: globals()}
""")
    assert needed(name, namespace).dynamic


def test_dynamic_code_gets_a_large_name_only_if_it_mentions_it() -> None:
    """The others are named, so that using one can be explained."""
    namespace = notebook()
    found = needed("globals()", namespace)
    assert found.dynamic
    assert found.names == namespace.keys() - {"big", "__name__", "__builtins__"}
    assert found.too_large.keys() == {"big"}
    assert found.too_large["big"] >= 2**21
    assert "big" in needed("eval('big')", namespace).names
    assert not needed("eval('big')", namespace).too_large


# ---------------------------------------------------------------- what names reach


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("z", ""),
        ("helper", "k"),
        ("decorated", "helper k m"),
        ("base", "helper k m z"),
        ("Sub", "helper k m z"),
        ("WithMeta", "k"),
        ("listed", "z"),
        ("keyed", "z"),
        ("nested", "helper k m z"),
        ("slots", "k"),
        ("part", "k"),
        ("method", "helper k m z"),
        ("closure", "z"),
        ("defaults", "k z"),
        ("cached", "z"),
        ("started", "z"),
        ("even", "odd"),
        ("annotated", "Nothing z"),
        ("has_locals", ""),
        ("shell_inside", "k"),
        ("magic_inside", "helper k m"),
        ("documented", ""),
        ("pair", "k"),
        ("functools", ""),
        ("big", ""),
    ],
)
def test_a_name_takes_along_what_its_value_refers_to(name: str, reached: str) -> None:
    """And nothing else."""
    namespace = notebook()
    assert reachable([name], namespace) == {name, *reached.split()}
    assert not needed(name, namespace).dynamic


def test_names_that_are_not_there_are_not_needed() -> None:
    """Builtins, names that the cell will define, and misspelt ones."""
    assert reachable(["print", "nowhere"], notebook()) == set()


def test_functions_of_a_library_lead_to_no_names() -> None:
    """Only a function whose globals are the notebook's uses its names."""
    module = types.ModuleType("library")
    exec("def f(): return k", vars(module))
    assert reachable(["f"], notebook(f=module.f)) == {"f"}


def test_a_method_that_the_notebook_gave_to_a_class_of_a_library_is_reached() -> None:
    """As ``pandas.DataFrame.shout = …``."""
    library = types.ModuleType("library")
    exec("class C: pass\nobject_of_c = C()", vars(library))
    namespace = notebook(instance=library.object_of_c)
    library.C.shout = namespace["closure"]
    assert reachable(["instance"], namespace) == {"instance", "z"}


def test_a_function_wrapped_by_a_library_is_reached() -> None:
    """The wrapper's globals are the library's, its closure holds the notebook's function."""
    namespace = notebook()
    namespace["wrapped"] = functools.singledispatch(namespace["helper"])
    assert reachable(["wrapped"], namespace) == {"wrapped", "k"}


def test_no_code_of_the_user_runs() -> None:
    """Neither attributes, nor comparisons, nor class hooks."""
    namespace = notebook("""
ran = []
class Meta(type):
    def __getattribute__(cls, name): ran.append(name); return type.__getattribute__(cls, name)
    def __instancecheck__(cls, value): ran.append("instance")
    def __subclasscheck__(cls, value): ran.append("subclass")
    def __hash__(cls): return type.__hash__(cls)
class Hostile(metaclass=Meta):
    def __getattribute__(self, name): ran.append(name); raise AttributeError(name)
    def __eq__(self, other): ran.append("eq"); return True
    def __hash__(self): return 1
    def __len__(self): ran.append("len"); return 1
    def __bool__(self): ran.append("bool"); return True
    def __iter__(self): ran.append("iter"); return iter(())
    def __sizeof__(self): ran.append("sizeof"); return 1
    def __repr__(self): ran.append("repr"); return ""
hostile = Hostile()
class HostileList(list):
    def __iter__(self): ran.append("iter"); return iter(())
    def __len__(self): ran.append("len"); return 0
items = HostileList([hostile])
ran.clear()
""")
    needed("hostile, items, globals()", namespace)
    assert namespace["ran"] == []


def test_objects_in_arrays_and_frames_are_reached() -> None:
    """Numpy hides them from the garbage collector."""
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    namespace = notebook()
    namespace["array"] = numpy.array([namespace["closure"], None], dtype=object)
    namespace["inside"] = [{"x": (numpy.arange(3), namespace["array"])}]
    namespace["frame"] = pandas.DataFrame({"x": [namespace["listed"][0], 1]})
    for name in ("array", "inside", "frame"):
        assert reachable([name], namespace) == {name, "z"}


def test_data_beyond_the_bound_is_taken_to_need_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather send too much than miss a name."""
    monkeypatch.setattr(capture, "MOST_OBJECTS", 50)
    namespace = notebook("k = 1\ndef f(): return k\nmany = [[i] for i in range(100)]\nend = [f]")
    found = needed("many", namespace)
    assert found.dynamic
    assert "k" in found.names


def test_all_code_is_read_before_data_uses_up_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large name that a function uses is sent beside a list of any length."""
    monkeypatch.setattr(capture, "MOST_OBJECTS", 50)
    namespace = notebook("big = bytearray(2**21)\ndef f(): return big\nmany = [[i] for i in range(100)]")
    assert "big" in needed("many, f", namespace).names


# ---------------------------------------------------------------- with, hidden, calls


def test_with_names_are_sent_and_take_along_what_they_reach() -> None:
    """Beyond those that the cell uses."""
    namespace = notebook()
    assert needed("m", namespace, with_names=("helper", "big")).names == {"m", "helper", "k", "big"}


def test_with_a_star_all_names_are_sent_the_large_ones_too() -> None:
    """But for the module's own and the hidden ones."""
    namespace = notebook()
    found = needed("m", namespace, with_names=("*",), hidden={"z"})
    assert found.names == namespace.keys() - {"z", "__name__", "__builtins__"}
    assert found.too_large == {}


def test_with_a_name_that_is_not_there_names_the_nearest() -> None:
    """A typing error is no silent omission."""
    with pytest.raises(OptionError, match="no such name; did you mean helper"):
        needed("m", notebook(), with_names=("helpers",))


@pytest.mark.parametrize("cell", ["In, z", "globals()", "f()"])
def test_hidden_names_are_not_sent(cell: str) -> None:
    """IPython's own are the child's own."""
    namespace = notebook("z = 1\ndef f(): return In")
    assert "In" not in needed(cell, namespace | {"In": [""]}, hidden={"In"}).names


def test_a_call_needs_what_the_function_and_its_arguments_reach() -> None:
    """For run_with_timeout; the function's own name is not needed."""
    namespace = notebook()
    assert needed_by_call(namespace["decorated"], (), {}, namespace).names == {"helper", "k", "m"}
    assert needed_by_call(len, (namespace["listed"],), {"key": namespace["helper"]}, namespace).names == {"z", "k"}
    assert needed_by_call(lambda: namespace, (), {}, {"__name__": "__main__"}).names == set()
    assert needed_by_call(namespace["evaluates"], ("1",), {}, namespace).dynamic


# ---------------------------------------------------------------- cost


class CountingDict(dict[str, Any]):
    """Counts what is asked of a namespace."""

    asked = 0

    def _count(self) -> None:
        self.asked += 1

    def __getitem__(self, name: str) -> Any:
        self._count()
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._count()
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._count()
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the whole namespace is looked at")

    keys = values = items = copy = __len__ = __iter__  # type: ignore[assignment]


def test_the_cost_does_not_grow_with_the_namespace() -> None:
    """As many look-ups among a hundred thousand names as among ten."""
    counts = []
    for size in (10, 100_000):
        namespace = CountingDict({"__name__": "__main__", "a": 1, **{f"n{i}": i for i in range(size)}})
        assert needed("b = a + n3; print(f'{n4}')", namespace, with_names=("n5",)).names == {"a", "n3", "n4", "n5"}
        counts.append(namespace.asked)
    assert counts[0] == counts[1] < 30


# ---------------------------------------------------------------- packages of the user's own


#: What a module of a package of the user's own does, and whether it leads to another one there.
LEADS = {
    "nothing": ("def f(x): return x", False),
    "a name": ("from own_package import beside\ndef f(x): return beside.rows", True),
    "a relative import": ("def f(x):\n    from .beside import rows\n    return rows", True),
    "an import from the package": ("def f(x):\n    from . import beside\n    return beside.rows", True),
    "an import of the package": ("def f(x):\n    import own_package\n    return own_package.beside.rows", True),
    "the package by name": ("import own_package\ndef f(x): return own_package.beside.rows", True),
    "an import by a name that is made": ("import importlib\ndef f(x): return importlib.import_module(x)", True),
}


@pytest.mark.parametrize("name", LEADS)
def test_in_a_package_of_the_user_the_modules_are_needed_that_the_code_leads_to(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child imports each of them: one that is only beside the code is none of them."""
    text, leads = LEADS[name]
    folder = tmp_path / "own_package"
    folder.mkdir()
    for module, content in {"__init__": "rows = []", "beside": "rows = []", "work": text}.items():
        (folder / f"{module}.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        importlib.import_module("own_package.beside")
        work = importlib.import_module("own_package.work")
        needed = needed_by_call(work.f, (1,), {}, {})
        assert needed.modules == {"own_package", "own_package.work", *(["own_package.beside"] if leads else [])}
    finally:
        for each in [each for each in sys.modules if each.partition(".")[0] == "own_package"]:
            del sys.modules[each]
