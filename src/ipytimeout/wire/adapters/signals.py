"""What is to happen on a signal: handlers that the notebook has set, and what it has ignored.

In host and child, main thread; see ``adapters``. Law of the file: only what belongs to a notebook. The handlers of a
program are about the program, and a library's own are set where the library is.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping
from typing import Any

from ipytimeout.wire.adapters.shell import get_shell
from ipytimeout.wire.signals import COMM_SIGNAL, DEADLINE_SIGNAL, HARD_STACK_SIGNAL, STACK_SIGNAL

#: Each process has its own, or nobody can choose. A kernel sets SIGINT anew for each cell.
_NOT_OURS = frozenset(("SIGINT", "SIGKILL", "SIGSTOP", "SIGCHLD"))
_OURS = frozenset((COMM_SIGNAL, DEADLINE_SIGNAL, HARD_STACK_SIGNAL, STACK_SIGNAL))
_SIGNALS = {
    each.name: each
    for each in signal.Signals
    if each.name not in _NOT_OURS and each not in _OURS and not each.name.startswith("SIGRT")
}
_USUAL = (signal.SIG_DFL, signal.SIG_IGN)


class _Signals:
    """Items are named as the signals are."""

    module = "signal"

    def read(self) -> dict[str, Any]:
        if get_shell() is None:
            return {}
        found: dict[str, Any] = {}
        for name, signum in _SIGNALS.items():
            handler = signal.getsignal(signum)
            if any(handler is each for each in _USUAL) or _is_of_notebook(handler):
                found[name] = handler
        return found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for name, handler in items.items():
            signal.signal(_SIGNALS[name], handler)


def _is_of_notebook(handler: Any) -> bool:
    return getattr(getattr(handler, "__func__", handler), "__module__", "") == "__main__"


SIGNALS = _Signals()
