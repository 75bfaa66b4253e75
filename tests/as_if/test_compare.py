"""What counts as a difference, and which differences are new."""

from __future__ import annotations

from typing import Any

import pytest

from tests.as_if.compare import Difference, common, compare, matches
from tests.as_if.named import named_in
from tests.as_if.notebooks import Cell, Notebook
from tests.as_if.report import table
from tests.as_if.run import Done
from tests.as_if.session import Record, Seen, merged

NOTEBOOK = Notebook("area", "name", (Cell("", "a = 1"), Cell("", "b = a"), Cell("", "c = 2")))


def seen(text: str = "", names: dict[str, str] | None = None, **left: Any) -> Seen:
    """Make what a cell gave."""
    outputs = [{"kind": "stream", "name": "stdout", "text": text}] if text else []
    empty: dict[str, Any] = {"names": names or {}, "state": {}, "out": {}, "in": [], "sharing": [], "modules": []}
    return Seen(outputs, "ok", 1, [], {**empty, **left})


def new_of(natives: list[list[Seen]], timed: list[Seen]) -> list[list[tuple[str, str, bool]]]:
    """Compare, and return kind, key and whether it is new, for each cell."""
    cells = compare(NOTEBOOK, [Record(native) for native in natives], Record(timed))
    return [[(d.kind, d.key, d.new) for d in cell.differences] for cell in cells]


def test_a_difference_that_follows_from_a_lost_name_is_not_new() -> None:
    """A cell that uses the name differs because of it; one that does not is on its own."""
    native = [seen(names={"a": "1"}), seen("1", {"a": "1"}), seen("2", {"a": "1"})]
    timed = [seen(), seen("x"), seen("y")]
    assert new_of([native] * 3, timed) == [
        [("name", "a", True)],
        [("outputs", "stdout 0", False), ("name", "a", False)],
        [("outputs", "stdout 0", True), ("name", "a", False)],
    ]


def test_what_natively_differs_is_not_compared() -> None:
    """A name whose value is another each time, and the words of a text that are."""
    natives = [[seen(f"took {n} s\n", {"t": str(n)})] for n in (1, 2, 3)]
    assert new_of(natives, [seen("took 9 s\n", {"t": "9"})]) == [[]]
    assert new_of(natives, [seen("needed 9 s\n", {"t": "9"})]) == [[("outputs", "stdout 0", True)]]


def test_a_cell_whose_outputs_are_others_each_time_is_not_deterministic() -> None:
    """Other kinds of outputs, or texts that have too little in common."""
    kinds = [[seen("a")], [seen()], [seen("a")]]
    texts = [[seen("a b")], [seen("c d e")], [seen("f")]]
    for natives in (kinds, texts):
        (cell,) = compare(NOTEBOOK, [Record(native) for native in natives], Record([seen("a")]))
        assert not cell.deterministic


def test_what_is_shared_and_imported_is_compared_item_by_item() -> None:
    """What is shared only here or only there; what is not imported here."""
    native = [seen(sharing=["a is b", "c is d"], modules=["json"])]
    timed = [seen(sharing=["c is d", "e is f"], modules=["other"])]
    assert new_of([native] * 3, timed) == [
        [("sharing", "a is b", True), ("sharing", "e is f", True), ("modules", "json", True)]
    ]


def test_a_cell_that_did_not_run_is_different() -> None:
    """The run stopped, and the first missing cell is where."""
    assert new_of([[seen(), seen()]] * 3, [seen()]) == [[], [("outputs", "the cell", True)]]


