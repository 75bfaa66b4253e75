"""Options of libraries: numpy, pandas, matplotlib, torch. See ``adapters``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Mapping
from typing import Any


class _Matplotlib:
    """``rcParams``, read and written past its own access: that warns, and would choose a backend."""

    module = "matplotlib"
    #: The backend is for ``wire.state``: it is more than an option.
    _not_ours = frozenset({"backend", "backend_fallback"})

    def read(self) -> dict[str, Any]:
        params = getattr(sys.modules["matplotlib"], "rcParams", {})
        return {
            name: list(value) if type(value) is list else value
            for name, value in dict.items(params)
            if name not in self._not_ours
        }

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        dict.update(sys.modules["matplotlib"].rcParams, items)


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


MATPLOTLIB, PANDAS, NUMPY, TORCH = _Matplotlib(), _Pandas(), _Numpy(), _Torch()
