"""Figures of matplotlib, both ways: what its own pickles leave out, and what its objects tell each other."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from .conftest import Notebook

AGG = "from matplotlib.backends.backend_agg import FigureCanvasAgg\nfrom matplotlib.figure import Figure\n"
FIGURE = (
    AGG
    + "fig = Figure(); canvas = FigureCanvasAgg(fig); ax = fig.subplots(); (line,) = ax.plot([1, 3]); seen = []; ax.get_xlim(); ax.get_ylim()\n"
)
BOTH = "fig = Figure(); a, b = fig.subplots(2)\n"


class Case(NamedTuple):
    title: str
    before: str
    timed: str
    after: str
    check: str


CASES = [
    Case("a callback of the notebook is called in the cell", FIGURE + "cid = ax.callbacks.connect('xlim_changed', lambda a: seen.append(a.get_xlim()))", "ax.set_xlim(0, 5)", "", "seen == [(0, 5)]"),
    Case("and after it", FIGURE + "ax.callbacks.connect('xlim_changed', lambda a: seen.append(a.get_xlim()))", "ax.set_ylim(0, 5)", "ax.set_xlim(0, 7)", "seen == [(0, 7)]"),
    Case("one that the cell connects", FIGURE, "def moved(a): seen.append(a)\nax.callbacks.connect('xlim_changed', moved)", "ax.set_xlim(0, 7)", "seen == [ax]"),
    Case("one of a figure that the cell makes", "", FIGURE + "def moved(a): seen.append(a)\ncid = ax.callbacks.connect('xlim_changed', moved)", "ax.set_xlim(0, 7); ax.callbacks.disconnect(cid); ax.set_xlim(0, 8)", "seen == [ax]"),
    Case("one that the cell disconnects", FIGURE + "cid = ax.callbacks.connect('xlim_changed', seen.append)", "ax.callbacks.disconnect(cid)", "ax.set_xlim(0, 7)", "seen == []"),
    Case("the numbers of callbacks go on", FIGURE + "first = canvas.mpl_connect('draw_event', seen.append)", "second = fig.canvas.mpl_connect('pick_event', seen.append)", "third = canvas.mpl_connect('close_event', seen.append)", "[second, third] == [first + 1, first + 2]"),
    Case("the canvas is the very same", FIGURE, "inside = fig.canvas is canvas; ax.set_title('t')", "", "inside and fig.canvas is canvas and canvas.figure is fig"),
    Case("the canvas of a figure that the cell makes draws", "", FIGURE, "fig.canvas.draw(); size = memoryview(fig.canvas.buffer_rgba()).shape", "fig.canvas is canvas and size == (480, 640, 4)"),
    Case("what was drawn goes along", FIGURE + "canvas.draw(); native = bytes(canvas.buffer_rgba())", "inside = bytes(fig.canvas.buffer_rgba())", "", "inside == native and len(set(native)) > 2"),
    Case("what the cell draws comes back", FIGURE + "canvas.draw(); before = bytes(canvas.buffer_rgba()); view = memoryview(canvas.buffer_rgba())", "line.set_color('red'); canvas.draw(); inside = bytes(canvas.buffer_rgba())", "", "inside == bytes(canvas.buffer_rgba()) == bytes(view) != before"),
    Case("a picture of another size", FIGURE + "canvas.draw()", "fig.set_size_inches(2, 1); canvas.draw()", "", "memoryview(canvas.buffer_rgba()).shape == (100, 200, 4)"),
    Case("a resolution that was set", FIGURE + "fig.set_dpi(150)", "inside = fig.dpi, fig.bbox.width", "", "inside == (150, 960) == (fig.dpi, fig.bbox.width)"),
    Case("a resolution that the cell sets", FIGURE, "fig.set_dpi(150)", "", "(fig.dpi, fig.bbox.width) == (150, 960)"),
    Case("of a figure that pyplot has open", "import matplotlib.pyplot as plt; fig = plt.figure(); fig.set_dpi(150)", "inside = fig.dpi, fig.bbox.width", "plt.close('all')", "inside == (150, 960)"),
    Case("an artist tells its figure that it has changed", "", FIGURE + "canvas.draw()", "clean = fig.stale; line.set_color('red')", "not clean and fig.stale and ax.stale"),
    Case("also in the cell", FIGURE + "canvas.draw()", "clean = fig.stale; line.set_color('red')", "", "not clean and fig.stale"),
    Case("axes that the cell lets share their limits", AGG + BOTH, "b.sharex(a)", "a.set_xlim(0, 7)", "b.get_xlim() == (0, 7) and a.get_shared_x_axes().joined(a, b)"),
    Case("axes that share their limits no more", AGG + "fig = Figure(); a, b = fig.subplots(2, sharex=True)", "b.remove()", "a.set_xlim(0, 7)", "not a.get_shared_x_axes().joined(a, b) and fig.axes == [a]"),
    Case("a twin that the cell makes", AGG + "fig = Figure(); a = fig.subplots()", "b = a.twinx(); b.plot([3, 4])", "a.set_xlim(0, 7)", "b.get_xlim() == (0, 7) and a.get_ylim() != b.get_ylim() and b in fig.axes"),
    Case("matplotlib's options, by any name", "import matplotlib\nrc = matplotlib.rcParams; mine = matplotlib.RcParams(rc)", "inside = rc is matplotlib.rcParams; rc['lines.linewidth'] = 7; mine['lines.linewidth'] = 8", "", "inside and rc is matplotlib.rcParams and [rc['lines.linewidth'], mine['lines.linewidth']] == [7, 8] and rc.update({'lines.linewidth': 1.5}) is None"),
    Case("matplotlib's maps of colours, by any name", "import matplotlib\nmaps = matplotlib.colormaps", "inside = maps is matplotlib.colormaps; fonts = __import__('matplotlib.font_manager').font_manager.fontManager", "", "inside and maps is matplotlib.colormaps and fonts is __import__('matplotlib.font_manager').font_manager.fontManager"),
    Case("maps of colours share the colours of matplotlib", AGG + "import matplotlib\none = matplotlib.colormaps['viridis']; own = matplotlib.colors.ListedColormap([[0, 0, 0], [1, 1, 1]])", "two = matplotlib.colormaps['viridis']; inside = two.colors is one.colors; picture = one(0.5); own.colors[0] = [1, 0, 0]", "", "inside and one.colors is two.colors is matplotlib.colormaps['viridis'].colors and one == two and one(0.5) == picture and own.colors == [[1, 0, 0], [1, 1, 1]]"),
    Case("the newest axes are the current ones", AGG + "fig = Figure(); a = fig.subplots()", "b = fig.add_subplot(); inside = fig.gca() is b", "c = fig.add_subplot()", "inside and fig.gca() is c"),
    Case("markers that draw nothing share their path", FIGURE, "(other,) = ax.plot([2, 1])", "", "other._marker.get_path() is line._marker.get_path()"),
    Case("ticks share theirs", FIGURE, "inset = ax.inset_axes([0, 0, 1, 1])", "", "len({id(a.xaxis.get_major_ticks()[0].tick1line._marker._path) for a in (ax, inset)}) == 1"),
    Case("the colours of a colour bar", AGG + "fig = Figure(); ax = fig.subplots(); image = ax.imshow([[1, 2]]); bar = fig.colorbar(image)", "ax.set_title('t')", "image.set_clim(0, 9)", "bar.vmax == 9 and image.colorbar is bar"),
    Case("a transformation follows its figure", AGG + "fig = Figure(); ax = fig.subplots()", "ax.set_title('t')", "fig.set_size_inches(2, 2)", "ax.transAxes.transform((1, 1)).round(3).tolist() == [180, 176]"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_figure_is_as_after_a_native_cell(notebook: Notebook, case: Case) -> None:
    """The check holds after the round trip, as it does when all three cells run natively."""
    notebook.cell(case.before)
    notebook.timed(case.timed)
    notebook.cell(case.after)
    assert notebook.left_behind == notebook.refused == {}
    assert notebook.value(case.check)


@pytest.mark.full
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_the_check_holds_natively(notebook: Notebook, case: Case) -> None:
    """So that a case is no wish."""
    for code in case[1:4]:
        notebook.cell(code)
    assert notebook.value(case.check)


CONTOURS = AGG + "fig = Figure(); ax = fig.subplots(); plot = ax.contour([[0, 1], [2, 3]])"


@pytest.mark.parametrize(("native", "timed", "after"), [(CONTOURS, "", ""), ("", CONTOURS, "ax.contour(plot)")])
def test_who_draws_a_contour_plot_anew_is_told_that_its_data_did_not_come_along(
    notebook: Notebook, native: str, timed: str, after: str
) -> None:
    """Everything else of it works, and in its own process that does too."""
    notebook.cell(native)
    notebook.timed(timed + "\nplot.set_linewidth(3); levels = len(plot.levels)")
    assert (notebook["levels"], set(notebook["plot"].get_linewidth())) == (len(notebook["plot"].levels), {3})
    with pytest.raises(RuntimeError, match="give contour\\(\\) or contourf\\(\\) the data again"):
        notebook.cell(after) if after else notebook.timed("ax.contour(plot)")
    if native:
        notebook.cell("ax.contour(plot)")
