"""``func_timeout`` 4.3, on ipytimeout."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from ipytimeout import DeadlineExceeded, timeout

_THE_SAME = object()


class FunctionTimedOut(BaseException):
    """Raised at the deadline; knows the call, and can repeat it."""

    def __init__(
        self,
        msg: str = "",
        timedOutAfter: float | None = None,  # noqa: N803
        timedOutFunction: Callable[..., Any] | None = None,  # noqa: N803
        timedOutArgs: tuple[Any, ...] | None = None,  # noqa: N803
        timedOutKwargs: Mapping[str, Any] | None = None,  # noqa: N803
    ) -> None:
        name = getattr(timedOutFunction, "__name__", "a function")
        self.msg = msg or f"Function {name} timed out after {timedOutAfter} seconds.\n"
        super().__init__(self.msg)
        self.timedOutAfter, self.timedOutFunction = timedOutAfter, timedOutFunction
        self.timedOutArgs, self.timedOutKwargs = timedOutArgs or (), timedOutKwargs or {}

    def getMsg(self) -> str:
        return self.msg

    def retry(self, timeout: Any = _THE_SAME) -> Any:
        """Call again, with the same deadline, another, or (None) without one."""
        seconds = self.timedOutAfter if timeout is _THE_SAME else timeout
        assert self.timedOutFunction is not None
        if seconds is None:
            return self.timedOutFunction(*self.timedOutArgs, **self.timedOutKwargs)
        return func_timeout(seconds, self.timedOutFunction, self.timedOutArgs, self.timedOutKwargs)


def func_timeout(
    seconds: float, func: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
) -> Any:
    try:
        return timeout(seconds if seconds is not None else inf, kill_after=0).run(func, *args, **(kwargs or {}))
    except DeadlineExceeded:
        raise FunctionTimedOut("", seconds, func, args, kwargs) from None


def func_set_timeout(limit: Any, allowOverride: bool = False) -> Callable[..., Any]:  # noqa: N803
    """Give a function a deadline: a number, or a function of its arguments."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            use = limit
            if allowOverride and "forceTimeout" in kwargs:
                use = kwargs.pop("forceTimeout")
            elif inspect.isroutine(limit):
                use = limit(*args, **kwargs)
            return func_timeout(use, function, args, kwargs)

        return wrapper

    return decorate
