"""How things that pickle cannot, or should not as it does, are taken apart and put together again. In both processes.

Each reducer gets the object and the pickler, and returns what ``__reduce_ex__`` would, or NotImplemented for "as
usual", or raises ``Refused``. The functions that put together run in the receiving process and are found by name.

Law of the file: what is put together is *the same kind of thing* as natively: a function has the notebook's live
globals and shares its closure's cells, a view shows the memory of its base, an exception keeps its cause.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import copyreg
import functools
import gc
import importlib
import io
import re
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import cloudpickle

from ipytimeout.wire import (
    arrays,
    caches,
    charts,
    classes,
    contexts,
    ended,
    frames,
    mapped,
    pictures,
    plots,
    small,
    symbols,
    tensors,
    tracebacks,
    views,
    widgets,
)
from ipytimeout.wire.ended import Refused
from ipytimeout.wire.libraries import is_library

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

Reduced: TypeAlias = Any
Reducer: TypeAlias = "Callable[[Any, NamespacePickler], Reduced]"


# ---------------------------------------------------------------- which reducer


_BY_TYPE: dict[type, Reducer | None] = {}


def find_reducer(cls: type) -> Reducer | None:
    """Return the reducer for instances of exactly this class, or None for "as usual"."""
    try:
        return _BY_TYPE[cls]
    except KeyError:
        reducer = _classify(cls)
        # Classes of the notebook come and go, and their methods change: only what stays is remembered.
        if cls.__module__ != "__main__":
            _BY_TYPE[cls] = reducer
        return reducer


def _classify(cls: type) -> Reducer | None:
    if issubclass(cls, type):
        return reduce_class
    if issubclass(cls, BaseException):
        return reduce_exception
    for name, reducer in _BY_NAME.items():
        if any(f"{base.__module__}.{base.__qualname__}" == name for base in cls.__mro__):
            return reducer
    if cls in cloudpickle.Pickler.dispatch_table:
        return None
    if changes_pickling(cls):
        return None
    return attributes_reducer(cls) if has_only_attributes(cls) else reduce_instance


def changes_pickling(cls: type) -> bool:
    """Whether instances are taken apart or put together in another way than by their attributes, as they are."""
    usual: Any = object
    return any(getattr(cls, name) is not getattr(usual, name) for name in _PICKLING) or any(
        hasattr(cls, name) for name in ("__setstate__", "__getnewargs__", "__getnewargs_ex__")
    )


_PICKLING = ("__reduce_ex__", "__reduce__", "__getstate__")


# ---------------------------------------------------------------- plain instances


def reduce_instance(obj: Any, pickler: NamespacePickler) -> Reduced:
    """Only an object whose ``__dict__`` somebody else holds too needs more than pickle does."""
    try:
        if sys.getrefcount(obj.__dict__) <= OWN_DICT:
            return NotImplemented
    except AttributeError:
        return NotImplemented
    function, args, *rest = obj.__reduce_ex__(5)
    return (function, args, *rest[:3], _set_shared_dict)


def has_only_attributes(cls: type) -> bool:
    """Whether the state of instances is their ``__dict__`` and nothing else, for pickle too."""
    size = object.__basicsize__ + sum(_POINTER for offset in (cls.__dictoffset__, cls.__weakrefoffset__) if offset > 0)
    return (
        cls.__dictoffset__ != 0
        and cls.__basicsize__ <= size
        and cls.__itemsize__ == 0
        and has_usual_access(cls)
        and not any(vars(base).get("__slots__") for base in cls.__mro__)
    )


def has_usual_access(cls: type) -> bool:
    """Whether no code of the notebook runs when an attribute that is there is looked up in an instance."""
    usual: Any = object
    return cls.__getattribute__ is usual.__getattribute__


_POINTER = object.__basicsize__ // 2


def attributes_reducer(cls: type) -> Reducer:
    """Return the reducer for a class that has only attributes: what pickle finds out anew for each instance."""
    new, args = copyreg.__newobj__, (cls,)  # type: ignore[attr-defined]
    if hasattr(cls, "__getattr__"):
        # pickle would ask the empty object for a __setstate__, and one that asks its attributes in turn never ends.
        return lambda obj, pickler: (new, args, obj.__dict__ or None, None, None, _set_shared_dict)
    getrefcount, own_dict = sys.getrefcount, _OWN_DICT_BY_NAME

    def reduce(obj: Any, pickler: NamespacePickler) -> Reduced:
        state = obj.__dict__
        if getrefcount(state) <= own_dict:
            return new, args, state or None
        return new, args, state, None, None, _set_shared_dict

    return reduce


def _set_shared_dict(obj: Any, state: Any) -> None:
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes is not None:
        object.__setattr__(obj, "__dict__", attributes)  # past a ``__setattr__`` that needs what is not there yet
    for name, value in (slots or {}).items():
        object.__setattr__(obj, name, value)


class _Plain:
    def __init__(self) -> None:
        self.attribute = 1


def _own_dict_by_name() -> int:
    obj = _Plain()
    state = obj.__dict__
    return sys.getrefcount(state)


#: The reference count of a ``__dict__`` that nobody but its object holds, as an argument of ``getrefcount``.
OWN_DICT = sys.getrefcount(_Plain().__dict__)
_OWN_DICT_BY_NAME = _own_dict_by_name()


# ---------------------------------------------------------------- functions, cells, code


class ModuleGlobals:
    """Stands for the globals of an importable module in the stream."""

    def __init__(self, name: str, namespace: Mapping[str, Any], by_hand: types.ModuleType | None = None) -> None:
        self.name = name
        self.by_hand = by_hand
        #: What rewrote the module's code has put there, as pytest does for ``assert``: no source can have such names.
        self.hidden = {
            key: value
            for key, value in namespace.items()
            if isinstance(value, types.ModuleType) and not key.isidentifier()
        }

    def __reduce__(self) -> Reduced:
        return (module_globals, (self.name, self.hidden)) if self.by_hand is None else (vars, (self.by_hand,))


def module_globals(name: str, hidden: Mapping[str, Any]) -> dict[str, Any]:
    namespace = vars(importlib.import_module(name))
    for key, value in hidden.items():
        namespace.setdefault(key, value)
    return namespace


def reduce_function(func: types.FunctionType, pickler: NamespacePickler) -> Reduced:
    if classes.by_reference(func):
        return NotImplemented
    namespace: Any = func.__globals__
    module = sys.modules.get(namespace.get("__name__") or "")
    if namespace is not pickler.namespace and (module is None or vars(module) is not namespace):
        module = _made_by_hand(namespace)
    if namespace is pickler.namespace or module is None or vars(module) is not namespace:
        namespace = _globals_of(func, pickler)
    elif classes.is_made_by_hand(module):
        key = f"{module.__name__} {id(module)}"
        namespace = pickler.module_globals.setdefault(key, ModuleGlobals(module.__name__, {}, module))
    else:
        name = module.__name__
        namespace = pickler.module_globals.setdefault(name, ModuleGlobals(name, vars(module)))
    state = {
        "__qualname__": func.__qualname__,
        "__module__": func.__module__,
        "__doc__": func.__doc__,
        "__defaults__": func.__defaults__,
        "__kwdefaults__": func.__kwdefaults__,
        "__annotations__": func.__annotations__,
        "__dict__": func.__dict__,
        "__type_params__": getattr(func, "__type_params__", ()),
    }
    args = (func.__code__, namespace, func.__name__, func.__closure__)
    return make_function, args, state, None, None, set_function_state


def _made_by_hand(namespace: dict[str, Any]) -> types.ModuleType | None:
    """Return the module that these are the globals of, where only the notebook has it."""
    if not ("__loader__" in namespace and "__spec__" in namespace and namespace["__spec__"] is None):
        return None
    holders = (each for each in gc.get_referrers(namespace) if type(each) is types.ModuleType)
    return next((each for each in holders if vars(each) is namespace), None)


def _globals_of(func: types.FunctionType, pickler: NamespacePickler) -> dict[str, Any]:
    """Return the globals that belong to no module. Of those of a library, as ``lambdify`` makes them, what is used."""
    namespace = func.__globals__
    if namespace is pickler.namespace or len(namespace) < _MANY_GLOBALS:
        return namespace
    used = {name for code in _codes(func.__code__) for name in code.co_names} | {"__name__"}
    return {name: namespace[name] for name in used & namespace.keys()}


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _codes(const)


#: A namespace of so many names was made by a library.
_MANY_GLOBALS = 300


def make_function(
    code: types.CodeType, namespace: dict[str, Any], name: str, closure: tuple[types.CellType, ...] | None
) -> types.FunctionType:
    return types.FunctionType(code, namespace, name, None, closure)


def set_function_state(func: types.FunctionType, state: dict[str, Any]) -> None:
    for name, value in state.items():
        # Empty ones are what a new function has, and 3.11 has no __type_params__.
        if name in ("__dict__", "__module__", "__doc__") or value not in (None, {}, ()):
            setattr(func, name, value)


def reduce_cell(cell: types.CellType, pickler: NamespacePickler) -> Reduced:
    # The contents are a state and not an argument: they may lead back to the cell.
    try:
        contents = (cell.cell_contents,)
    except ValueError:
        return types.CellType, ()
    return types.CellType, (), contents, None, None, set_cell


def set_cell(cell: types.CellType, contents: tuple[object]) -> None:
    cell.cell_contents = contents[0]


# ---------------------------------------------------------------- classes


def reduce_class(cls: type, pickler: NamespacePickler) -> Reduced:
    return classes.reduce_class(cls)


# ---------------------------------------------------------------- exceptions


#: Members of built-in exceptions that are no arguments; what a raised exception is bound to is none of them.
_NOT_MEMBERS = frozenset(
    ("args", "__dict__", "__traceback__", "__context__", "__cause__", "__suppress_context__", "obj")
)


def exception_members(error: BaseException) -> dict[str, object]:
    """Return what the built-in classes of this exception keep beside ``args``: ``errno``, ``code``, ``name`` …"""
    members = {}
    for cls in type(error).__mro__:
        if cls.__module__ != "builtins":
            continue
        for name, member in vars(cls).items():
            if isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType) and name not in _NOT_MEMBERS:
                try:
                    members[name] = member.__get__(error)
                except AttributeError:
                    continue
    return members


def reduce_exception(error: BaseException, pickler: NamespacePickler) -> Reduced:
    chain = (error.__cause__, error.__context__, error.__suppress_context__, error.__traceback__)
    cls = type(error)
    if _is_native(cls, "__reduce__") and _is_native(cls, "__reduce_ex__"):
        # Arguments may lead back to the exception; only a group must have its own from the start.
        first = error.args if isinstance(error, BaseExceptionGroup) else ()
        own = (vars(error), exception_members(error), error.args, chain)
        return make_exception, (cls, first), own, None, None, set_exception_state
    reduced: Any = error.__reduce_ex__(5)
    function, args, *rest = reduced
    return function, args, (rest[0] if rest else None, None, None, chain), None, None, set_exception_state


def _is_native(cls: type, name: str) -> bool:
    return not isinstance(getattr(cls, name), types.FunctionType)


def make_exception(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Make an exception without its own ``__init__``, which often takes other arguments than it passes on."""
    return cls.__new__(cls, *args)


