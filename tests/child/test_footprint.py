"""What a child loads."""

from __future__ import annotations

import ast
from collections.abc import Callable

from tests.child.conftest import LiveChild

FORBIDDEN = {"zmq", "ipykernel", "ipywidgets", "tornado", "jupyter_client"}
HEAVY = {"numpy", "pandas", "matplotlib", "psutil"}
SIDES = {"ipytimeout.host", "ipytimeout.warden"}
CODE = "import sys\nprint(sorted(sys.modules))\n"


def test_a_child_has_no_kernel_in_it(child: LiveChild) -> None:
    """And nothing heavy, and nothing of the other two processes."""
    loaded = set(ast.literal_eval(child.run(CODE).text()))
    loaded.remove("ipykernel.zmqshell")  # a stand-in, which says that this is a notebook
    assert {name.partition(".")[0] for name in loaded} & (FORBIDDEN | HEAVY) == set()
    assert loaded & SIDES == set()


def test_a_child_of_a_script_has_no_ipython(make_child: Callable[..., LiveChild]) -> None:
    """A plain script needs no shell."""
    child = make_child(shell=False, kernel=False)
    child.call(_loaded)
    child.to_the_end()
    loaded = set(child.commit().result)
    assert {name.partition(".")[0] for name in loaded} & (FORBIDDEN | HEAVY | {"IPython", "traitlets"}) == set()


def _loaded() -> list[str]:
    import sys

    return sorted(sys.modules)
