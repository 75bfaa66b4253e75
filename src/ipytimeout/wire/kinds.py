"""Which facets an object has, by its class. In both processes.

Law of the file: a class is in one of these tables, or is a plain Python class, or is watched through its pickle.
"""

from __future__ import annotations

import array
import collections
import contextvars
import copyreg
import datetime as dt
import decimal
import enum
import fractions
import functools
import gc
import io
import itertools
import logging
import pathlib
import random
import re
import threading
import types
import uuid
import weakref
from collections.abc import Mapping
from typing import Any

from ipytimeout.wire import (
    attributes,
    caches,
    containers,
    contexts,
    ended,
    enums,
    foreign,
    frames,
    mapped,
    modules,
    pictures,
    plots,
    singletons,
    small,
    states,
)
from ipytimeout.wire.array_memory import Memory
from ipytimeout.wire.facets import Facet
from ipytimeout.wire.reducers import changes_pickling
from ipytimeout.wire.tensors import Values
from ipytimeout.wire.widgets import Traits

#: Types whose instances never change, and refer to nothing that does.
SCALARS: frozenset[type] = frozenset(
    {int, float, complex, bool, str, bytes, type(None), type(...), type(NotImplemented), range, types.ModuleType}
)

#: Types whose instances never change by themselves.
_IMMUTABLE: tuple[type, ...] = (
    tuple, frozenset, slice, memoryview, property, staticmethod, classmethod, object,
    types.BuiltinFunctionType, types.CodeType, types.MethodType, types.MethodWrapperType,
    types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
    types.MemberDescriptorType, types.GetSetDescriptorType, types.MappingProxyType, types.GenericAlias,
    types.UnionType, type({}.keys()), type({}.values()), type({}.items()), weakref.ref, re.Pattern, re.Match,
    weakref.ProxyType, weakref.CallableProxyType,
    zip, map, filter, functools.cached_property, types.TracebackType,
)  # fmt: skip

#: The same, for subclasses too.
_IMMUTABLE_BASES: tuple[type, ...] = (
    dt.date, dt.time, dt.timedelta, dt.tzinfo, decimal.Decimal, fractions.Fraction, pathlib.PurePath, uuid.UUID,
)  # fmt: skip
#: What belongs to a process and travels by its name: changed there, it is not changed here.
_OF_THE_PROCESS: tuple[type, ...] = (logging.Logger, logging.Manager)
#: Nor do these; an event loop is each process's own.
_IMMUTABLE_NAMES = frozenset(
    (
        *("asyncio.events.AbstractEventLoop", "_asyncio.Future", "asyncio.futures.Future"),
        *(
            "_csv.writer",
            "numpy.ufunc",
            "numpy.dtype",
            "numpy.generic",
            "numpy._core.multiarray.flagsobj",
        ),
        "bokeh.document.document.Document",
        *("pandas.core.dtypes.base.ExtensionDtype", "pandas.api.extensions.ExtensionDtype"),
    )
)

_KIND = attributes.Kind()
_DICT = containers.Entries(dict, "dict")
_BODY = attributes.ClassBody()
_ATTRIBUTES = attributes.Attributes()
_OWNED = attributes.OwnedAttributes()
_SLOTS = attributes.Slots()
_POSITION = states.Position()
_FILE = states.OwnState("file", ended.place_of, ended.put_place)
_RANDOM = states.OwnState("random", singletons.state_of_generator, singletons.put_generator)
#: Containers that are nothing but their items.
CONTAINERS: frozenset[type] = frozenset({dict, list, tuple, set, frozenset})
#: The facet of last resort.
OPAQUE = states.Opaque()

#: One of each built-in kind.
_ITERATORS: tuple[Any, ...] = (
    *(iter([]), iter(()), iter(""), iter("é"), iter(b""), iter(bytearray()), iter(range(0)), reversed([])),
    *(iter({}), iter({}.values()), iter({}.items()), iter(set()), iter(range(1 << 70))),
)

_EXACT: dict[type, tuple[Facet, ...]] = {
    types.CellType: (attributes.Contents(),),
    types.ModuleType: (modules.Body(),),
    types.FunctionType: (
        attributes.Parts(
            "function",
            *("__code__", "__defaults__", "__kwdefaults__", "__annotations__"),
            *("__name__", "__qualname__", "__module__", "__doc__"),
        ),
        _ATTRIBUTES,
    ),
    functools._lru_cache_wrapper: (_ATTRIBUTES, caches.Remembered()),
    contextvars.ContextVar: (contexts.Value(),),
    threading.local: (states.OwnState("thread's own", small.values_of_local, small.put_local),),
    types.GeneratorType: (ended.Begun(),),
    type(threading.Lock()): (states.OwnState("lock", lambda lock: lock.locked(), states.put_lock),),
    type(threading.RLock()): (states.OwnState("held", states.times_held, states.hold),),
    contextvars.Context: (contexts.Values(),),
    weakref.finalize: (states.OwnState("finalizer", small.is_alive, small.put_alive),),
    itertools.islice: (states.Slice(),),
    itertools._tee_dataobject: (states.Tee(),),  # type: ignore[attr-defined]
    **dict.fromkeys(map(type, _ITERATORS), (_POSITION,)),
    **dict.fromkeys((itertools.count, itertools.repeat, enumerate), (states.Steps(),)),
}

