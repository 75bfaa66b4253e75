"""ipywidgets: how a widget travels, and stays the same one on the page. In both processes; ipywidgets is not imported.

A widget is known to the page by the id of its comm. Its traits, observers and callbacks travel by value; its comm does
not: in the child a widget of the notebook gets one of the child's own with the same id (``WIDGETS.on_rebuilt``), and in
the host a widget that the code has made gets the one that was opened for it, when the names are put in place.

Law of the file: rebuilding a widget says nothing to the page, and neither does dropping one that was rebuilt: without
its comm it is no more than a record.
"""

from __future__ import annotations

import copyreg
import functools
import sys
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ipytimeout.wire.facets import SingleFacet, Swap

if TYPE_CHECKING:
    from ipytimeout.wire.facets import Sight
    from ipytimeout.wire.streams import NamespacePickler

#: What ``HasTraits`` makes anew, or what is bound to the process.
_OF_TRAITLETS = frozenset({"_trait_values", "_trait_notifiers", "_trait_validators", "_cross_validation_lock"})
#: By trait, then by the kind of notification.
_Observers: TypeAlias = dict[str, dict[Any, list[Any]]]


def is_widget(obj: object) -> bool:
    """Tell whether this is a widget, without importing any."""
    module = sys.modules.get("ipywidgets.widgets.widget")
    return module is not None and isinstance(obj, module.Widget)


def reduce_widget(widget: Any, pickler: NamespacePickler) -> Any:
    """A widget, with its traits, observers and attributes; unless its class has a way of its own."""
    usual: Any = object
    if type(widget).__reduce_ex__ is not usual.__reduce_ex__ or type(widget).__reduce__ is not usual.__reduce__:
        return NotImplemented
    own = widget.comm
    state = own.comm_id if own is not None else None, _values(widget), observers_of(widget), _attributes(widget)
    return copyreg.__newobj__, (type(widget),), state, None, None, set_widget  # type: ignore[attr-defined]


def set_widget(widget: Any, state: tuple[str | None, dict[str, Any], _Observers, dict[str, Any]]) -> None:
    comm_id, values, observers, attributes = state
    vars(widget).update(attributes, _model_id=comm_id)
    widget._trait_values.update(values)
    _put_observers(widget, observers)
    if comm_id is None:
        return
    if WIDGETS.on_rebuilt is not None:
        WIDGETS.on_rebuilt(widget, comm_id)
    else:
        WIDGETS.rebuilt[comm_id] = widget


def _values(widget: Any) -> dict[str, Any]:
    return {name: value for name, value in widget._trait_values.items() if name != "comm"}


def _attributes(widget: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(widget).items() if name not in _OF_TRAITLETS}


def observers_of(widget: Any) -> _Observers:
    """Return what was registered on this very widget; what its class declares, every instance has."""
    declared: Any = sys.modules["traitlets"].EventHandler
    found: _Observers = {}
    for name, kinds in widget._trait_notifiers.items():
        for kind, handlers in kinds.items():
            if own := [handler for handler in handlers if not isinstance(handler, declared)]:
                found.setdefault(name, {})[kind] = own
    return found


def _put_observers(widget: Any, observers: _Observers) -> None:
    """Let these be the ones that were registered on this very widget."""
    declared: Any = sys.modules["traitlets"].EventHandler
    notifiers = widget._trait_notifiers
    for kinds in notifiers.values():
        for handlers in kinds.values():
            handlers[:] = [handler for handler in handlers if isinstance(handler, declared)]
    for name, kinds in observers.items():
        for kind, handlers in kinds.items():
            notifiers.setdefault(name, {}).setdefault(kind, []).extend(handlers)


class Traits(SingleFacet):
    """The traits, observers and attributes of a widget. A change is put back without a notification: the observers
    were called where it happened, and the page was told there.
    """

    code = "widget"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        parts = _values(obj), _attributes(obj)
        owned = [
            {name: sight.fingerprint(value) for name, value in part.items() if not sight.shared(value)}
            for part in parts
        ]
        return parts, owned, observers_of(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        parts, owned, observers = before
        changed = []
        for now, old, prints in zip((_values(obj), _attributes(obj)), parts, owned, strict=True):
            new = {
                name: value
                for name, value in now.items()
                if name not in old
                or value is not old[name]
                or (name in prints and sight.fingerprint(value) != prints[name])
            }
            changed.append((new, sorted(old.keys() - now.keys())))
        now_observed = observers_of(obj)
        same = now_observed == observers
        if same and not any(new or gone for new, gone in changed):
            return None
        return (*changed, None if same else now_observed)

    def swap(self, obj: Any, delta: Any) -> Swap:
        return Swap(
            functools.partial(_put, obj, *delta),
            functools.partial(_put_back, obj, _values(obj), _attributes(obj), observers_of(obj)),
        )


def _put(widget: Any, values: Any, attributes: Any, observers: _Observers | None) -> None:
    for target, (new, gone) in ((widget._trait_values, values), (vars(widget), attributes)):
        target.update(new)
        for name in gone:
            target.pop(name, None)
    if observers is not None:
        _put_observers(widget, observers)


def _put_back(widget: Any, values: dict[str, Any], attributes: dict[str, Any], observers: _Observers) -> None:
    new_values = sorted(_values(widget).keys() - values.keys())
    new_attributes = sorted(_attributes(widget).keys() - attributes.keys())
    _put(widget, (values, new_values), (attributes, new_attributes), observers)


class Widgets:
    """All widgets of a process that have a comm, as process state: natively each lives as long as its kernel.

    Those that the code makes come back, whether a name refers to them or not; those of the host go where they are used.
    """

    module = "ipywidgets.widgets.widget"

    def __init__(self) -> None:
        #: In the child: gives a widget that was rebuilt its comm.
        self.on_rebuilt: Callable[[Any, str], None] | None = None
        #: In the host: the widgets that came back, by the ids of their comms, until they have them.
        self.rebuilt: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        if self.on_rebuilt is None:
            return {}
        widgets = getattr(sys.modules[self.module], "_instances", {})
        return {f"{type(widget).__name__} {comm_id}": widget for comm_id, widget in list(widgets.items())}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        """Forget those that the code has closed; those that it has made need no more than to be rebuilt."""
        widgets: dict[str, Any] = getattr(sys.modules[self.module], "_instances", {})
        for key in gone:
            if (widget := widgets.pop(key.rpartition(" ")[2], None)) is not None:
                # The page has been told already.
                widget.comm = widget._repr_mimebundle_ = None


WIDGETS = Widgets()
