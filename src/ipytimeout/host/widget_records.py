"""Widgets of a child, for a page that is opened while it runs. In the thread that waits for the run.

A page that is opened, or reloaded, asks the kernel for the state of all widgets, and shows no other ones as long as it
is open (``jupyter.widget.control``, of ipywidgets 8). So those that the child has are among the kernel's: as records of
what was said of them so far. A subshell may answer the page, in its own thread.

Law of the file: a record is there as long as its run, and says nothing to anybody by itself.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ipytimeout.wire.messages import Buffer


class _Record:
    """What ``Widget`` is to who asks for the state of all."""

    def __init__(self, model_id: str, state: dict[str, Any]) -> None:
        self.model_id = model_id
        self.state = state
        self._model_name = state.get("_model_name")
        self._model_module = state.get("_model_module")
        self._model_module_version = state.get("_model_module_version")

    def get_state(self, key: object = None, drop_defaults: bool = False) -> dict[str, Any]:
        return dict(self.state)

    def _get_embed_state(self, drop_defaults: bool = False) -> dict[str, Any]:
        """What ipywidgets asks for, and does not use, before it asks for the state."""
        return {}

    def close(self) -> None:
        """It is the child's to close it."""


class WidgetRecords:
    """What a page has been told of the widgets of one run."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self._control = page_control()

    @property
    def were_asked_for(self) -> bool:
        """Whether a page was opened meanwhile."""
        return page_control() is not self._control

    def open(self, comm_id: str, data: Mapping[str, Any], buffers: Sequence[Buffer]) -> None:
        """Take note of a new one."""
        self._records[comm_id] = _Record(comm_id, _state(data, buffers))
        self.show()

    def note(self, comm_id: str, data: Mapping[str, Any], buffers: Sequence[Buffer]) -> None:
        """Take note of what is said of one, by the code or by the user."""
        record = self._records.get(comm_id)
        if record is not None and data.get("method") == "update":
            record.state |= _state(data, buffers)

    def show(self) -> None:
        """Have them among the kernel's own, if it has any."""
        for comm_id, record in self._records.items():
            _instances().setdefault(comm_id, record)

    def withdraw(self, comm_id: str) -> None:
        """Forget one."""
        record = self._records.pop(comm_id, None)
        if record is not None and _instances().get(comm_id) is record:
            del _instances()[comm_id]

    def withdraw_all(self) -> None:
        for comm_id in list(self._records):
            self.withdraw(comm_id)


def page_control() -> object:
    """Return the comm on which a page has asked last for the state of all widgets (``_control_comm``: ipywidgets 8)."""
    module: Any = sys.modules.get("ipywidgets.widgets.widget")
    return module.Widget._control_comm if module is not None else None


def _instances() -> dict[str, Any]:
    """Return ipywidgets' own list of all widgets (8.1); without ipywidgets, one that nobody sees."""
    module = sys.modules.get("ipywidgets.widgets.widget")
    instances: dict[str, Any] = getattr(module, "_instances", {})
    return instances


def _state(data: Mapping[str, Any], buffers: Sequence[Buffer]) -> dict[str, Any]:
    """Return the state in a message, with what is binary where it belongs."""
    state: Any = data.get("state")
    if not isinstance(state, dict):
        return {}
    paths = data.get("buffer_paths") or []
    whole: dict[str, Any] = copy.deepcopy(state) if paths else dict(state)
    for path, buffer in zip(paths, buffers, strict=False):
        place: Any = whole
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = bytes(buffer)
    return whole
