"""What a later cell would find in a kernel, as plain text. Its source is sent to the kernel under test and runs there.

Law of the file: it looks, and touches nothing: no import, no ``repr`` of a user's object, no reference kept. What has
a hash of its own (a set's order, an address) is put in an order that does not depend on it.

An object is written as what it is made of: what its class gives to ``pickle`` where the class has a say in that, else
its attributes. Objects met a second time are written as the number of the first meeting, so that two structures with
the same text share alike.
"""

from __future__ import annotations

import _thread
import array
import collections
import contextlib
import copyreg
import enum
import functools
import gc
import hashlib
import io
import itertools
import json
import re
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

#: So many objects of a name are looked at.
MOST = 6000
#: A text longer than this is cut, and its hash tells the rest.
LONGEST = 6000
DEEPEST = 60
#: So deep below a name, objects are looked for that another name has too.
SHARED_DEPTH = 3

ATOMS = (int, float, complex, bool, type(None), type(...), type(NotImplemented), range, slice)
BY_NAME = (types.BuiltinFunctionType, types.MethodWrapperType, types.WrapperDescriptorType, types.MethodDescriptorType)
LOCKS = (type(_thread.allocate_lock()), type(_thread.RLock()))
#: Names of the shell, not of the notebook; ``In`` and ``Out`` are looked at by themselves.
OF_THE_SHELL = re.compile(r"In|Out|exit|quit|open|get_ipython|_ih|_oh|_i+|_i\d+|__builtins?__|__session__|__name__")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")


def digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2]} … {digest(text.encode('utf-8', 'surrogatepass'))}"