@pytest.mark.parametrize(
    ("texts", "text", "same"),
    [
        (["Wall time: 5.2 μs", "Wall time: 7 μs", "Wall time: 11.25 μs"], "Wall time: 100 μs", True),
        (["Wall time: 5.2 μs", "Wall time: 7 μs", "Wall time: 11.25 μs"], "Wall 100 μs", False),
        (
            ["array([[2, 1],\n [1, 1]])\nn=5", "array([[2, 0],\n [1, 1]])\nn=5", "array([[2, 1],\n [1, 1]])\nn=5"],
            "array([[1, 1],\n [ 0, 10]])\nn=5",
            True,
        ),
        (
            ["array([[2, 1],\n [1, 1]])\nn=5", "array([[2, 0],\n [1, 1]])\nn=5", "array([[2, 1],\n [1, 1]])\nn=5"],
            "array([[2, 1],\n [1, 1]])\nn=6",
            False,
        ),
        (["same", "same", "same"], "same", True),
        (["same", "same", "same"], "other", False),
    ],
)
def test_a_text_matches_what_native_texts_have_in_common(texts: list[str], text: str, same: bool) -> None:
    """Numbers may differ where they differ natively."""
    assert matches(common(texts), text) is same


def test_texts_of_a_stream_are_joined_between_displays() -> None:
    """How they were cut, and how two streams were interleaved, is chance."""
    display = {"kind": "display_data"}
    out, err = {"kind": "stream", "name": "stdout", "text": "a"}, {"kind": "stream", "name": "stderr", "text": "b"}
    joined = merged([err, out, err, display, out])
    assert [(each.get("name"), each.get("text")) for each in joined] == [
        ("stdout", "a"), ("stderr", "bb"), (None, None), ("stdout", "a"),
    ]  # fmt: skip


def test_the_table_counts_cells_that_differ_only_beside() -> None:
    """A difference in state alone is a difference, and is told apart."""
    cells = compare(
        NOTEBOOK,
        [Record([seen("a"), seen("b", state={"cwd": "/"})])] * 3,
        Record([seen("a"), seen("b", state={"cwd": "/tmp"})]),
    )
    assert cells[1].differences == [Difference("state", "cwd", "/", "/tmp")]
    line = table([Done(NOTEBOOK, cells, "")]).splitlines()[-1].split()
    assert line == ["all", "2", "2", "1", "0", "1", "1", "1", "50.0", "%", "100.0", "%"]


LISTED, UNLISTED = "a generator that has begun cannot leave its process", "PicklingError: no"


def left_behind(text: str) -> dict[str, Any]:
    """Make the line that names something, as an output."""
    data = {"text/plain": f"… left behind: {text}", "text/html": "…"}
    return {"kind": "display_data", "data": data, "metadata": {}, "count": None, "display_id": None}


@pytest.mark.parametrize(
    ("reason", "named"), [(LISTED, True), (UNLISTED, False)], ids=["on the list", "not on the list"]
)
def test_what_is_named_counts_only_when_the_readme_lists_it(reason: str, named: bool) -> None:
    """Then the cell that loses it and the cells that use it are told apart; any other line is a difference."""
    native = [seen(names={"a": "new 1"}), seen("1", {"a": "same 1"}), seen("2", {"a": "same 1"})]
    timed = [seen(), seen("x"), seen("2")]
    timed[0].outputs.append(left_behind(f"a ({reason})"))
    cells = compare(NOTEBOOK, [Record(native)] * 3, Record(timed))
    assert [cell.named for cell in cells] == [named] * 3
    assert not any(cell.same for cell in cells)


def test_a_difference_beside_what_is_named_is_not_named() -> None:
    """A cell that loses one name as listed, and shows something else, is different."""
    native = [seen("shown", {"a": "new 1"})]
    timed = [seen("something else")]
    timed[0].outputs.append(left_behind(f"a ({LISTED})"))
    (cell,) = compare(NOTEBOOK, [Record(native)] * 3, Record(timed))
    assert not cell.named


def test_several_things_are_named_in_one_line() -> None:
    """Names and reasons are taken apart, also where a reason has brackets."""
    timed = seen()
    timed.outputs.append(left_behind("a (it (this) is so); an item of rows (a socket cannot leave its process)"))
    assert named_in(timed) == {"a": "it (this) is so", "an item of rows": "a socket cannot leave its process"}
