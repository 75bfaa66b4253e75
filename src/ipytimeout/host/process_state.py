"""What the notebook has set in this process, beside names: sent with a run, taken back after it. In the user's process.

What is set in how many ways is in ``wire.adapters``; here is what the host keeps from run to run.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from typing import Any

from ipytimeout.host.shell import current_shell, inputs_so_far
from ipytimeout.wire.adapters import LAST, Adapters, Delta, Items, found_elsewhere, load
from ipytimeout.wire.adapters.interpreter import SHOWN
from ipytimeout.wire.adapters.packing import PLAIN, Packed
from ipytimeout.wire.cell_text import CellText
from ipytimeout.wire.messages.to_child import Rehearse
from ipytimeout.wire.pickling import dump_namespace
from ipytimeout.wire.state import read_state

_packed = Packed()
_rehearsal: Rehearse | None = None


@functools.cache
def elsewhere() -> list[str]:
    """Return the adapters that other packages have; looked up once."""
    return found_elsewhere()


@functools.cache
def _adapters() -> Adapters:
    """Return the adapters, which know at first what earlier cells have set on modules."""
    adapters = load(elsewhere())
    if (shell := current_shell()) is not None:
        for code in inputs_so_far(shell):
            adapters.learn(CellText(code, shell.transform_cell), shell.user_ns)
    return adapters


def learn(text: CellText, namespace: Mapping[str, Any]) -> None:
    """Note what a cell sets on modules."""
    _adapters().learn(text, namespace)


def cells_are_told(told: bool) -> None:
    """Whether ``learn`` and ``code_ran`` are called after each cell."""
    SHOWN.is_said, SHOWN.may_be_new = told, True
    if not told:
        _adapters.cache_clear()


def code_ran() -> None:
    """Note that code of the notebook has run here, and may have shown warnings."""
    SHOWN.may_be_new = True


def to_send() -> dict[str, Any]:
    """Return what is set, under pseudo-names, to go beside the names of the notebook."""
    items = _adapters().read()
    items.pop("widgets", None)  # those that are used go with the names
    return _packed.pack(items)


def rehearsal() -> Rehearse:
    """Return what a run of this moment would be sent, for a spare; in another thread than the main one, the last."""
    global _rehearsal
    if _rehearsal is None or threading.current_thread() is threading.main_thread():
        _rehearsal = _rehearse(to_send()[PLAIN])
    return _rehearsal


def rehearsal_as_sent() -> Rehearse:
    """The same while a run goes on, from what it was sent: to look at all modules again would cost it milliseconds."""
    global _rehearsal
    if _rehearsal is None or threading.current_thread() is threading.main_thread():
        _rehearsal = _rehearse(_packed.plain)
    return _rehearsal


def _rehearse(plain: bytes) -> Rehearse:
    return Rehearse(read_state(), dump_namespace({}, (), {PLAIN: plain}).buffers)


def items() -> Items:
    """Return what is set here now."""
    return _adapters().read()


def take_back(delta: Delta) -> dict[str, str]:
    """Set here what the run has set. Return what could not be set, each with its reason."""
    return _adapters().write(delta)


def set_warnings_again(delta: Delta) -> None:
    """Set what the run has left of warnings, after imports here, which set filters in another order."""
    items, gone = delta
    take_back(
        (
            {key: value for key, value in items.items() if key[0] in _OF_WARNINGS},
            [key for key in gone if key[0] in _OF_WARNINGS],
        )
    )


_OF_WARNINGS = ("warnings", LAST)
