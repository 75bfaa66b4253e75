"""What counts as named is what the README lists, and what the user is told."""

from __future__ import annotations

import re

import pytest

from tests.as_if.named import LISTED, NEW_TEXT, accepted
from tests.child.test_cells import SET_THERE, STILL_RUNNING
from tests.e2e.readme import README
from tests.kernels.test_process_state import USES_MORE
from tests.namespace.test_commit import OF_A_TENSOR, SHOWN_ELSEWHERE, UNSENDABLE

#: Every reason that a test of the package proves to be given.
GIVEN = [
    *(reason for _, reason in UNSENDABLE),
    OF_A_TENSOR,
    SHOWN_ELSEWHERE,
    STILL_RUNNING,
    SET_THERE,
    USES_MORE,
    NEW_TEXT,
]


@pytest.mark.parametrize("words", LISTED)
def test_every_reason_that_counts_as_named_is_given_in_the_readmes_words(words: str) -> None:
    """The README's list has these words, and a reason that is told is accepted by them."""
    section = README.read_text().partition("\n## What does not come back\n")[2].partition("\n## ")[0]
    assert words in re.sub(r"\s+", " ", section)
    assert [reason for reason in GIVEN if re.fullmatch(LISTED[words], reason)]


def test_a_reason_that_the_readme_does_not_list_is_a_difference() -> None:
    """However plain it is."""
    assert not accepted("it is nested too deeply")
    assert not accepted("an open file cannot leave its process")
