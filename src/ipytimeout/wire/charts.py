"""How charts of Bokeh are taken apart and put together again: Bokeh itself has no way to. In both processes.

Law of the file: a model keeps its number, by which the page knows it, and takes no new one; the document of the
notebook is each process's own.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler


def reduce_model(model: Any, pickler: NamespacePickler) -> Any:
    """All attributes, as they are."""
    return object.__new__, (type(model),), dict(vars(model)), None, None, _set_attributes


def _set_attributes(model: Any, state: dict[str, Any]) -> None:
    vars(model).update(state)


def reduce_document(document: Any, pickler: NamespacePickler) -> Any:
    """The one that the notebook's charts are in stays that one."""
    state: Any = sys.modules.get("bokeh.io.state")
    if state is None or state._STATE is None or state._STATE.document is not document:
        return NotImplemented
    return document_of_the_notebook, ()


def document_of_the_notebook() -> Any:
    io: Any = importlib.import_module("bokeh.io")
    return io.curdoc()


def reduce_values(values: Any, pickler: NamespacePickler) -> Any:
    """A list, dict or set that tells the models it belongs to when it is changed: with what property it is of each."""
    owners = [(owner, descriptor.name) for owner, descriptor in values._owners]
    content = dict(values) if isinstance(values, dict) else list(values)
    return _new_values, (type(values),), (content, owners), None, None, _set_values


def _new_values(cls: Any) -> Any:
    values = cls.__new__(cls)
    values._owners = set()
    return values


def _set_values(values: Any, state: tuple[Any, list[tuple[Any, str]]]) -> None:
    content, owners = state
    if isinstance(values, dict):
        dict.update(values, content)
    elif isinstance(values, list):
        list.extend(values, content)
    else:
        set.update(values, content)
    values._owners.update((owner, type(owner).lookup(name)) for owner, name in owners)