_BASES: tuple[tuple[Any, tuple[Facet, ...]], ...] = (
    (enum.EnumType, (_BODY, enums.MemberAttributes())),
    (type, (_BODY,)),
    (list, (containers.Items(list, "list"),)),
    (collections.OrderedDict, (containers.Entries(collections.OrderedDict, "ordered"),)),
    (collections.defaultdict, (_DICT, attributes.Parts("factory", "default_factory"))),
    (dict, (_DICT,)),
    (set, (containers.Members(),)),
    (collections.deque, (containers.Items(collections.deque, "deque"),)),
    (bytearray, (containers.Numbers(bytearray, "bytes"),)),
    (array.array, (containers.Numbers(array.array, "array"),)),
    (BaseException, (attributes.Raised(),)),
    (io.StringIO, (states.OwnState("text", states.text_state, states.put_stream_state),)),
    (io.BytesIO, (states.OwnState("binary", states.bytes_state, states.put_stream_state),)),
    (ended.FILES, (_FILE,)),
    (random.Random, (_RANDOM,)),
    (decimal.Context, (states.OwnState("decimal", states.decimal_state, states.put_decimal_state),)),
)
_WEAK = states.WeakItems()
_FRAME = attributes.OwnedAttributes("frame", frames.CACHES, frames.STALE)
_FLAGS = states.OwnState("flags", frames.allows_duplicates, frames.allow_duplicates)
_BASES_BY_NAME: dict[str, tuple[Facet, ...]] = {
    "numpy.ndarray": (Memory(),),
    "numpy.random.bit_generator.BitGenerator": (
        states.OwnState("bits", lambda generator: generator.state, states.put_bits),
    ),
    "_ctypes.CFuncPtr": (states.OwnState("prototype", foreign.prototype_of, foreign.put_prototype),),
    "_ctypes._CData": (states.OwnState("bytes of ctypes", foreign.bytes_of, foreign.put_bytes),),
    "torch.Tensor": (Values(),),
    "matplotlib.axes._base._AxesBase": (states.OwnState("groups", plots.groups_of, plots.put_groups),),
}
#: Here the facets are all there is, whatever else the class looks like.
_WHOLE_BY_NAME: dict[str, tuple[Facet, ...]] = {
    "weakref.WeakValueDictionary": (_WEAK,),
    "weakref.WeakKeyDictionary": (_WEAK,),
    "_weakrefset.WeakSet": (_WEAK,),
    "numpy.memmap": (Memory(), attributes.OwnedAttributes("mapped", mapped.OWN)),
    "_csv.reader": (small.LinesRead(),),
    **dict.fromkeys(("gzip.GzipFile", "bz2.BZ2File", "lzma.LZMAFile"), (_FILE,)),
    "numpy.random.mtrand.RandomState": (_RANDOM,),
    "numpy.broadcast": (states.OwnState("broadcast", small.index_of, small.go_to),),
    "numpy.flatiter": (states.OwnState("flat", small.index_of, small.go_to_flat),),
    "pandas.core.generic.NDFrame": (_FRAME, _FLAGS),
    "pandas.Index": (_FRAME,),
    "pandas.core.indexes.base.Index": (_FRAME,),
    "pandas._libs.arrays.NDArrayBacked": (OPAQUE,),
    "bokeh.core.property.wrappers.PropertyValueList": (containers.Items(list, "list"),),
    "bokeh.core.property.wrappers.PropertyValueDict": (_DICT,),
    "bokeh.core.property.wrappers.PropertyValueSet": (containers.Members(),),
    "ipywidgets.widgets.widget.Widget": (Traits(),),
    "matplotlib.cbook.CallbackRegistry": (states.OwnState("callbacks", plots.callbacks_of, plots.put_callbacks),),
    "matplotlib.backends.backend_agg.RendererAgg": (states.OwnState("drawn", plots.drawn_by, plots.put_drawn),),
    "PIL.Image.Image": (states.OwnState("picture", pictures.state_of, pictures.put_state),),
}


