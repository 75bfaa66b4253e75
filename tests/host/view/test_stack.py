"""Where the code is, as the panel shows it."""

from __future__ import annotations

import linecache

from ipytimeout.host.view.stack import stack_as_html


def test_a_stack_names_the_cell_and_shows_its_line() -> None:
    linecache.cache["<cell 4>"] = (1, None, ["def f():\n", "    while a < b: pass\n"], "<cell 4>")
    frames = [("<cell 4>", 1, "<module>"), ("/x/site-packages/lib/a.py", 7, "g"), ("<cell 4>", 2, "f")]
    text = stack_as_html(frames, {"<cell 4>": 4})
    assert "<b>In [4], line 1</b>\n" in text
    assert "<i>lib/a.py, line 7 in g</i>" in text
    assert "<b>In [4], line 2</b> in f\n    while a &lt; b: pass" in text


def test_of_a_long_stack_the_inner_part_is_shown() -> None:
    text = stack_as_html([("f.py", n, "f") for n in range(1, 101)], {})
    assert "line 100 in f" in text and "line 1 in f" not in text and "… 88 more above" in text


def test_a_process_that_does_not_answer_is_said_so() -> None:
    assert "did not answer" in stack_as_html([], {})
