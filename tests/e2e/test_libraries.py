"""Libraries that draw in a page, in a real JupyterLab: a timed cell shows what a native one shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.front_ends import FrontEnd, Served, environment, served

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(900)]

REQUIREMENTS = (
    "plotly==7.*",
    "altair==6.* bokeh==3.* jupyter_bokeh==4.* anywidget tqdm rich numpy pandas",
    "jupyterlab==4.6.*",
    "jupyterlab_widgets==3.*",
    "-e .[notebooks]",
)
#: The code, and what is to be found in the output, as often as natively.
DRAWN = {
    "plotly": (
        "import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=[1, 3, 2]))",
        ".js-plotly-plot .scatterlayer .trace",
    ),
    "plotly, as a widget": (
        "import plotly.graph_objects as go\ngo.FigureWidget(go.Scatter(y=[1, 3, 2]))",
        ".js-plotly-plot .scatterlayer .trace",
    ),
    "altair": (
        "import altair as alt\nalt.Chart(alt.Data(values=[{'x': 1}, {'x': 2}])).mark_bar().encode(x='x:Q', y='x:Q')",
        ".vega-embed canvas, .vega-embed svg.marks",
    ),
    "bokeh": (
        "from bokeh.plotting import figure, show\nplot = figure(height=200)\nplot.line([1, 2], [3, 4])\nshow(plot)",
        ".bk-Figure",
    ),
    "rich": (
        "from rich.progress import track\nfor _ in track(range(3), description='rich at work'): time.sleep(0.1)",
        "pre:has-text('rich at work')",
    ),
    "tqdm.auto": (
        "from tqdm.auto import tqdm\nfor _ in tqdm(range(5)): time.sleep(0.1)",
        ".progress-bar-success, .bar-success, .jupyter-widgets.widget-hprogress",
    ),
    "interact": ("ipywidgets.interact(lambda x: x * 10, x=(0, 10));", ".noUi-handle"),
    "audio": (
        "import numpy as np\nfrom IPython.display import Audio\nAudio(np.zeros(800), rate=8000)",
        "audio[src^='data:audio']",
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


def _seen(notebook: Served, number: int, selector: str) -> int:
    """Run a cell; return how often the selector is found in its output, once the page has drawn it."""
    notebook.run_to_the_end(number)
    found = notebook.cell(number).locator(".jp-Cell-outputArea").locator(selector)
    for _ in range(20):
        if found.count():
            break
        notebook.page.wait_for_timeout(250)
    return found.count()


def test_what_a_library_draws_is_drawn_in_a_timed_cell(tmp_path: Path) -> None:
    """Natively first: where a page without a network draws nothing, a timed cell cannot either."""
    front_end = FrontEnd("lab", "4.6 with libraries", REQUIREMENTS)
    cells = [_LOAD]
    for code, _ in DRAWN.values():
        cells += [code, f"%%timeout -q 60\n{code}"]
    with served(front_end, environment(*REQUIREMENTS), cells, tmp_path) as notebook:
        notebook.run_to_the_end(0)
        seen = {}
        for number, (name, (_, selector)) in enumerate(DRAWN.items()):
            notebook.page.keyboard.press("Escape")
            seen[name] = tuple(_seen(notebook, 1 + 2 * number + timed, selector) for timed in (0, 1))
        notebook.page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert {name for name, (native, timed) in seen.items() if native != timed} == set(), seen
    assert {name for name, (native, _) in seen.items() if not native} == set(), seen
