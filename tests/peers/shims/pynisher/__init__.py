"""``pynisher`` 1.0, on ipytimeout: its limits of wall time and memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import inf
from typing import Any, Self

from pynisher.util import memconvert

from ipytimeout import DeadlineExceeded, MemoryLimitExceeded, timeout

#: The methods that the suite tries, by the name that the package has for what is most like it.
_STARTS = {"fork": "warm", "forkserver": "warm", "spawn": "spawn"}
contexts = list(_STARTS)


class PynisherException(Exception):
    pass


class TimeoutException(PynisherException):
    pass


class WallTimeoutException(TimeoutException):
    pass


class CpuTimeoutException(TimeoutException):
    pass


class MemoryLimitException(PynisherException, MemoryError):
    pass


class _Empty:
    """What there is instead of a value."""


EMPTY = _Empty()


def supports(limit: str) -> bool:
    """Tell whether there is such a limit; none of CPU time."""
    return limit in ("wall_time", "memory", "decorator")


def supports_walltime() -> bool:
    return True


def supports_memory() -> bool:
    return True


def supports_limit_decorator() -> bool:
    return True


class Pynisher:
    """A function with limits."""

    def __init__(
        self,
        func: Callable[..., Any],
        *,
        name: str = "",
        memory: int | tuple[float, str] | None = None,
        cpu_time: int | None = None,
        wall_time: float | tuple[float, str] | None = None,
        context: str = "fork",
        raises: bool = True,
        **others: Any,
    ) -> None:
        if not callable(func):
            raise ValueError(f"func is called, and {func!r} cannot be")
        for limit, value in (("memory", memory), ("cpu_time", cpu_time), ("wall_time", wall_time)):
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{limit} is at least 1, not {value}")
        if context not in _STARTS:
            raise ValueError(f"context is one of {contexts}, not {context!r}")
        if cpu_time is not None:
            raise NotImplementedError("there is no limit of CPU time")
        if isinstance(memory, tuple):
            memory = round(memconvert(memory[0], frm=memory[1]))
        if isinstance(wall_time, tuple):
            wall_time = wall_time[0] * {"s": 1, "m": 60, "h": 3600}[wall_time[1]]
        self._function, self._raises = func, raises
        limits: dict[str, Any] = {} if memory is None else {"memory": memory}
        self._limits = timeout(inf if wall_time is None else wall_time, kill_after=0, start=_STARTS[context], **limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is left to be done."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._call(args, kwargs)
        except Exception:
            if self._raises:
                raise
            return EMPTY

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return self._limits.run(self._function, *args, **kwargs)
        except DeadlineExceeded as error:
            raise WallTimeoutException(str(error)) from None
        except MemoryLimitExceeded as error:
            raise MemoryLimitException(str(error)) from None


limit = Pynisher


def restricted(*args: Any, **limits: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function with limits."""
    if args:
        raise ValueError("Please pass arguments to decorator `@restricted`")
    if limits.get("context") == "spawn":
        raise ValueError("a decorated function is not found by its name in a fresh interpreter")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        limited = Pynisher(function, **limits)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return limited(*args, **kwargs)

        return wrapper

    return decorate
