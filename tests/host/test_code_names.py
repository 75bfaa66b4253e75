"""Which names a piece of code mentions."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from ipytimeout.host.code_names import names_of_code

transform: Callable[[str], str] = TransformerManager().transform_cell  # type: ignore[no-untyped-call]


def test_names_are_found_as_python_spells_them() -> None:
    """Ligatures are normalised, private names are mangled."""
    assert "fin" in names_of_code("ﬁn", transform).names
    assert "fin" in names_of_code("q('ﬁn')", transform).names
    assert "_C__x" in names_of_code("class C:\n    def f(self): return __x", transform).names


def test_a_long_cell_has_names_beyond_the_first_256() -> None:
    """Their operands have more than one byte."""
    cell = "\n".join(f"f(a{i})" for i in range(70_000))
    assert names_of_code(cell, lambda text: text).names == {"f", *(f"a{i}" for i in range(70_000))}


@pytest.mark.parametrize("cell", ["if (a", "a = = 1", "a\0", "  a\n b", "%%time\n" + "(" * 10 + "a"])
def test_a_cell_that_is_no_python_is_no_error_here(cell: str) -> None:
    """The child shows it, as natively."""
    assert not names_of_code(cell, transform).dynamic


def test_a_transformer_that_fails_is_no_error_here() -> None:
    """IPython shows its error too."""

    def broken(text: str) -> str:
        raise LookupError(text)

    assert names_of_code("a", broken).names == set()


@given(st.text("ab'\"\\\n {}$%!?()=:", max_size=20))
def test_no_cell_makes_the_analysis_fail(cell: str) -> None:
    """Whatever it is."""
    names_of_code(cell, transform)


@pytest.mark.parametrize(
    "cell",
    [
        "model.eval()",
        "df.eval('x + y')",
        "vars(q)",
        "dir(q)",
        "dir(type(q))",
        "def f(): return locals()",
        "!ls",
        "%timeit 1",
        "%%bash\nls",
        "if __name__ == '__main__': q",
        "import pickle",
        "# eval(x)",
        "q('eval(x)')",
    ],
)
def test_code_that_only_looks_so_is_not_dynamic(cell: str) -> None:
    """Attributes of the same names, and functions that are asked about one object."""
    assert not names_of_code(cell, transform).dynamic


def test_reading_a_cell_warns_of_nothing_and_leaves_the_filters_as_they_were() -> None:
    """The child's own compilation warns; a second time would be once too often."""
    cell = r"a = 1 is 1; b = '\d'"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore")
        equal_to_ours = ("ignore", None, Warning, None, 0)
        warnings.filters.append(equal_to_ours)  # type: ignore[attr-defined]
        before = list(warnings.filters)
        filters = warnings.filters
        names_of_code(cell, transform)
        assert warnings.filters is filters
        assert [id(entry) for entry in warnings.filters] == [id(entry) for entry in before]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names_of_code("print(x is 1)", transform).names == {"print", "x"}


def test_a_warning_shown_once_is_not_shown_again_after_a_cell_was_read(recwarn: pytest.WarningsRecorder) -> None:
    """``catch_warnings`` would forget what has been shown."""
    warnings.simplefilter("default")
    for _ in range(3):
        warnings.warn("once", stacklevel=1)
        names_of_code("a", transform)
    assert len(recwarn) == 1


def test_reading_code_does_not_inherit_our_own_future_imports() -> None:
    """``from __future__ import annotations`` in our file would turn annotations into strings."""
    seen: list[str] = []

    def spy(text: str) -> str:
        seen.append(text)
        return text

    assert "a" in names_of_code("x: a[b()] = 1", spy).names
    assert seen == ["x: a[b()] = 1"]
