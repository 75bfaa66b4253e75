"""The object table: what was sent, by number, the same in both processes. Pure: no I/O, in the host and in the child.

A pickler numbers each object that it writes, an unpickler each object that it reads, and the numbers agree.
"""

from __future__ import annotations

import builtins
import dataclasses
import itertools
import logging
import os
import sys
import threading
from collections.abc import Callable, Container, Iterable

from ipytimeout.wire.streams import collector_paused


class ObjectTable:
    """What was sent: ``objects[i]`` is the same thing in both processes.

    ``private`` are numbers that mean nothing: objects that only existed while pickling (a copied state, say). The
    child's counterpart of one may be alive, but the host has nothing that it would stand for.
    """

    __slots__ = ("_ahead", "_build", "_numbers", "_objects", "private", "seeds")

    def __init__(self, build: Callable[[], list[object]], seeds: int, private: Iterable[int] = ()) -> None:
        self._build: Callable[[], list[object]] | None = build
        self._objects: list[object] = []
        self._ahead: threading.Thread | None = None
        self._numbers: dict[int, int] | None = None
        self.seeds = seeds
        self.private = frozenset(private)

    @property
    def objects(self) -> list[object]:
        """Every object by its number. Made when it is first asked for: that takes a second for a million objects."""
        if self._ahead is not None:
            self._ahead.join()
            self._ahead = None
        if self._build is not None:
            self._make()
        return self._objects

    def make_ahead(self) -> None:
        """Make it in a thread: while the child loads a million objects, the host has nothing else to do."""
        if self._build is not None and self._ahead is None:
            self._ahead = threading.Thread(target=self._make, name="ipytimeout-table", daemon=True)
            self._ahead.start()

    def _make(self) -> None:
        assert self._build is not None
        with collector_paused():
            self._objects = self._build()
        self._build = None

    @property
    def numbers(self) -> dict[int, int]:
        """The number of each object that both sides have, by its ``id``."""
        if self._numbers is None:
            with collector_paused():
                known = [obj is not None for obj in self.objects]
                for number in self.private:
                    known[number] = False
                numbers = zip(map(id, self.objects), itertools.count())
                self._numbers = dict(itertools.compress(numbers, known))
        return self._numbers

    def numbers_of(self, ids: Container[int]) -> dict[int, int]:
        """Return the same for these only: much less for a large table."""
        if self._numbers is not None:
            return {key: number for key, number in self._numbers.items() if key in ids}
        objects = self.objects
        there = itertools.compress(itertools.count(), map(ids.__contains__, map(id, objects)))
        return {id(objects[i]): i for i in there if i not in self.private and objects[i] is not None}

    def drop(self, numbers: Iterable[int]) -> None:
        """Let go of objects that nobody else holds: they stand for nothing any more."""
        for number in numbers:
            self.objects[number] = None


def seeds_of(namespace: dict[str, object]) -> list[object]:
    """Return what each process has of its own, so that none of it is ever pickled or patched.

    The same length everywhere; what one process lacks is a placeholder, and so is what would come twice.
    """
    ipython = sys.modules.get("IPython")
    own: list[object] = [
        namespace,
        builtins.__dict__,
        sys.modules,
        os.environ,
        sys.stdin,
        sys.stdout,
        sys.stderr,
        sys.__stdin__,
        sys.__stdout__,
        sys.__stderr__,
        ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None,
        threading.main_thread(),
        logging.root,
        # Sentinels that are compared by identity and have no reduce of their own.
        dataclasses.MISSING,
        dataclasses.KW_ONLY,
        dataclasses._HAS_DEFAULT_FACTORY,  # type: ignore[attr-defined]
    ]
    seen: set[int] = set()
    seeds: list[object] = []
    for obj in own:
        seeds.append(object() if obj is None or id(obj) in seen else obj)
        seen.add(id(obj))
    return seeds


def _alone() -> int:
    """Measure the reference count of an object that only a list holds, as ``map`` over the list sees it."""
    return next(map(sys.getrefcount, [object()]))


#: What ``map(sys.getrefcount, objects)`` gives for an object that only the list holds.
ALONE = _alone()