def set_exception_state(error: BaseException, state: tuple[Any, Any, Any, tuple[Any, Any, bool, Any]]) -> None:
    attributes, members, args, (cause, context, suppress, traceback) = state
    put = functools.partial(BaseException.__setattr__, error)  # past the ``__setattr__`` of a frozen dataclass
    if args is not None:
        put("args", args)
        base = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
        with contextlib.suppress(TypeError):  # then its members are set below
            base.__init__(error, *args)  # type: ignore[misc]
        vars(error).update(attributes)
    elif attributes is not None:
        error.__setstate__(attributes)
    for name, value in (members or {}).items():
        with contextlib.suppress(AttributeError, TypeError):  # read-only: it was an argument
            # An OSError whose errno was set to None says so in its text.
            if getattr(error, name) is not value:
                setattr(error, name, value)
    put("__cause__", cause)
    put("__context__", context)
    put("__suppress_context__", suppress)
    put("__traceback__", traceback)


def reduce_traceback(traceback: types.TracebackType, pickler: NamespacePickler) -> Reduced:
    """What it shows: its frames stay where they are."""
    return tracebacks.traceback_of, (tracebacks.frames_of(traceback), tracebacks.last_lines(traceback))


# ---------------------------------------------------------------- modules


def reduce_module(module: types.ModuleType, pickler: NamespacePickler) -> Reduced:
    if sys.modules.get(module.__name__) is module and getattr(module, "__spec__", None) is not None:
        return import_quietly, (module.__name__,)
    if not classes.is_made_by_hand(module):
        return NotImplemented
    state = {name: value for name, value in vars(module).items() if name != "__builtins__"}
    return types.ModuleType, (module.__name__,), state, None, None, _set_module


