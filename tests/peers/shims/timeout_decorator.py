"""``timeout-decorator`` 0.5, on ipytimeout. Signals, or a process: here it is a process always."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import ipytimeout


class TimeoutError(AssertionError):  # noqa: A001  # its name there
    """Raised at the deadline."""

    def __init__(self, value: str = "Timed Out") -> None:
        super().__init__(value)


def timeout(
    seconds: float | None = None,
    use_signals: bool = True,
    timeout_exception: type[BaseException] = TimeoutError,
    exception_message: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function a deadline; each call may have another, as ``timeout=``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            limit = kwargs.pop("timeout", seconds)
            if not limit:
                return function(*args, **kwargs)
            try:
                return ipytimeout.timeout(limit, kill_after=0).run(function, *args, **kwargs)
            except ipytimeout.DeadlineExceeded:
                raise (timeout_exception(exception_message) if exception_message else timeout_exception()) from None

        return wrapper

    return decorate
