"""What a notebook sets in its process beside names: options, filters, the shell's own. In host and child, main thread.

An adapter reads one kind of it as named items, and writes items. The host's items go to the child before the code
runs; those that the code has changed come back with the names.

Laws of the package: nothing is imported that the process has not imported; reading is cheap, since it is done for
every run; only items that differ are written, and one that cannot be written is named and spoils no other.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

from ipytimeout.wire.cell_text import CellText

#: Other packages name their adapters here: an ``Adapter``, or a class of one.
ENTRY_POINTS = "ipytimeout.adapters"
#: The adapter that writes last: what others write may set filters, and then it is not known any more what was shown.
LAST = "warnings that were shown"
#: By the name of the adapter, then of the item.
Items: TypeAlias = dict[str, dict[str, Any]]
#: What was set, and what is gone: each by adapter and item.
Delta: TypeAlias = tuple[dict[tuple[str, str], Any], list[tuple[str, str]]]


class Adapter(Protocol):
    """One kind of process state."""

    #: The module whose state it is: before that is imported, there is nothing to read.
    module: str

    def read(self) -> dict[str, Any]:
        """Return all items as they are now, by name. What may be changed in place is copied."""

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        """Set these items, and unset those that are gone. May raise; then the items are tried one by one."""


class Adapters:
    """All adapters of a process, by name, and what can be done with all of them."""

    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        self._adapters = dict(adapters)

    def learn(self, text: CellText, namespace: Mapping[str, Any]) -> bool:
        """Note what a cell sets that is read only then, attributes of modules above all. Tell whether any is new."""
        assigned: Any = self._adapters["attributes"]
        processors: Any = self._adapters["the processors"]
        registered: Any = self._adapters["abstract classes"]
        learners = (assigned, registered)
        return any([processors.learn(text.code), *(each.learn(text, namespace) for each in learners)])

    def read(self, only: Collection[str] | None = None) -> Items:
        """Return every item of this process, or those of some adapters."""
        items: Items = {}
        for name in self._adapters if only is None else only:
            if (adapter := self._adapters.get(name)) is not None and adapter.module in sys.modules:
                with contextlib.suppress(Exception):  # one that is broken, or a library that is only half imported
                    items[name] = adapter.read()
        return items

    def have(self, names: Collection[str]) -> bool:
        """Tell whether what these adapters are about is imported here."""
        return all(name in self._adapters and self._adapters[name].module in sys.modules for name in names)

    def write(self, delta: Delta) -> dict[str, str]:
        """Make this process so. Return what could not be done, each with its reason."""
        items: dict[str, dict[str, Any]] = {}
        gone: dict[str, list[str]] = {}
        for (adapter, item), value in delta[0].items():
            items.setdefault(adapter, {})[item] = value
        for adapter, item in delta[1]:
            gone.setdefault(adapter, []).append(item)
        failed: dict[str, str] = {}
        for name in sorted({**items, **gone}, key=lambda name: name == LAST):
            failed.update(self._write(name, items.get(name, {}), gone.get(name, [])))
        return failed

    def _write(self, name: str, items: dict[str, Any], gone: list[str]) -> dict[str, str]:
        try:
            adapter = self._adapters[name]
            importlib.import_module(adapter.module)  # the other process has imported it, so this one would have too
        except (Exception, SystemExit) as error:
            return {f"the state of {name}": f"{type(error).__name__}: {error}"}
        try:
            have = adapter.read()
            items = {item: value for item, value in items.items() if item not in have or not same(value, have[item])}
            if items or gone:
                adapter.write(items, gone)
        except Exception as error:
            if len(items) + len(gone) == 1:
                return {title(name, next(iter([*items, *gone]))): f"{type(error).__name__}: {error}"}
            failed: dict[str, str] = {}
            for item, value in items.items():
                failed.update(self._write(name, {item: value}, []))
            for item in gone:
                failed.update(self._write(name, {}, [item]))
            return failed
        return {}


def difference(before: Items, after: Items) -> Delta:
    """Return what has to be set and unset to come from one to the other; adapters that only one knows are complete."""
    changed: dict[tuple[str, str], Any] = {}
    gone: list[tuple[str, str]] = []
    for name, items in after.items():
        old = before.get(name, {})
        if items.keys() - old.keys() or not _same_values(items, old):
            changed.update(
                ((name, item), value) for item, value in items.items() if item not in old or not same(value, old[item])
            )
        gone += [(name, item) for item in old.keys() - items.keys()]
    return changed, sorted(gone)


def _same_values(items: dict[str, Any], old: dict[str, Any]) -> bool:
    try:
        return bool(items == old)  # at the speed of C
    except Exception:
        return False


def same(one: object, other: object) -> bool:
    """Tell whether two values are equal, as far as that can be told."""
    if one is other:
        return True
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:
        return False


def title(adapter: str, item: str) -> str:
    """Say to the user which item this is."""
    return f"the widget {item.partition(' ')[0]}" if adapter == "widgets" else f"{item} of {adapter}"


def found_elsewhere() -> list[str]:
    """Return where other packages have adapters: ``name=package.module:attribute``."""
    found = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return sorted(f"{point.name}={point.value}" for point in found)


def load(elsewhere: Iterable[str]) -> Adapters:
    """Return the adapters of this package and those of others; one that cannot be loaded is left out."""
    from ipytimeout.wire.adapters.attributes import AssignedAttributes, Registered
    from ipytimeout.wire.adapters.charts import ALTAIR, BOKEH, BOKEH_SETTINGS, RENDERERS, TEMPLATES
    from ipytimeout.wire.adapters.compiled import NETWORKX
    from ipytimeout.wire.adapters.figures import COLOURS, MATPLOTLIB, PYPLOT
    from ipytimeout.wire.adapters.interpreter import DECIMAL, INTERPRETER, LOCALE, SHOWN, WARNINGS, ZONE
    from ipytimeout.wire.adapters.libraries import (
        ACCESSORS,
        COUNTERS,
        NAMESPACES,
        NUMPY,
        PANDAS,
        POLARS,
        SKLEARN,
        SYMPY,
        TORCH,
    )
    from ipytimeout.wire.adapters.loggers import FILTERS, HANDLERS, LEVELS
    from ipytimeout.wire.adapters.patches import NESTED, TQDM
    from ipytimeout.wire.adapters.process import LIMITS, PROCESS, PROCESSORS
    from ipytimeout.wire.adapters.rich import RICH
    from ipytimeout.wire.adapters.shell import INLINE, SHELL
    from ipytimeout.wire.adapters.signals import SIGNALS
    from ipytimeout.wire.adapters.standard import CSV, REGISTRIES, SETTINGS
    from ipytimeout.wire.widgets import WIDGETS

    adapters: dict[str, Adapter] = {
        "warnings": WARNINGS,
        "the interpreter": INTERPRETER,
        "the process": PROCESS,
        "resource": LIMITS,
        "the processors": PROCESSORS,
        "time": ZONE,
        "signals": SIGNALS,
        "decimal": DECIMAL,
        "locale": LOCALE,
        **SETTINGS,
        "csv": CSV,
        **REGISTRIES,
        "logging": LEVELS,
        "the handlers of logging": HANDLERS,
        "the filters of logging": FILTERS,
        "numpy": NUMPY,
        "pandas": PANDAS,
        "the accessors of pandas": ACCESSORS,
        "the namespaces of polars": NAMESPACES,
        "polars": POLARS,
        "tqdm": TQDM,
        **NESTED,
        "pyplot": PYPLOT,
        "scikit-learn": SKLEARN,
        "sympy": SYMPY,
        "counters of sympy": COUNTERS,
        "networkx": NETWORKX,
        "the colours of matplotlib": COLOURS,
        "matplotlib": MATPLOTLIB,
        "torch": TORCH,
        "the renderers of plotly": RENDERERS,
        "the templates of plotly": TEMPLATES,
        "altair": ALTAIR,
        "bokeh": BOKEH,
        "the settings of bokeh": BOKEH_SETTINGS,
        "IPython": SHELL,
        "rich": RICH,
        "inline figures": INLINE,
        "widgets": WIDGETS,
        "attributes": AssignedAttributes(),
        "abstract classes": Registered(),
        LAST: SHOWN,
    }
    for point in elsewhere:
        name, _, value = point.partition("=")
        try:
            adapter = importlib.metadata.EntryPoint(name, value, ENTRY_POINTS).load()
            adapters[name] = adapter() if isinstance(adapter, type) else adapter
        except Exception:
            continue  # a broken package must not spoil every run; its own tests tell
    return Adapters(adapters)