class Walk:
    """Writes one object and all it leads to."""

    def __init__(self, user_ns: dict[str, Any]) -> None:
        self.user_ns = user_ns
        self.seen: dict[int, int] = {}
        self.memory: dict[int, int] = {}
        self.first: dict[int, int] = {}
        self.expressions: dict[Any, int] = {}
        self.alive: list[Any] = []  # temporaries, so that no address is used twice
        self.left = MOST

    def text(self, obj: Any, depth: int = 0) -> str:
        cls = type(obj)
        if cls in ATOMS:
            return repr(obj)
        if cls in (str, bytes):
            return (
                repr(obj) if len(obj) < 200 else f"{cls.__name__}:{len(obj)}:{obj[:60]!r}:{digest(repr(obj).encode())}"
            )
        if obj is self.user_ns:
            return "<the namespace>"
        if isinstance(obj, types.ModuleType):
            return f"<module {obj.__name__}>"
        if isinstance(obj, type) and obj.__module__ != "__main__":
            return f"<class {obj.__module__}.{obj.__qualname__}>"
        if isinstance(obj, BY_NAME):
            return f"<{cls.__name__} {getattr(obj, '__qualname__', '')}>"
        if cls is tuple and all(type(each) in ATOMS or type(each) in (str, bytes) for each in obj):
            return f"tuple({self.many(obj, depth)})"  # a constant: one is as good as another
        if "numpy" in sys.modules and isinstance(obj, getattr(sys.modules["numpy"], "dtype", ())):
            return f"dtype({obj.descr if obj.fields else obj.str + obj.char})"  # a value: one is as good as another
        # An expression of sympy is a value: which of them are one object is decided by its caches.
        number = self.expressions.get(obj) if is_expression(obj) else self.seen.get(id(obj))
        if number is not None:
            return f"@{number}"
        self.left -= 1
        if self.left < 0:
            return "…"
        if depth > DEEPEST:
            return "…deep"
        number = self.seen[id(obj)] = len(self.seen)
        self.alive.append(obj)
        if is_expression(obj):
            self.expressions[obj] = number
        try:
            return f"#{number}:" + self.inside(obj, cls, depth + 1)
        except RecursionError:
            raise
        except Exception as error:
            return f"#{number}:{self.name_of(cls)}!{type(error).__name__}"

    def name_of(self, cls: type) -> str:
        return f"{cls.__module__}.{cls.__qualname__}"

    def many(self, objects: Any, depth: int) -> str:
        return ",".join(self.text(each, depth) for each in objects)

    def pairs(self, mapping: Any, depth: int) -> str:
        found = []
        for key, value in list(mapping.items()):
            found.append(f"{self.text(key, depth)}:{self.text(value, depth)}")
            if self.left < 0:
                break
        return ",".join(found)

    def inside(self, obj: Any, cls: type, depth: int) -> str:
        name = cls.__name__ if cls.__module__ == "builtins" else self.name_of(cls)
        if cls is list or cls is tuple:
            return f"{name}({self.many(obj, depth)})"
        if cls is dict or cls is collections.OrderedDict:
            return f"{name}({self.pairs(obj, depth)})"
        if cls in (set, frozenset):
            return f"{name}({','.join(sorted(Walk(self.user_ns).text(each, depth) for each in obj))})"
        if isinstance(obj, types.FunctionType):
            return self.function(obj, depth)
        if isinstance(obj, type):
            return self.klass(obj, depth)
        if isinstance(obj, types.CellType):
            try:
                return f"cell({self.text(obj.cell_contents, depth)})"
            except ValueError:
                return "cell()"
        if isinstance(obj, types.CodeType):
            return self.code(obj)
        if isinstance(obj, types.MethodType):
            return f"method({self.text(obj.__func__, depth)},{self.text(obj.__self__, depth)})"
        if isinstance(obj, types.GeneratorType | types.CoroutineType | types.AsyncGeneratorType):
            return f"{cls.__name__} {obj.__qualname__} {self.where(obj)}"
        if isinstance(obj, property):
            return f"property({self.many((obj.fget, obj.fset, obj.fdel), depth)})"
        if isinstance(obj, staticmethod | classmethod):
            return f"{name}({self.text(obj.__func__, depth)})"
        if isinstance(obj, functools.partial):
            return f"{name}({self.many((obj.func, obj.args, obj.keywords), depth)})"
        if isinstance(obj, enum.Enum):
            return f"{name}.{obj.name}({self.text(cls, depth)})"
        if isinstance(obj, weakref.WeakKeyDictionary | weakref.WeakValueDictionary):
            return f"{name}({self.pairs(dict(obj.items()), depth)})"
        if cls is itertools.islice and len(obj.__reduce__()[1]) == 2 and obj.__reduce__()[1][1] == 0:
            return f"{name} ended"
        if cls is itertools.islice and obj.__reduce__()[1][1:] == (0, 0, 1):
            return f"{name} ended"
        if isinstance(obj, weakref.ref):
            return f"weakref({self.text(obj(), depth)})"
        if isinstance(obj, LOCKS):
            return f"{name} {'locked' in repr(obj).split() or '<locked' in repr(obj)}"
        if isinstance(obj, io.IOBase) and not isinstance(obj, io.StringIO | io.BytesIO):
            return self.file(obj, name)
        if isinstance(obj, io.StringIO | io.BytesIO):
            return f"{name}({'closed' if obj.closed else (obj.getvalue(), obj.tell())!r})"
        if isinstance(obj, types.TracebackType | types.FrameType):
            return cls.__name__
        if isinstance(obj, BaseException):
            chain = (obj.__cause__, obj.__context__, getattr(obj, "__notes__", None))
            return f"{name}({self.text(obj.args, depth)},{self.pairs(attributes_of(obj), depth)},{self.many(chain, depth)})"
        if "numpy" in sys.modules and isinstance(obj, sys.modules["numpy"].ndarray):
            return self.numpy(obj, name, depth)
        if "torch" in sys.modules and isinstance(obj, sys.modules["torch"].Tensor):
            rest = (obj.grad, obj.requires_grad, str(obj.grad_fn and type(obj.grad_fn).__name__))
            return f"{name}({self.many((obj.detach().numpy(), *rest), depth)})"
        if "pandas" in sys.modules and (shown := self.pandas(obj, name, depth)) is not None:
            return shown
        return self.other(obj, cls, name, depth)

    # ------------------------------------------------------------ one kind each

    def code(self, code: types.CodeType) -> str:
        consts = [self.code(c) if isinstance(c, types.CodeType) else Walk(self.user_ns).text(c) for c in code.co_consts]
        parts = (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_firstlineno, consts)
        return (
            f"code {code.co_qualname if hasattr(code, 'co_qualname') else code.co_name} {digest(repr(parts).encode())}"
        )

    def function(self, obj: types.FunctionType, depth: int) -> str:
        library = sys.modules.get(obj.__module__ or "__main__")
        if library is not None and obj.__module__ != "__main__" and vars(library).get(obj.__qualname__) is obj:
            return f"<function {obj.__module__}.{obj.__qualname__}>"  # what it remembers is the library's own business
        nested = "<" in obj.__qualname__
        if obj.__module__ in sys.modules and obj.__module__ != "__main__" and not nested and not obj.__closure__:
            return f"<function {obj.__module__}.{obj.__qualname__}>"
        where = "notebook" if obj.__globals__ is self.user_ns else obj.__globals__.get("__name__")
        # Two functions may have one empty dict of annotations.
        parts = (
            obj.__defaults__,
            obj.__kwdefaults__,
            obj.__closure__,
            vars(obj),
            dict(obj.__annotations__),
            obj.__doc__,
        )
        return f"function {obj.__module__}.{obj.__qualname__} of {where} {self.code(obj.__code__)}({self.many(parts, depth)})"

    def klass(self, obj: type, depth: int) -> str:
        own = {
            k: v for k, v in vars(obj).items() if k not in OF_CLASSES and not isinstance(v, types.MemberDescriptorType)
        }
        # The order of what the notebook wrote counts; the compiler's and the metaclass's parts have none.
        special = {k: own.pop(k) for k in sorted(own) if k.startswith("_") or isinstance(obj, enum.EnumType)}
        own = {**special, **own}
        bases = self.many(obj.__bases__, depth)
        return f"class {self.name_of(obj)} {self.name_of(type(obj))}({bases})({self.pairs(own, depth)})"

    def where(self, obj: Any) -> str:
        for prefix in ("gi", "cr", "ag"):
            if hasattr(obj, f"{prefix}_code"):
                frame = getattr(obj, f"{prefix}_frame")
                return "ended" if frame is None else f"at {frame.f_lineno} {frame.f_lasti}"
        return ""

    def file(self, obj: Any, name: str) -> str:
        shown = getattr(obj, "name", "")
        if obj.closed or not isinstance(shown, str) or shown.startswith("<"):
            return f"{name} {shown} closed={obj.closed}"
        return f"{name} {shown} {getattr(obj, 'mode', '')} at {obj.tell()}"

    def numpy(self, obj: Any, name: str, depth: int) -> str:
        numpy = sys.modules["numpy"]
        root = root_of(obj)
        # Whether memory is the array's own is not seen: a large array that comes back shows memory of a mapping.
        flags = "".join(str(int(obj.flags[f])) for f in ("C", "F", "W"))
        flags += "" if root is obj else "v"
        start = root.__array_interface__["data"][0]
        memory = self.memory.setdefault(start, len(self.memory))
        self.alive.append(root)
        plain = numpy.ndarray.view(obj, numpy.ndarray)
        if obj.dtype.hasobject:
            data = self.many(plain.ravel().tolist(), depth) if obj.size < 2000 else "…"
        elif root is not obj and obj.nbytes > root.nbytes:
            data = digest(numpy.ascontiguousarray(root).tobytes())  # strides may make a thousand times as much of it
        else:
            data = digest(numpy.ascontiguousarray(plain).tobytes())
            if obj.size <= 12:
                data += str(plain.tolist())
        more = self.pairs(attributes_of(obj), depth) if type(obj) is not numpy.ndarray else ""
        # From the first array that shows this memory: how much more there is, only ``base`` tells.
        address = obj.__array_interface__["data"][0]
        offset = address - self.first.setdefault(start, address)
        return f"{name}({obj.dtype.str if not obj.dtype.fields else obj.dtype.descr},{obj.shape},{flags},m{memory}+{offset},{data},{more})"

    def pandas(self, obj: Any, name: str, depth: int) -> str | None:
        pandas = sys.modules["pandas"]
        if not hasattr(pandas, "DataFrame"):
            return None  # it is only just being imported, or that failed
        if isinstance(obj, pandas.DataFrame):
            parts = [obj.index, obj.columns, [obj.iloc[:, i].array for i in range(obj.shape[1])]]
        elif isinstance(obj, pandas.Series):
            parts = [obj.index, obj.name, obj.array]
        elif isinstance(obj, pandas.MultiIndex):
            parts = [list(obj.names), list(obj.levels), [list(map(int, code)) for code in obj.codes]]
        elif isinstance(obj, pandas.Index):
            if isinstance(obj, pandas.RangeIndex):
                return f"{name}({obj.start},{obj.stop},{obj.step},{self.many(obj.names, depth)})"
            parts = [list(obj.names), obj.array, getattr(obj, "freq", None)]
        elif isinstance(obj, pandas.api.extensions.ExtensionArray):
            values = obj.tolist() if len(obj) <= 300 else [digest(repr(obj.tolist()).encode())]
            parts = [str(obj.dtype), *map(str, values)]
        else:
            return None
        if isinstance(obj, pandas.DataFrame | pandas.Series):
            parts += [obj.attrs, obj.flags.allows_duplicate_labels]
            parts += [[(k, v) for k, v in vars(obj).items() if k not in PANDAS_OWN]]
        fresh = Walk(self.user_ns)
        fresh.left = self.left
        return f"{name}({fresh.many(parts, depth)})"

    def other(self, obj: Any, cls: type, name: str, depth: int) -> str:
        shown = name
        if cls.__module__ == "__main__":
            shown += f"[{self.text(cls, depth)}]"
        for kind in (list, tuple, collections.deque):
            if isinstance(obj, kind):
                shown += f"({self.many(kind.__iter__(obj), depth)})"
        if isinstance(obj, dict):
            shown += f"({','.join(self.text(k, depth) + ':' + self.text(dict.__getitem__(obj, k), depth) for k in dict.keys(obj))})"
        if isinstance(obj, set | frozenset):
            shown += f"({','.join(sorted(Walk(self.user_ns).text(each, depth) for each in obj))})"
        for kind in (int, float, str, bytes, bytearray, complex):
            if isinstance(obj, kind):
                shown += f"({kind.__repr__(obj)[:500]})"
        if isinstance(obj, array.array):
            shown += f"({obj.tolist()[:500]})"
        if isinstance(obj, collections.defaultdict):
            shown += f"({self.text(obj.default_factory, depth)})"
        if isinstance(obj, functools._lru_cache_wrapper) and obj.__module__ != "__main__":
            return f"{shown}({obj.__module__}.{obj.__qualname__})"  # what a library remembers is its own business
        if isinstance(obj, functools._lru_cache_wrapper):
            return f"{shown}({self.text(obj.__wrapped__, depth)},{obj.cache_info()})"
        if cls.__module__.startswith(WHOLE):
            return f"{shown}({self.pairs(without_remembered(obj, attributes_of(obj)), depth)})"
        if says_how_to_pickle(cls):
            reduced = obj.__reduce_ex__(4)
            self.alive.append(reduced)
            if isinstance(reduced, tuple):
                function, args, *rest = reduced
                # A list's or a dict's items are written already.
                state = self.state(rest[0] if rest else None, depth)
                return f"{shown}<{self.text(function, depth)},{self.text(args, depth)},{state}>"
            return f"{shown}<{reduced}>"
        state = attributes_of(obj)
        return f"{shown}({self.pairs(state, depth)})"

    def state(self, state: Any, depth: int) -> str:
        """Write a state for ``__setstate__``: attributes in a fixed order, for theirs is no part of the value."""
        if type(state) is tuple and len(state) == 2:
            return f"({self.state(state[0], depth)},{self.state(state[1], depth)})"
        if type(state) is dict and all(type(key) is str for key in state):
            return f"({self.pairs(dict(sorted(state.items())), depth)})"
        return self.text(state, depth)


