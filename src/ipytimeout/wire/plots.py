"""matplotlib: figures, with what its own pickles leave out. In both processes; matplotlib is not imported.

Its pickles are for files that are read years later. They leave out callbacks that were connected, the canvas and what
was drawn on it, whom an artist tells that it has changed, and a resolution that was set after the figure was made.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.by_name import OfALibrary

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: Canvases that are nothing but memory. Those of windows and pages belong to their process, and are made anew.
_CANVASES = ("backend_bases", *(f"backends.backend_{kind}" for kind in ("agg", "svg", "pdf", "ps")))


# ---------------------------------------------------------------- figures and other artists


def reduce_figure(figure: Any, pickler: NamespacePickler) -> Any:
    """One that pyplot does not have open is all its attributes; of one that is, pyplot makes the canvas anew."""
    if _is_open(figure) or type(figure.canvas).__module__.removeprefix("matplotlib.") not in _CANVASES:
        resolution = figure.dpi / figure.canvas.device_pixel_ratio
        reduced = reduce_artist(figure, pickler)
        if reduced[-1] is not _set_artist:
            return reduced
        return *reduced[:2], (*reduced[2], resolution), None, None, _set_figure
    return reduce_attributes(figure, pickler)


def _set_figure(figure: Any, states: tuple[dict[str, Any], dict[str, Any], float]) -> None:
    state, beside, resolution = states
    _set_artist(figure, (state, beside))
    if figure.dpi != resolution:
        figure.dpi = resolution


def _is_open(figure: Any) -> bool:
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    return helpers is not None and figure.canvas.manager in helpers.Gcf.figs.values()


def reduce_artist(artist: Any, pickler: NamespacePickler) -> Any:
    """As it pickles itself, and it goes on to tell its figure that it has changed."""
    reduced: Any = artist.__reduce_ex__(5)
    if not isinstance(reduced, tuple) or len(reduced) < 3 or type(reduced[2]) is not dict or any(reduced[3:]):
        return reduced  # taken apart in a way of its own
    beside = {name: vars(artist)[name] for name in ("stale_callback", "_stale") if name in vars(artist)}
    if vars(artist).get(_DATA_OF_CONTOURS) is not None:
        beside[_DATA_OF_CONTOURS] = DataOfContours()
    return reduced[0], reduced[1], (reduced[2], beside), None, None, _set_artist


#: Where a contour plot keeps what computes it: an object of C++ that no process can take apart.
_DATA_OF_CONTOURS = "_contour_generator"


class DataOfContours:
    """Stands for it in another process. All but one call is done without: ``contour`` of a contour plot."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(
            "a contour plot comes to another process without the data that it was computed from: "
            "give contour() or contourf() the data again, not the plot"
        )


def reduce_path(path: Any, pickler: NamespacePickler) -> Any:
    """The paths that all ticks and markers of a kind share stay one; others travel as usual."""
    markers = sys.modules.get("matplotlib.markers")
    for owner in (markers, getattr(markers, "MarkerStyle", None)):
        for name, shared in vars(owner).items() if owner is not None else ():
            if shared is path:
                return getattr, (owner, name)
    return NotImplemented


def reduce_colours(colormap: Any, pickler: NamespacePickler) -> Any:
    """The colours of one of matplotlib's own are a list that all of its copies share, in each process its own."""
    colours = vars(colormap).get("colors")
    data: dict[str, Any] = getattr(sys.modules.get("matplotlib._cm_listed"), "__dict__", {})
    name = next((name for name, value in data.items() if value is colours), None)
    if name is None or type(colours) is not list:
        return NotImplemented
    state = {**vars(colormap), "colors": OfALibrary("matplotlib._cm_listed", name, colours)}
    return _new, (type(colormap),), state, None, None, _set_attributes


def reduce_attributes(obj: Any, pickler: NamespacePickler) -> Any:
    """All attributes, as they are: the counter of a figure's axes too, by which the newest is found."""
    return _new, (type(obj),), dict(vars(obj)), None, None, _set_attributes


def _new(cls: Any) -> Any:
    return cls.__new__(cls)


def _set_attributes(obj: Any, state: dict[str, Any]) -> None:
    vars(obj).update(state)


def _set_artist(artist: Any, states: Sequence[dict[str, Any]]) -> None:
    state, beside = states
    with shown_by_nobody():
        artist.__setstate__(dict(state)) if hasattr(artist, "__setstate__") else vars(artist).update(state)
    vars(artist).update(beside)


@contextlib.contextmanager
def shown_by_nobody() -> Iterator[None]:
    """Let a figure be opened without being shown: with ipympl, one that is opened is shown below the cell."""
    backend = getattr(sys.modules.get("ipympl.backend_nbagg"), "_Backend_ipympl", None)
    if backend is None:
        yield
        return
    before = list(backend._to_show), backend._draw_called
    try:
        yield
    finally:
        backend._to_show, backend._draw_called = before


# ---------------------------------------------------------------- axes that share their limits


def groups_of(axes: Any) -> Any:
    """Return which axes this one shares its limits with, by the name of the axis, and its twins."""
    shared = {name: _siblings(group, axes) for name, group in axes._shared_axes.items() if name in axes._axis_names}
    return shared, _siblings(axes._twinned_axes, axes)


def _siblings(group: Any, axes: Any) -> list[Any]:
    return sorted(group.get_siblings(axes), key=id) if axes in group else []


def put_groups(axes: Any, state: Any) -> None:
    """Let axes share what they share there; that they share no more comes of their removal alone."""
    shared, twins = state
    for group, siblings in ((axes._twinned_axes, twins), *((axes._shared_axes[name], s) for name, s in shared.items())):
        if siblings:
            group.join(*siblings)
        elif axes in group:
            group.remove(axes)


# ---------------------------------------------------------------- callbacks


def reduce_registry(registry: Any, pickler: NamespacePickler) -> Any:
    return _new, (type(registry),), callbacks_of(registry), None, None, put_callbacks


def callbacks_of(registry: Any) -> Any:
    """Return the state that its ``__setstate__`` takes, with all callbacks but those of windows and toolbars."""
    callbacks = {
        signal: {cid: function for cid, ref in refs.items() if (function := ref()) is not None and _travels(function)}
        for signal, refs in registry.callbacks.items()
    }
    number = registry._cid_gen.__reduce__()[1][0]  # the next one; asking for it would use it up
    pickled = set(registry._pickled_cids)
    return {
        **vars(registry),
        "callbacks": callbacks,
        "_func_cid_map": None,
        "_cid_gen": number,
        "_pickled_cids": pickled,
    }


def _travels(function: Any) -> bool:
    owner = type(getattr(function, "__self__", None))
    return not any(base.__module__.startswith("matplotlib.backend") for base in owner.__mro__)


def put_callbacks(registry: Any, state: Any) -> None:
    registry.__setstate__(dict(state))


# ---------------------------------------------------------------- what was drawn


def reduce_renderer(renderer: Any, pickler: NamespacePickler) -> Any:
    return _new, (type(renderer),), drawn_by(renderer), None, None, put_drawn


def drawn_by(renderer: Any) -> Any:
    """Return the size of a renderer of Agg, and its pixels."""
    return renderer.width, renderer.height, renderer.dpi, bytes(memoryview(renderer._renderer))


def put_drawn(renderer: Any, state: Any) -> None:
    *size, pixels = state
    if "_renderer" not in vars(renderer) or [renderer.width, renderer.height, renderer.dpi] != size:
        renderer.__init__(*size)
    memoryview(renderer._renderer).cast("B")[:] = pixels