def _set_module(module: types.ModuleType, state: dict[str, Any]) -> None:
    vars(module).update(state)


def import_quietly(name: str) -> types.ModuleType:
    """Import a module that another process has imported, and what it printed was shown."""
    if name not in sys.modules:
        with quietly():
            importlib.import_module(name)
    return sys.modules[name]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Drop what this thread prints."""
    with contextlib.redirect_stdout(Muted(sys.stdout)), contextlib.redirect_stderr(Muted(sys.stderr)):
        yield


class OfALibrary:
    """Stands in the stream for what ``from library import *`` gave: it cannot be pickled, but it can be imported."""

    def __init__(self, module: str, name: str, value: object) -> None:
        self._where = module, name
        #: What is in the table of objects: the other process has its own at this place.
        self.value = value

    def __reduce__(self) -> Reduced:
        return import_from, self._where


def of_a_library(name: str, value: object) -> OfALibrary | None:
    """Return a stand-in for a value that a module has under this very name; None where there is no such module.

    Looked for where an instance of a library's class is most likely: by itself it would come back as a copy, and
    ``from sympy import *`` brings dozens.
    """
    cls = type(value)
    if cls in (dict, list, set):
        packages = _packages(len(sys.modules), next(reversed(sys.modules)))
        found = [module for module, own in packages if own.get(name) is value]
        return OfALibrary(found[0].__name__, name, value) if found and is_library(found[0]) else None
    # That of a class made by a call, as sympy's functions are, may be None.
    if cls.__module__ in ("builtins", "__main__", None) or isinstance(
        value, type | types.FunctionType | types.ModuleType
    ):
        return None
    for module in (cls.__module__.partition(".")[0], cls.__module__):
        if _has(sys.modules.get(module), name, value):
            return OfALibrary(module, name, value)
    return None


@functools.lru_cache(maxsize=1)
def _packages(count: int, newest: str) -> list[tuple[types.ModuleType, dict[str, object]]]:
    """Return the modules that are in no package: where a library's own dicts are imported from."""
    modules = [module for name, module in list(sys.modules.items()) if "." not in name and name != "__main__"]
    return [(module, vars(module)) for module in modules if type(module) is types.ModuleType]