def without_remembered(obj: Any, state: dict[Any, Any]) -> dict[Any, Any]:
    """Leave out what objects of matplotlib only remember for themselves: private, and found anew when it is needed."""
    seen = dict(state)
    if "_parents" in state and "_invalid" in state:
        # Whether what a transform has computed is still right: it is computed anew whenever it is asked for.
        del seen["_invalid"]
        # By their address, as it was where they were pickled. What is gone is passed over, and deleted some time.
        seen["_parents"] = [alive for ref in state["_parents"].values() if (alive := ref()) is not None]
    if "_mtx" in state and not state.keys().isdisjoint(MADE_OF_OTHERS):
        # What a transform that is made of others has computed of them, or would compute when it is asked.
        seen["_mtx"] = answer(obj, state, "get_matrix")
        seen.pop("_inverted", None)
    if "_points" in state and "_bbox" in state:
        seen["_points"] = answer(obj, state, "get_points")
    if "_rotation_mode" in state:
        # With what a text was measured last: that of its figure, which is looked up when there is none.
        seen.pop("_renderer", None)
    if state.get("_path_effects") == []:
        # The list of rcParams, one for all artists. That is seen by who appends to it, and so changes matplotlib itself.
        seen["_path_effects"] = ()
    # What a contour plot was computed from, which does not come back, as the README says.
    seen.pop("_contour_generator", None)
    if type(state.get("_powerlimits")) is list:
        # The same goes for this one, of all axes.
        seen["_powerlimits"] = tuple(state["_powerlimits"])
    if "_cid_gen" in state:
        # An index of the callbacks, which are written beside it, in the order in which they were entered.
        seen.pop("_func_cid_map", None)
    return seen


