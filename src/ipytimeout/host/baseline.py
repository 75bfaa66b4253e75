"""What the notebook had when a background run was sent its copy, to be compared with when the run comes back.

Made in the thread that starts the run, asked in the thread that commits it. Law of the file: what the notebook has
changed meanwhile is the notebook's, and what is therefore not taken from the run is named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from ipytimeout.host import process_state
from ipytimeout.host.commit import Commit
from ipytimeout.wire import kinds
from ipytimeout.wire.adapters import difference, title
from ipytimeout.wire.messages import Json, ProcessState
from ipytimeout.wire.state import read_state
from ipytimeout.wire.streams import collector_paused, warnings_held
from ipytimeout.wire.table import ObjectTable
from ipytimeout.wire.watched import Watched

_MISSING: Any = object()
_CHANGED = "the notebook has changed it meanwhile"
_SET = "the notebook has set it meanwhile"
_DELETED = "the notebook has deleted it meanwhile"


class Baseline:
    """Names, objects and state of the process, as a run was sent them."""

    def __init__(
        self, namespace: dict[str, Any], names: Collection[str], table: ObjectTable, state: ProcessState
    ) -> None:
        """``names``: those that were sent."""
        self._namespace = namespace
        self._table = table
        self._values = {name: namespace[name] for name in names if name in namespace}
        #: The others are not kept alive for this: a run in the background may take hours.
        self._others = {name: id(value) for name, value in namespace.items() if name not in self._values}
        self._state = state
        self._items = process_state.items()
        with collector_paused(), warnings_held():
            self._watched = Watched(namespace, table, [True] * len(table.objects))

    def spare(self, commit: Commit) -> dict[str, str]:
        """Take out of a commit what the notebook has changed meanwhile; return that, each with its reason."""
        kept = {name: reason for name in commit.names if (reason := self._why_kept(name))}
        commit.spare(names=kept)
        places = self._watched.places(lambda cls: True)
        with collector_paused(), warnings_held():
            changed = [n for n in commit.objects if n in places and self._watched.has_changed(places[n])]
        commit.spare(objects=changed)
        kept.update((kinds.describe(self._table.objects[n], self._namespace), _CHANGED) for n in changed)
        here = difference(self._items, process_state.items())
        of_notebook = {*here[0], *here[1]}
        values, gone = commit.settings
        kept.update((title(*key), _SET) for key in (*values, *gone) if key in of_notebook)
        commit.settings = (
            {key: value for key, value in values.items() if key not in of_notebook},
            [key for key in gone if key not in of_notebook],
        )
        return kept

    def merged(self, after: ProcessState) -> tuple[ProcessState, dict[str, str]]:
        """Return the state of the process as it is to be, with what the notebook has changed left as it is."""
        return merge(self._state, read_state(), after)

    def _why_kept(self, name: str) -> str:
        now = self._namespace.get(name, _MISSING)
        if name in self._values:
            same = now is self._values[name]
        elif name in self._others:
            same = id(now) == self._others[name]
        else:
            same = now is _MISSING
        return "" if same else _DELETED if now is _MISSING else _SET


def merge(before: ProcessState, now: ProcessState, after: ProcessState) -> tuple[ProcessState, dict[str, str]]:
    """Take from ``after`` what a run has changed, but for what has changed here too. Pure."""
    merged: dict[str, Any] = {}
    kept: dict[str, str] = {}
    for field in dataclasses.fields(ProcessState):
        old, here, there = (getattr(state, field.name) for state in (before, now, after))
        if isinstance(old, dict):
            merged[field.name] = _merged_items(old, here, there, kept, _TITLES[field.name])
            continue
        merged[field.name] = here if there == old else there
        if there != old and here not in (old, there):
            merged[field.name], kept[_TITLES[field.name]] = here, _SET
    return ProcessState(**merged), kept


def _merged_items(
    old: dict[str, Json], here: dict[str, Json], there: dict[str, Json], kept: dict[str, str], words: str
) -> dict[str, Json]:
    merged = dict(here)
    for key in old.keys() | there.keys():
        if there.get(key) == old.get(key):
            continue
        if here.get(key) not in (old.get(key), there.get(key)):
            kept[words.format(key)] = _SET
        elif key in there:
            merged[key] = there[key]
        else:
            merged.pop(key, None)
    return merged


_TITLES = {
    "cwd": "the working directory",
    "environ": "os.environ[{!r}]",
    "sys_path": "sys.path",
    "generators": "the state of {}",
    "backend": "matplotlib's backend",
}