def of_any_module(name: str, value: object) -> OfALibrary | None:
    """The same for what cannot be pickled: now every module is looked into."""
    for module in list(sys.modules.values()):
        if _has(module, name, value):
            return OfALibrary(module.__name__, name, value)
    return None


def _has(module: types.ModuleType | None, name: str, value: object) -> bool:
    return (
        module is not None
        and getattr(module, "__spec__", None) is not None
        and module.__name__ != "__main__"
        and vars(module).get(name) is value
    )


def import_from(module: str, name: str) -> object:
    return getattr(import_quietly(module), name)


class Muted:
    """A stream that drops what this thread writes to it; what others write passes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() == self._thread:
            return len(text)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


# ---------------------------------------------------------------- small things of the standard library


def reduce_weakref(ref: weakref.ref[Any], pickler: NamespacePickler) -> Reduced:
    target = ref()
    if target is None:
        return dead_reference, ()
    return type(ref), (target,)


class _Gone:
    pass


def dead_reference() -> weakref.ref[Any]:
    return weakref.ref(_Gone())


def reduce_weak_proxy(proxy: Any, pickler: NamespacePickler) -> Reduced:
    """To an object that travels by itself, and has begun to; else to nothing: a proxy alone keeps nothing alive."""
    try:
        target = proxy.__repr__.__self__
    except (ReferenceError, AttributeError):
        return dead_proxy, ()
    known = pickler.persistent_id(target) is not None or id(target) in pickler.memo.copy()
    return (weakref.proxy, (target,)) if known else (dead_proxy, ())


def dead_proxy() -> Any:
    return weakref.proxy(_Gone())


def reduce_bunch(bunch: Any, pickler: NamespacePickler) -> Reduced:
    """scikit-learn's dict of attributes, whose own way drops those that are no items."""
    new: Any = copyreg.__newobj__  # type: ignore[attr-defined]
    return new, (type(bunch),), vars(bunch), None, iter(list(bunch.items())), _set_shared_dict


