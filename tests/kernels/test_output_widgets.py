"""Output widgets of a timed cell: they take what is printed in them, and nothing else."""

from __future__ import annotations

import pytest

from tests.kernels.front import Front
from tests.kernels.harness import Kernel


@pytest.fixture
def front(kernel: Kernel) -> Front:
    kernel.run("import ipywidgets, time\nfrom IPython.display import display")
    return Front(kernel)


def test_an_output_widget_takes_what_is_printed_in_it(front: Front) -> None:
    cell = front.execute("""%%timeout 60
out = ipywidgets.Output()
print('before')
with out: print('inside')
print('after')""")
    assert front.reply(cell)["status"] == "ok"
    out = front.opened(cell, "OutputModel")
    front.read(lambda: front.is_idle(cell))
    order = []
    for message in front.iopub:
        content = message["content"]
        if message["msg_type"] == "stream" and message["parent_header"]["msg_id"] == cell:
            order += content["text"].split()
        elif message["msg_type"] == "comm_msg" and content["comm_id"] == out:
            order.append(content["data"]["state"]["msg_id"] == cell)
    assert order == ["before", True, "inside", False, "after"]


def test_the_panel_appears_beside_an_output_widget_that_takes_all_that_is_shown(front: Front) -> None:
    """And what the widget clears in itself leaves the panel where it is."""
    cell = front.execute("""%%timeout 60
from IPython.display import clear_output
out = ipywidgets.Output()
display(out)
with out:
    for i in range(6):
        clear_output(wait=True)
        print('inside', i)
        time.sleep(0.15)""")
    assert front.reply(cell)["status"] == "ok"
    out = front.opened(cell, "OutputModel")
    front.read(lambda: front.is_idle(cell))
    captures, beside, slots = False, [], 0
    for message in front.iopub:
        content, kind = message["content"], message["msg_type"]
        if message["parent_header"].get("msg_id") != cell:
            continue
        if kind == "comm_msg" and content["comm_id"] == out:
            captures = bool(content["data"]["state"]["msg_id"])
        elif kind in ("display_data", "update_display_data") and content.get("transient"):
            beside.append(not captures)
            slots += kind == "display_data"
        elif kind in ("stream", "clear_output"):
            assert captures
    assert len(beside) > 2 and all(beside)
    assert slots == 1


_FLOOD = "for i in range(30_000): print('a line of some length', i)\n"


def test_widgets_keep_their_place_in_a_flood(front: Front) -> None:
    """What is printed before an Output takes over comes before, and a widget is closed after it was shown."""
    cell = front.execute(f"""%%timeout -q --max-output inf 60
out, slider = ipywidgets.Output(), ipywidgets.IntSlider()
{_FLOOD}with out: print('inside')
print('after')
display(slider)
for i in range(3000): slider.value = i % 100
slider.close()""")
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: front.is_idle(cell))
    out, slider = front.opened(cell, "OutputModel"), front.opened(cell, "IntSliderModel")
    order, captures, lines = [], False, 0
    for message in front.iopub:
        content, kind = message["content"], message["msg_type"]
        if message["parent_header"].get("msg_id") != cell:
            continue
        if kind == "comm_msg" and content["comm_id"] == out:
            captures = bool(content["data"]["state"]["msg_id"])
        elif kind == "stream" and content["text"] in ("inside\n", "after\n"):
            order.append((content["text"].strip(), captures, lines))
        elif kind == "stream":
            assert not captures
            lines += content["text"].count("\n")
        elif kind == "display_data" or (content.get("comm_id") == slider and kind == "comm_close"):
            order.append((kind, captures, lines))
    assert order == [
        ("inside", True, 30_000),
        ("after", False, 30_000),
        ("display_data", False, 30_000),
        ("comm_close", False, 30_000),
    ]
    assert front.state_of(slider)["value"] == 99
