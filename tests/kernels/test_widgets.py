"""Widgets of a timed cell: seen by the front end, moved by it while the code runs, and alive afterwards."""

from __future__ import annotations

import pytest

from tests.kernels.front import Front
from tests.kernels.harness import Kernel

IMPORTS = "import ipywidgets, time, asyncio, threading, sys\nfrom IPython.display import display"


@pytest.fixture
def front(kernel: Kernel) -> Front:
    front = Front(kernel)
    kernel.run(IMPORTS)
    return front


WAITS = {
    "a loop that never waits": "while slider.value < 7: pass",
    "a loop that sleeps": "while slider.value < 7: time.sleep(0.3)",
    "an awaited loop": "while slider.value < 7: await asyncio.sleep(0.01)",
    "an awaited event": "happened = asyncio.Event()\nslider.observe(lambda c: c.new == 7 and happened.set(), 'value')\nawait happened.wait()",
    "a function of the notebook": "def wait():\n    while slider.value < 7: time.sleep(0.01)\nwait()",
    "a magic": "%time while slider.value < 7: time.sleep(0.01)",
}


#: The gate tries these; .ci/full all of them.
_SAMPLE = ("a loop that never waits", "a loop that sleeps", "an awaited loop")


@pytest.mark.parametrize(
    "wait",
    [pytest.param(w, id=name, marks=() if name in _SAMPLE else pytest.mark.full) for name, w in WAITS.items()],
)
def test_a_slider_is_moved_while_the_code_runs(front: Front, wait: str) -> None:
    """Its callbacks run in the main thread, in the order of the moves, and the page is told when they have."""
    code = f"""%%timeout 60
slider = ipywidgets.IntSlider()
seen = []
slider.observe(lambda c: seen.append((c.new, threading.current_thread() is threading.main_thread())), 'value')
display(slider)
{wait}
print(slider.value, seen)"""
    cell = front.execute(code)
    slider = front.opened(cell, "IntSliderModel")
    moves = [front.set_value(slider, value) for value in (3, 5, 7)]
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: all(front.is_idle(move) for move in moves) and front.of(cell, "stream"))
    text = "".join(s["text"] for s in front.of(cell, "stream"))
    assert "7 [(3, True), (5, True), (7, True)]" in text
    assert [front.echoes(move) for move in moves] == [[{"value": 3}], [{"value": 5}], [{"value": 7}]]


def test_a_library_at_work_is_not_interrupted_and_what_was_said_meanwhile_comes_after_it(front: Front) -> None:
    """``sorted`` with a key of the notebook's is C; ``statistics`` and ``threading`` are libraries in Python."""
    code = """%%timeout 60
slider = ipywidgets.IntSlider()
done = []
slider.observe(lambda c: done.append(c.new), 'value')
print('ready', flush=True)
threading.Event().wait(1)
done.append('library')
while 7 not in done: pass
print(done)"""
    cell = front.execute(code)
    slider = front.opened(cell, "IntSliderModel")
    front.read(lambda: front.of(cell, "stream"))
    front.set_value(slider, 7)
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: len(front.of(cell, "stream")) > 1)
    assert front.of(cell, "stream")[-1]["text"] == "['library', 7]\n"


def test_what_was_not_handled_in_time_is_handled_by_the_kernel_after_the_cell(front: Front) -> None:
    """As natively: the callback has come back too."""
    code = """%%timeout 60
slider = ipywidgets.IntSlider()
slider.observe(lambda c: seen.append((c.new, __import__('os').getpid())), 'value')
seen = []
print('ready', flush=True)
threading.Event().wait(1)"""
    cell = front.execute(code)
    slider = front.opened(cell, "IntSliderModel")
    front.read(lambda: front.of(cell, "stream"))
    move = front.set_value(slider, 7)
    front.read(lambda: front.is_idle(move))
    assert front.kernel.run("print(slider.value, seen)").stdout == f"7 [(7, {front.kernel.pid})]\n"


