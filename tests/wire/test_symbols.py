"""Expressions that their class would evaluate when it puts them together: a stand-in for sympy, which is not here."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from ipytimeout.wire.pickling import dump_namespace, load_namespace

SYMPY = """
class Basic:
    def __init__(self, *args): self.args = args
    def __reduce_ex__(self, protocol): return type(self), self.args
    def __getnewargs__(self): return self.args
    def __getstate__(self): return None

class Application(Basic):
    def __new__(cls, *args, evaluate=True):
        return object.__new__(Sin if evaluate and cls is Cos else cls)
    def __init__(self, *args, evaluate=True): self.args = args

class Cos(Application): pass
class Sin(Application): pass
class Plain(Application):
    def __new__(cls, *args): return object.__new__(cls)
    def __init__(self, *args): self.args = args
class Own(Application):
    def __reduce_ex__(self, protocol): return Own, (*self.args, 'own')
"""


@pytest.fixture
def sympy(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """What of sympy is looked at, in modules of these names."""
    module = types.ModuleType("sympy.core.function")
    module.__spec__ = __spec__
    exec(SYMPY, vars(module))
    for name in ("sympy", "sympy.core", "sympy.core.basic", "sympy.core.function"):
        monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.mark.parametrize(
    ("make", "args"),
    [
        (lambda lib: lib.Cos(1, evaluate=False), (1,)),
        (lambda lib: lib.Sin(1), (1,)),
        (lambda lib: lib.Plain(2), (2,)),
        (lambda lib: lib.Own(3), (3, "own")),
    ],
    ids=["kept unevaluated", "evaluated", "a class without that option", "a pickling of its own"],
)
def test_a_function_of_sympy_is_not_evaluated_on_its_way(sympy: Any, make: Any, args: tuple[Any, ...]) -> None:
    names = {"__name__": "__main__", "e": make(sympy)}
    there: Any = load_namespace([bytearray(b) for b in dump_namespace(names, ["e"]).buffers], {}).values["e"]
    assert type(there) is type(names["e"])
    assert there.args == args