def answer(obj: Any, state: dict[Any, Any], method: str) -> Any:
    """Ask a twin of a transform, so that the transform itself computes nothing by being looked at."""
    numpy = sys.modules["numpy"]
    twin = object.__new__(type(obj))
    vars(twin).update(state)
    with numpy.errstate(all="ignore"):
        return numpy.array(getattr(twin, method)())


#: Where transforms keep the others of which they are made.
MADE_OF_OTHERS = frozenset(("_x", "_a", "_boxin", "_boxout"))
#: Their pickles leave out what a user can see: what is written is all that their objects have.
WHOLE = ("matplotlib", "mpl_toolkits")
OF_CLASSES = ("__dict__", "__weakref__", "_abc_impl", "__static_attributes__", "__annotate_func__", "__slotnames__")
PANDAS_OWN = ("_mgr", "_item_cache", "_attrs", "_flags", "_name", "_cache", "_is_copy")


def attributes_of(obj: Any) -> dict[str, Any]:
    """Return the attributes and the slots of an instance, without what only remembers."""
    found: dict[str, Any] = {}
    for base in type(obj).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            member = vars(base).get(name)
            if isinstance(member, types.MemberDescriptorType):
                with contextlib.suppress(AttributeError):
                    found[name] = member.__get__(obj)
    own = getattr(obj, "__dict__", None)
    if isinstance(own, dict):
        found.update(own)
    try:
        return dict(sorted(found.items()))
    except TypeError:
        return found


