"""Which names of the notebook a piece of code needs, and so which are sent. In the user's process, main thread.

Law of the file: it looks, and never touches. No code of the user runs (no ``getattr``, ``isinstance`` or ``repr`` on
the user's objects), no state of the interpreter changes, and the namespace as a whole is looked at only for code that
asks for it as a whole (``globals()``, ``eval``, ``%who`` …): such code is called *dynamic*.

Code is read from its bytecode: what it loads by a global name, and every word in its string constants. The latter finds
``%timeit f(x)``, ``!echo {x}``, ``df.query("@x")`` and the bodies of cell magics, which are strings when they run. Text
that is no code then, as a comment, is not read. A name that the code stores before it can load it is not needed.

The walk follows the references that the garbage collector knows: functions, closures, defaults, decorators, classes,
methods, partials, instances and containers need no case of their own, and no attribute is asked for.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import difflib
import dis
import gc
import inspect
import itertools
import re
import sys
import types
import unicodedata
import warnings
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ipytimeout.options import OptionError


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: A name that dynamic code does not mention is sent up to this size, in bytes.
LARGE = 2**20
#: After so many objects of data, what is left unseen is taken to need any name.
MOST_OBJECTS = 200_000

#: Names of the module itself, not of the notebook: the child has its own.
_OWN = _set("__name__ __doc__ __package__ __loader__ __spec__ __file__ __builtin__ __builtins__ get_ipython")


@dataclass(frozen=True, slots=True)
class CodeNames:
    """What a piece of code mentions, whether or not the namespace has it."""

    names: frozenset[str]
    #: Whether the code may use names that it does not mention.
    dynamic: bool


@dataclass(frozen=True, slots=True)
class Needed:
    """The names to send. All of them are in the namespace."""

    names: frozenset[str]
    dynamic: bool
    #: Names that dynamic code might use and that are not sent, for their size: the name with an estimate in bytes.
    too_large: Mapping[str, int] = field(default_factory=dict)


# ---------------------------------------------------------------- reading code

_WORD = re.compile(r"[^\W\d]\w*")
#: No string is read further than this.
_MOST_TEXT = 1_000_000

#: Loaded as functions, these reach names that the code does not mention …
_REACH_ALL = frozenset({"globals", "eval", "exec", "breakpoint"})
#: … and these when they are called without an argument, outside of a function.
_REACH_SCOPE = frozenset({"locals", "vars", "dir"})
#: Modules that look up names of ``__main__``: tests by their prefix, classes of what is unpickled.
_REACH_MODULES = _set("pickle _pickle dill cloudpickle joblib shelve unittest doctest pytest ipytest pdb __main__")
_REACH_ATTRIBUTES = _set(
    "_getframe currentframe f_globals f_locals __globals__ __main__ user_ns user_global_ns user_module "
    "read_pickle set_trace testmod"
)
#: What IPython's transformation of magics calls on the shell.
_MAGIC_CALLS = _set("run_line_magic run_cell_magic system getoutput set_next_input")
_SHELL_NAMESPACE = _set("ev ex run_cell run_cell_async run_code push magic all_ns_refs")
_REACH_MAGICS = _set("run who whos who_ls store macro rerun reset reset_selective xdel psearch recall load edit debug")
_REACH_TEXT = re.compile(
    r"(?<![\w.])(?:globals|eval|exec|breakpoint)\s*\(|(?<![\w.])(?:locals|vars|dir)\s*\(\s*\)"
    rf"|(?<![\w.])(?:{'|'.join(_REACH_MODULES)})\b|\b(?:{'|'.join(_REACH_ATTRIBUTES)}|get_ipython)\b"
    rf"|^\s*%%?(?:{'|'.join(_REACH_MAGICS)})\b|\bimport\s+\*",
    re.MULTILINE,
)

_NAMES = "<names of a cell>"


def names_of_code(code: str, transform: Callable[[str], str]) -> CodeNames:
    """Find the names that a cell mentions.

    Parameters
    ----------
    code
        The cell as it was written.
    transform
        Makes Python of it, as ``InteractiveShell.transform_cell`` does.

    A cell that is no Python mentions nothing: the child shows its error, as natively.
    """
    try:
        with _no_warnings():
            compiled = compile(transform(code), _NAMES, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except Exception:  # a transformer of the user may raise anything
        return CodeNames(frozenset(), dynamic=False)
    return _read(compiled)


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Mute the warnings of our own compilation; the child's gives them.

    ``warnings.catch_warnings`` would make every warning that was to be shown once be shown again. This filter is for
    our file name only, so that other threads' warnings pass, and it is removed by identity: the user may have made an
    equal one.
    """
    ours = ("ignore", None, Warning, re.compile(re.escape(_NAMES)), 0)
    filters: list[Any] = warnings.filters  # type: ignore[assignment]  # declared as a Sequence
    filters.insert(0, ours)
    try:
        yield
    finally:
        for index, entry in enumerate(filters):
            if entry is ours:
                del filters[index]
                break


