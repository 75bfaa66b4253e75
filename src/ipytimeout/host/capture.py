"""Which names of the notebook a piece of code needs, and so which are sent. In the user's process, main thread.

Law of the file: it looks, and never touches. No code of the user runs, no state of the interpreter changes, and the
namespace as a whole is looked at only for dynamic code (``code_names``), which asks for it as a whole.

The walk follows the references that the garbage collector knows: functions, closures, defaults, decorators, classes,
methods, partials, instances and containers need no case of their own, and no attribute is asked for.
"""

from __future__ import annotations

import builtins
import difflib
import gc
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ipytimeout.host.code_names import REACH_MODULES, names_of_code, read_code, words_of
from ipytimeout.host.estimate import estimate_size
from ipytimeout.host.look import (
    CLOSED,
    CLOSED_PACKAGES,
    dict_slot,
    is_array_class,
    is_object_array,
    module_of,
    mro_slot,
    object_items,
    words,
)
from ipytimeout.mistakes import OptionError
from ipytimeout.wire.libraries import users_modules

#: A name that dynamic code does not mention is sent up to this size, in bytes.
LARGE = 2**20
#: After so many objects of data, what is left unseen is taken to need any name.
MOST_OBJECTS = 200_000

#: Names of the module itself, not of the notebook: the child has its own.
_OWN = words("__name__ __package__ __loader__ __spec__ __builtin__ __builtins__ get_ipython")

#: Whoever uses these imports modules that are not in the text.
_IMPORTERS = words("importlib import_module __import__")


@dataclass(frozen=True, slots=True)
class Needed:
    """The names to send. All of them are in the namespace."""

    names: frozenset[str]
    dynamic: bool
    #: Names that dynamic code might use and that are not sent, for their size: the name with an estimate in bytes.
    too_large: Mapping[str, int] = field(default_factory=dict)
    #: Modules of the user's own that the code leads to.
    modules: frozenset[str] = frozenset()


