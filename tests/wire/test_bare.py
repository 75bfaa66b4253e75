"""Objects with ways of their own, there and back in one process: none of these is used."""

from __future__ import annotations

import collections
from typing import Any

import pytest

from ipytimeout.wire.pickling import dump_namespace, load_namespace

OWN_WAYS = """
import collections
asked = []
class Logged(dict):
    def __init__(self, need): asked.append("init"); self.log = []
    def __setitem__(self, key, value): self.log.append(key); super().__setitem__(key, value)
    def items(self): return [("false", 1)]
class Full(list):
    def append(self, item): raise ValueError("full")
    extend = append
    def __iter__(self): return iter([])
class Sorted(set):
    def __init__(self, *need): super().__init__(*need[1:])
class Ordered(collections.OrderedDict):
    def __setitem__(self, key, value): raise ValueError("no")
class Default(collections.defaultdict):
    def __init__(self, *need): super().__init__(list)
class Last(collections.deque):
    def __init__(self, need): super().__init__(maxlen=2)
class Pair(tuple):
    def __new__(cls, a, b): return super().__new__(cls, (a, b))
class Text(str):
    def __new__(cls, text, lang):
        self = super().__new__(cls, text)
        self.lang = lang
        return self
class Number(int):
    def __new__(cls, *, of): return super().__new__(cls, of)
class Point(collections.namedtuple("Point", "x y")):
    def __new__(cls, x): return super().__new__(cls, x, x)
"""

ROWS: dict[str, tuple[str, str]] = {
    "a dict": (
        "made = Logged(1); made['a'] = 1",
        "dict.items(it) == {'a': 1}.items() and it.log == ['a'] and type(it) is Logged",
    ),
    "a list": ("made = Full([1, 2]); made.tag = 't'", "list.__len__(it) == 2 and it[1] == 2 and it.tag == 't'"),
    "a set": ("made = Sorted(0, [3, 1])", "it == {1, 3}"),
    "an ordered dict": (
        "made = Ordered(); dict.__init__(made); collections.OrderedDict.__setitem__(made, 'b', 1)",
        "list(it) == ['b'] and it['b'] == 1",
    ),
    "a dict with a default": ("made = Default(1, 2); made['k'].append(1)", "it['k'] == [1] and it['new'] == []"),
    "a deque": ("made = Last(1); made.append(3)", "list(it) == [3] and it.maxlen == 2"),
    "a tuple": ("made = Pair(1, 2)", "it == (1, 2) and type(it) is Pair"),
    "a text": ("made = Text('hi', 'en')", "it == 'hi' and it.lang == 'en'"),
    "a number": ("made = Number(of=4)", "it == 4 and type(it) is Number"),
    "a named tuple": ("made = Point(1)", "it == (1, 1) and it.x == 1"),
}


def travelled(code: str) -> dict[str, Any]:
    """Run code, send what it made, and return the namespace that it came to."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(code, names)
    there: dict[str, Any] = {"__name__": "__main__"}
    dump = dump_namespace(names, [name for name in names if not name.startswith("__")])
    assert dump.refused == {}
    loaded = load_namespace([bytearray(buffer) for buffer in dump.buffers], there)
    there.update(loaded.values)
    return there


@pytest.mark.parametrize("row", ROWS)
def test_a_container_or_a_value_is_what_it_was_whatever_its_class_makes_of_that(row: str) -> None:
    """No constructor, and no method that puts something in, is asked."""
    make, check = ROWS[row]
    there = travelled(f"{OWN_WAYS}\n{make}\nasked.clear()")
    assert there["asked"] == []
    assert eval(check, {**there, "it": there["made"], "collections": collections})


HOOKED = """
class Part:
    def __init__(self): self.kept, self.left_out = 1, [2]
    def __getstate__(self): return {"kept": self.kept}
    def __setstate__(self, state): self.kept, self.left_out = state["kept"], "made anew"
class Reduced:
    def __init__(self, n): self.n, self.cache = n, {}
    def __getstate__(self): return self.n
    def __setstate__(self, n): self.n, self.cache = n, None
class Slotted:
    __slots__ = ("a", "other")
    def __getstate__(self): return None
part, reduced, slotted = Part(), Reduced(3), Slotted()
slotted.a, slotted.other = part, slotted
reduced.cache["self"] = reduced
"""


def test_a_class_that_leaves_something_out_of_its_pickles_loses_nothing() -> None:
    """Natively it is never pickled. A cycle through such objects has an end."""
    there = travelled(HOOKED)
    assert there["part"].left_out == [2]
    assert there["reduced"].cache["self"] is there["reduced"]
    assert there["slotted"].a is there["part"]
    assert there["slotted"].other is there["slotted"]


def test_what_cannot_travel_whole_travels_as_it_wants_to() -> None:
    """What such a class leaves out is most often what cannot be pickled."""
    there = travelled(f"{HOOKED}\npart.left_out = (n for n in 'ab'); next(part.left_out)\nboth = [part, part]")
    assert there["part"].left_out == "made anew"
    assert there["both"][0] is there["part"]


def test_a_class_that_its_base_lists_is_made_once() -> None:
    """Pickle makes it twice where the base refers to it, and ``__subclasses__()`` would show both."""
    there = travelled(
        "class Base:\n    known = []\n    def __init_subclass__(cls): Base.known.append(cls)\n"
        "class A(Base): pass\nclass B(A): pass"
    )
    assert there["Base"].__subclasses__() == [there["A"]]
    assert there["A"].__subclasses__() == [there["B"]]
    assert there["Base"].known == [there["A"], there["B"]]
