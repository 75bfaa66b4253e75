"""The notebooks of examples, run whole; what they print is what they say."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.kernels.environments import ENVIRONMENTS, REPOSITORY
from tests.kernels.harness import under_test

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(300)]

#: What the cells of each notebook print, by their ids.
PRINTED = {
    "grid_search": {
        "best": "best: {'C': 10, 'kernel': 'rbf'}\ntoo slow: [{'C': 1, 'kernel': 'rbf', 'patience': 60}]\n",
    },
    "background_training": {
        "watch": "running 0\n",
        "result": "10 True True\n",
        "cancel": "RunCancelled cancelled 10\n",
    },
    "grading": {
        "grade": "20 passed\n4 wrong for 3\n3 does not end\n2 SyntaxError\n1 died\n",
        "left": "left running: []\n",
    },
    "scraper": {
        "scrape": "1 → Page 1\n2 → Page 2\nendless → DeadlineExceeded\n3 → Page 3\nbroken → ValueError\n4 → Page 4\n",
        "await": "['Page 5', 'too slow', 'Page 6']\n",
    },
}


@pytest.mark.parametrize("kernel", ["ipykernel7", pytest.param("ipykernel6", marks=pytest.mark.full)])
@pytest.mark.parametrize("name", PRINTED)
def test_a_notebook_of_examples_prints_what_it_says(name: str, kernel: str, tmp_path: Path) -> None:
    """On either kernel; in the gate on the newer one."""
    notebook = nbformat.read(REPOSITORY / "notebooks" / f"{name}.ipynb", as_version=4)
    assert all(cell.outputs == [] for cell in notebook.cells if cell.cell_type == "code")
    manager = under_test(AsyncKernelManager, ENVIRONMENTS[kernel](), tmp_path)
    NotebookClient(notebook, km=manager, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    printed = {
        ident: "".join(each["text"] for each in found if each.get("name") == "stdout")
        for ident, found in outputs.items()
    }
    for ident, text in PRINTED[name].items():
        assert printed[ident].startswith(text), printed[ident]