def test_a_widget_of_a_timed_cell_is_alive_after_it(front: Front) -> None:
    """It has its last value, its callbacks, those of later cells too, and is the same one on the page."""
    cell = front.execute("""%%timeout 60
seen = []
slider = ipywidgets.IntSlider(value=2)
other = ipywidgets.IntText()
link = ipywidgets.link((slider, 'value'), (other, 'value'))
slider.observe(lambda c: seen.append(c.new), 'value')
box = ipywidgets.VBox([slider, other])""")
    assert front.reply(cell)["status"] == "ok"
    slider = front.opened(cell, "IntSliderModel")
    front.kernel.run("slider.observe(lambda c: seen.append(-c.new), 'value')")
    front.set_value(slider, 4)
    printed = front.kernel.run("print(slider.value, other.value, seen, box.children[0] is slider, slider.model_id)")
    assert printed.stdout == f"4 4 [4, -4] True {slider}\n"
    front.execute("slider.value = 6")
    front.read(lambda: front.state_of(slider)["value"] == 6)


def test_interact_goes_on_after_its_cell(front: Front) -> None:
    """No name refers to its widgets: what a kernel keeps alive, lives."""
    cell = front.execute("%%timeout 60\nseen = []\n@ipywidgets.interact(x=(0, 10))\ndef note(x): seen.append(x)")
    assert front.reply(cell)["status"] == "ok"
    front.set_value(front.opened(cell, "IntSliderModel"), 9)
    assert front.kernel.run("print(seen)").stdout == "[5, 9]\n"


def test_a_widget_of_the_notebook_is_the_same_one_in_a_timed_cell(front: Front) -> None:
    """Moved by the page and by the code, while it runs; its callbacks run there and not a second time."""
    made = front.execute(
        "seen = []\nslider = ipywidgets.IntSlider()\nslider.observe(lambda c: seen.append(c.new), 'value')"
    )
    slider = front.opened(made, "IntSliderModel")
    cell = front.execute("%%timeout 60\nprint('ready', flush=True)\nwhile slider.value < 7: pass\nslider.value = 8")
    front.read(lambda: front.of(cell, "stream"))
    move = front.set_value(slider, 7)
    assert front.reply(cell)["status"] == "ok"
    assert front.kernel.run("print(slider.value, seen)").stdout == "8 [7, 8]\n"
    front.read(lambda: front.is_idle(move))
    assert front.state_of(slider)["value"] == 8


def test_what_a_run_that_is_ended_did_to_a_widget_of_the_notebook_is_undone_on_the_page(front: Front) -> None:
    """And what the user did to it is done in the kernel, as natively after the cell."""
    made = front.execute(
        "seen = []\nslider = ipywidgets.IntSlider(description='old')\nslider.observe(lambda c: seen.append(c.new), 'value')"
    )
    slider = front.opened(made, "IntSliderModel")
    cell = front.execute("%%timeout -k 0 0.7\nslider.description = 'new'\nprint('ready', flush=True)\nwhile True: pass")
    front.read(lambda: front.of(cell, "stream"))
    move = front.set_value(slider, 7)
    assert front.reply(cell)["ename"] == "DeadlineExceeded"
    front.read(lambda: front.is_idle(move) and front.state_of(slider)["description"] == "old")
    assert front.kernel.run("print(slider.value, slider.description, seen)").stdout == "7 old [7]\n"