def root_of(array: Any) -> Any:
    """Return the array whose memory this one shows; ``as_strided`` puts a stand-in between."""
    while True:
        base = array.base
        base = base.base if type(base).__name__ == "DummyArray" else base
        if not isinstance(base, sys.modules["numpy"].ndarray):
            return array
        array = base


def says_how_to_pickle(cls: type) -> bool:
    if cls in copyreg.dispatch_table:
        return True
    if any(getattr(cls, name, None) is not getattr(object, name, None) for name in ("__reduce_ex__", "__reduce__")):
        return True
    return getattr(cls, "__getstate__", None) is not getattr(object, "__getstate__", None) or not (
        cls.__dictoffset__ or any(vars(base).get("__slots__") for base in cls.__mro__)
    )


# ---------------------------------------------------------------- what names share

#: What their objects hold is their own business.
CLOSED = ("matplotlib", "pandas", "IPython")


def shared(names: dict[str, Any], user_ns: dict[str, Any]) -> list[str]:
    """Return every group of names, or of what they hold, that is one object."""
    paths: dict[int, dict[str, str]] = {}
    alive: list[Any] = []
    memory: dict[int, dict[str, str]] = {}

    def visit(obj: Any, name: str, path: str, depth: int, left: list[int]) -> None:
        if not has_identity(obj) or obj is user_ns or left[0] <= 0:
            return
        left[0] -= 1
        own = paths.setdefault(id(obj), {})
        if name in own:
            return
        own[name] = path
        alive.append(obj)
        numpy = sys.modules.get("numpy")
        if numpy is not None and hasattr(numpy, "ndarray") and isinstance(obj, numpy.ndarray):
            root = root_of(obj)
            memory.setdefault(root.__array_interface__["data"][0], {}).setdefault(name, path)
        if depth == 0:
            return
        if type(obj) in (list, tuple):
            items = [(f"[{i}]", each) for i, each in enumerate(obj[:30])]
        elif isinstance(obj, dict):
            items = [(f"[{k!r}]", v) for k, v in list(dict.items(obj))[:30] if type(k) in (str, int)]
        elif isinstance(obj, type | types.FunctionType) or str(type(obj).__module__).startswith(CLOSED):
            return
        else:
            items = [(f".{k}", v) for k, v in list(attributes_of(obj).items())[:30]]
        for step, each in items:
            visit(each, name, path + step, depth - 1, left)

    for name, obj in names.items():
        visit(obj, name, name, SHARED_DEPTH, [400])
    groups = {" is ".join(sorted(own.values())) for own in paths.values() if len(own) > 1}
    groups |= {"memory: " + " = ".join(sorted(own.values())) for own in memory.values() if len(own) > 1}
    # A group that follows from another, x[0] from x, tells nothing.
    return sorted(group for group in groups if not all(re.search(r"[\[.]", p) for p in group.split(" is ")))


