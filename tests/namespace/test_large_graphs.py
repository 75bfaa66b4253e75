"""A hundred thousand objects of a kind: what changes among them comes back, and the rest stays where it is."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from .conftest import Notebook


class Graph(NamedTuple):
    title: str
    #: The graph is always called ``x``; N is how many.
    before: str
    timed: str
    check: str


PLAIN = "class P:\n    def __init__(self, i): self.i = i\n"
SLOTS = "class P:\n    __slots__ = ('i', 'j')\n    def __init__(self, i): self.i = i\n"
GRAPHS = [
    Graph("tuples in a dict", "x = {i: (i, [i]) for i in range(N)}", "x[7] = x[8]; x[9][1].append(-1)", "x[7] is x[8] and x[9] == (9, [9, -1]) and x[10] == (10, [10])"),
    Graph("lists", "x = [[i, i + 1] for i in range(N)]", "x[5].append(-1); x[7][0] = x[6]; del x[-1]", "x[5] == [5, 6, -1] and x[7][0] is x[6] and len(x) == N - 1"),
    Graph("dicts", "x = [{'a': i} for i in range(N)]", "x[5]['a'] = x[6]; x[7]['b'] = 1; x[8].clear()", "x[5]['a'] is x[6] and x[7] == {'a': 7, 'b': 1} and x[8] == {} and x[9] == {'a': 9}"),
    Graph("sets", "x = [{i} for i in range(N)]", "x[5].add(-1); x[6].clear()", "x[5] == {5, -1} and x[6] == set() and x[7] == {7}"),
    Graph("instances", PLAIN + "x = [P(i) for i in range(N)]", "x[5].i = x[6]; x[7].new = 1; del x[8].i; x[9].__dict__ = {'i': -1}", "x[5].i is x[6] and x[7].new == 1 and not vars(x[8]) and x[9].i == -1 and x[10].i == 10"),
    Graph("instances whose attributes are held", PLAIN + "x = [P(i) for i in range(N)]; d = vars(x[5])", "d['i'] = -1; e = vars(x[6])", "x[5].i == -1 and d is vars(x[5]) and e is vars(x[6])"),
    Graph("instances of another class now", PLAIN + "class Q(P): pass\nx = [P(i) for i in range(N)]", "x[5].__class__ = Q; x[6].i = 1", "type(x[5]) is Q and x[5].i == 5 and x[6].i == 1 and type(x[6]) is P"),
    Graph("slots", SLOTS + "x = [P(i) for i in range(N)]", "x[5].i = x[6]; x[7].j = 1; del x[8].i", "x[5].i is x[6] and x[7].j == 1 and not hasattr(x[8], 'i') and x[9].i == 9"),
    Graph("instances of which one refuses to be looked at", PLAIN + "class Q(P):\n    def __getattribute__(self, name):\n        if name == '__dict__' and object.__getattribute__(self, '__dict__').get('i') == 3: raise AttributeError(name)\n        return object.__getattribute__(self, name)\nx = [Q(i) for i in range(N)]", "x[5].i = -1", "x[5].i == -1 and x[6].i == 6"),
    Graph("a chain", PLAIN + "x = [P(i) for i in range(N)]\nfor p, q in zip(x[::2], x[1::2]): p.other, q.other = q, p", "x[4].other = x[7]; y = (x[9], [x[8]])", "x[4].other is x[7] and y[0] is x[9] and y[1][0] is x[9].other"),
    Graph("everything", "x = [[i] for i in range(N)]", "for y in x: y.append(0)", "all(y == [i, 0] for i, y in enumerate(x))"),
]  # fmt: skip


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.title)
def test_what_changes_in_a_large_graph_comes_back(notebook: Notebook, graph: Graph) -> None:
    """Into the same objects; and nothing comes back when it was only looked at."""
    notebook.names["N"] = 100_000
    notebook.cell(graph.before)
    same = notebook["x"]
    notebook.timed("y = len(x)")
    assert notebook.commit is not None and (notebook.commit.changed, notebook.commit.names) == (0, ["y"])
    notebook.timed(graph.timed)
    assert notebook.refused == notebook.left_behind == {}
    assert notebook["x"] is same
    assert notebook.value(graph.check)
    if graph.title != "everything":
        assert notebook.received < 10_000


def test_a_new_object_of_the_notebook_may_lead_to_any_old_one(notebook: Notebook) -> None:
    """However little comes back."""
    notebook.names["N"] = 100_000
    notebook.cell(PLAIN + "x = [P(i) for i in range(N)]")
    notebook.timed("y = P(1); y.i = x[70_000]; z = [y, {x[80_000]: x[90_000]}]\ne = ValueError(x[3])")
    assert notebook.value("y.i is x[70_000] and z[0] is y and z[1][x[80_000]] is x[90_000] and e.args[0] is x[3]")
    assert notebook.received < 10_000