class _Walk:
    """Follow what names and objects refer to, and collect the names of the namespace met on the way."""

    def __init__(self, namespace: dict[str, Any], hidden: Collection[str]) -> None:
        self.names: set[str] = set()
        self.modules: set[str] = set()
        #: Those of which all is reached.
        self._whole: set[str] = set()
        self.dynamic = False
        self._users_modules = users_modules()
        self._namespace = namespace
        self._hidden = hidden
        self._module = namespace.get("__name__", "__main__")
        # Every function refers to the builtins.
        self._seen: set[int] = {id(namespace), id(vars(builtins))}
        self._left = MOST_OBJECTS
        # Code first: data of any size must not use up the count before all code is read.
        self._code: list[Any] = []
        self._data: list[Any] = []

    def reach(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.names or name in _OWN or name in self._hidden or name not in self._namespace:
                continue
            self.names.add(name)
            self._data.append(self._namespace[name])

    def import_from(self, modules: Iterable[str]) -> None:
        """Reach modules of the user's own and all that is in them; of the packages that they are in all but modules.

        What a module uses of the others in its package it has imported.
        """
        for name in modules:
            self._import(name, self._whole)
            while name := name.rpartition(".")[0]:
                self._import(name, self.modules)

    def _import(self, name: str, already: set[str]) -> None:
        if name in self._users_modules and name not in already:
            self.modules.add(name)
            values = vars(self._users_modules[name]).values()
            if already is self._whole:
                self._whole.add(name)
                self._data.extend(values)
            else:
                self._data.extend(value for value in values if type(value) is not types.ModuleType)

    def _import_inside(self, function: types.FunctionType) -> None:
        """Reach what a function of the user's modules imports when it runs: by its name, or relative to its package."""
        read = read_code(function.__code__)
        package = function.__module__
        if not _IMPORTERS.isdisjoint(read.names):
            self.import_from(name for name in self._users_modules if name.startswith(package.partition(".")[0] + "."))
        self.import_from(read.imports)
        while package:
            self.import_from(f"{package}.{name}".rstrip(".") for name in read.imports)
            package = package.rpartition(".")[0]

    def follow(self, values: Iterable[object]) -> None:
        self._data.extend(values)

    def run(self) -> _Walk:
        while self._code or self._data:
            while self._code:
                value = self._code.pop()
                if id(value) not in self._seen:
                    self._seen.add(id(value))
                    (self._function if type(value) is types.FunctionType else self._class)(value)
            level, self._data = self._data, []
            self._level(level)
        return self

    def _level(self, values: list[Any]) -> None:
        """Go one reference further from all these objects, one class after the other: a million costs 0.3 s."""
        by_kind: dict[type, list[Any]] = {}
        for value in values:
            by_kind.setdefault(type(value), []).append(value)
        if any(value is self._namespace for value in by_kind.get(dict, ())):
            self.dynamic = True  # something keeps globals()
        for kind, alike in by_kind.items():
            if kind is types.FunctionType or issubclass(kind, type):
                self._code.extend(alike)
            elif kind is types.ModuleType:
                self._modules(alike)
            elif kind not in CLOSED and module_of(kind).partition(".")[0] not in CLOSED_PACKAGES:
                self._code.append(kind)
                self._instances(kind, [value for value in alike if id(value) not in self._seen])

    def _instances(self, kind: type, values: list[Any]) -> None:
        self._left -= len(values)
        if self._left < 0:
            self.dynamic = True
            return
        self._seen.update(map(id, values))
        if kind is types.BuiltinFunctionType and any(function.__module__ == "_pickle" for function in values):
            self.dynamic = True
        if is_array_class(kind):
            inside = [item for array in filter(is_object_array, values) for item in object_items(array)]
        else:
            inside = gc.get_referents(*values)
        # The collector does not track numbers, texts and containers of nothing else: passed over at the speed of C.
        self.follow(filter(gc.is_tracked, inside))
        kinds = set(map(type, inside)) - CLOSED
        self._code.extend(kinds)  # an instance that holds nothing is not tracked, but its methods use names
        if any(map(is_array_class, kinds)):
            self.follow(filter(is_object_array, inside))

    def _function(self, function: types.FunctionType) -> None:
        if function.__globals__ is self._namespace:
            read = read_code(function.__code__, function.__doc__)
            self.dynamic = self.dynamic or read.dynamic
            self.reach(read.names)
            self.import_from(read.imports)
            if getattr(function, "__annotate__", None) is None:  # Python 3.14 evaluates annotations when asked
                self._annotations(function.__annotations__)
        elif self._users_modules and function.__module__ in self._users_modules:
            self.import_from((function.__module__,))
            self._import_inside(function)
        elif function.__module__ in ("pickle", "dill", "cloudpickle", "joblib.numpy_pickle"):
            self.dynamic = True
        self.follow(value for value in gc.get_referents(function) if value is not function.__globals__)

    def _class(self, cls: type) -> None:
        self._code.extend(mro_slot.__get__(cls))
        self.import_from((module_of(cls),))
        attributes = dict_slot.__get__(cls)
        if module_of(cls) != self._module:
            # A library's class may have been given a method by the notebook.
            methods = (value for value in attributes.values() if type(value) is types.FunctionType)
            self._code.extend(method for method in methods if method.__globals__ is self._namespace)
        else:
            self._annotations(attributes.get("__annotations__"))
            self.follow(attributes.values())
            self._code.append(type(cls))

    def _modules(self, modules: list[types.ModuleType]) -> None:
        for module in modules:
            name = types.ModuleType.__getattribute__(module, "__dict__").get("__name__")
            if type(name) is str:
                self.import_from((name,))
            if name in REACH_MODULES:
                self.dynamic = True

    def _annotations(self, annotations: object) -> None:
        if type(annotations) is dict:
            for annotation in annotations.values():
                if type(annotation) is str:
                    self.reach(words_of(annotation))


def reachable(names: Iterable[str], namespace: dict[str, Any], *, hidden: Collection[str] = ()) -> frozenset[str]:
    """Close names over what their values refer to: functions, classes, closures, decorators, instances, containers."""
    walk = _Walk(namespace, hidden)
    walk.reach(names)
    return frozenset(walk.run().names)


def needed_names(
    code: str,
    namespace: dict[str, Any],
    *,
    transform: Callable[[str], str],
    with_names: tuple[str, ...] = (),
    hidden: Collection[str] = (),
    beside: Iterable[object] = (),
) -> Needed:
    """Find the names that must be sent for a cell.

    Parameters
    ----------
    code
        The cell as it was written.
    namespace
        The notebook's namespace; the very dictionary that its functions have as their globals.
    transform
        As for ``names_of_code``.
    with_names
        Names to send as well, however large; ``("*",)`` for all.
    hidden
        Names that are never sent unless ``with_names`` has them: IPython's own.
    beside
        What is sent beside the names, and may need some.

    Raises
    ------
    OptionError
        When a name of ``with_names`` is not in the namespace.
    """
    read = names_of_code(code, transform)
    walk = _Walk(namespace, hidden)
    walk.dynamic = read.dynamic
    walk.reach(read.names)
    walk.import_from(read.imports)
    walk.follow(beside)
    return _needed(walk, namespace, with_names, hidden)


def needed_by_call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    namespace: dict[str, Any],
    *,
    with_names: tuple[str, ...] = (),
    hidden: Collection[str] = (),
    beside: Iterable[object] = (),
) -> Needed:
    """Find the names that must be sent for ``function(*args, **kwargs)``; the other parameters as for a cell."""
    walk = _Walk(namespace, hidden)
    walk.follow((function, *args, *kwargs.values(), *beside))
    return _needed(walk, namespace, with_names, hidden)


def _needed(walk: _Walk, namespace: dict[str, Any], with_names: tuple[str, ...], hidden: Collection[str]) -> Needed:
    if with_names == ("*",):
        walk.reach(list(namespace))
        return Needed(frozenset(walk.run().names), walk.dynamic, modules=frozenset(walk.modules))
    for name in with_names:
        if name not in namespace:
            near = difflib.get_close_matches(name, [n for n in namespace if n not in hidden], n=1)
            hint = f"did you mean {near[0]}?" if near else "define it first"
            raise OptionError(f"--with {name}: the notebook has no such name; {hint}")
        walk.names.add(name)
        walk.follow((namespace[name],))
    walk.run()
    if not walk.dynamic:
        return Needed(frozenset(walk.names), dynamic=False, modules=frozenset(walk.modules))
    names, too_large = set(walk.names), {}
    for name in list(namespace):
        if type(name) is not str or name in names or name in _OWN or name in hidden:
            continue
        size = estimate_size(namespace[name])
        if size < LARGE:
            names.add(name)
        else:
            too_large[name] = size
    return Needed(frozenset(names), dynamic=True, too_large=too_large, modules=frozenset(walk.modules))
