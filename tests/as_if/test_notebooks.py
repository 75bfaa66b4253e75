"""How scripts become notebooks."""

from __future__ import annotations

import pytest

from tests.as_if.docstrings import pieces
from tests.as_if.notebooks import Cell, own_notebooks, split, split_at_blank_lines


def test_a_script_is_split_at_its_marks_and_what_stands_before_counts_when_it_is_code() -> None:
    """Titles stand behind the marks, and a cell without code is none."""
    text = '"""Only a docstring."""\n# %% one\na = 1\n\n# %%\n\n# %%\n%%time\nb = 2\n'
    assert split(text) == (Cell("one", "a = 1"), Cell("", "%%time\nb = 2"))
    assert split("import a\n#%%\nb = 1") == (Cell("", "import a"), Cell("", "b = 1"))


def test_a_script_without_marks_is_split_between_statements_only() -> None:
    """No blank line inside a function is an end."""
    text = "a = 1\n\n\ndef f():\n    x = 1\n\n    y = 2\n\n    return x\n\n\n@f\ndef g():\n    pass\n\n\nb = 2\n"
    cells = split_at_blank_lines(text, most=3)
    assert [cell.code.splitlines()[0] for cell in cells] == ["a = 1", "@f", "b = 2"]


def test_examples_of_a_docstring_end_at_what_they_show() -> None:
    """Several statements up to an output are one cell; those to be skipped are left out."""
    text = ">>> a = 1\n>>> a\n1\n\n>>> b = 2  # doctest: +SKIP\n>>> c = 3\n"
    assert pieces(text) == ["a = 1\na", "c = 3"]


def test_there_are_more_than_three_hundred_cells_of_our_own() -> None:
    """As many as were promised, in as many areas."""
    notebooks = own_notebooks()
    assert sum(len(notebook.cells) for notebook in notebooks) >= 300
    assert len({notebook.area for notebook in notebooks}) >= 35


@pytest.mark.parametrize("notebook", own_notebooks(), ids=lambda notebook: notebook.name)
def test_a_notebook_of_our_own_has_at_least_eight_cells(notebook: object) -> None:
    """A notebook that was not split would have one."""
    assert len(notebook.cells) >= 8  # type: ignore[attr-defined]