def _read(code: types.CodeType, docstring: str | None = None) -> CodeNames:
    """Read a code object and those inside it. Its ``docstring`` is no text that the code uses."""
    names: set[str] = set()
    dynamic = False
    for part in _parts(code):
        scan = _scan(part)
        texts = [text for text in _texts(part.co_consts, scan.not_text) if text is not docstring]
        for text in texts:
            names.update(_words(text))
        names |= scan.loaded - scan.stored_first if part is code else scan.loaded
        names |= scan.deleted  # the child can only report as deleted what it had
        dynamic = dynamic or _is_dynamic(part, scan, texts)
    return CodeNames(frozenset(names), dynamic)


def _parts(code: types.CodeType) -> Iterator[types.CodeType]:
    todo = [code]
    while todo:
        yield (part := todo.pop())
        todo.extend(const for const in part.co_consts if type(const) is types.CodeType)


def _words(text: str) -> list[str]:
    text = text[:_MOST_TEXT]
    # Python normalises identifiers so.
    return _WORD.findall(text if text.isascii() else unicodedata.normalize("NFKC", text))


def _texts(constants: Iterable[object], without: Collection[int]) -> Iterator[str]:
    for constant in constants:
        if type(constant) is str:
            yield constant
        elif type(constant) in (tuple, frozenset) and id(constant) not in without:
            yield from _texts(constant, ())  # type: ignore[arg-type]


def _opcodes(*names: str) -> frozenset[int]:
    return frozenset(dis.opmap[name] for name in names if name in dis.opmap)


# The opcodes of CPython 3.11 to 3.14. An unknown one only makes the answer less exact.
_EXTENDED_ARG, _LOAD_GLOBAL, _LOAD_CONST = (dis.opmap[n] for n in ("EXTENDED_ARG", "LOAD_GLOBAL", "LOAD_CONST"))
_IMPORT_NAME = dis.opmap["IMPORT_NAME"]
_DELETES = _opcodes("DELETE_NAME", "DELETE_GLOBAL")
_LOADS = _opcodes("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS") | _DELETES
_STORES = _opcodes("STORE_NAME", "STORE_GLOBAL")
_NOTHING = _opcodes("CACHE", "PUSH_NULL", "PRECALL", "NOP", "EXTENDED_ARG")
_PUSHES = frozenset(op for name, op in dis.opmap.items() if name.startswith("LOAD_"))
#: Their operand is a tuple of names: of keyword arguments, or of what is imported.
_KW_NAMES, _TAKE_NAMES = _opcodes("KW_NAMES"), _opcodes("CALL_KW", "IMPORT_NAME")
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])
_READ = _LOADS | _STORES | _KW_NAMES | _TAKE_NAMES | _JUMPS | {_EXTENDED_ARG, _LOAD_CONST}


@dataclass(slots=True)
class _Scan:
    """What the instructions of one code object do with global names."""

    loaded: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    #: Stored before they are loaded, whatever happens.
    stored_first: set[str] = field(default_factory=set)
    #: Modules that something is imported from.
    imported_from: set[str] = field(default_factory=set)
    #: The ``id`` of constants that are names of keyword arguments and of imports.
    not_text: set[int] = field(default_factory=set)
    #: Whether ``locals``, ``vars`` or ``dir`` is used otherwise than with an argument.
    scope: bool = False


