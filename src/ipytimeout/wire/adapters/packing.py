"""How the items of adapters travel. Pure; in host and child.

What is plain goes as one pickle of its own, which is made anew only when something has changed. What is the
notebook's, a function or a class, or must stay the very same object, goes with the names, through the object table.
"""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections.abc import Mapping
from typing import Any, Final

from ipytimeout.wire.adapters import Adapters, Delta, Items, title
from ipytimeout.wire.modules import MODULES

#: The pseudo-names of both, beside the names of the notebook. No notebook can have such names.
PLAIN: Final = "\0plain items"
ITEM: Final = "\0item\0"
#: Adapters whose items must stay the very same objects.
_BY_IDENTITY: Final = frozenset({"attributes", "the handlers of logging", "the filters of logging", "pyplot"})


class Packed:
    """The items of the host, ready to be sent. Kept from run to run."""

    def __init__(self) -> None:
        self._items: Items = {}
        #: What was packed last, of what is plain.
        self.plain = b""
        self._notebooks: dict[str, Any] = {}

    def pack(self, items: Items) -> dict[str, Any]:
        """Return what is to be sent beside the names."""
        by_identity = {
            name_of(adapter, item): value
            for adapter in _BY_IDENTITY & items.keys()
            for item, value in items[adapter].items()
        }
        items = {adapter: values for adapter, values in items.items() if adapter not in _BY_IDENTITY}
        if not (self.plain and _same(items, self._items)):
            self._pack(items)
        return {PLAIN: self.plain, **self._notebooks, **by_identity}

    def _pack(self, items: Items) -> None:
        plain: Items = {}
        self._notebooks = {}
        for adapter, values in items.items():
            if _dumps(values) is not None:
                plain[adapter] = values
            else:
                plain[adapter] = {item: value for item, value in values.items() if _dumps(value) is not None}
                of_notebook = values.keys() - plain[adapter].keys()
                self._notebooks |= {name_of(adapter, item): values[item] for item in of_notebook}
        self.plain = _dumps(plain) or b""
        self._items = items


def unpack(extra: Mapping[str, Any]) -> Items:
    """Return the items that came beside the names."""
    items: Items = pickle.loads(extra[PLAIN]) if extra.get(PLAIN) else {}
    for name, value in extra.items():
        if name.startswith(ITEM):
            adapter, item = _parted(name)
            items.setdefault(adapter, {})[item] = value
    return items


def needs_import(plain: bytes, adapters: Adapters) -> bool:
    """Tell whether these plain items cannot be set without an import: of a library, or of a module of the user's."""
    try:
        items: Items = _FromWhatIsHere(io.BytesIO(plain)).load()
    except Exception:
        return True
    return not adapters.have(items)


class _FromWhatIsHere(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module not in sys.modules:
            raise ImportError(f"{module} is not imported")
        return super().find_class(module, name)


def beside_plain(extra: Mapping[str, Any]) -> set[str]:
    """Return the adapters of which items came beside the plain ones."""
    return {_parted(name)[0] for name in extra if name.startswith(ITEM)}


def name_of(adapter: str, item: str) -> str:
    """Return the pseudo-name of an item."""
    return f"{ITEM}{adapter}\0{item}"


def as_names(delta: Delta) -> tuple[dict[str, Any], list[str]]:
    """Return a difference as values by pseudo-name, and pseudo-names that are gone."""
    return (
        {name_of(*key): value for key, value in delta[0].items()},
        [name_of(*key) for key in delta[1]],
    )


def as_delta(names: Mapping[str, Any], gone: list[str]) -> Delta:
    """Undo ``as_names``."""
    return {_parted(name): value for name, value in names.items()}, [_parted(name) for name in gone]


def titles(reasons: Mapping[str, str]) -> dict[str, str]:
    """Return reasons by pseudo-name as reasons that a user can read; names of the notebook are left out."""
    known = {"the data of your own modules": reasons[MODULES]} if MODULES in reasons else {}
    return known | {title(*_parted(name)): reason for name, reason in reasons.items() if name.startswith(ITEM)}


def _parted(name: str) -> tuple[str, str]:
    adapter, _, item = name.removeprefix(ITEM).partition("\0")
    return adapter, item


def _same(items: Items, old: Items) -> bool:
    try:
        return bool(items == old)
    except Exception:
        return False


class _OfNotebook(Exception):
    pass


class _PlainPickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.FunctionType | type) and (
            obj.__module__ == "__main__" or "<locals>" in obj.__qualname__ or obj.__name__ == "<lambda>"
        ):
            raise _OfNotebook
        return NotImplemented


def _dumps(value: object) -> bytes | None:
    file = io.BytesIO()
    try:
        _PlainPickler(file, 5).dump(value)
    except Exception:
        return None
    return file.getvalue()
