"""sympy: expressions, as they are. In both processes; sympy is not imported.

An expression is pickled as its class and its arguments, and put together by evaluating it anew: ``x + x`` that was
kept by ``evaluate=False`` would come back as ``2*x``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

_DOMAINS = "sympy.polys.domains"
#: Classes that evaluate when they are called, by name.
EVALUATED = ("sympy.core.add.Add", "sympy.core.mul.Mul", "sympy.core.power.Pow")


def reduce_expression(expression: Any, pickler: NamespacePickler) -> Any:
    cls = type(expression)
    if f"{cls.__module__}.{cls.__qualname__}" not in EVALUATED:
        return NotImplemented  # a class made of these puts itself together
    return make_expression, (cls, expression.args)


def reduce_domain(domain: Any, pickler: NamespacePickler) -> Any:
    """One that there is one of, as ``QQ`` and ``EXRAW``, by its name."""
    module = sys.modules.get(_DOMAINS)
    name = next((name for name, value in vars(module).items() if value is domain), "") if module is not None else ""
    return (getattr, (module, name)) if name else NotImplemented


def make_expression(cls: Any, args: tuple[Any, ...]) -> Any:
    return cls(*args, evaluate=False)