def _scan(code: types.CodeType) -> _Scan:
    """Read one code object, without those inside it.

    A name stored in the straight run of instructions from the start, up to the first jump or ``try``, before it is
    loaded there, is stored before any load that follows. ``df = read(); df.head()`` needs no old ``df``.
    """
    scan = _Scan()
    names, constants, bytecode = code.co_names, code.co_consts, code.co_code
    function = bool(code.co_flags & inspect.CO_OPTIMIZED)
    straight = not function
    handled_from = _first_handled(code.co_exceptiontable)
    extended = extended_to = last_constant = 0
    for index, op in enumerate(bytecode[::2]):
        if op not in _READ:  # most are not, and this loop is the cost of the whole
            continue
        offset = index * 2
        arg = bytecode[offset + 1]
        if index == extended_to:
            arg |= extended
        if op == _EXTENDED_ARG:
            extended, extended_to = arg << 8, index + 1
        if straight and (op in _JUMPS or offset >= handled_from):
            straight = False
        if op in _LOADS:
            name = names[arg >> 1 if op == _LOAD_GLOBAL else arg]
            scan.loaded.add(name)
            if op in _DELETES:
                scan.deleted.add(name)
            if name in _REACH_SCOPE and not function and not _has_argument(bytecode, offset):
                scan.scope = True
        elif straight and op in _STORES:
            if names[arg] not in scan.loaded:
                scan.stored_first.add(names[arg])
        elif op == _LOAD_CONST:
            last_constant = arg
        elif op in _KW_NAMES:
            scan.not_text.add(id(constants[arg]))
        elif op in _TAKE_NAMES:
            scan.not_text.add(id(constants[last_constant]))
            if op == _IMPORT_NAME and type(constants[last_constant]) is tuple:
                scan.imported_from.add(names[arg].partition(".")[0])
    return scan


def _first_handled(table: bytes) -> float:
    """Return the offset of the first instruction inside a ``try`` or ``with`` (CPython's exception table)."""
    if not table:
        return float("inf")
    start = 0
    for byte in table:
        start = start << 6 | byte & 0x3F
        if not byte & 0x40:
            break
    return start * 2


def _has_argument(bytecode: bytes, offset: int) -> bool:
    """Whether something is pushed right after the function at ``offset``: ``dir(x)`` tells of ``x`` only."""
    following = (op for op in bytecode[offset + 2 :: 2] if op not in _NOTHING)
    return next(following, 0) in _PUSHES


def _is_dynamic(code: types.CodeType, scan: _Scan, texts: list[str]) -> bool:
    loaded, mentioned = scan.loaded, set(code.co_names)
    if scan.scope or not _REACH_ALL.isdisjoint(loaded):
        return True
    if not _REACH_MODULES.isdisjoint(loaded | scan.imported_from):
        return True
    if not _REACH_ATTRIBUTES.isdisjoint(mentioned) or ("*",) in code.co_consts:
        return True
    if "modules" in mentioned and ("__main__" in texts or "__name__" in mentioned):
        return True  # sys.modules["__main__"]
    if "get_ipython" not in loaded:
        return False
    if _MAGIC_CALLS.isdisjoint(mentioned) or not _SHELL_NAMESPACE.isdisjoint(mentioned):
        return True  # the shell itself is used, not a magic
    return any(text in _REACH_MAGICS or _REACH_TEXT.search(text) for text in texts)


# ---------------------------------------------------------------- following objects

_ATOMS: frozenset[type] = frozenset(
    {int, float, complex, bool, str, bytes, bytearray, range, slice, type(None), type(...), type(NotImplemented)}
)
#: Nothing of the notebook is reached through these; frames would lead to every variable of every caller.
_CLOSED: frozenset[type] = _ATOMS | {types.CodeType, types.FrameType, types.TracebackType}
#: Instances of classes from here belong to the process: their references lead everywhere, and they are not sent.
_CLOSED_PACKAGES = _set(
    "IPython ipykernel ipywidgets traitlets comm zmq tornado asyncio _asyncio logging threading _thread "
    "concurrent multiprocessing subprocess socket _socket ssl _io"
)

_module_slot, _dict_slot, _mro_slot = (type.__dict__[name] for name in ("__module__", "__dict__", "__mro__"))


