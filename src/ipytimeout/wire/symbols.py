"""sympy: expressions, as they are. In both processes; sympy is not imported.

An expression is pickled as its class and its arguments, and put together by evaluating it anew: ``x + x`` that was
kept by ``evaluate=False`` would come back as ``2*x``, and ``cos(x - pi/2)`` as ``sin(x)``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

_DOMAINS = "sympy.polys.domains"
#: Classes that evaluate when they are called, by name.
EVALUATED = ("sympy.core.add.Add", "sympy.core.mul.Mul", "sympy.core.power.Pow")
#: Classes whose subclasses do so too: functions, and comparisons.
EVALUATED_KINDS = ("sympy.core.function.Application", "sympy.core.relational.Relational")


def reduce_expression(expression: Any, pickler: NamespacePickler) -> Any:
    cls = type(expression)
    if f"{cls.__module__}.{cls.__qualname__}" not in EVALUATED:
        return NotImplemented  # a class made of these puts itself together
    return make_expression, (cls, expression.args)


def reduce_applied(expression: Any, pickler: NamespacePickler) -> Any:
    """A function of something, or a comparison: the class is given arguments and nothing else, or knows better."""
    cls = type(expression)
    usual = sys.modules["sympy.core.basic"].Basic
    if cls.__module__ is None or any(getattr(cls, name) is not getattr(usual, name) for name in _PICKLING):
        return NotImplemented
    return make_applied, (cls, expression.args)


_PICKLING = ("__reduce_ex__", "__getnewargs__", "__getstate__")


def reduce_domain(domain: Any, pickler: NamespacePickler) -> Any:
    """One that there is one of, as ``QQ`` and ``EXRAW``, by its name."""
    module = sys.modules.get(_DOMAINS)
    name = next((name for name, value in vars(module).items() if value is domain), "") if module is not None else ""
    return (getattr, (module, name)) if name else NotImplemented


def make_expression(cls: Any, args: tuple[Any, ...]) -> Any:
    return cls(*args, evaluate=False)


def make_applied(cls: Any, args: tuple[Any, ...]) -> Any:
    try:
        made = cls(*args, evaluate=False)
    except TypeError:  # it has no such option
        return cls(*args)
    return made if type(made) is cls and made.args == args else cls(*args)
