"""A page that is opened while a timed cell runs: what it is told of the widgets that there are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernels.front import Front
from tests.kernels.harness import Kernel


@pytest.fixture
def front(kernel: Kernel) -> Front:
    kernel.run("import ipywidgets, time\nfrom IPython.display import display")
    return Front(kernel)


def open_page(front: Front, subshell: str | None = None) -> dict[str, Any]:
    """Ask what a page asks that is opened now; return what it is told of all widgets."""
    control = f"control-{len(front.iopub)}"
    opening = front.client.session.msg(
        "comm_open",
        {"comm_id": control, "target_name": "jupyter.widget.control", "data": {}},
        metadata={"version": "1.0.0"},
    )
    if subshell is not None:
        opening["header"]["subshell_id"] = subshell
    front.client.shell_channel.send(opening)
    asked = front.send("comm_msg", {"comm_id": control, "data": {"method": "request_states"}}, subshell=subshell)

    def answers() -> list[dict[str, Any]]:
        return [m for m in front.iopub if m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == control]

    front.read(lambda: answers() and front.is_idle(asked))
    front.send("comm_close", {"comm_id": control, "data": {}}, subshell=subshell)
    (answer,) = answers()
    data = answer["content"]["data"]
    states: dict[str, Any] = data["states"]
    for path, buffer in zip(data["buffer_paths"], answer["buffers"], strict=True):
        states[path[0]]["state"][path[2]] = bytes(buffer)
    return states


_SEEN = """%%timeout -k 0 600
image = ipywidgets.Image(value=b'abc', format='png')
image.value = bytes(range(256))
slider, gone = ipywidgets.IntSlider(), ipywidgets.IntText()
gone.close()
display(slider)
slider.value = 5
while slider.value < 7: pass
old.value = 9
while slider.value < 8: pass"""


@pytest.mark.parametrize("through", ["the main shell", "a subshell"])
def test_a_page_that_is_opened_while_a_cell_runs_is_told_of_all_widgets(front: Front, through: str) -> None:
    """As they are by then: those of the notebook, of the cell, and the panel's, whose buttons work."""
    subshell = front.new_subshell() if through == "a subshell" else None
    if through == "a subshell" and subshell is None:
        pytest.skip("not here: this ipykernel has no subshells")
    old = front.opened(front.execute("old = ipywidgets.IntText(value=1)"), "IntTextModel")
    count = "print(len(ipywidgets.widgets.widget._instances))"
    before = int(front.kernel.run(count).stdout)
    cell = front.execute(_SEEN)
    front.read(lambda: "Cancel" in front.buttons() and front.of(cell, "display_data"))
    slider, image = front.opened(cell, "IntSliderModel"), front.opened(cell, "ImageModel")
    front.set_value(slider, 7)
    front.read(lambda: front.state_of(old)["value"] == 9)
    states = open_page(front, subshell)
    assert (states[slider]["model_name"], states[slider]["state"]["value"]) == ("IntSliderModel", 7)
    assert states[image]["state"]["value"] == bytes(range(256))
    assert states[old]["state"]["_model_name"] == "IntTextModel"
    assert front.buttons()["Cancel"] in states
    closed = {m["content"]["comm_id"] for m in front.iopub if m["msg_type"] == "comm_close"}
    assert closed and not closed & states.keys()
    seen = len(front.iopub)
    front.set_value(slider, 8)
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: front.is_idle(cell))
    # A page that was told of the notebook's own before the cell changed it hears of that now.
    told = [m["content"]["data"]["state"] for m in front.iopub[seen:] if m["content"].get("comm_id") == old]
    assert told[-1]["value"] == 9
    texts = [
        w.get("value") for w in (front.state_of(i) for i in open_page(front)) if w.get("_model_name") == "HTMLModel"
    ]
    assert any("✓" in str(text) for text in texts)  # in place of the panel, where only its widgets are known
    # The image, the slider, the line and its box, each with a layout, two of them with a style; and those of ``gone``.
    assert int(front.kernel.run(count).stdout) - before == 2 + 3 + 3 + 2 + 2


def test_a_widget_that_cannot_say_how_it_is_costs_no_run(front: Front) -> None:
    """The page gets no answer, as natively, and asks in another way."""
    front.kernel.run("""class Broken(ipywidgets.IntText):
    says = True
    def get_state(self, *args, **keys):
        if not self.says: raise ValueError
        return super().get_state(*args, **keys)
broken = Broken()
broken.says = False""")
    cell = front.execute("%%timeout 60\nprint('begun', flush=True)\ntime.sleep(1)\nprint('done')")
    front.read(lambda: front.of(cell, "stream"))
    content = {"comm_id": "control", "target_name": "jupyter.widget.control", "data": {}}
    front.send("comm_open", content, {"version": "1.0.0"})
    asked = front.send("comm_msg", {"comm_id": "control", "data": {"method": "request_states"}})
    front.read(lambda: front.is_idle(asked))
    assert not front.replied(cell)
    assert front.reply(cell)["status"] == "ok"