def reduce_weak_dict(obj: Any, pickler: NamespacePickler) -> Reduced:
    return type(obj), (), None, None, iter(list(obj.items()))


def reduce_weak_set(obj: Any, pickler: NamespacePickler) -> Reduced:
    return type(obj), (list(obj),)


def reduce_view(view: Any, pickler: NamespacePickler) -> Reduced:
    """The keys, values or items of a dict: of that very dict."""
    (mapping,) = (inner for inner in gc.get_referents(view) if isinstance(inner, dict))
    kind = type(mapping) if isinstance(mapping, collections.OrderedDict) else dict
    return getattr(kind, type(view).__name__.rpartition("_")[2]), (mapping,)


def reduce_proxy(proxy: Any, pickler: NamespacePickler) -> Reduced:
    """A read-only view of a dict: of that very dict. That of a class can be had from the class alone."""
    (mapping,) = gc.get_referents(proxy)
    if type(mapping) is not dict or "__module__" in mapping:
        return NotImplemented
    return types.MappingProxyType, (mapping,)


def reduce_by_constructor(obj: Any, pickler: NamespacePickler) -> Reduced:
    """A lock is made anew, and open: who holds it here does not hold it there."""
    return _LOCKS[type(obj)], ()


def reduce_decorated(function: Any, pickler: NamespacePickler) -> Reduced:
    """A function that ``@timeout`` has decorated: the child has the modules, but not the notebook."""
    return function.by_value() if function.__module__ == "__main__" else NotImplemented


def refuse(what: str) -> Reducer:
    def reducer(obj: Any, pickler: NamespacePickler) -> Reduced:
        raise Refused(f"{what} cannot leave its process")

    return reducer


_LOCKS: dict[type, Callable[[], object]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
}


# ---------------------------------------------------------------- the tables


_BY_TYPE.update(
    {
        io.StringIO: None,
        io.BytesIO: None,
        types.FunctionType: reduce_function,
        types.CellType: reduce_cell,
        types.ModuleType: reduce_module,
        functools._lru_cache_wrapper: caches.reduce_lru_cache,
        contextvars.ContextVar: contexts.reduce_variable,
        contextvars.Token: refuse("a token of a context"),
        threading.local: small.reduce_local,
        weakref.ref: reduce_weakref,
        weakref.ProxyType: reduce_weak_proxy,
        weakref.CallableProxyType: reduce_weak_proxy,
        types.MappingProxyType: reduce_proxy,
        **{
            type(getattr(kind(), name)()): reduce_view
            for kind in (dict, collections.OrderedDict)
            for name in ("keys", "values", "items")
        },
        weakref.WeakValueDictionary: reduce_weak_dict,
        weakref.WeakKeyDictionary: reduce_weak_dict,
        weakref.WeakSet: reduce_weak_set,
        **dict.fromkeys(_LOCKS, reduce_by_constructor),
        memoryview: views.reduce_view,
        re.Match: ended.reduce_match,
        re.Pattern: ended.reduce_pattern,
        types.GeneratorType: ended.reduce_generator,
        types.CoroutineType: ended.reduce_coroutine,
        types.AsyncGeneratorType: refuse("an asynchronous generator"),
        types.FrameType: refuse("a frame"),
        types.TracebackType: reduce_traceback,
    }
)

