"""What runs a notebook without anybody who looks: nbclient and papermill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.kernels.harness import under_test
from tests.matrix.table import Feature, Row

_CELLS = {
    "load": "%load_ext ipytimeout\nimport ipywidgets, time",
    "deadline": "%%timeout 1\nwhile True: pass",
    "update": "%%timeout 60\nshown = display('before', display_id=True)\nshown.update('after')",
    "widget": "%%timeout 60\nslider = ipywidgets.IntSlider()\ndisplay(slider)\nslider.value = 3",
    "input": "%%timeout 60\ninput()",
    "line": "%%timeout 60\ntime.sleep(0.1)",
}


def nbclient_row(name: str, directory: Path) -> Row:
    return _row(name, directory, _run_by_nbclient)


def papermill_row(name: str, directory: Path) -> Row:
    return _row(name, directory, _run_by_papermill)


def _row(name: str, directory: Path, run: Callable[[Path, Path], None]) -> Row:
    row = Row(name)
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(source, metadata={"tags": ["raises-exception"]}) for source in _CELLS.values()
    ]
    directory.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, directory / "in.ipynb")
    run(directory / "in.ipynb", directory / "out.ipynb")
    done: Any = nbformat.read(directory / "out.ipynb", as_version=4)
    cells = [cell for cell in done.cells if cell.cell_type == "code"]  # papermill adds a remark of its own
    outputs = {each: cell.outputs for each, cell in zip(_CELLS, cells, strict=True)}
    with row.measuring(Feature.DEADLINE):
        assert [each.ename for each in outputs["deadline"] if each.output_type == "error"] == ["DeadlineExceeded"]
    with row.measuring(Feature.UPDATE):
        assert [each.data["text/plain"] for each in outputs["update"]][:1] == ["'after'"]
    with row.measuring(Feature.WIDGET):
        (view,) = [each for each in outputs["widget"] if "application/vnd.jupyter.widget-view+json" in each.data]
        model = view.data["application/vnd.jupyter.widget-view+json"]["model_id"]
        state = done.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
        assert state[model]["state"]["value"] == 3
    with row.measuring(Feature.INPUT):
        # There is nobody to ask: the native error.
        assert [each.ename for each in outputs["input"] if each.output_type == "error"] == ["StdinNotImplementedError"]
    with row.measuring(Feature.LINE):
        assert outputs["line"][-1].data["text/plain"].startswith("✓ 0.1 s of 1 min")
    return row


def _run_by_nbclient(source: Path, target: Path) -> None:
    notebook = nbformat.read(source, as_version=4)
    manager = under_test(AsyncKernelManager, sys.executable, source.parent)
    NotebookClient(notebook, km=manager, timeout=120, store_widget_state=True).execute()
    nbformat.write(notebook, target)


def _run_by_papermill(source: Path, target: Path) -> None:
    command = [sys.executable, "-m", "papermill", "-k", "python3", "--no-progress-bar", str(source), str(target)]
    subprocess.run(command, capture_output=True, text=True, cwd=source.parent)
