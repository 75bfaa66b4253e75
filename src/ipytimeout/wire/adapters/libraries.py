"""What is set in libraries: numpy, pandas, polars, scikit-learn, sympy, torch.

In host and child, main thread; see ``adapters``.
"""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any


class _Sympy:
    """What ``init_printing`` sets: how expressions are shown."""

    module = "sympy.printing.defaults"
    _shown_by = ("_repr_png_", "_repr_latex_", "_repr_svg_")

    def read(self) -> dict[str, Any]:
        own = vars(sys.modules[self.module].Printable)
        found = {name: own[name] for name in self._shown_by if type(own.get(name)) is types.FunctionType}
        printer: Any = sys.modules.get("sympy.printing.printer")
        symbols: Any = sys.modules.get("sympy.printing.pretty.pretty_symbology")
        if hasattr(printer, "Printer"):
            found["settings"] = dict(printer.Printer._global_settings)
        if hasattr(symbols, "_use_unicode"):
            found["unicode"] = symbols._use_unicode
        return found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        printable = sys.modules[self.module].Printable
        for name, value in items.items():
            if name == "settings":
                settings = sys.modules["sympy.printing.printer"].Printer._global_settings
                settings.clear()
                settings.update(value)
            elif name == "unicode":
                vars(sys.modules["sympy.printing.pretty.pretty_symbology"])["_use_unicode"] = value
            else:
                setattr(printable, name, value)
        for name in gone:
            if name in self._shown_by:
                setattr(printable, name, printable._repr_disabled)


class _Counters:
    """Numbers that sympy gives to what must be told apart: two dummies with the same number would be equal."""

    module = "sympy.core.symbol"
    _where = (
        ("sympy.core.symbol", "Dummy", "_count"),
        ("sympy.core.symbol", "Dummy", "_base_dummy_index"),
        ("sympy.physics.vector.frame", "ReferenceFrame", "_count"),
    )

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for module, owner, name in self._where:
            value = getattr(getattr(sys.modules.get(module), owner, None), name, None)
            if type(value) is int:
                found[f"{module} {owner} {name}"] = value
        return found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for item, value in items.items():
            module, owner, name = item.split()
            setattr(getattr(importlib.import_module(module), owner), name, value)


class _Pandas:
    """``pd.options``."""

    module = "pandas"

    def read(self) -> dict[str, Any]:
        options = getattr(sys.modules["pandas"], "options", None)
        return _flat(options.d) if options is not None else {}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that an option is deprecated was said where it was set
            for name, value in items.items():
                sys.modules["pandas"].set_option(name, value)


class _Accessors:
    """What the notebook has registered on the classes of a library, under a name of its own.

    By ``@pd.api.extensions.register_dataframe_accessor("geo")`` and ``@pl.api.register_expr_namespace("geo")``.
    """

    def __init__(self, module: str, kinds: tuple[str, ...], held: str, register: str) -> None:
        """``held``: the attribute that holds what was registered; ``register``: the function, without the kind."""
        self.module = module
        self._kinds = kinds
        self._held = held
        self._register = register

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for kind in self._kinds:
            owner = getattr(sys.modules[self.module], kind, None)
            for name in getattr(owner, "_accessors", ()):
                own = getattr(vars(owner).get(name), self._held, None)
                if getattr(own, "__module__", "") == "__main__":
                    found[f"{kind}.{name}"] = own
        return found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        library = sys.modules[self.module]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it takes another's place was said where it was registered
            for item, own in items.items():
                kind, _, name = item.partition(".")
                attrgetter(self._register.format(kind.lower()))(library)(name)(own)
        for item in gone:
            kind, _, name = item.partition(".")
            owner = getattr(library, kind)
            owner._accessors.discard(name)
            delattr(owner, name)


class _Polars:
    """How numbers are shown; the rest of ``pl.Config`` is in the environment."""

    module = "polars.config"

    def read(self) -> dict[str, Any]:
        return {name: read() for name, read in sys.modules[self.module]._POLARS_CFG_DIRECT_VARS.items()}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for name, value in items.items():
            getattr(sys.modules[self.module].Config, name)(value)


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


class _Numpy:
    """How arrays are printed, and what happens on floating-point errors."""

    module = "numpy"

    def read(self) -> dict[str, Any]:
        numpy = sys.modules["numpy"]
        if not hasattr(numpy, "geterrcall"):
            return {}  # it is only just being imported
        return {"print options": numpy.get_printoptions(), "errors": numpy.geterr(), "errcall": numpy.geterrcall()}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        numpy = sys.modules["numpy"]
        if "print options" in items:
            numpy.set_printoptions(**items["print options"])
        if "errors" in items:
            numpy.seterr(**items["errors"])
        if "errcall" in items:
            numpy.seterrcall(items["errcall"])


class _Sklearn:
    """``sklearn.set_config``, and how many diagrams were shown: each has a number of its own on the page."""

    module = "sklearn"
    _counters = ("_CONTAINER_ID_COUNTER", "_ESTIMATOR_ID_COUNTER")
    _diagrams = "sklearn.utils._repr_html.estimator"

    def read(self) -> dict[str, Any]:
        sklearn = sys.modules["sklearn"]
        if not hasattr(sklearn, "get_config"):
            return {}
        found = {f"config {name}": value for name, value in sklearn.get_config().items()}
        module = sys.modules.get(self._diagrams)
        for name in self._counters:
            count = getattr(getattr(module, name, None), "count", None)
            if count is not None:
                found[f"counter {name}"] = count
        return found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        words = {tuple(item.split(" ", 1)): value for item, value in items.items()}
        config = {name: value for (kind, name), value in words.items() if kind == "config"}
        if config:
            sys.modules["sklearn"].set_config(**config)
        for (kind, name), value in words.items():
            if kind == "counter":
                getattr(importlib.import_module(self._diagrams), name).count = value


class _Torch:
    """The random generator of the CPU, the default dtype, and whether gradients are recorded."""

    module = "torch"

    def read(self) -> dict[str, Any]:
        torch = sys.modules["torch"]
        if not hasattr(torch, "get_rng_state"):
            return {}
        return {
            "random generator": torch.get_rng_state().numpy().tobytes(),
            "default dtype": torch.get_default_dtype(),
            "gradients": torch.is_grad_enabled(),
        }

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        torch = sys.modules["torch"]
        if "random generator" in items:
            torch.set_rng_state(torch.frombuffer(bytearray(items["random generator"]), dtype=torch.uint8))
        if "default dtype" in items:
            torch.set_default_dtype(items["default dtype"])
        if "gradients" in items:
            torch.set_grad_enabled(items["gradients"])


PANDAS, NUMPY, TORCH, POLARS = _Pandas(), _Numpy(), _Torch(), _Polars()
SKLEARN, SYMPY, COUNTERS = _Sklearn(), _Sympy(), _Counters()
ACCESSORS = _Accessors("pandas", ("DataFrame", "Series", "Index"), "_accessor", "api.extensions.register_{}_accessor")
NAMESPACES = _Accessors("polars", ("DataFrame", "Expr", "LazyFrame", "Series"), "_ns", "api.register_{}_namespace")
