"""What is set in matplotlib: options, registered colours, open figures.

In host and child, main thread; see ``adapters``.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any

from ipytimeout.wire.plots import shown_by_nobody


class _Matplotlib:
    """``rcParams``, read and written past its own access: that warns, and would choose a backend."""

    module = "matplotlib"
    #: The backend is for ``wire.state``: it is more than an option.
    _not_ours = frozenset({"backend"})

    def read(self) -> dict[str, Any]:
        params = getattr(sys.modules["matplotlib"], "rcParams", {})
        return {
            name: list(value) if type(value) is list else value
            for name, value in dict.items(params)
            if name not in self._not_ours
        }

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        dict.update(sys.modules["matplotlib"].rcParams, items)


class _Pyplot:
    """Figures that stay open from cell to cell, and whether they are drawn after each (``plt.ioff()``)."""

    module = "matplotlib.pyplot"

    def read(self) -> dict[str, Any]:
        pyplot = sys.modules[self.module]
        hook = getattr(pyplot, "_REPL_DISPLAYHOOK", None)
        managers = sys.modules["matplotlib._pylab_helpers"].Gcf.figs
        found: dict[str, Any] = {f"figure {number}": each.canvas.figure for number, each in managers.items()}
        if found:
            found["current"] = next(reversed(managers))
        return {**found, "hook": hook.name} if hook is not None else found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        pyplot, open_ones = sys.modules[self.module], sys.modules["matplotlib._pylab_helpers"].Gcf
        for item in gone:
            if item.startswith("figure "):
                open_ones.destroy(int(item.removeprefix("figure ")))
        for item, value in items.items():
            if item.startswith("figure "):
                # One that was unpickled has opened itself, under a number of its own.
                for number in [number for number, each in open_ones.figs.items() if each.canvas.figure is value]:
                    _close_widgets(open_ones.figs.pop(number))
                make = pyplot._get_backend_mod().new_figure_manager_given_figure
                with shown_by_nobody():
                    open_ones._set_new_active_manager(make(int(item.removeprefix("figure ")), value))
            elif item == "hook":
                pyplot.uninstall_repl_displayhook() if value == "NONE" else pyplot.install_repl_displayhook()
        if "current" in items and items["current"] in open_ones.figs:
            open_ones.set_active(open_ones.figs[items["current"]])


def _close_widgets(manager: Any) -> None:
    """With ipympl, the canvas of a figure and its toolbar are widgets, which stay when nobody has them."""
    for widget in (manager.canvas, manager.toolbar):
        if (close := getattr(widget, "close", None)) is not None:
            close()


class _Colours:
    """What the notebook has registered by a name of its own: maps and sequences of colours."""

    module = "matplotlib"

    def read(self) -> dict[str, Any]:
        matplotlib = sys.modules["matplotlib"]
        maps: Any = getattr(matplotlib, "colormaps", None)
        sequences: Any = getattr(matplotlib, "color_sequences", None)
        own = getattr(maps, "_cmaps", {}).keys() - getattr(maps, "_builtin_cmaps", ())
        found: dict[str, Any] = {f"colormap {name}": maps[name] for name in own}
        own = getattr(sequences, "_color_sequences", {}).keys() - getattr(sequences, "_BUILTIN_COLOR_SEQUENCES", ())
        return {**found, **{f"color sequence {name}": sequences[name] for name in own}}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        matplotlib = sys.modules["matplotlib"]
        for item, value in items.items():
            if item.startswith("colormap "):
                matplotlib.colormaps.register(value, name=item.removeprefix("colormap "), force=True)
            else:
                name = item.removeprefix("color sequence ")
                matplotlib.color_sequences.unregister(name)  # harmless where there is none
                matplotlib.color_sequences.register(name, value)
        for item in gone:
            if item.startswith("colormap "):
                matplotlib.colormaps.unregister(item.removeprefix("colormap "))
            else:
                matplotlib.color_sequences.unregister(item.removeprefix("color sequence "))


MATPLOTLIB, PYPLOT, COLOURS = _Matplotlib(), _Pyplot(), _Colours()