def _all_facets() -> dict[str, Facet]:
    groups = [*_EXACT.values(), *(own for _, own in _BASES), *_BASES_BY_NAME.values(), *_WHOLE_BY_NAME.values()]
    every = [facet for group in groups for facet in group]
    return {facet.code: facet for facet in (*every, _KIND, _ATTRIBUTES, _OWNED, _SLOTS, OPAQUE)}


#: Facets by their code, for who gets a delta.
FACETS: dict[str, Facet] = _all_facets()

_KNOWN: dict[type, tuple[Facet, ...]] = {**dict.fromkeys((*SCALARS, *_IMMUTABLE), ()), **_EXACT}


def facets_of(cls: type) -> tuple[Facet, ...]:
    """Return the facets of the instances of a class."""
    try:
        return _KNOWN[cls]
    except KeyError:
        facets = _find_facets(cls)
        if cls.__module__ != "__main__":  # classes of the notebook come and go, and may change
            _KNOWN[cls] = facets
        return facets


def _find_facets(cls: type) -> tuple[Facet, ...]:
    if issubclass(cls, _OF_THE_PROCESS):
        return ()
    names = [f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__]
    if (issubclass(cls, _IMMUTABLE_BASES) and cls.__dictoffset__ == 0) or not _IMMUTABLE_NAMES.isdisjoint(names):
        return ()
    for name in names:
        if name in _WHOLE_BY_NAME:
            return _WHOLE_BY_NAME[name]
    if issubclass(cls, threading.local):
        return _KNOWN[threading.local]
    if cls in copyreg.dispatch_table and cls.__module__ != "__main__":
        return (OPAQUE,)
    own = next((facets for base, facets in _BASES if issubclass(cls, base)), ())
    own = own or next((_BASES_BY_NAME[name] for name in names if name in _BASES_BY_NAME), ())
    if issubclass(cls, type):
        return own
    facets = list(own)
    hidden = not own and _has_hidden_state(cls)
    if not hidden and cls.__flags__ & _HEAP_TYPE:
        facets.append(_KIND)
    if cls.__dictoffset__ != 0:
        facets.append(_OWNED if changes_pickling(cls) else _ATTRIBUTES)
    if attributes.slots_of(cls):
        facets.append(_SLOTS)
    if hidden:  # last, since looking at a __dict__ may make it, and that shows in the pickle
        facets.append(OPAQUE)
    return tuple(facets)


_HEAP_TYPE = 1 << 9
_POINTER = object.__basicsize__ // 2
#: Built-in classes whose subclasses have no state but attributes.
_PLAIN_BASES = frozenset((object, tuple, frozenset, int, float, complex, str, bytes, types.SimpleNamespace))


def _has_hidden_state(cls: type) -> bool:
    """Whether a class of the line keeps something in C: its instances are larger than its Python parts explain."""
    base: type | None = cls
    while base is not None and base not in _PLAIN_BASES:
        if not base.__flags__ & _HEAP_TYPE:
            return True
        parts = sum(isinstance(member, types.MemberDescriptorType) for member in vars(base).values())
        parts += ("__dict__" in vars(base)) + ("__weakref__" in vars(base))
        parent = base.__base__
        if parent is not None and base.__basicsize__ - parent.__basicsize__ > parts * _POINTER:
            return True
        base = parent
    return False


def is_fixed(cls: type) -> bool:
    """Whether what instances of a class of some library hold never changes, all the way down."""
    return (cls.__module__ or "") == "pyarrow.lib" and cls.__name__.endswith(_OF_ARROW)


#: Data of Arrow, whole columns of a frame among it.
_OF_ARROW = ("Array", "Scalar", "DataType", "Type", "Field", "Schema", "Table", "RecordBatch")


def has_attributes(facets: tuple[Facet, ...]) -> bool:
    return _ATTRIBUTES in facets or _OWNED in facets


# ---------------------------------------------------------------- words


def describe(obj: object, names: Mapping[str, object], limit: int = 200_000) -> str:
    """Return the name of the notebook through which an object is reached, as a text for the user."""
    for name, value in names.items():
        if value is obj:
            return name
    seen: set[int] = {id(names)}
    level = [(value, name) for name, value in names.items() if not isinstance(value, types.ModuleType)]
    while level and len(seen) < limit:
        deeper: list[tuple[object, str]] = []
        for value, name in level:
            for inner in gc.get_referents(value):
                if inner is obj:
                    return f"an object reached from {name}"
                if id(inner) not in seen and not isinstance(inner, types.ModuleType):
                    seen.add(id(inner))
                    deeper.append((inner, name))
        level = deeper
    return f"an object of class {type(obj).__name__}"
