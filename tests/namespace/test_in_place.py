"""Every kind of change in place comes back into the kernel's own object, or is named: never silently stale."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from .conftest import Notebook


class Change(NamedTuple):
    title: str
    before: str
    timed: str
    check: str


#: The object is always called ``x``.
RESTORED = [
    Change("a list", "x = [1, [2]]", "x[1].append(3); x.insert(0, 0)", "x == [0, 1, [2, 3]]"),
    Change("a dict", "x = {'a': 1, 'b': 2}", "x['c'] = 3; del x['a']; x['a'] = 4", "list(x.items()) == [('b', 2), ('c', 3), ('a', 4)]"),
    Change("a set", "x = {1, 'a'}", "x.add(2); x.discard('a')", "x == {1, 2}"),
    Change("a bytearray", "x = bytearray(b'ab')", "x += b'c'; x[0] = 0", "x == b'\\0bc'"),
    Change("a large bytearray", "x = bytearray(100_000)", "x[99_999] = 1", "x[99_999] == 1 and len(x) == 100_000"),
    Change("a deque", "import collections\nx = collections.deque([1, 2], maxlen=3)", "x.extend([3, 4])", "list(x) == [2, 3, 4] and x.maxlen == 3"),
    Change("a Counter", "import collections\nx = collections.Counter('aab')", "x['b'] += 5", "x == {'a': 2, 'b': 6}"),
    Change("a defaultdict", "import collections\nx = collections.defaultdict(list)", "x['k'].append(1); x.default_factory = set", "x == {'k': [1]} and x.default_factory is set"),
    Change("an OrderedDict", "import collections\nx = collections.OrderedDict(a=1, b=2)", "x.move_to_end('a')", "list(x) == ['b', 'a']"),
    Change("a subclass of list", "class L(list): pass\nx = L([1])", "x.append(2); x.note = 'n'", "x == [1, 2] and x.note == 'n' and type(x) is L"),
    Change("a subclass of dict", "class D(dict): pass\nx = D(a=1)", "x['b'] = 2; x.note = 1", "x == {'a': 1, 'b': 2} and x.note == 1"),
    Change("a dict that counts its own changes", "class D(dict):\n    n = 0\n    def __setitem__(s, k, v):\n        s.__dict__['n'] = s.n + 1; dict.__setitem__(s, k, v)\nx = D()", "x['b'] = 2", "x == {'b': 2} and x.n == 1"),
    Change("a subclass of set", "class S(set): pass\nx = S([1])", "x.add(2); x.note = 1", "x == {1, 2} and x.note == 1"),
    Change("a subclass of deque", "import collections\nclass Q(collections.deque): pass\nx = Q([1])", "x.append(2)", "list(x) == [1, 2]"),
    Change("an array.array", "import array\nx = array.array('i', [1])", "x.append(2); x[0] = 5", "x.tolist() == [5, 2]"),
    Change("a StringIO", "import io\nx = io.StringIO('ab')", "x.seek(1); x.write('cd')", "(x.getvalue(), x.tell()) == ('acd', 3)"),
    Change("a BytesIO", "import io\nx = io.BytesIO(b'ab')", "x.seek(0, 2); x.write(b'c')", "(x.getvalue(), x.tell()) == (b'abc', 3)"),
    Change("a closed StringIO", "import io\nx = io.StringIO('ab')", "x.close()", "x.closed"),
    Change("a random.Random", "import random\nx = random.Random(1)", "a = x.random()", "x.random() != a and random.Random(1).random() == a"),
    Change("a list iterator", "x = iter([1, 2, 3])", "next(x)", "next(x) == 2"),
    Change("a used-up iterator", "x = iter([1, 2, 3])", "list(x)", "next(x, 'end') == 'end'"),
    Change("a dict iterator", "d = {'a': 1, 'b': 2, 'c': 3}\nx = iter(d.items())", "next(x)", "next(x) == ('b', 2)"),
    Change("a set iterator", "d = {'a', 'b'}\nx = iter(d)", "a = next(x)", "{a, next(x)} == d"),
    Change("a range iterator", "x = iter(range(5))", "next(x); next(x)", "next(x) == 2"),
    Change("itertools.count", "import itertools\nx = itertools.count(5, 2)", "next(x); next(x)", "next(x) == 9"),
    Change("zip", "x = zip([1, 2, 3], 'abc')", "next(x)", "next(x) == (2, 'b')"),
    Change("enumerate", "x = enumerate(['a', 'b', 'c'])", "next(x)", "next(x) == (1, 'b') and next(x) == (2, 'c')"),
    Change("map", "x = map(str, [1, 2])", "next(x)", "next(x) == '2'"),
    Change("itertools.chain", "import itertools\nx = itertools.chain([1, 2], [3])", "next(x); next(x)", "list(x) == [3]"),
    Change("itertools.cycle", "import itertools\nx = itertools.cycle('ab')", "next(x)", "next(x) == 'b' and next(x) == 'a'"),
    Change("a slice that is used up", "import itertools\nx = itertools.islice(itertools.count(), 3)", "list(x)", "list(x) == []"),
    Change("a count under a slice", "import itertools\nx = itertools.count()\ny = itertools.islice(x, 9)", "next(y); next(y); next(x)", "next(x) == 3 and next(y) == 4"),
    Change("threading.RLock", "import threading\nx = threading.RLock()", "x.acquire(); x.acquire()", "(x.release(), x.release()) and not x._is_owned()"),
    Change("contextvars.Context", "import contextvars\nv = contextvars.ContextVar('v')\nx = contextvars.copy_context()\nx.run(v.set, 1)", "x.run(v.set, 2); None", "x[v] == 2 and v.get(0) == 0"),
    Change("weakref.finalize", "import weakref\nclass K: pass\nk = K(); rows = []\nx = weakref.finalize(k, rows.append, 1)", "x()", "not x.alive and rows == [1]"),
    Change("csv.reader", "import csv\nx = csv.reader(['a,b', 'c', 'd']); first = next(x)", "next(x)", "x.line_num == 2 and next(x) == ['d']"),
    Change("an enumeration", "import enum\nclass E(enum.Enum):\n    A = 1\nx = E", "x.A.note = [1]", "E.A.note == [1] and E(1) is E.A"),
    Change("a dict that logs", "class D(dict):\n    log = []\n    def __setitem__(self, k, v): self.log.append(k); super().__setitem__(k, v)\nx = D(a=1)", "x['b'] = 2", "x == {'a': 1, 'b': 2} and D.log == ['b']"),
    Change("itertools.islice", "import itertools\nx = itertools.islice([1, 2, 3, 4], 3)", "next(x)", "list(x) == [2, 3]"),
    Change("itertools.product", "import itertools\nx = itertools.product('ab', [1, 2])", "next(x)", "next(x) == ('a', 2)"),
    Change("itertools.accumulate", "import itertools\nx = itertools.accumulate([1, 2, 3])", "next(x); next(x)", "next(x) == 6"),
    Change("a decimal context", "import decimal\nx = decimal.Context(prec=5)", "x.prec = 9; x.divide(1, 3)", "x.prec == 9 and x.flags[decimal.Inexact]"),
    Change("the arguments of an exception", "x = ValueError('a', 1)", "x.args = ('b',); x.note = 2; x.add_note('n')", "x.args == ('b',) and x.note == 2 and x.__notes__ == ['n']"),
    Change("the cause of an exception", "x = ValueError('a')", "x.__cause__ = KeyError('k')", "x.__cause__.args == ('k',) and x.__suppress_context__"),
    Change("an instance", "class C: pass\nx = C(); x.a = 1; x.b = 2", "x.c = [1]; del x.a", "vars(x) == {'b': 2, 'c': [1]}"),
    Change("the order of attributes", "class C: pass\nx = C(); x.a = 1; x.b = 2", "a = x.a; del x.a; x.a = a", "list(vars(x)) == ['b', 'a']"),
    Change("a slot", "class S:\n    __slots__ = ('v', '__w')\n    def set(s): s.__w = 4\n    def get(s): return s.__w\nx = S(); x.v = 1", "x.v = [2]; x.set()", "x.v == [2] and x.get() == 4"),
    Change("a deleted slot", "class S:\n    __slots__ = ('v',)\nx = S(); x.v = 1", "del x.v", "not hasattr(x, 'v')"),
    Change("slots and attributes", "class A:\n    __slots__ = ('v',)\nclass S(A): pass\nx = S(); x.v = 1; x.w = 2", "x.v = 3; x.w = 4", "(x.v, x.w) == (3, 4)"),
    Change("an attribute of a class", "class x: n = 0", "x.n = 5; x.m = lambda s: 7", "x.n == 5 and x().m() == 7"),
    Change("a deleted attribute of a class", "class x: n = 0", "del x.n", "not hasattr(x, 'n')"),
    Change("the bases of a class", "class A: a = 1\nclass B: b = 2\nclass x(A): pass", "x.__bases__ = (B,)", "x.b == 2 and not hasattr(x, 'a')"),
    Change("a list of a class", "class x: all = []", "x.all.append(1)", "x.all == [1]"),
    Change("the code of a function", "def x(): return 1\ny = x", "def f(): return 2\nx.__code__ = f.__code__", "y() == 2"),
    Change("the defaults of a function", "def x(a=1, *, b=2): return a, b\ny = x", "x.__defaults__ = (3,); x.__kwdefaults__['b'] = 4", "y() == (3, 4)"),
    Change("a mutable default", "def x(a=[]): a.append(1); return a", "x()", "x() == [1, 1]"),
    Change("an attribute of a function", "def x(): pass\nx.calls = 0", "x.calls += 1", "x.calls == 1"),
    Change("a closure", "def make():\n    n = 0\n    def inc():\n        nonlocal n; n += 1; return n\n    return inc, lambda: n\nx, get = make()", "x(); x()", "get() == 2 and x() == 3 and get() == 3"),
    Change("a changed class", "class A: pass\nclass B: pass\nx = A()", "x.__class__ = B", "type(x) is B"),
    Change("an alias of __dict__", "class C: pass\nx = C(); x.a = 1; d = vars(x)", "d['b'] = 2; x.c = 3", "x.b == 2 and d is vars(x) and d['c'] == 3"),
    Change("a new alias of __dict__", "class C: pass\nx = C(); x.a = 1", "d = vars(x)", "d is vars(x)"),
    Change("an object that drops its lock", "import threading\nclass J:\n    def __init__(s): s.lock = threading.Lock(); s.n = []\n    def __getstate__(s): return {'n': s.n}\n    def __setstate__(s, state): s.__dict__.update(state); s.lock = threading.Lock()\nx = J(); lock = x.lock", "x.n.append(1); x.m = 2", "x.n == [1] and x.m == 2 and x.lock is lock"),
    Change("a state that was copied", "class J:\n    def __init__(s): s.n = [1]\n    def __getstate__(s): return {'n': list(s.n)}\nx = J()", "x.n.append(2)", "x.n == [1, 2]"),
    Change("an object made by its constructor", "class J:\n    def __init__(s, n): s.n = list(n)\n    def __reduce__(s): return J, (s.n,)\nx = J([1])", "x.n.append(2)", "x.n == [1, 2]"),
    Change("a namespace", "import types\nx = types.SimpleNamespace(a=1)", "x.b = 2", "x.b == 2"),
    Change("a partial", "import functools\nx = functools.partial(int, base=2)", "x.note = 1; x.keywords['base'] = 3", "x.note == 1 and x('10') == 3"),
    Change("a weak dict", "import weakref\nclass W: pass\na, b = W(), W()\nx = weakref.WeakValueDictionary(a=a)", "x['b'] = b", "x['b'] is b and x['a'] is a"),
    Change("a weak set", "import weakref\nclass W: pass\na, b = W(), W()\nx = weakref.WeakSet([a])", "x.add(b)", "b in x and a in x and len(x) == 2"),
    Change("a lock", "import threading\nx = threading.Lock()", "x.acquire()", "x.locked()"),
    Change("a queue", "import queue\nx = queue.Queue()", "x.put(5)", "x.get_nowait() == 5"),
    Change("globals()", "x = globals()", "x['new'] = 5", "new == 5 and x is globals()"),
    Change("an ndarray", "import numpy as np\nx = np.zeros(3)", "x[1] = 5", "x.tolist() == [0, 5, 0]"),
    Change("a large ndarray", "import numpy as np\nx = np.zeros((300, 300))", "x[1, 2] = 5", "x[1, 2] == 5 and x.sum() == 5"),
    Change("an ndarray in Fortran order", "import numpy as np\nx = np.zeros((300, 301), order='F')", "x[1, 2] = 5", "x[1, 2] == 5 and x.sum() == 5 and x.flags.f_contiguous"),
    Change("a long ndarray of texts", "import numpy as np\nx = np.array([f't{i}' for i in range(30_000)], dtype=object).reshape((3, -1), order='F')", "x[1, 0] = 'new'; x[2, 9_999] = [1]", "x[1, 0] == 'new' and x[2, 9_999] == [1] and x[0, 0] == 't0' and x[0, 1] == 't3' and x.flags.f_contiguous"),
    Change("a frame of texts", "import pandas as pd\nx = pd.DataFrame({'a': pd.Series([f't{i}' for i in range(20_000)], dtype=object)})", "x.loc[7, 'a'] = None", "x.a[7] is None and x.a[19_999] == 't19999' and x.a.dtype == object"),
    Change("an ndarray of objects", "import numpy as np\nx = np.array([[1], None], dtype=object)", "x[0].append(2); x[1] = 'a'", "x.tolist() == [[1, 2], 'a']"),
    Change("an ndarray of dates", "import numpy as np\nx = np.zeros(20_000, 'M8[s]')", "x[1] = np.datetime64('2020-01-01')", "str(x[1]).startswith('2020')"),
    Change("a structured array", "import numpy as np\nx = np.zeros(2, [('a', 'i4'), ('b', 'O')])", "x['a'][1] = 3; x['b'][0] = 'z'", "x.tolist() == [(0, 'z'), (3, 0)]"),
    Change("a view of an ndarray", "import numpy as np\na = np.zeros((4, 4)); x = a[1:3, ::2]", "x[0, 0] = 7; a[2, 2] = 8", "a[1, 0] == 7 and x[1, 1] == 8 and x.base is a"),
    Change("two views of a large ndarray", "import numpy as np\na = np.zeros(200_000); x = a[:5]; y = a[3:9]; del a", "x[4] = 7", "y[1] == 7"),
    Change("a view of objects", "import numpy as np\na = np.array([1, 'b', None]); x = a[1:]", "x[0] = 'c'", "a[1] == 'c' and x.base is a"),
    Change("a read-only ndarray", "import numpy as np\nx = np.zeros(3); x.flags.writeable = False", "x.flags.writeable = True; x[0] = 1", "x[0] == 1 and x.flags.writeable"),
    Change("an ndarray made read-only", "import numpy as np\nx = np.zeros(3)", "x.flags.writeable = False", "not x.flags.writeable"),
    Change("the shape of an ndarray", "import numpy as np\nx = np.arange(6)", "x.shape = (2, 3); x[0, 0] = 9", "x.tolist() == [[9, 1, 2], [3, 4, 5]]"),
    Change("the type of an ndarray", "import numpy as np\nx = np.zeros(2, 'f8')", "x.dtype = 'i8'; x[0] = 3", "x.tolist() == [3, 0] and x.dtype == 'i8'"),
    Change("the size of an ndarray", "import numpy as np\nx = np.zeros(2); y = x", "x.resize(4, refcheck=False); x[3] = 3", "y.tolist() == [0, 0, 0, 3]"),
    Change("np.matrix", "import numpy as np\nx = np.matrix([[1, 2]])", "x[0, 1] = 5", "x.tolist() == [[1, 5]] and type(x) is np.matrix"),
    Change("a masked array", "import numpy as np\nx = np.ma.array([1, 2, 3], mask=[0, 1, 0])", "x[0] = np.ma.masked; x[1] = 7", "x.mask.tolist() == [True, False, False] and x.data[1] == 7"),
    Change("a subclass of ndarray", "import numpy as np\nclass A(np.ndarray): pass\nx = np.zeros(2).view(A); x.unit = 'm'", "x[0] = 5; x.unit = 's'", "x[0] == 5 and x.unit == 's' and type(x) is A"),
    Change("a subclass that shows an array", "import numpy as np\na = np.zeros((2, 2)); x = np.asmatrix(a)", "x[0, 0] = 5; seen = a[0, 0]", "a[0, 0] == 5 and seen == 5"),
    Change("an array upon a bytearray", "import numpy as np\nb = bytearray(8); x = np.frombuffer(b, 'u1')", "x[0] = 5; seen = b[0]", "b[0] == 5 and seen == 5"),
    Change("a numpy generator", "import numpy as np\nx = np.random.default_rng(0)", "a = x.random()", "x.random() != a"),
    Change("a numpy RandomState", "import numpy as np\nx = np.random.RandomState(0)", "a = x.normal()", "x.normal() != a and np.random.RandomState(0).normal() == a"),
    Change("a column of a frame", "import pandas as pd\nx = pd.DataFrame({'a': [1, 2]})\ny = x", "x['c'] = 3", "list(y) == ['a', 'c'] and y is x"),
    Change("a value of a frame", "import pandas as pd\nx = pd.DataFrame({'a': [1, 2], 's': ['u', 'v']})", "x.loc[0, 'a'] = 9; x.loc[1, 's'] = 'w'", "x.values.tolist() == [[9, 'u'], [2, 'w']]"),
    Change("the columns of a frame", "import pandas as pd\nx = pd.DataFrame({'a': [1]})", "x.columns = ['z']; x.index.name = 'i'", "list(x) == ['z'] and x.index.name == 'i'"),
    Change("the rows of a frame", "import pandas as pd\nx = pd.DataFrame({'a': [2, 1]})", "x.sort_values('a', inplace=True); x.reset_index(drop=True, inplace=True)", "x.a.tolist() == [1, 2]"),
    Change("the attrs of a frame", "import pandas as pd\nx = pd.DataFrame({'a': [1]})", "x.attrs['k'] = 1", "x.attrs == {'k': 1}"),
    Change("replaced attrs of a frame", "import pandas as pd\nx = pd.DataFrame({'a': [1]})", "x.attrs = {'k': 1}", "x.attrs == {'k': 1}"),
    Change("the flags of a frame", "import pandas as pd\nx = pd.DataFrame({'a': [1]})", "x.flags.allows_duplicate_labels = False", "not x.flags.allows_duplicate_labels"),
    Change("memory that is seen through a part of it", "x = bytearray(b'abcdef'); m = memoryview(x)[2:5]", "m[0] = 90; part = m[1:]; every = memoryview(x)[1::2]; cast = memoryview(x)[:4].cast('H', (2, 1)); shut = m.toreadonly()", "x == b'abZdef' and m.obj is x and part.obj is x and bytes(part) == b'de' and bytes(every) == b'bdf' and cast.shape == (2, 1) and cast.obj is x and shut.readonly and not every.readonly"),
    Change("numpy's shapes that go together", "import numpy as np\na = np.arange(3); x = np.broadcast(a, [[1], [2]]); first = next(x)", "y = x; z = np.broadcast(a, [[5]]); next(z); seen = next(x)[0]; a[0] = 9", "y is x and x.shape == (2, 3) and seen == 1 and next(z) == (1, 5) and z.iters[0].base is a"),
    Change("memory of an array", "import array\nx = array.array('i', [1, 2, 3]); m = memoryview(x)", "m[1] = 7; tail = m[1:]; m2 = m", "x.tolist() == [1, 7, 3] and m2 is m and tail.tolist() == [7, 3] and tail.format == 'i'"),
    Change("flags that a name has", "import pandas as pd\nx = pd.DataFrame({'a': [1]}); f = x.flags", "g = x.flags; x.flags.allows_duplicate_labels = False", "f is x.flags is g and not f.allows_duplicate_labels"),
    Change("the name of a Series", "import pandas as pd\nx = pd.Series([1], name='a')", "x.name = 'b'; x[0] = 5", "x.name == 'b' and x[0] == 5"),
    Change("a categorical", "import pandas as pd\nx = pd.Categorical(['u', 'v'])", "x[0] = 'v'", "list(x) == ['v', 'v']"),
    Change("a date column", "import pandas as pd\nx = pd.Series(pd.date_range('2020', periods=2))", "x[0] = pd.Timestamp('2021')", "x[0].year == 2021"),
    Change("a column of strings", "import pandas as pd\nx = pd.Series(['a', None])", "x[1] = 'b'", "x.tolist() == ['a', 'b']"),
    Change("a nullable column", "import pandas as pd\nx = pd.Series([1, None], dtype='Int64')", "x[1] = 4", "x.tolist() == [1, 4]"),
    Change("an index", "import pandas as pd\nx = pd.Index([1, 2])\ndf = pd.DataFrame({'a': [3, 4]}, index=x)", "x.name = 'n'", "x.name == 'n' and df.index.name == 'n' or df.index is not x"),
    Change("an attribute of a frame", "import warnings\nimport pandas as pd\nx = pd.DataFrame({'a': [1]})\nobject.__setattr__(x, 'note', [1])", "x.note.append(2)", "x.note == [1, 2]"),
    Change("the names of a MultiIndex that was looked at", "import pandas as pd\nx = pd.MultiIndex.from_tuples([(1, 2)], names=['a', 'b'])\nx.levels", "x.names = ['c', 'd']", "[level.name for level in x.levels] == ['c', 'd']"),
    Change("a polars frame", "import polars as pl\nx = pl.DataFrame({'a': [1]})", "x.insert_column(0, pl.Series('b', [2]))", "x.columns == ['b', 'a']"),
    Change("a picture", "from PIL import Image\nx = Image.new('RGB', (2, 1))", "x.putpixel((1, 0), (1, 2, 3))", "x.getpixel((1, 0)) == (1, 2, 3)"),
    Change("a picture that gets another size", "from PIL import Image\nx = Image.new('L', (8, 8))", "x.thumbnail((2, 2))", "x.size == (2, 2)"),
    Change("a picture that is drawn into", "from PIL import Image, ImageDraw\nx = Image.new('L', (9, 9)); draw = ImageDraw.Draw(x)", "draw.rectangle((0, 0, 4, 4), fill=9)\ndraw.fill = True", "x.getpixel((1, 1)) == 9 and draw._image is x and draw.fill and draw.rectangle((5, 5, 8, 8), fill=7) is None and x.getpixel((6, 6)) == 7"),
    Change("a dict that is seen through a proxy", "import types\nd = {}\nx = types.MappingProxyType(d)", "d['a'] = 1", "x['a'] == 1"),
    Change("a generator that is used up", "x = (i for i in [1, 2])", "list(x)", "list(x) == []"),
    Change("a file that is read on", "import tempfile, os\npath = tempfile.mkstemp()[1]\nwith open(path, 'w') as f: f.write('one\\ntwo\\nthree\\n')\nx = open(path); first = x.readline()", "x.readline()", "x.readline() == 'three\\n' and x.close() is None and os.unlink(path) is None"),
    Change("a file that is written and closed", "import tempfile, os\npath = tempfile.mkstemp()[1]\nx = open(path, 'w'); n = x.write('one')", "x.write('two'); x.close()", "x.closed and open(path).read() == 'onetwo' and os.unlink(path) is None"),
    Change("a scikit-learn model", "from sklearn.linear_model import LinearRegression\nimport numpy as np\nx = LinearRegression(); y = x", "x.fit(np.arange(4.).reshape(-1, 1), np.arange(4.))", "abs(y.coef_[0] - 1) < 1e-9"),
    Change("a scikit-learn forest", "from sklearn.ensemble import RandomForestClassifier\nimport numpy as np\nX = np.arange(8.).reshape(-1, 1); t = X[:, 0] > 3\nx = RandomForestClassifier(3, random_state=0).fit(X, t)\nfirst = x.estimators_[0]", "x.set_params(n_estimators=5, warm_start=True); x.fit(X, t)", "len(x.estimators_) == 5 and x.estimators_[0] is first and x.predict(X).tolist() == t.tolist()"),
]  # fmt: skip


@pytest.mark.parametrize("change", RESTORED, ids=lambda change: change.title)
def test_a_change_in_place_comes_back_into_the_same_object(notebook: Notebook, change: Change) -> None:
    """Aliases of the object see the change, and nothing is named as left behind."""
    notebook.cell(change.before)
    same = notebook["x"]
    notebook.timed(change.timed)
    assert notebook.refused == {}
    assert notebook.left_behind == {}
    assert notebook["x"] is same
    assert notebook.value(change.check)


@pytest.mark.parametrize("change", RESTORED, ids=lambda change: change.title)
def test_what_is_not_changed_does_not_come_back(notebook: Notebook, change: Change) -> None:
    """A cell that only looks at an object brings nothing back, and names nothing."""
    notebook.cell(change.before)
    notebook.timed("x, repr(x)\nx = x")
    assert notebook.left_behind == {}
    assert notebook.commit is not None and notebook.commit.names == []
    assert notebook.commit.changed == 0


#: What cannot be put back in place is named by the name it is reached from.
NAMED = [
    Change(
        "other arrays show its memory",
        "import numpy as np\nx = np.zeros(2); v = x[:1]",
        "x.resize(4, refcheck=False)",
        "x",
    ),
    Change("a generator that begins", "x = (i for i in [1, 2])", "next(x)", "x"),
    Change("a memoryview holds its size", "x = bytearray(2)\nm = memoryview(x)", "x += b'c'", "x"),
]


@pytest.mark.parametrize("change", NAMED, ids=lambda change: change.title)
def test_a_change_that_cannot_be_put_back_is_named(notebook: Notebook, change: Change) -> None:
    """Never silently stale."""
    notebook.cell(change.before)
    notebook.timed(change.timed, names=["x"])
    assert change.check in notebook.left_behind
