"""The table of the README: no feature fails where it says that it works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.readme import README
from tests.matrix.rows import ROWS, SAMPLE
from tests.matrix.table import Feature, Mark, Row, as_markdown


def documented() -> dict[str, list[str]]:
    """Return the marks of the README's table, by front end."""
    _, _, table = README.read_text().partition("| front end | " + " | ".join(Feature) + " |\n")
    rows = [
        [part.strip() for part in line.strip("|").split("|")] for line in table.partition("\n\n")[0].splitlines()[1:]
    ]
    return {name: marks for name, *marks in rows}


def check(name: str, directory: Path) -> None:
    row = ROWS[name](name, directory)
    assert row.reasons == {}
    assert [str(mark) for mark in row.marks.values()] == documented()[name]


@pytest.mark.parametrize("name", SAMPLE)
def test_the_features_of_the_readmes_table_work_in(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.full
@pytest.mark.browser
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [name for name in ROWS if name not in SAMPLE])
def test_the_features_of_the_readmes_table_work_also_in(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


def test_the_readme_has_a_row_for_every_front_end_and_none_that_was_not_measured() -> None:
    assert list(documented()) == list(ROWS)
    assert all(set(marks) <= {Mark.WORKS, Mark.NONE} for marks in documented().values())


def test_a_feature_that_raises_fails_and_the_table_says_so() -> None:
    row = Row("a front end")
    with row.measuring(Feature.DEADLINE):
        pass
    with row.measuring(Feature.CANCEL):
        raise ValueError("no button")
    assert row.reasons == {Feature.CANCEL: "ValueError: no button"}
    assert re.search(r"\| a front end \| ✓ \| ✗ \| – \|", as_markdown([row]))
