"""What the notebook's cells assign on modules and classes of libraries: ``plt.foo = …``; and register with classes.

See ``adapters``. Which these are is read from the text of the cells: to compare every attribute of every module would
take longer than most cells. What a library assigns on itself is left alone.
"""

from __future__ import annotations

import abc
import ast
import sys
import types
from collections.abc import Collection, Mapping
from typing import Any

from ipytimeout.wire.cell_text import CellText, path_of
from ipytimeout.wire.libraries import users_modules

#: Each process has its own, or another part of this package sees to it.
_NOT_OURS = frozenset(
    f"sys {name}"
    for name in ("stdin", "stdout", "stderr", "displayhook", "excepthook", "modules", "path", "argv", "meta_path")
)
_MAIN = "__main__"
#: Stands for what a cell puts into ``sys.modules`` itself.
_REGISTRY = "sys.modules"


class AssignedAttributes:
    """Items are named "module attribute", "module Class attribute", or "sys.modules name"."""

    module = "sys"

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, text: CellText, namespace: Mapping[str, Any]) -> bool:
        """Note what this cell assigns, as far as the names in it are known by now. Tell whether any of it is new."""
        code = text.code
        if not ("." in code and ("=" in code or "del" in code)) and "attr(" not in code:
            return False
        before = len(self._known)
        for path, attribute in text.assigned:
            owner = _owner(path, namespace)
            if owner and f"{owner} {attribute}" not in _NOT_OURS:
                self._known.add(f"{owner} {attribute}")
        return len(self._known) > before

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for item in self._known:
            owner, attribute = _resolved(item)
            values = _values(owner)
            if attribute in values:
                found[item] = values[attribute]
        return found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for item, value in items.items():
            self._known.add(item)
            owner, attribute = _resolved(item)
            if owner is None:
                raise LookupError("there is no such module or class here")
            if owner is sys.modules:
                sys.modules[attribute] = value
            else:
                setattr(owner, attribute, value)
        for item in gone:
            owner, attribute = _resolved(item)
            if owner is sys.modules:
                sys.modules.pop(attribute, None)
            elif attribute in _values(owner):
                delattr(owner, attribute)


class Registered:
    """Classes of the notebook that cells have registered with abstract ones: ``Sequence.register(Rows)``.

    Items are named "module Abstract Rows".
    """

    module = "abc"

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, text: CellText, namespace: Mapping[str, Any]) -> bool:
        """Note with which abstract classes this cell registers something. Tell whether any of it is new."""
        if ".register" not in text.code:
            return False
        before = len(self._known)
        for node in ast.walk(text.tree):
            if isinstance(node, ast.Attribute) and node.attr == "register":
                path = path_of(node.value)
                owner = _owner(path, namespace) if path else ""
                if owner and isinstance(_resolved(f"{owner} register")[0], abc.ABCMeta):
                    self._known.add(owner)
        return len(self._known) > before

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for owner in self._known:
            abstract = _resolved(f"{owner} register")[0]
            # What ``ABCMeta._dump_registry`` prints; nothing public tells it.
            registry = abc._get_dump(abstract)[0] if abstract is not None else ()  # type: ignore[attr-defined]
            own = [cls for ref in registry if (cls := ref()) is not None and cls.__module__ == _MAIN]
            found.update((f"{owner} {cls.__qualname__}", cls) for cls in own)
        return found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for item, cls in items.items():
            owner = item.rpartition(" ")[0]
            self._known.add(owner)
            abstract: Any = _resolved(f"{owner} register")[0]
            if abstract is None:
                raise LookupError("there is no such class here")
            abstract.register(cls)


def _owner(path: list[str], namespace: Mapping[str, Any]) -> str:
    """Return the module, or module and class, at the end of a path; "" when it is something else."""
    if path == ["sys", "modules"]:
        return _REGISTRY if namespace.get("sys") is sys else ""
    owner = namespace.get(path[0])
    for name in path[1:]:
        if type(owner) is not types.ModuleType and not isinstance(owner, type):
            return ""
        owner = vars(owner).get(name)
    if type(owner) is types.ModuleType:
        words = [owner.__name__]
    elif isinstance(owner, type) and owner.__module__ != _MAIN:
        words = [owner.__module__, owner.__qualname__]
    else:
        return ""
    if words[0] == _MAIN or words[0].partition(".")[0] == __name__.partition(".")[0]:
        return ""  # a name of the notebook, or this package: its processes differ
    if words[0] in users_modules():
        return ""  # the data of these comes along as a whole
    return " ".join(words) if _resolved(" ".join([*words, "x"]))[0] is owner else ""


def _values(owner: Any) -> Mapping[str, Any]:
    return {} if owner is None else owner if owner is sys.modules else vars(owner)


def _resolved(item: str) -> tuple[Any, str]:
    """Return the module or class of an item here, or None, and the attribute."""
    module, *classes, attribute = item.split(" ")
    if module == _REGISTRY:
        return sys.modules, attribute
    owner: Any = sys.modules.get(module)
    for name in classes[0].split(".") if classes else ():
        owner = vars(owner).get(name) if owner is not None else None
    return owner, attribute