def test_widgets_of_a_run_that_is_ended_stay_on_the_page_and_can_be_used_no_more(front: Front) -> None:
    """The kernel keeps nothing of them, and the cell says so in one line."""
    count = "print(len(get_ipython().kernel.comm_manager.comms), len(ipywidgets.widgets.widget._instances))"
    before = front.kernel.run(count).stdout
    cell = front.execute("""%%timeout -q -k 0 0.5
slider, button, out = ipywidgets.IntSlider(value=5), ipywidgets.Button(), ipywidgets.Output()
display(slider)
with out:
    while True: pass""")
    assert front.reply(cell)["ename"] == "DeadlineExceeded"
    front.read(lambda: front.is_idle(cell))
    slider = front.opened(cell, "IntSliderModel")
    assert not front.of(cell, "comm_close")
    assert (front.state_of(slider)["value"], front.state_of(slider)["disabled"]) == (5, True)
    assert front.state_of(front.opened(cell, "OutputModel"))["msg_id"] == ""
    shown = [d["data"]["text/plain"] for d in front.of(cell, "display_data")]
    assert [text for text in shown if "left behind" in text] == [
        "… left behind: 2 widgets (their callbacks have ended with the run)"
    ]
    assert front.kernel.run(count).stdout == before


def test_a_widget_whose_callbacks_cannot_be_sent_is_named(front: Front) -> None:
    """And stays on the page."""
    cell = front.execute("""%%timeout -q 60
import socket
button = ipywidgets.Button()
button.on_click(lambda b, s=socket.socket(): None)""")
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: front.is_idle(cell))
    assert not front.of(cell, "comm_close")
    shown = [d["data"]["text/plain"] for d in front.of(cell, "display_data")]
    assert [text for text in shown if "button (a socket cannot leave its process)" in text]


def test_binary_data_goes_both_ways_as_it_is(front: Front) -> None:
    """An upload, an image: buffers beside the message."""
    cell = front.execute("""%%timeout 60
image = ipywidgets.Image(value=bytes(range(256)) * 400, format='png')
while len(image.value) != 3: pass
print(bytes(image.value), flush=True)""")
    image = front.opened(cell, "ImageModel")
    opening = next(m for m in front.iopub if m["msg_type"] == "comm_open" and m["content"]["comm_id"] == image)
    assert bytes(opening["buffers"][0]) == bytes(range(256)) * 400
    data = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
    message = front.client.session.msg("comm_msg", {"comm_id": image, "data": data})
    message["buffers"] = [b"\x00\xff\x01"]
    front.client.shell_channel.send(message)
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: front.of(cell, "stream"))
    assert front.of(cell, "stream")[-1]["text"] == "b'\\x00\\xff\\x01'\n"


def test_a_callback_that_hangs_is_ended_by_the_deadline(front: Front) -> None:
    cell = front.execute("""%%timeout 1
button = ipywidgets.Button()
def hang(button):
    while True: pass
button.on_click(hang)
while True: pass""")
    button = front.opened(cell, "ButtonModel")
    front.send("comm_msg", {"comm_id": button, "data": {"method": "custom", "content": {"event": "click"}}})
    reply = front.reply(cell)
    assert reply["ename"] == "DeadlineExceeded" and "hang()" in reply["evalue"]


def test_a_callback_that_fails_shows_why_and_the_code_goes_on(front: Front) -> None:
    cell = front.execute("""%%timeout 60
button = ipywidgets.Button()
clicks = []
def fail(button):
    clicks.append(1)
    1 / 0
button.on_click(fail)
while not clicks: time.sleep(0.01)
print('on')""")
    button = front.opened(cell, "ButtonModel")
    front.send("comm_msg", {"comm_id": button, "data": {"method": "custom", "content": {"event": "click"}}})
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: front.of(cell, "error") and front.of(cell, "stream"))
    assert front.of(cell, "error")[0]["ename"] == "ZeroDivisionError"


def test_a_page_that_speaks_through_a_subshell_is_heard(front: Front) -> None:
    """JupyterLab 4.6 does, with an ipykernel that has them."""
    subshell = front.new_subshell()
    if subshell is None:
        pytest.skip("not here: this ipykernel has no subshells")
    cell = front.execute("%%timeout 60\nslider = ipywidgets.IntSlider()\nwhile slider.value < 7: time.sleep(0.01)")
    slider = front.opened(cell, "IntSliderModel")
    move = front.update(slider, {"value": 7}, subshell=subshell)
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: front.echoes(move))