def is_expression(obj: Any) -> bool:
    sympy = sys.modules.get("sympy.core.basic")
    return isinstance(obj, getattr(sympy, "Basic", ())) and (type(obj).__module__ or "sympy").startswith("sympy")


def has_identity(obj: Any) -> bool:
    if isinstance(obj, (*ATOMS, str, bytes, types.ModuleType, *BY_NAME, enum.Enum)) or (type(obj) is tuple and not obj):
        return False
    if is_expression(obj):
        return False
    return not (isinstance(obj, type | types.FunctionType) and obj.__module__ != "__main__")


# ---------------------------------------------------------------- one look


class Eye:
    """Looks again and again, and knows how it was the last time."""

    def __init__(self, shell: Any, state_of: Callable[[Any], dict[str, str]]) -> None:
        """``state_of``: looks at what belongs to the process (``process_state.py``)."""
        self.shell = shell
        self.state_of = state_of
        self.ids: dict[str, int] = {}
        #: Where an object can say that it is gone: another may be at its address now.
        self.refs: dict[str, Any] = {}
        self.modules = set(sys.modules)

    def inputs(self) -> list[str]:
        """Return the cells as they are without the line of the magic."""
        found = []
        for text in self.shell.history_manager.input_hist_raw:
            if text.startswith("%%timeout "):
                text = text.partition("\n")[2]
            found.append(text.rstrip("\n"))
        return found

    def __call__(self, path: str) -> None:
        """Write what there is to a file."""
        gc.collect()  # when it comes by itself, and what weak references show until then, is chance
        user_ns = self.shell.user_ns
        names = {
            name: value
            for name, value in list(user_ns.items())
            if isinstance(name, str) and not OF_THE_SHELL.fullmatch(name) and not self.hidden(name, value)
        }
        texts = {}
        for name, value in names.items():
            if name == "__warningregistry__":  # its version counts how often filters were set, by anybody
                value = {k: v for k, v in value.items() if k != "version"}
            is_gone = name in self.refs and self.refs[name]() is None
            kept = "same" if self.ids.get(name) == id(value) and not is_gone else "new"
            try:
                text = ADDRESS.sub("0x", Walk(user_ns).text(value))
            except RecursionError:
                text = "RecursionError"
            texts[name] = f"{kept if has_identity(value) else 'value'} {short(text)}"
        self.ids = {name: id(value) for name, value in names.items()}
        self.refs = {}
        for name, value in names.items():
            with contextlib.suppress(TypeError):
                self.refs[name] = weakref.ref(value)
        out = {
            str(n): short(ADDRESS.sub("0x", Walk(user_ns).text(v)))
            for n, v in self.shell.history_manager.output_hist.items()
        }
        found = {
            "names": texts,
            "sharing": shared(names, user_ns),
            "modules": sorted(name for name in set(sys.modules) - self.modules if not name.startswith("ipytimeout")),
            "out": out,
            "in": self.inputs()[-1:],
            "state": self.state_of(self.shell),
        }
        with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
            json.dump(found, file)

    def hidden(self, name: str, value: Any) -> bool:
        """Tell whether this is what IPython has put there, and the user has not put anything else at."""
        hidden = self.shell.user_ns_hidden
        return name in hidden and hidden[name] is value
