"""What can be told of a cell by its text."""

from __future__ import annotations

import pytest

from ipytimeout.wire.cell_text import CellText


def same(text: str) -> str:
    return text


def test_a_text_is_made_python_of_once() -> None:
    """However often it is asked for: a cell of thirty lines takes a millisecond."""
    calls: list[str] = []

    def transform(text: str) -> str:
        calls.append(text)
        return text.replace("%magic", "plt.a = 1")

    text = CellText("%magic", transform)
    assert text.transform("%magic") == "plt.a = 1"
    assert text.assigned == text.assigned == [(["plt"], "a")]
    assert calls == ["%magic"]


@pytest.mark.parametrize("code", ["x = ", "%%bash", "x = '\0'"])
def test_what_is_no_python_says_nothing(code: str) -> None:
    """The child shows its error, as natively."""
    text = CellText(code, same)
    assert text.tree.body == [] and text.assigned == []


def test_a_transformer_that_fails_says_nothing() -> None:
    """It is the user's, and may raise anything."""

    def transform(text: str) -> str:
        raise LookupError(text)

    assert CellText("plt.a = 1", transform).assigned == []


@pytest.mark.parametrize(
    ("code", "assigned"),
    [
        ("plt.a = 1", [(["plt"], "a")]),
        ("a.b.c += 1", [(["a", "b"], "c")]),
        ("def f():\n    del a.b", [(["a"], "b")]),
        ("for a.b in c.d: pass", [(["a"], "b")]),
        ("sys.modules['x'] = y", [(["sys", "modules"], "x")]),
        ("setattr(a.b, 'c', 1)", [(["a", "b"], "c")]),
        ("setattr(a, name, 1); f().b = 1; a['x'] = 1; a.b(c)", []),
    ],
)
def test_what_a_text_assigns_on_something_with_a_name_is_found(
    code: str, assigned: list[tuple[list[str], str]]
) -> None:
    """Wherever in the cell it stands."""
    assert CellText(code, same).assigned == assigned