def _module_of(cls: type) -> str:
    """Where a class was defined, without asking a metaclass of the user."""
    try:
        module = _module_slot.__get__(cls)
    except AttributeError:
        return ""
    return module if type(module) is str else ""


class _Walk:
    """Follow what names and objects refer to, and collect the names of the namespace met on the way."""

    def __init__(self, namespace: dict[str, Any], hidden: Collection[str]) -> None:
        self.names: set[str] = set()
        self.dynamic = False
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
            elif kind not in _CLOSED and _module_of(kind).partition(".")[0] not in _CLOSED_PACKAGES:
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
        if _is_array_class(kind):
            inside = [item for array in filter(_is_object_array, values) for item in _object_items(array)]
        else:
            inside = gc.get_referents(*values)
        # The collector does not track numbers, texts and containers of nothing else: passed over at the speed of C.
        self.follow(filter(gc.is_tracked, inside))
        kinds = set(map(type, inside)) - _CLOSED
        self._code.extend(kinds)  # an instance that holds nothing is not tracked, but its methods use names
        if any(map(_is_array_class, kinds)):
            self.follow(filter(_is_object_array, inside))

    def _function(self, function: types.FunctionType) -> None:
        if function.__globals__ is self._namespace:
            read = _read(function.__code__, function.__doc__)
            self.dynamic = self.dynamic or read.dynamic
            self.reach(read.names)
            if getattr(function, "__annotate__", None) is None:  # Python 3.14 evaluates annotations when asked
                self._annotations(function.__annotations__)
        elif function.__module__ in ("pickle", "dill", "cloudpickle", "joblib.numpy_pickle"):
            self.dynamic = True
        self.follow(value for value in gc.get_referents(function) if value is not function.__globals__)

    def _class(self, cls: type) -> None:
        self._code.extend(_mro_slot.__get__(cls))
        attributes = _dict_slot.__get__(cls)
        if _module_of(cls) != self._module:
            # A library's class may have been given a method by the notebook.
            methods = (value for value in attributes.values() if type(value) is types.FunctionType)
            self._code.extend(method for method in methods if method.__globals__ is self._namespace)
        else:
            self._annotations(attributes.get("__annotations__"))
            self.follow(attributes.values())
            self._code.append(type(cls))

    def _modules(self, modules: list[types.ModuleType]) -> None:
        for module in modules:
            if types.ModuleType.__getattribute__(module, "__dict__").get("__name__") in _REACH_MODULES:
                self.dynamic = True

    def _annotations(self, annotations: object) -> None:
        if type(annotations) is dict:
            for annotation in annotations.values():
                if type(annotation) is str:
                    self.reach(_words(annotation))


def _is_array_class(kind: type) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(kind, getattr(numpy, "ndarray", ()))


def _is_object_array(value: Any) -> bool:
    """Whether this is an array of Python objects, which numpy hides from the garbage collector."""
    if not _is_array_class(type(value)):
        return False
    return bool(sys.modules["numpy"].ndarray.__dict__["dtype"].__get__(value).hasobject)


def _object_items(array: Any) -> list[Any]:
    items: list[Any] = sys.modules["numpy"].ndarray.ravel(array).tolist()
    return items


def reachable(names: Iterable[str], namespace: dict[str, Any], *, hidden: Collection[str] = ()) -> frozenset[str]:
    """Close names over what their values refer to: functions, classes, closures, decorators, instances, containers."""
    walk = _Walk(namespace, hidden)
    walk.reach(names)
    return frozenset(walk.run().names)


# ---------------------------------------------------------------- the answer