def test_a_run_without_widgets_has_no_thread_for_them(front: Front) -> None:
    """And imports nothing for them."""
    code = "%%timeout 60\nprint(len(__import__('os').listdir('/proc/self/task')), 'ipywidgets' in sys.modules)"
    front.kernel.run("del ipywidgets")
    assert front.kernel.run(code).stdout.split()[0] == "1"


@pytest.mark.parametrize("name", ["tqdm.notebook", "tqdm.auto"])
def test_a_bar_of_tqdm_moves_and_is_full_at_the_end(front: Front, name: str) -> None:
    if front.kernel.run("import tqdm").status != "ok":
        pytest.skip("not here: this kernel has no tqdm")
    cell = front.execute(f"""%%timeout -q 60
import warnings; warnings.simplefilter('ignore')
from {name} import tqdm
for i in tqdm(range(5)): time.sleep(0.15)
bar = tqdm(total=3); bar.update(2)""")
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: front.is_idle(cell))
    bars = [
        c["comm_id"] for c in front.of(cell, "comm_open") if c["data"]["state"]["_model_name"] == "FloatProgressModel"
    ]
    assert bars, [(m["msg_type"], str(m["content"])[:150]) for m in front.iopub][-30:]
    assert front.state_of(bars[0])["value"] == 5 and front.state_of(bars[0])["bar_style"] == "success"
    assert len([c for c in front.of(cell, "comm_msg") if c["comm_id"] == bars[0] and "value" in c["data"]["state"]]) > 2
    front.execute("bar.update(); bar.refresh()")
    front.read(lambda: front.state_of(bars[1])["value"] == 3)


def test_a_child_speaks_on_no_comm_that_is_not_its_own(front: Front) -> None:
    """Not in the name of a widget of the notebook that the cell was not sent, nor under its id."""
    made = front.execute("slider = ipywidgets.IntSlider(value=1)")
    slider = front.opened(made, "IntSliderModel")
    cell = front.execute(f"""%%timeout -q 60
from comm import create_comm
alien = create_comm(comm_id='{slider}', target_name='jupyter.widget', primary=False)
alien.send({{'method': 'update', 'state': {{'value': 9}}, 'buffer_paths': []}})
create_comm(comm_id='{slider}', target_name='jupyter.widget', data={{'state': {{}}}})
del alien""")
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: front.is_idle(cell))
    assert not front.of(cell, "comm_msg") and not front.of(cell, "comm_open") and not front.of(cell, "comm_close")
    front.update(slider, {"value": 2})
    assert front.kernel.run("print(slider.value)").stdout == "2\n"


def test_a_slider_is_answered_in_a_flood_and_nothing_said_on_a_comm_is_lost(front: Front) -> None:
    """Ended by its deadline while it floods the page with text and with values."""
    cell = front.execute("""%%timeout -q -k 0 6
slider, bar = ipywidgets.IntSlider(), ipywidgets.IntProgress(max=1 << 60)
handled = []
slider.observe(lambda c: handled.append(c.new), 'value')
display(slider, bar)
while True:
    bar.value += 1
    print(bar.value)
    sum(range(100_000))""")
    slider = front.opened(cell, "IntSliderModel")
    moves = [front.set_value(slider, value) for value in (3, 5, 7)]
    assert front.reply(cell)["ename"] == "DeadlineExceeded"
    front.read(lambda: front.is_idle(cell) and all(front.is_idle(move) for move in moves))
    assert [front.echoes(move) for move in moves] == [[{"value": 3}], [{"value": 5}], [{"value": 7}]]
    bar = front.opened(cell, "IntProgressModel")
    values = [
        c["data"]["state"]["value"]
        for c in front.of(cell, "comm_msg")
        if c["comm_id"] == bar and "value" in c["data"]["state"]
    ]
    assert 10 < len(values) < 6000 and values == sorted(values)
    assert front.state_of(slider)["disabled"] is True
