"""How things that pickle cannot, or should not as it does, are taken apart and put together again. In both processes.

Each reducer gets the object and the pickler, and returns what ``__reduce_ex__`` would, or NotImplemented for "as
usual", or raises ``Refused``. The functions that put together run in the receiving process and are found by name.

Law of the file: what is put together is *the same kind of thing* as natively: a function has the notebook's live
globals and shares its closure's cells, a view shows the memory of its base, an exception keeps its cause.
"""

from __future__ import annotations

import collections
import contextvars
import copyreg
import enum
import functools
import gc
import io
import re
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import cloudpickle

from ipytimeout.wire import (
    arrays,
    bare,
    by_name,
    caches,
    charts,
    classes,
    contexts,
    ended,
    enums,
    foreign,
    frames,
    functions,
    hints,
    mapped,
    pictures,
    plots,
    raised,
    singletons,
    small,
    states,
    symbols,
    tensors,
    views,
    widgets,
)
from ipytimeout.wire.ended import Refused

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
        return _OF_CLASSES.get(f"{cls.__module__}.{cls.__qualname__}", reduce_class)
    if issubclass(cls, BaseException):
        return raised.reduce_exception
    if issubclass(cls, threading.local):
        return small.reduce_local
    for name, reducer in _BY_NAME.items():
        if any(f"{base.__module__}.{base.__qualname__}" == name for base in cls.__mro__):
            return reducer
    # What ``copyreg`` was told of a class of the notebook is for the notebook's own pickles.
    if cls in cloudpickle.Pickler.dispatch_table and cls.__module__ != "__main__":
        return None
    if (own := bare.find(cls)) is not None:
        return own
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


# ---------------------------------------------------------------- classes


def reduce_class(cls: type, pickler: NamespacePickler) -> Reduced:
    if issubclass(cls, enum.Enum) and not classes.by_reference(cls):
        return enums.reduce_enum(cls)
    return classes.reduce_class(cls)


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
    """A lock is made anew, and open: who holds it here does not hold it there. One of the main thread's is its own."""
    return _LOCKS[type(obj)], (), states.times_held(obj) or None, None, None, states.hold


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
        types.FunctionType: functions.reduce_function,
        types.CellType: functions.reduce_cell,
        types.ModuleType: by_name.reduce_module,
        functools._lru_cache_wrapper: caches.reduce_lru_cache,
        contextvars.ContextVar: contexts.reduce_variable,
        contextvars.Context: contexts.reduce_context,
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
        weakref.finalize: small.reduce_finalizer,
        **dict.fromkeys(_LOCKS, reduce_by_constructor),
        memoryview: views.reduce_view,
        re.Match: ended.reduce_match,
        re.Pattern: ended.reduce_pattern,
        types.GeneratorType: ended.reduce_generator,
        types.CoroutineType: ended.reduce_coroutine,
        types.AsyncGeneratorType: refuse("an asynchronous generator"),
        types.FrameType: refuse("a frame"),
        types.TracebackType: raised.reduce_traceback,
    }
)

#: By the name of a class of the method resolution order, so that nothing is imported.
_BY_NAME: dict[str, Reducer] = {
    "numpy.dtype": arrays.reduce_dtype,
    "numpy.memmap": mapped.reduce_mapped,
    "numpy.ndarray": arrays.reduce_array,
    **dict.fromkeys(singletons.PLACES, singletons.reduce_singleton),
    "numpy._core.multiarray.flagsobj": small.reduce_flags,
    "numpy.broadcast": small.reduce_broadcast,
    "numpy.lib.npyio.NpzFile": small.reduce_npz,
    "pandas.io.parsers.readers.TextFileReader": refuse("a reader of pandas"),
    "numpy.flatiter": small.reduce_flat,
    "numpy.nditer": refuse("an iterator of numpy's own"),
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
    "matplotlib.colors.ListedColormap": plots.reduce_colours,
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
    "typing.TypeAliasType": hints.reduce_type_alias,
    "typing.NewType": hints.reduce_new_type,
    **dict.fromkeys(("typing.TypeVar", "typing.ParamSpec", "typing.TypeVarTuple"), hints.reduce_parameter),
    **dict.fromkeys(("typing.ParamSpecArgs", "typing.ParamSpecKwargs"), hints.reduce_part),
    "multiprocessing.process.BaseProcess": refuse("a process"),
    "concurrent.futures._base.Executor": ended.reduce_executor,
    "concurrent.futures._base.Future": ended.reduce_future,
    "_io._IOBase": ended.reduce_file,
    "ctypes.CDLL": foreign.reduce_library,
    "_ctypes.CFuncPtr": foreign.reduce_function,
    "_ctypes._CData": foreign.reduce_data,
    "_socket.socket": refuse("a socket"),
    "_asyncio.Future": contexts.reduce_future,
    "asyncio.futures.Future": contexts.reduce_future,
    "asyncio.events.AbstractEventLoop": contexts.reduce_loop,
    "asyncio.subprocess.Process": contexts.reduce_process,
    "numpy.ufunc": small.reduce_ufunc,
    "_csv.writer": small.reduce_writer,
    "_csv.reader": small.reduce_reader,
    **dict.fromkeys(
        ("_hashlib.HASH", "_hashlib.HMAC", "_blake2.blake2b", "_blake2.blake2s"), refuse("a hash that was begun")
    ),
    **dict.fromkeys(("itertools.batched", "itertools.pairwise"), refuse("an iterator of batches or pairs")),
    "_sre.SRE_Scanner": refuse("an iterator of matches"),
    "sqlite3.Connection": refuse("a database connection"),
    "sqlite3.Cursor": refuse("a database cursor"),
    "builtins.SuperLU": refuse("a factorization of SuperLU"),
    "polars.sql.context.SQLContext": refuse("an SQL context of polars"),
}
#: By metaclass.
_OF_CLASSES: dict[str, Reducer] = {
    "_ctypes.PyCArrayType": foreign.reduce_array_type,
    "_ctypes.PyCPointerType": foreign.reduce_pointer_type,
    "_ctypes.PyCFuncPtrType": foreign.reduce_function_type,
}
