"""sympy: expressions, as they are. In both processes; sympy is not imported.

An expression is pickled as its class and its arguments, and put together by evaluating it anew: ``x + x`` that was
kept by ``evaluate=False`` would come back as ``2*x``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: Classes that evaluate when they are called, by name.
EVALUATED = ("sympy.core.add.Add", "sympy.core.mul.Mul", "sympy.core.power.Pow")


def reduce_expression(expression: Any, pickler: NamespacePickler) -> Any:
    cls = type(expression)
    if f"{cls.__module__}.{cls.__qualname__}" not in EVALUATED:
        return NotImplemented  # a class made of these puts itself together
    return make_expression, (cls, expression.args)


def make_expression(cls: Any, args: tuple[Any, ...]) -> Any:
    return cls(*args, evaluate=False)
