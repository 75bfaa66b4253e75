"""Notes of many objects at once find every object that has changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ipytimeout.wire import attributes, containers
from ipytimeout.wire.facets import Facet
from ipytimeout.wire.notes import Notes, Rows, Seen


class AllShared:
    """Everything is watched by itself."""

    def shared(self, obj: object) -> bool:
        return True

    def unshared(self, objs: object) -> tuple[int, ...]:
        return ()

    def fingerprint(self, obj: object) -> object:
        raise AssertionError

    state_fingerprint = fingerprint


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value


class Slotted:
    __slots__ = ("_Slotted__hidden", "a")

    def __init__(self, value: object) -> None:
        self.a = value


class Lying(Slotted):
    """Its attribute access is none of pickle's business."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError("code of the notebook ran")


def _delete_slot(obj: Slotted) -> None:
    vars(Slotted)["a"].__delete__(obj)


def _set_slot(obj: Slotted) -> None:
    vars(Slotted)["a"].__set__(obj, -1)


class LoudKey:
    """Equal to every other one, and it must not be asked."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise AssertionError("code of the notebook ran")


LIST, DICT = containers.Items(list, "list"), containers.Entries(dict, "dict")
KINDS: dict[str, tuple[Facet, Callable[[int], Any], list[Callable[[Any], object]]]] = {
    "lists": (
        LIST,
        lambda i: [None] * (i % 4) + [i],
        [lambda x: x.append(None), lambda x: x.pop(), list.clear, lambda x: x.__setitem__(-1, object())],
    ),
    "dicts": (
        DICT,
        lambda i: dict.fromkeys(range(i % 4)) | {"k": i},
        [lambda x: x.update(z=1), dict.clear, lambda x: x.__setitem__("k", "v"), lambda x: x.update(k=x.pop("k"), j=0)],
    ),
    "dicts with loud keys": (DICT, lambda i: {LoudKey(): i}, [dict.clear, lambda x: x.__setitem__(next(iter(x)), -1)]),
    "sets": (
        containers.Members(),
        lambda i: {i, "a"},
        [lambda x: x.add(object()), set.clear, lambda x: x.discard("a")],
    ),
    "instances": (
        attributes.Attributes(),
        Plain,
        [lambda x: setattr(x, "value", "v"), lambda x: setattr(x, "more", 1), lambda x: delattr(x, "value")],
    ),
    "slots": (attributes.Slots(), Slotted, [_set_slot, _delete_slot]),
    "slots out of sight": (attributes.Slots(), Lying, [_set_slot, _delete_slot]),
    "classes": (attributes.Kind(), Plain, [lambda x: setattr(x, "__class__", type("Other", (Plain,), {}))]),
}


@pytest.mark.parametrize("count", [1, 7, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_exactly_what_has_changed_is_found(kind: str, count: int) -> None:
    """Wherever it is and however much of it there is; what was before is told of each."""
    facet, make, changes = KINDS[kind]
    sight = AllShared()
    for seed in range(30):
        draw = random.Random(seed)
        objs = [make(i) for i in range(count)]
        notes: Notes = facet.note(objs, sight)
        chosen = sorted(draw.sample(range(count), draw.choice([0, 1, min(count, 3), count])))
        for index in chosen:
            draw.choice(changes)(objs[index])
        suspects = list(notes.suspects(objs))
        assert suspects == chosen
        assert all(facet.delta(objs[i], notes.before(i), sight) is not None for i in chosen)
        assert all(facet.delta(obj, notes.before(i), sight) is None for i, obj in enumerate(objs) if i not in chosen)


def test_rows_that_give_and_take_are_both_found() -> None:
    """The items end to end are the same as before."""
    objs = [[1, 2], [3], [], [4]]
    notes = LIST.note(objs, AllShared())
    objs[2].append(objs[3].pop())
    objs[1].insert(0, objs[0].pop())
    assert list(notes.suspects(objs)) == [0, 1, 2, 3]


def test_a_row_that_another_thread_changes_meanwhile_makes_all_of_them_suspect() -> None:
    """Its length was seen before its items were."""
    objs: list[list[None]] = [[None], [None], [None]]
    growing: list[list[None]] = []

    def look(objs: Sequence[list[None]]) -> Seen:
        return list(map(len, objs)), [[[*obj, *([None] if any(obj is one for one in growing) else [])] for obj in objs]]

    notes = Rows(objs, look)
    assert list(notes.suspects(objs)) == []
    growing.append(objs[1])
    assert list(notes.suspects(objs)) == [0, 1, 2]
