"""What the tutorial notebook says will happen, checked on its outputs however it was run."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.kernels.environments import REPOSITORY

NOTEBOOK = REPOSITORY / "notebooks" / "quickstart.ipynb"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def check_outputs(notebook: dict[str, Any]) -> None:
    """Compare the outputs of a notebook that was run with what its text promises."""
    cells = {cell["id"]: cell for cell in notebook["cells"] if cell["cell_type"] == "code"}
    outputs = {name: cell["outputs"] for name, cell in cells.items()}
    stdout = {name: _stdout(each) for name, each in outputs.items()}

    assert stdout["in-time"] == "task: begin\ntask: end\n"
    assert stdout["too-late"] == "task: begin\n"
    assert _error(outputs["too-late"])[0] == "DeadlineExceeded"
    assert _results(outputs["value"]) == ["5"]
    assert stdout["no-value"] == "None\n"
    assert _results(outputs["data"]) == ["(1347, 64)"]
    assert stdout["train"].startswith("trained on 1347 pictures\n")
    assert _percent(stdout["use"]) > 90
    assert [kind for output in outputs["plot"] for kind in output.get("data", {}) if kind == "image/png"] == [
        "image/png"
    ]
    name, text = _error(outputs["runaway"])
    assert name == "DeadlineExceeded"
    assert "results.append" in text or "time.sleep" in text, "the traceback does not show where the cell was"
    assert stdout["runaway-after"].startswith("['one result from before']\n")
    assert _percent(stdout["runaway-after"]) == _percent(stdout["use"])

    meant = {name for name, cell in cells.items() if "raises-exception" in cell["metadata"].get("tags", [])}
    failed = {name for name, each in outputs.items() if any(output["output_type"] == "error" for output in each)}
    assert failed == meant == {"too-late", "runaway"}
    assert not any(output.get("name") == "stderr" for each in outputs.values() for output in each), outputs


def count_code_cells() -> int:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return sum(cell["cell_type"] == "code" for cell in cells)


def _stdout(outputs: list[dict[str, Any]]) -> str:
    return "".join("".join(each["text"]) for each in outputs if each.get("name") == "stdout")


def _results(outputs: list[dict[str, Any]]) -> list[str]:
    return ["".join(each["data"]["text/plain"]) for each in outputs if each["output_type"] == "execute_result"]


def _error(outputs: list[dict[str, Any]]) -> tuple[str, str]:
    (error,) = [each for each in outputs if each["output_type"] == "error"]
    return error["ename"], _COLOUR.sub("", "\n".join(error["traceback"]))


def _percent(text: str) -> int:
    found = re.search(r"correct: (\d+)%", text)
    assert found, text
    return int(found[1])