#: By the name of a class of the method resolution order, so that nothing is imported.
_BY_NAME: dict[str, Reducer] = {
    "numpy.dtype": arrays.reduce_dtype,
    "numpy.memmap": mapped.reduce_mapped,
    "numpy.ndarray": arrays.reduce_array,
    "numpy._core.multiarray.flagsobj": small.reduce_flags,
    "numpy.broadcast": small.reduce_broadcast,
    "mmap.mmap": refuse("a memory map"),
    "torch.Tensor": tensors.reduce_tensor,
    "pandas.core.generic.NDFrame": frames.reduce_frame,
    "pandas.Flags": frames.reduce_flags,
    "pandas.core.flags.Flags": frames.reduce_flags,
    "pandas.core.internals.managers.SingleBlockManager": frames.reduce_series_manager,
    "pandas.core.internals.blocks.Block": frames.reduce_block,
    "pandas.Index": frames.reduce_index,
    "pandas.core.indexes.base.Index": frames.reduce_index,
    "PIL.ImageDraw.ImageDraw": pictures.reduce_draw,
    "matplotlib.figure.Figure": plots.reduce_figure,
    "matplotlib.path.Path": plots.reduce_path,
    "matplotlib.figure._AxesStack": plots.reduce_attributes,
    "matplotlib.artist.Artist": plots.reduce_artist,
    "matplotlib.cbook.CallbackRegistry": plots.reduce_registry,
    "matplotlib.backends.backend_agg.RendererAgg": plots.reduce_renderer,
    "sklearn.utils._bunch.Bunch": reduce_bunch,
    "bokeh.model.model.Model": charts.reduce_model,
    "bokeh.document.document.Document": charts.reduce_document,
    "bokeh.core.property.wrappers.PropertyValueContainer": charts.reduce_values,
    "ipywidgets.widgets.widget.Widget": widgets.reduce_widget,
    "comm.base_comm.BaseComm": refuse("a comm"),
    **dict.fromkeys(symbols.EVALUATED, symbols.reduce_expression),
    **dict.fromkeys(symbols.EVALUATED_KINDS, symbols.reduce_applied),
    "sympy.polys.domains.domain.Domain": symbols.reduce_domain,
    "threading.Thread": ended.reduce_thread,
    "subprocess.Popen": ended.reduce_process,
    "multiprocessing.pool.Pool": ended.reduce_pool,
    "ipytimeout.decorated.TimedFunction": reduce_decorated,
    "typing.TypeAliasType": ended.reduce_type_alias,
    "multiprocessing.process.BaseProcess": refuse("a process"),
    "concurrent.futures._base.Executor": ended.reduce_executor,
    "concurrent.futures._base.Future": ended.reduce_future,
    "_io._IOBase": ended.reduce_file,
    "_socket.socket": refuse("a socket"),
    "_asyncio.Future": contexts.reduce_future,
    "asyncio.futures.Future": contexts.reduce_future,
    "asyncio.events.AbstractEventLoop": contexts.reduce_loop,
    "numpy.ufunc": small.reduce_ufunc,
    "_csv.writer": small.reduce_writer,
    "_csv.reader": small.reduce_reader,
    **dict.fromkeys(
        ("_hashlib.HASH", "_hashlib.HMAC", "_blake2.blake2b", "_blake2.blake2s"), refuse("a hash that was begun")
    ),
    "_sre.SRE_Scanner": refuse("an iterator of matches"),
    "sqlite3.Connection": refuse("a database connection"),
    "sqlite3.Cursor": refuse("a database cursor"),
}