def needed_names(
    code: str,
    namespace: dict[str, Any],
    *,
    transform: Callable[[str], str],
    with_names: tuple[str, ...] = (),
    hidden: Collection[str] = (),
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

    Raises
    ------
    OptionError
        When a name of ``with_names`` is not in the namespace.
    """
    read = names_of_code(code, transform)
    walk = _Walk(namespace, hidden)
    walk.dynamic = read.dynamic
    walk.reach(read.names)
    return _needed(walk, namespace, with_names, hidden)


def needed_by_call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    namespace: dict[str, Any],
    *,
    with_names: tuple[str, ...] = (),
    hidden: Collection[str] = (),
) -> Needed:
    """Find the names that must be sent for ``function(*args, **kwargs)``; the other parameters as for a cell."""
    walk = _Walk(namespace, hidden)
    walk.follow((function, *args, *kwargs.values()))
    return _needed(walk, namespace, with_names, hidden)


def _needed(walk: _Walk, namespace: dict[str, Any], with_names: tuple[str, ...], hidden: Collection[str]) -> Needed:
    if with_names == ("*",):
        walk.reach(list(namespace))
        return Needed(frozenset(walk.run().names), walk.dynamic)
    for name in with_names:
        if name not in namespace:
            near = difflib.get_close_matches(name, [n for n in namespace if n not in hidden], n=1)
            hint = f"did you mean {near[0]}?" if near else "define it first"
            raise OptionError(f"--with {name}: the notebook has no such name; {hint}")
        walk.names.add(name)
        walk.follow((namespace[name],))
    walk.run()
    if not walk.dynamic:
        return Needed(frozenset(walk.names), dynamic=False)
    names, too_large = set(walk.names), {}
    for name in list(namespace):
        if type(name) is not str or name in names or name in _OWN or name in hidden:
            continue
        size = estimate_size(namespace[name])
        if size < LARGE:
            names.add(name)
        else:
            too_large[name] = size
    return Needed(frozenset(names), dynamic=True, too_large=too_large)


# ---------------------------------------------------------------- sizes

_SAMPLE = 32
_MOST_SIZED = 400
#: Libraries whose arrays tell their size; asking runs their code, not the user's.
_WITH_NBYTES = _set("numpy torch pyarrow cupy jax jaxlib")


def estimate_size(value: Any) -> int:
    """Estimate the memory of an object and what it holds, in bytes, from a sample of a bounded number of objects."""
    if type(value) in _ATOMS:
        return sys.getsizeof(value)
    total = 0.0
    seen: set[int] = set()
    todo: deque[tuple[Any, float]] = deque([(value, 1.0)])
    while todo and len(seen) < _MOST_SIZED:
        item, weight = todo.popleft()
        if id(item) in seen:
            continue
        seen.add(id(item))
        total += weight * _own_size(item)
        try:
            items, count = _sample(item)
        except RuntimeError:  # another thread of the user is changing it
            continue
        if items:
            share = weight * count / len(items)
            todo.extend((inner, share) for inner in items)
    return int(total)


def _own_size(value: Any) -> int:
    kind = type(value)
    package = _module_of(kind).partition(".")[0]
    try:
        if package in _WITH_NBYTES or kind is memoryview:
            size = int(value.nbytes)
            # Each object of an object array has a size of its own: of the order of a short text.
            return size * 8 if package == "numpy" and _is_object_array(value) else size
        if package == "polars":
            return int(value.estimated_size())
    except Exception:
        pass  # a type without it, or one that refuses
    # A __sizeof__ in Python is the user's, or pandas', which looks at every text.
    python = any(type(_dict_slot.__get__(c).get("__sizeof__")) is types.FunctionType for c in _mro_slot.__get__(kind))
    return object.__sizeof__(value) if python else sys.getsizeof(value)


def _sample(value: Any) -> tuple[list[Any], int]:
    """Return some of what an object holds, and how much of it there is."""
    kind = type(value)
    if kind in _CLOSED or kind in (types.ModuleType, memoryview) or issubclass(kind, type):
        return [], 0
    if kind is types.FunctionType:
        return [x for x in (value.__closure__, value.__defaults__, value.__kwdefaults__, value.__dict__) if x], 4
    for container in (list, tuple, set, frozenset, deque):
        if issubclass(kind, container):
            count = container.__len__(value)
            items = list(itertools.islice(container.__iter__(value), _SAMPLE))
            return items, count
    if issubclass(kind, dict):
        count = dict.__len__(value)
        pairs = list(itertools.islice(dict.items(value), _SAMPLE))
        return [x for pair in pairs for x in pair], 2 * count
    if _module_of(kind).partition(".")[0] in _CLOSED_PACKAGES:
        return [], 0
    items = [x for x in gc.get_referents(value) if type(x) is not types.ModuleType and not issubclass(type(x), type)]
    return items[:_SAMPLE], len(items)
