"""``wrapt_timeout_decorator`` 1.5, on ipytimeout. Signals, or a process: here it is a process always."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import ipytimeout

__all__ = ["timeout"]

_OPTIONS = ("dec_timeout", "use_signals", "timeout_exception", "exception_message", "dec_allow_eval")
_OF_PROCESSES = ("dec_hard_timeout", "dec_mp_reset_signals", "dec_poll_subprocess")


def timeout(dec_timeout: Any = None, use_signals: Any = True, **options: Any) -> Callable[..., Any]:
    """Give a function a deadline; each call may have options of its own."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            own = {"dec_timeout": dec_timeout, **options}
            own |= {name: kwargs.pop(name) for name in (*_OPTIONS, *_OF_PROCESSES) if name in kwargs}
            seconds = own["dec_timeout"]
            if isinstance(seconds, str):
                if own.get("dec_allow_eval"):
                    seconds = eval(seconds, {"args": args, "kwargs": kwargs, "instance": args[0] if args else None})
                else:
                    said = "the given or evaluated value for the timeout can not be converted to float"
                    raise ValueError(f'{said} : "{seconds}"')
            if not seconds:
                return function(*args, **kwargs)
            try:
                return ipytimeout.timeout(seconds, kill_after=0).run(function, *args, **kwargs)
            except ipytimeout.DeadlineExceeded:
                name = wrapper.__name__ or "(unknown name)"
                text = own.get("exception_message") or f"Function {name} timed out after {float(seconds)} seconds"
                raise (own.get("timeout_exception") or TimeoutError)(text) from None

        return wrapper

    return decorate
