"""Charts, bars and media that are made in a timed cell, in a real JupyterLab: drawn as those of a native cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.front_ends import FrontEnd, Served, environment, served

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(900)]

#: JupyterLab draws the charts of Altair 5 without a network, those of a newer one not.
LIBRARIES = (
    "altair==5.*",
    "jupyterlab==4.6.* jupyterlab_widgets==3.*",
    "bokeh==3.* plotly==6.* anywidget ipympl tqdm rich numpy pandas jupyter_bokeh",
    "-e .[notebooks]",
)
#: The code, and what is to be found in the output, as often as natively.
DRAWN = {
    "Plotly": (
        "import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=[1, 3, 2]), layout={'height': 220}).show()",
        ".js-plotly-plot .scatterlayer .trace",
    ),
    "Plotly as a widget": (
        "import plotly.graph_objects as go\ngo.FigureWidget(go.Scatter(y=[1, 3, 2]), layout={'height': 220})",
        ".js-plotly-plot .scatterlayer .trace",
    ),
    "Altair": (
        (
            "import altair as alt; _ = alt.renderers.enable('mimetype')\n"
            "alt.Chart(alt.Data(values=[{'x': 1}, {'x': 2}])).mark_bar().encode(x='x:Q', y='x:Q')"
        ),
        ".vega-embed canvas, .vega-embed svg.marks",
    ),
    "Bokeh": (
        "from bokeh.plotting import figure, show\nplot = figure(height=200)\nplot.line([1, 2], [3, 4])\nshow(plot)",
        ".bk-Figure",
    ),
    "matplotlib": (
        "import matplotlib.pyplot as plt\nplt.figure(figsize=(3, 1)); plt.plot([1, 3, 2]); plt.show()",
        "img[src^='data:image/png']",
    ),
    "matplotlib as a widget": (
        "%matplotlib widget\nfigure = plt.figure(figsize=(3, 1)); plt.plot([1, 3, 2]); plt.show()",
        ".jupyter-matplotlib canvas",
    ),
    "rich": (
        "from rich.progress import track\nfor _ in track(range(3), description='rich at work'): time.sleep(0.1)",
        "pre:has-text('rich at work')",
    ),
    "tqdm": (
        "from tqdm.auto import tqdm\nfor _ in tqdm(range(5)): time.sleep(0.1)",
        ".widget-hprogress .progress-bar-success, .widget-hprogress.progress-bar-success, .progress-bar",
    ),
    "interact": ("ipywidgets.interact(lambda x: x * 10, x=(0, 10));", ".noUi-handle"),
    "audio": (
        "import numpy as np\nfrom IPython.display import Audio\nAudio(np.zeros(800), rate=8000)",
        "audio source[src^='data:audio'], audio[src^='data:audio']",
    ),
    "Javascript": (
        "from IPython.display import Javascript\nJavascript(\"element.innerHTML = '<b class=drawn>drawn</b>'\")",
        "b.drawn",
    ),
}
_LOAD = (
    "%load_ext ipytimeout\nimport time, ipywidgets, warnings; warnings.simplefilter('ignore')\n"
    "from bokeh.io import output_notebook\nfrom bokeh.resources import INLINE\n"
    "output_notebook(INLINE, hide_banner=True)"
)


def _drawn(notebook: Served, number: int, selector: str) -> int:
    """Run a cell; return how often the selector is found in its output, once the page has drawn it."""
    notebook.run_to_the_end(number)
    found = notebook.cell(number).locator(".jp-Cell-outputArea").locator(selector)
    for _ in range(40):
        if found.count():
            break
        notebook.page.wait_for_timeout(250)
    return found.count()


def test_what_a_library_draws_natively_it_draws_in_a_timed_cell(tmp_path: Path) -> None:
    """The timed cell comes first: it has nothing of what a native cell has loaded."""
    cells = [_LOAD]
    for code, _ in DRAWN.values():
        cells += [f"%%timeout -q 60\n{code}", code]
    front_end = FrontEnd("lab", "4.6 with libraries", LIBRARIES)
    with served(front_end, environment(*LIBRARIES), cells, tmp_path) as notebook:
        notebook.run_to_the_end(0)
        drawn = {}
        for number, (name, (_, selector)) in enumerate(DRAWN.items()):
            drawn[name] = tuple(_drawn(notebook, 1 + 2 * number + native, selector) for native in (0, 1))
            for native in (0, 1):
                picture = tmp_path / f"{name}-{'native' if native else 'timed'}.png"
                notebook.cell(1 + 2 * number + native).screenshot(path=picture)
    assert {name for name, (timed, native) in drawn.items() if timed != native or not native} == set(), drawn
