"""What plain pickling both ways gets wrong, and notebooks do: globals, identity, classes, closures, aliases, names."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from .conftest import Notebook


class Trap(NamedTuple):
    title: str
    before: str
    timed: str
    #: Native cells, or with "@" before them timed ones, that follow.
    later: tuple[str, ...]
    check: str


TRAPS = [
    Trap("a function sees the global that the cell rebinds", "rate = 1\ndef get(): return rate", "rate = 2; seen = get()", (), "seen == 2"),
    Trap("a function of the notebook sees it afterwards", "rate = 1\ndef get(): return rate", "rate = 2", (), "get() == 2"),
    Trap("a function made in the cell sees later globals", "rate = 1", "def get(): return rate", ("rate = 5",), "get() == 5"),
    Trap("a function stays the same object", "def get(): pass\nfirst = get", "get.tag = 1", (), "get is first and get.tag == 1"),
    Trap("a global statement", "n = 0\ndef inc():\n    global n\n    n += 1", "inc(); inc()", (), "n == 2"),
    Trap("a lambda", "scale = lambda v: v * k\nk = 1", "k = 10; seen = scale(2)", (), "seen == 20 and scale(1) == 10"),
    Trap("functions that call each other", "def fact(n): return 1 if n < 2 else n * fact(n - 1)", "a = fact(5)\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)", (), "a == 120 and fib(10) == 55"),
    Trap("isinstance on both sides", "class C: pass\nc = C(); first = C", "d = C(); inside = isinstance(c, C)", (), "inside and isinstance(d, C) and C is first"),
    Trap("a class attribute", "class C: n = 0", "C.n = 5", (), "C.n == 5 and C().n == 5"),
    Trap("a method that is replaced", "class C:\n    def m(self): return 1\nc = C()", "C.m = lambda self: 2", (), "c.m() == 2"),
    Trap("a class of the cell goes back in", "", "class Q:\n    def __init__(self): self.v = 1\nq = Q()", ("@q2 = Q(); ok = isinstance(q, Q)",), "ok and type(q) is type(q2) is Q"),
    Trap("super()", "class A:\n    def m(self): return 1\nclass B(A):\n    def m(self): return super().m() + 1\nfirst = B", "b = B(); r = b.m()", (), "r == 2 and type(b) is first and b.m() == 2"),
    Trap("super() in a class of the cell", "class A:\n    def m(self): return 1", "class B(A):\n    def m(self): return super().m() + 1", (), "B().m() == 2"),
    Trap("members of an enum", "import enum\nclass E(enum.Enum): A = 1\ne = E.A", "e2 = E.A; same = e is E.A", (), "same and e2 is E.A and e is E.A"),
    Trap("an enum of the cell", "", "import enum\nclass F(enum.Enum):\n    A = 1\n    def twice(self): return self.value * 2\ne = F.A", ("@again = F.A; same = e is F.A",), "same and again is F.A and e is F.A and e.twice() == 2"),
    Trap("a dataclass", "import dataclasses\n@dataclasses.dataclass\nclass D:\n    x: int = 0\n    y: list = dataclasses.field(default_factory=list)\nd = D(1)", "d2 = D(1); same = d == d2; z = dataclasses.replace(d, x=3)", (), "same and d == d2 and type(d2) is D and z.x == 3"),
    Trap("a frozen dataclass of the cell", "", "import dataclasses\n@dataclasses.dataclass(frozen=True, slots=True)\nclass P:\n    x: int\np = P(1)", ("@p2 = P(2); h = hash(p)",), "p == P(1) and p2.x == 2 and h == hash(P(1)) and dataclasses.fields(P)[0].default is dataclasses.MISSING"),
    Trap("a named tuple", "import typing\nclass N(typing.NamedTuple):\n    x: int\n    y: int = 2\nn = N(1)", "m = N(2); same = type(n) is N", (), "same and type(m) is N and m.y == 2"),
    Trap("a generic class", "import typing\nT = typing.TypeVar('T')\nclass Box(typing.Generic[T]):\n    def __init__(self, v): self.v = v\nb = Box[int](1)", "c = Box(2)", (), "type(c) is Box and Box[str]"),
    Trap("an abstract class", "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def m(self): ...\nA.register(int)", "class B(A):\n    def m(self): return 1\nb = B(); ok = isinstance(3, A)", (), "ok and isinstance(b, A) and b.m() == 1"),
    Trap("a class that counts its subclasses", "class Base:\n    seen = []\n    def __init_subclass__(cls, **kw): Base.seen.append(cls.__name__)\nclass A(Base): pass", "class B(Base): pass\ninside = list(Base.seen)", ("class C(Base): pass",), "inside == ['A', 'B'] and Base.seen == ['A', 'B', 'C']"),
    Trap("a metaclass with a registry", "class Meta(type):\n    made = []\n    def __init__(cls, *a): Meta.made.append(cls); super().__init__(*a)\nclass A(metaclass=Meta): pass", "class B(metaclass=Meta): pass", (), "Meta.made == [A, B] and type(B) is Meta"),
    Trap("properties, static and class methods", "class C:\n    @property\n    def p(self): return 1\n    @staticmethod\n    def s(): return 2\n    @classmethod\n    def c(cls): return cls", "seen = (C().p, C.s(), C.c() is C)\nclass D(C):\n    @property\n    def q(self): return self.p + 5", (), "seen == (1, 2, True) and D().q == 6 and D.c() is D"),
    Trap("the order of a class's attributes", "", "class C:\n    z = 1\n    a = 2", (), "[n for n in vars(C) if len(n) == 1] == ['z', 'a']"),
    Trap("what a library's hook puts into a class", "", "from matplotlib.artist import Artist\nclass C(Artist):\n    z = 1\nclass D(Artist): pass\ndel D.set", (), "[n for n in vars(C) if n in ('z', 'set')] == ['z', 'set'] and 'set' not in vars(D)"),
    Trap("a closure's counter", "def make():\n    n = 0\n    def inc():\n        nonlocal n\n        n += 1\n        return n\n    return inc\ninc = make(); inc()", "r = inc()", (), "r == 2 and inc() == 3"),
    Trap("a recursive closure", "", "def make():\n    def f(n): return 1 if n < 2 else n * f(n - 1)\n    return f\nfact = make()", (), "fact(4) == 24"),
    Trap("closures made in the cell share a cell", "", "def make():\n    n = 0\n    def inc():\n        nonlocal n; n += 1\n    return inc, lambda: n\ninc, get = make()", ("inc()",), "get() == 1"),
    Trap("a cached function", "import functools\n@functools.lru_cache\ndef f(n): return n * k\nk = 2", "k = 3; r = f(2)", (), "r == 6 and f(2) == 6"),
    Trap("a cached recursive function", "import functools\n@functools.cache\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)", "r = fib(30)", (), "r == 832040 and fib(10) == 55"),
    Trap("what a cached function remembers", "import functools\ncalls = []\n@functools.lru_cache(maxsize=2)\ndef f(n):\n    calls.append(n)\n    return [n]\nfirst = f(1)", "r = f(1); f(2); f(3)", (), "calls == [1, 2, 3] and r is first and f.cache_info()[:2] == (1, 3) and f(3) == [3] and calls == [1, 2, 3]"),
    Trap("a cached function with keywords and types", "import functools\ncalls = []\n@functools.lru_cache(maxsize=None, typed=True)\ndef f(*a, **k):\n    calls.append((a, k))\n    return k\nf(1, k=2)", "f(1, k=2); f(1.0, k=2); f((1,)); f('a', b=[].__class__)", (), "len(calls) == 4 and f(1.0, k=2) == {'k': 2} and f((1,)) == {} and len(calls) == 4 and f.cache_info().hits == 3"),
    Trap("a cached function that is cleared", "import functools\n@functools.cache\ndef f(n): return n\nf(1)", "f.cache_clear()", (), "f.cache_info()[:2] == (0, 0)"),
    Trap("a cached method", "import functools\nclass C:\n    @functools.lru_cache\n    def m(self, n): return [self, n]\nc = C(); first = c.m(1)", "again = c.m(1); c.m(2)", (), "again is first and c.m(1) is first and C.m.cache_info().currsize == 2"),
    Trap("the traceback of an exception that is kept", "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError as e: kept = e", "lines = traceback.format_tb(kept.__traceback__)\ntry:\n    [][0]\nexcept IndexError as e: mine = e", (), "'line 3' in lines[0] and 'line 3' in traceback.format_tb(mine.__traceback__)[0]"),
    Trap("a variable of a context", "import contextvars\nv = contextvars.ContextVar('v', default=[0]); v.set([1])", "seen = list(v.get()); done = bool(v.set([2]))", (), "seen == [1] and v.get() == [2]"),
    Trap("a variable of a context that was not set", "import contextvars\nv = contextvars.ContextVar('v', default=7)", "seen = v.get()", (), "seen == v.get() == 7"),
    Trap("a thread's own values, of a class", "import threading\nclass Own(threading.local): m = 1\nown = Own(); own.n = [1]", "own.n.append(2); own.m = 3", (), "own.n == [1, 2] and own.m == 3 and type(own) is Own"),
    Trap("a dataclass of a thread's own values", "import threading, dataclasses\n@dataclasses.dataclass\nclass Own(threading.local):\n    n: list\n    m: int = 1\nown = Own([1])", "own.n.append(2); own.m = 3; seen = []; thread = threading.Thread(target=lambda: seen.append(own.m)); thread.start(); thread.join(); del thread", (), "own.n == [1, 2] and own.m == 3 and seen == [1]"),
    Trap("a thread's own values", "import threading\nown = threading.local(); own.n = [1]", "own.n.append(2); own.m = 3", (), "own.n == [1, 2] and own.m == 3"),
    Trap("a writer of CSV", "import csv, io\nf = io.StringIO(); w = csv.writer(f, delimiter=';')", "w.writerow([1, 2])", ("w.writerow([3])",), "f.getvalue() == '1;2\\r\\n3\\r\\n'"),
    Trap("a reader of CSV that has not begun", "import csv\nr = csv.reader(['a|b'], delimiter='|')", "rows = list(r)", (), "rows == [['a', 'b']]"),
    Trap("a task that is done", "", "import asyncio, threading\nasync def f(): return [5]\nloop = asyncio.new_event_loop(); t = loop.create_task(f(), name='mine'); th = threading.Thread(target=loop.run_until_complete, args=(t,)); th.start(); th.join(); del th; loop.close(); r = t.result()", ("@again = t.result()",), "t.done() and t.get_name() == 'mine' and t.result() is r == again == [5]"),
    Trap("a task that failed or was cancelled", "", "import asyncio, threading\nasync def f(): raise KeyError('no')\nloop = asyncio.new_event_loop(); t = loop.create_task(f()); c = loop.create_task(asyncio.sleep(9)); c.cancel(); th = threading.Thread(target=loop.run_until_complete, args=(asyncio.wait([t, c]),)); th.start(); th.join(); del th; seen = t.exception()", (), "c.cancelled() and type(t.exception()) is KeyError"),
    Trap("a module that is made by hand", "import types\nm = types.ModuleType('m')\nexec('n = 0\\ndef add(k):\\n    global n\\n    n += k\\n    return n', vars(m))", "r = m.add(2); m.new = [1]", (), "r == 2 and m.n == 2 and m.new == [1] and m.add(1) == 3"),
    Trap("a function that numpy has made", "import numpy\nu = numpy.frompyfunc(lambda n: n * k, 1, 1)\nk = 2", "r = list(u([1, 2])); v = numpy.frompyfunc(lambda a, b: a + b, 2, 1)", (), "r == [2, 4] and v.reduce([1, 2, 3]) == 6"),
    Trap("a window on an array", "import numpy\na = numpy.arange(6); w = numpy.lib.stride_tricks.sliding_window_view(a, 3)", "a[0] = 9; v = numpy.lib.stride_tricks.sliding_window_view(numpy.arange(4), 2)", (), "w[0, 0] == 9 and v.strides == (8, 8) and not v.flags.writeable"),
    Trap("a decorated function", "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def g(*a): return 2 * f(*a)\n    return g\n@twice\ndef one(): return k\nk = 1", "k = 4; r = one()", (), "r == 8 and one() == 8 and one.__wrapped__() == 4"),
    Trap("a function with globals of its own", "own = {'k': 1}\nexec('def f(): return k', own)\nf = own['f']", "own['k'] = 7; r = f()", (), "r == 7 and f() == 7 and f.__globals__ is own"),
    Trap("a list", "a = [1]", "a.append(2)", (), "a == [1, 2]"),
    Trap("two names of a list", "a = [1]; b = a", "a.append(2)", (), "b == [1, 2] and a is b"),
    Trap("a list that an object holds too", "a = [1]\nclass O: pass\no = O(); o.a = a", "o.a.append(2)", (), "a == [1, 2] and o.a is a"),
    Trap("a dict in a dict", "d = {'k': {'z': 1}}; inner = d['k']", "d['k']['z'] = 2", (), "inner['z'] == 2 and d['k'] is inner"),
    Trap("another name for an object", "a = [1]", "b = a", (), "b is a"),
    Trap("the best of some models", "class M:\n    def fit(self): self.w = 1\nmodels = [M() for _ in range(5)]", "best = models[3]; best.fit()", (), "best is models[3] and models[3].w == 1"),
    Trap("a list that contains itself", "a = []; a.append(a)", "a.append(1)", (), "a[0] is a and a[1] == 1"),
    Trap("a cycle made in the cell", "", "a = []; d = {'a': a}; a.append(d)", (), "a[0] is d and d['a'] is a"),
    Trap("new names share an object", "", "a = [1]; b = (a, a)", ("a.append(2)",), "b[0] is a and b[1] == [1, 2]"),
    Trap("the object of an iteration", "row = object(); rows = [row]", "last = rows[-1]", (), "last is row"),
    Trap("a NaN in a list", "nan = float('nan'); a = [nan, 1]", "a.append(2)", (), "nan in a"),
    Trap("a frame's column and its alias", "import pandas as pd\ndf = pd.DataFrame({'a': [1, 2]}); alias = df", "df['c'] = 3", (), "list(df) == ['a', 'c'] and alias is df"),
    Trap("an array and its view", "import numpy as np\na = np.zeros(3); v = a[1:]", "a[1] = 5", (), "a[1] == 5 and v[0] == 5"),
    Trap("a view made in the cell", "import numpy as np\na = np.zeros(3)", "v = a[:2]", ("a[0] = 7",), "v[0] == 7"),
    Trap("a view of an array of the cell", "import numpy as np", "a = np.zeros(100_000); v = a[5:]", ("a[5] = 7",), "v[0] == 7 and a.flags.writeable"),
    Trap("a matrix that owns its memory", "import numpy as np\nm = np.matrix(np.array([[1, 2]]))", "n = np.matrix(np.array([[3, 4]])); r = n.T; owns = m.flags.owndata", ("n[0, 1] = 5",), "owns and n.flags.owndata and m.flags.owndata and r[1, 0] == 5 and type(r) is np.matrix"),
    Trap("an array that shows a masked one", "import numpy as np\nx = np.ma.array([1, 2, 3], mask=[0, 1, 0]); d = x.data", "d[0] = 7; y = np.ma.array([1.5, 2]).copy(); e = y.data", ("y[1] = 9",), "x[0] == 7 and e[1] == 9"),
    Trap("a field of a record array", "import numpy as np", "z = np.array([(1, 2), (3, 4)], [('a', 'i1'), ('b', 'i1')]).view(np.recarray); a = z.a", ("z.a[0] = 9",), "a.tolist() == [9, 3] and z[0].b == 2"),
    Trap("objects in an array of a class of the notebook", "import numpy as np\nclass A(np.ndarray): pass\na = np.empty(2, object).view(A); a[1] = [1]", "a[1].append(2); b = np.empty(2, object).view(A)[1:]", (), "a[0] is None and a[1] == [1, 2] and type(a) is type(b) is A"),
    Trap("an array whose axes are in another order", "import numpy as np\na = np.arange(24).reshape(2, 3, 4).swapaxes(1, 2).copy('K'); v = a[1]", "v[2, 1] = -1; b = np.ones((2, 3, 4)).swapaxes(0, 1).copy('K'); w = b[0]", ("b[0, 1, 2] = 5",), "a[1, 2, 1] == -1 and w[1, 2] == 5 and a.strides == np.arange(24).reshape(2, 3, 4).swapaxes(1, 2).strides"),
    Trap("a function of the process's own generator of random numbers", "from random import randint\nimport random\nown = random._inst; lone = random.Random(1)", "randint(1, 9); lone.random(); inside = randint.__self__ is own is random._inst", (), "inside and randint.__self__ is random._inst is own and lone.getstate() != random.Random(1).getstate()"),
    Trap("the same made in the cell", "", "from random import randint", (), "randint.__self__ is __import__('random')._inst"),
    Trap("a function of numpy's generator of random numbers", "from numpy.random import normal\nimport numpy as np\nlone = np.random.RandomState(1); twin = np.random.RandomState(1)", "np.random.seed(1); one = normal(); lone.normal(); np.random.seed(1); inside = one == np.random.normal() and normal.__self__ is np.random.mtrand._rand", (), "inside and normal.__self__ is np.random.mtrand._rand and lone.normal() != twin.normal()"),
    Trap("what holds numpy's generator", "", "import numpy as np\nclass C: rng = np.random.mtrand._rand\nc = C(); c.rng = C.rng", ("@inside = c.rng is np.random.mtrand._rand; c.rng.seed(1)",), "inside and c.rng is C.rng is np.random.mtrand._rand"),
    Trap("a distribution draws from numpy's generator", "from scipy import stats; import numpy as np\nd = stats.norm(0, 1)", "np.random.seed(3); one = d.rvs(); np.random.seed(3); inside = one == np.random.normal()", ("np.random.seed(3); after = d.rvs()",), "inside and after == one"),
    Trap("such an array has its own memory", "", "import numpy as np\nshow = lambda n: np.arange(24 * n**3).reshape(2 * n, 3 * n, 4 * n).swapaxes(0, 1)\nsmall, large = show(1).copy('K'), show(20).copy('K'); m = np.ma.array(small, mask=small > 3, keep_mask=False)\nsums = [x[1].sum() for x in (small, large)]; m.mask = np.copy(m.mask, order='K')", (), "small.base is None and not isinstance(large.base, np.ndarray) and small.strides == (32, 96, 8) and large.strides == (640, 38400, 8) and [x[1].sum() for x in (small, large)] == sums and large.flags.writeable and m.sum() == 6"),
    Trap("types of arrays", "import numpy as np\na = np.zeros(2, 'f4'); q = np.zeros(1, 'q'); d = q.dtype; big = np.zeros((2, 3), '>i4', order='F')", "big[1, 2] = 9; b = np.ones(3, bool); c = np.zeros(2, '>f8'); r = np.zeros(1, [('x', 'i2')]); s = np.array(['ab']); t = np.zeros(1, 'M8[s]'); same = a.dtype is np.dtype('f4') and q.dtype is d", (), "same and b.dtype is np.dtype(bool) and a.dtype is np.dtype('f4') and q.dtype is d and c.dtype.str == '>f8' and c.flags.owndata and big.dtype.str == '>i4' and big[1, 2] == 9 and big.flags.f_contiguous and r.dtype['x'] == 'i2' and s.dtype == 'U2' and t.dtype == 'M8[s]'"),
    Trap("a map of a file", "import numpy as np, tempfile, os\nname = tempfile.mktemp(); m = np.memmap(name, 'f4', 'w+', shape=(3, 4)); part = m[1:]; plain = np.asarray(m)", "m[1, 1] = 5; seen = part[0, 1], plain[1, 1]; r = np.memmap(name, 'f4', 'r', shape=(3, 4)); c = np.memmap(name, 'f4', 'c', shape=(3, 4)); c[0] = 8; half = r[:, ::2]", ("m[0, 0] = 3", "@c[1] = 9; part[1, 1] = 6; m.flush(); os.remove(name)"), "seen == (5, 5) and (r[0, 0], r[1, 1], r[2, 1], half[0, 0]) == (3, 5, 6, 3) and m.mode == 'w+' and m[2, 1] == 6 and not r.flags.writeable and type(half) is np.memmap and c[:, 0].tolist() == [8, 9, 0] and c.offset == 0 and part.base is m and half._mmap is r._mmap"),
    Trap("arrays that a library makes anew of one memory", "import ctypes, numpy as np\nmemory = (ctypes.c_double * 4)(); a = np.frombuffer(memory)[1:]; b = np.frombuffer(memory)[1:]; del memory", "a[0] = 5; seen = b[0]; own = (ctypes.c_double * 4)(); c = np.frombuffer(own); d = np.frombuffer(own); del own", ("c[1] = 3",), "seen == b[0] == 5 and d[1] == 3"),
    Trap("types of ctypes", "import ctypes\nclass P(ctypes.Structure): _fields_ = [('x', ctypes.c_int), ('y', ctypes.c_double * 2)]\np = P(1, (2, 3)); y = p.y; first = P", "p.x = 5; p.y[0] = 7; q = P(3); A = ctypes.c_int * 3; a = A(1, 2, 3)\nclass N(ctypes.Structure):\n    _pack_ = 1\n    _fields_ = [('c', ctypes.c_char), ('p', P), ('a', A)]\n    def total(self): return self.c + bytes(self.a)\nn = N(b'c', q, a)\nclass U(ctypes.Union): _fields_ = [('i', ctypes.c_int), ('f', ctypes.c_float)]\nu = U(f=1.0)", ("y[1] = 9",), "p.x == 5 and list(p.y) == [7, 9] and first is P is type(q) and A is ctypes.c_int * 3 and type(n.p) is P and n.p.x == 3 and n.total()[:2] == b'c\\x01' and ctypes.sizeof(N) == 1 + ctypes.sizeof(P) + 12 and u.i == 0x3f800000"),
    Trap("a structure of ctypes that points to its like", "import ctypes\nclass N(ctypes.Structure): pass\nN._fields_ = [('n', ctypes.c_int), ('next', ctypes.POINTER(N))]", "size = ctypes.sizeof(N); m = N._fields_[1][1] is ctypes.POINTER(N)\nclass M(ctypes.Structure): pass\nM._fields_ = [('n', ctypes.c_int), ('next', ctypes.POINTER(M))]", ("n = N(1); m2 = M(2, ctypes.pointer(M(3)))",), "m and size == ctypes.sizeof(N) and not n.next and m2.next.contents.n == 3"),
    Trap("memory of ctypes that an array shows", "import ctypes, numpy as np\nb = (ctypes.c_double * 3)(1, 2, 3); a = np.ctypeslib.as_array(b); n = ctypes.c_int(1)", "a[0] = 5; b[1] = 6; seen = a[1], b[0]; n.value = 2; c = (ctypes.c_double * 3)(); d = np.frombuffer(c)[1:]", ("b[2] = 7; c[1] = 8",), "seen == (6, 5) and a.tolist() == [5, 6, 7] and n.value == 2 and d[0] == 8"),
    Trap("libraries of ctypes", "import ctypes\nc = ctypes.CDLL(None); c.abs.restype = ctypes.c_long", "import ctypes.util; c.labs.argtypes = [ctypes.c_long]; c.abs.restype = ctypes.c_int; seen = c.abs(-3)\nm = ctypes.CDLL(ctypes.util.find_library('m'), use_errno=True); m.sqrt.restype = ctypes.c_double; m.sqrt.argtypes = [ctypes.c_double]; s = m.sqrt; other = m['cos']; F = ctypes.CFUNCTYPE(ctypes.c_int)", (), "seen == 3 and c.abs.restype is ctypes.c_int and list(c.labs.argtypes) == [ctypes.c_long] and m.sqrt(9.0) == 3 and s is m.sqrt and other.__name__ == 'cos' and m._FuncPtr._flags_ & 8 and F is ctypes.CFUNCTYPE(ctypes.c_int)"),
    Trap("an array's flat iterator", "import numpy as np\na = np.arange(6).reshape(2, 3); f = a.flat; n = next(f)", "n = next(f); g = (a + 10).flat; n = next(g)", (), "next(f) == 2 and next(g) == 11 and f.base is a"),
    Trap("views by strides, of a part", "", "import numpy as np\nx = np.zeros(200_000, 'i1'); y = np.lib.stride_tricks.as_strided(x[100_000:], (10, 10, 1), (100, 101, 1))", ("x[100_000] = 3",), "y[0, 0, 0] == 3 and y.flags.f_contiguous == np.lib.stride_tricks.as_strided(x[100_000:], (10, 10, 1), (100, 101, 1)).flags.f_contiguous"),
    Trap("an exception with slots", "import numpy as np\nclass E(Exception):\n    __slots__ = ('__x', 'y')\n    def __init__(self, x): self.__x = x; super().__init__('e')\n    def x(self): return self.__x\nold = E(1)", "old.y = 2\ntry: np.sum(3, axis=4)\nexcept np.exceptions.AxisError as error: kept = error\nnew = E(5)", (), "(str(kept), kept.axis, kept.ndim) == ('axis 4 is out of bounds for array of dimension 0', 4, 0) and new.x() == 5 and old.y == 2 and not hasattr(new, 'y')"),
    Trap("arrays in a file", "import io, os, tempfile, zipfile, numpy as np\nname = tempfile.mktemp('.npz'); np.savez(name, a=[1, 2]); f = np.load(name); memory = io.BytesIO(); np.savez(memory, b=[3]); n = memory.seek(0)", "seen = f['a'].sum(); g = np.load(name); h = np.load(memory); z = zipfile.ZipFile(name)\nwith np.load(name) as closed: pass", ("twice = f['a'].tolist(), g.f.a.tolist(), h['b'].tolist(), g.files, z.namelist(); f.close(); g.close(); z.close(); os.remove(name)",), "seen == 3 and twice == ([1, 2], [1, 2], [3], ['a'], ['a.npy']) and closed.zip is None"),
    Trap("temporary files", "import tempfile\nf = tempfile.TemporaryFile('w+'); n = f.write('one ')", "n = f.write('two'); g = tempfile.TemporaryFile(); n = g.write(b'x'); s = tempfile.SpooledTemporaryFile(); n = s.write(b'y'); t = tempfile.NamedTemporaryFile('w+'); n = t.write('z')", ("seen = [each.seek(0) or each.read() for each in (f, g, s, t)]; t.close()",), "seen == ['one two', b'x', b'y', 'z'] and f.name == f.fileno()"),
    Trap("the flags of an array", "import numpy as np\na = np.zeros((2, 3)); a.setflags(write=False)", "f = [x.flags for x in (a, a.T, a[:, ::2], a.T.copy(), np.zeros(1), np.zeros((2, 2, 2)).swapaxes(1, 2).copy('K'))]", (), "[str(x.flags) for x in (a, a.T, a[:, ::2], a.T.copy(), np.zeros(1), np.zeros((2, 2, 2)).swapaxes(1, 2).copy('K'))] == [str(x) for x in f]"),
    Trap("a class that says no module", "class C:\n    def __reduce__(self): return C, ()\nC.__module__ = None; c = C()", "d = [c, C()]", (), "d[0] is c and type(d[1]) is C"),
    Trap("a dict and a list of a library", "import keyword, token\nfrom keyword import kwlist", "kwlist.append('mine'); from token import tok_name", ("seen = 'mine' in keyword.kwlist; kwlist.remove('mine')",), "seen and kwlist is keyword.kwlist and tok_name is token.tok_name"),
    Trap("a bunch of scikit-learn", "from sklearn.utils import Bunch\nb = Bunch(a=[1]); vars(b)['note'] = [2]", "b.a.append(2); c = Bunch(z=b.a)", (), "b['a'] == [1, 2] and c.z is b.a and vars(b)['note'] == [2] and vars(c) == vars(Bunch())"),
    Trap("a hash that an object remembers, as sympy's do", "class E:\n    __slots__ = ('name', '_mhash')\n    def __init__(self, name): self.name = name; self._mhash = None\n    def __reduce__(self): return E, (self.name,)\n    def __eq__(self, other): return self.name == other.name\n    def __hash__(self):\n        if self._mhash is None: self._mhash = hash(self.name)\n        return self._mhash\nx = E('x')", "d = {x: 1}; inside = d[E('x')]", (), "inside == d[E('x')] == 1 and hash(x) == hash('x')"),
    Trap("a deleted name", "x = 1; y = 2", "del x", (), "'x' not in globals() and y == 2"),
    Trap("an imported module", "", "import numpy as np, os.path", (), "np.__name__ == 'numpy' and os.path.sep"),
    Trap("import *", "", "from math import *", (), "sqrt(4) == 2"),
    Trap("a generator that is not used", "g = (i for i in range(3))", "r = 1", (), "r == 1 and next(g) == 0"),
    Trap("an open file that is not used", "f = open('/dev/null'); x = 1", "y = x + 1", (), "y == 2 and not f.closed and f.close() is None"),
    Trap("things that cannot leave their process", "import threading, sqlite3, socket\nlock = threading.Lock(); db = sqlite3.connect(':memory:'); s = socket.socket(); x = 1", "y = x + 1", ("s.close(); db.close()",), "y == 2"),
    Trap("an object with a lock", "import threading\nclass J:\n    def __init__(self): self.lock = threading.Lock(); self.n = 0\nj = J(); lock = j.lock", "with j.lock: j.n += 1", (), "j.n == 1 and j.lock is lock and not lock.locked()"),
    Trap("a weak reference", "import weakref\nclass W: pass\nw = W(); r = weakref.ref(w)", "w2 = r()", (), "w2 is w and r() is w"),
    Trap("a generator of random numbers", "import numpy as np\nrng = np.random.default_rng(0)", "a = rng.random()", ("b = rng.random()",), "a != b"),
    Trap("a figure", "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\nfig, ax = plt.subplots()", "ax.plot([1, 2])", (), "len(ax.lines) == 1 and plt.gcf() is fig and fig.axes[0] is ax and plt.close('all') is None"),
    Trap("the current axes of a figure", "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\nfig, (a, b) = plt.subplots(1, 2); plt.sca(a)", "plt.sca(b); seen = fig.gca() is b; new, (c, d) = plt.subplots(1, 2); plt.sca(c)", ("plt.sca(d)",), "seen and fig.gca() is b and new.gca() is d and plt.close('all') is None"),
    Trap("a model that is fitted", "from sklearn.linear_model import LinearRegression\nimport numpy as np\nm = LinearRegression(); alias = m; X = np.arange(4.).reshape(-1, 1)", "m.fit(X, X[:, 0])", (), "hasattr(m, 'coef_') and alias is m and m.predict(X)[1] > 0.9"),
    Trap("an exception that is kept", "", "class MyError(Exception): pass\ntry: 1 / 0\nexcept Exception as e: kept = e", (), "type(kept) is ZeroDivisionError and issubclass(MyError, Exception)"),
    Trap("a logger", "import logging\nlog = logging.getLogger('a.b'); manager = log.manager", "import logging.config\nlog.info('x'); logging.getLogger('a.c')", (), "log.manager is manager is logging.Logger.manager"),
    Trap("an abstract class stays abstract", "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def m(self): ...", "try: A()\nexcept TypeError: ok = True\nclass B(abc.ABC):\n    @abc.abstractmethod\n    def m(self): ...", ("try: B()\nexcept TypeError: ok2 = True",), "ok and ok2"),
    Trap("a function with one implementation for each type", "import functools\n@functools.singledispatch\ndef f(x): return 0\n@f.register\ndef _(x: int): return 1", "a = f(1), f('')\n@f.register\ndef _(x: str): return 2", (), "a == (1, 0) and f('') == 2"),
    Trap("a module of the notebook's own making", "import types\nm = types.ModuleType('m'); m.k = [1]", "m.k.append(2)", (), "m.k == [1, 2]"),
    Trap("a path, a date, a fraction", "import pathlib, datetime, fractions, decimal, uuid\nx = [pathlib.Path('a'), datetime.date(2020, 1, 1), fractions.Fraction(1, 2), decimal.Decimal(1), uuid.uuid4()]", "y = x[::-1]; z = x[0] / 'b'", (), "y[0] is x[-1] and str(z) == 'a/b'"),
    Trap("a bound method", "class C:\n    def m(self): return self\nc = C()", "m = c.m", (), "m() is c"),
    Trap("views of a dict", "d = {'a': 1}; ks = d.keys()", "d['b'] = 2; seen = list(ks); vs = d.values()", ("d['c'] = 3",), "seen == ['a', 'b'] and list(ks) == ['a', 'b', 'c'] and 3 in vs"),
    Trap("a constructor that needs an import of the cell", "", "import threading\nclass J:\n    def __init__(self): self.lock = threading.Lock()\n    def __setstate__(self, s): self.lock = threading.Lock()\n    def __getstate__(self): return 1\nj = J()", (), "j.lock"),
]  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.title)
def test_a_timed_cell_leaves_what_a_native_one_leaves(notebook: Notebook, trap: Trap) -> None:
    """The check, which holds natively, holds after the round trip too."""
    notebook.cell(trap.before)
    notebook.timed(trap.timed)
    assert notebook.left_behind == {}
    for code in trap.later:
        (notebook.timed if code.startswith("@") else notebook.cell)(code.removeprefix("@"))
    assert notebook.value(trap.check)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.title)
def test_the_check_of_each_trap_holds_natively(notebook: Notebook, trap: Trap) -> None:
    """Otherwise the trap would show nothing."""
    notebook.cell(trap.before)
    notebook.cell(trap.timed)
    for code in trap.later:
        notebook.cell(code.removeprefix("@"))
    assert notebook.value(trap.check)
