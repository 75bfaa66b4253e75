"""Charts of Plotly, Altair and Bokeh: a timed cell displays what a native one displays; in real kernels."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.front_ends import environment
from tests.e2e.test_charts import LIBRARIES as FRONT_END_LIBRARIES
from tests.kernels.harness import Kernel

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

_LIBRARIES = ("plotly==6.*", "altair bokeh nbformat numpy pandas", "-e .[notebooks]")
#: Cells in pairs: what one of a pair sets, the other shows.
CELLS = [
    "%load_ext ipytimeout",
    "import altair as alt, numpy as np, pandas as pd, plotly.graph_objects as go, plotly.io as pio",
    # Bokeh
    "from bokeh.io import curdoc, output_notebook\nfrom bokeh.plotting import figure, show\noutput_notebook(hide_banner=True)",
    "plot = figure(height=200)\nplot.line([1, 2], [3, 4])\nshow(plot)",
    "other = figure(title='other')\nother.scatter([1, 2], [3, 4])",
    "show(other)",
    "plot.title.text = 'changed'",
    "show(plot)",
    "curdoc().theme = 'dark_minimal'",
    "show(figure(height=100))",
    "from bokeh.settings import settings\nsettings.resources = 'inline'",
    "from bokeh.resources import Resources\nprint(settings.resources())",
    "del settings.resources",
    "from bokeh.models import ColumnDataSource\nsource = ColumnDataSource({'x': np.arange(3), 'y': np.ones(3)})",
    "both = figure()\nboth.line('x', 'y', source=source)\nshow(both)",
    "source.stream({'x': [3], 'y': [4]})\nlen(source.data['x']), both.renderers[0].data_source is source",
    # Plotly
    "chart = go.Figure(go.Scatter(y=[1, 3, 2]), layout={'template': 'none'})",
    "chart",
    "pio.renderers.default = 'json'",
    "chart",
    "chart.show()",
    "pio.renderers.default = 'plotly_mimetype'\npio.renderers['plotly_mimetype'].config = {'displaylogo': False}",
    "chart",
    "pio.renderers['mine'] = type(pio.renderers['iframe'])(html_directory='charts')\npio.renderers.default = 'mine+json'",
    "chart.show()",
    "pio.renderers.default = 'json'",
    "pio.templates['large'] = go.layout.Template(layout_font_size=30)\npio.templates.default = 'plotly_white+large'",
    "go.Figure(go.Bar(y=[1, 2]))",
    "pio.templates['plotly_white'].layout.font.size = 20",
    "go.Figure(go.Bar(y=[1, 2])), pio.templates['plotly_white'].layout.font.size",
    "pio.templates['plotly_white'].layout.font.size = None",
    "pio.templates['plotly_white'].layout.font, list(pio.templates)",
    "pio.renderers.default = 'notebook_connected'",
    "chart.show()",
    "chart.show()",
    "pio.renderers.default, pio.templates.default, 'mine' in pio.renderers",
    "pd.options.plotting.backend = 'plotly'",
    "pd.DataFrame({'a': [1, 2]}).plot()",
    # Altair
    "data = pd.DataFrame({'x': range(3), 'y': [4, 5, 6]})\nbars = alt.Chart(data).mark_bar().encode(x='x:Q', y='y:Q')",
    "bars",
    "_ = alt.renderers.enable('mimetype')",
    "bars",
    "_ = alt.renderers.set_embed_options(actions=False)",
    "bars",
    "_ = alt.data_transformers.disable_max_rows()",
    "len(alt.Chart(pd.DataFrame({'x': range(6000)})).mark_point().encode(x='x:Q').to_json())",
    "alt.data_transformers.consolidate_datasets = False",
    "bars",
    "@alt.theme.register('mine', enable=True)\ndef theme(): return alt.theme.ThemeConfig({'background': 'pink'})",
    "bars",
    "_ = alt.theme.enable('dark')",
    "bars",
    "def plain(spec, **options): return {'text/plain': str(spec['mark']) + str(options)}\nalt.renderers.register('plain', plain)",
    "_ = alt.renderers.enable('plain', some='option')",
    "bars",
    "alt.renderers.register('plain', None); _ = alt.renderers.enable('default')",
    "bars",
    "sorted(set(alt.renderers.names()) & {'plain', 'html'}), alt.theme.names()[:3]",
]  # fmt: skip
#: What each process makes up anew: the names that elements have on a page.
_MADE_UP = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}|[0-9a-f]{32}")


def shown(directory: Path, timed: int) -> list[Any]:
    """Run the cells in a kernel of their own, every second one with a deadline; return what each has published."""
    directory.mkdir()
    kernel = Kernel(environment(*_LIBRARIES), directory)
    try:
        found = []
        for number, code in enumerate(CELLS):
            magic = "%%timeout -q 100\n" if number and number % 2 == timed else ""
            result = kernel.run(magic + code, 120)
            assert result.status == "ok", (code, result.text)
            published = [(kind, {**content, "execution_count": 0}) for kind, content in result.order]
            found.append((code, json.loads(_MADE_UP.sub("…", json.dumps(published)))))
        return found
    finally:
        kernel.close()


def test_charts_are_those_of_native_cells_whichever_of_two_cells_is_timed(tmp_path: Path) -> None:
    native = shown(tmp_path / "native", 2)
    for timed in (0, 1):
        for one, other in zip(native, shown(tmp_path / str(timed), timed), strict=True):
            assert other == one


def test_a_figure_that_is_a_widget_is_shown_where_its_cell_shows_it_and_nowhere_else(tmp_path: Path) -> None:
    """With ``%matplotlib widget`` a figure that is opened is shown: that of a run opens once more on each way."""
    kernel = Kernel(environment(*FRONT_END_LIBRARIES), tmp_path)
    try:
        kernel.run("%load_ext ipytimeout\n%matplotlib widget\nimport matplotlib.pyplot as plt")
        made = "{0} = plt.figure(); plt.plot([1, 2]); plt.show()"
        for code, shown in [
            ("%%timeout -q 60\n" + made.format("one"), ["Canvas"]),
            (made.format("two"), ["Canvas"]),
            ("kept = two.canvas.model_id", []),
            ("%%timeout -q 60\nprint('nothing')", []),
            ("%%timeout -q 60\n_ = plt.plot([3, 1]), one.suptitle('title')", []),
            ("len(one.axes[0].lines), len(two.axes[0].lines), plt.gcf() is two, plt.get_fignums()", ["(1, 2, T"]),
            ("one._suptitle.get_text(), two.canvas.model_id == kept", ["('title', True)"]),
            ("%%timeout -q 60\nplt.close('all')", []),
            ("plt.get_fignums()", ["[]"]),
        ]:
            result = kernel.run(code, 120)
            assert result.status == "ok", (code, result.text)
            texts = [output["data"]["text/plain"] for output in result.outputs]
            assert len(texts) == len(shown) and all(map(str.startswith, texts, shown)), (code, texts)
    finally:
        kernel.close()
