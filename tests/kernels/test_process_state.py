"""What a notebook sets in its process beside names, seen in a timed cell and afterwards in the kernel."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

import pytest

from tests.kernels.harness import Kernel

#: What is set before, what a timed cell prints and sets, what it prints, and what is true in the kernel afterwards.
ROWS = {
    "matplotlib": (
        "import matplotlib.pyplot as plt\nplt.rcParams['font.size'] = 7",
        "print(plt.rcParams['font.size']); plt.rcParams['font.size'] = 8; plt.style.use('ggplot')",
        "7.0",
        "plt.rcParams['axes.facecolor'] == '#E5E5E5'",
    ),
    "colours of matplotlib": (
        ("import matplotlib as mpl, matplotlib.pyplot as plt\n"
        "mpl.colormaps.register(mpl.colors.ListedColormap(['#000000', '#ffffff'], name='pair'))"),
        ("print(plt.get_cmap('pair').N); mpl.color_sequences.register('three', ['r', 'g', 'b'])\n"
        "mpl.colormaps.unregister('pair'); mpl.colormaps.register(mpl.colors.ListedColormap(['#ff0000'], name='one'))"),
        "2",
        "len(mpl.color_sequences['three']) == 3 and 'pair' not in mpl.colormaps and plt.get_cmap('one').N == 1",
    ),
    "pandas": (
        "import pandas as pd\nunit = 'EUR'\npd.options.display.float_format = lambda x: f'{x:.1f} {unit}'",
        "print(pd.Series([1.23]).to_string()); pd.set_option('display.max_rows', 9)",
        "0   1.2 EUR",
        "pd.options.display.max_rows == 9 and pd.options.display.float_format(2) == '2.0 EUR'",
    ),
    "numpy": (
        "import numpy as np\nnp.set_printoptions(precision=2)",
        "print(np.array([1.23456])); _ = np.seterr(divide='raise')",
        "[1.23]",
        "np.geterr()['divide'] == 'raise'",
    ),
    "warnings": (
        "import warnings\nwarnings.filterwarnings('ignore', message='nothing')",
        "warnings.warn('nothing'); warnings.simplefilter('error', FutureWarning); print('quiet')",
        "quiet",
        "warnings.filters[0][0] == 'error' and warnings.filters[1][0] == 'ignore'",
    ),
    "warnings that were shown": (
        ("import contextlib, io, warnings, wave\nseen = []\ndef warn(line):\n"
        "    registry = vars(wave).setdefault('__warningregistry__', {})\n"
        "    warnings.warn_explicit('odd', UserWarning, 'wave.py', line, registry=registry)\nwarn(7)"),
        "warn(7); print('quiet')\nwith contextlib.redirect_stderr(io.StringIO()): warn(8)",
        "quiet",
        "(setattr(warnings, 'showwarning', lambda *a, **k: seen.append(a[3])), [warn(n) for n in (7, 8, 9)]) and seen == [9]",
    ),
    "logging": (
        "import logging, sys\nlogging.basicConfig(level='INFO', format='LOG %(message)s', stream=sys.stdout, force=True)",
        "logging.info('told'); logging.getLogger('own').setLevel(10)",
        "LOG told",
        "logging.getLogger('own').level == 10 and len(logging.root.handlers) == 1",
    ),
    "decimal": (
        "import decimal\ndecimal.getcontext().prec = 5",
        "print(decimal.Decimal(1) / 3); decimal.getcontext().prec = 6",
        "0.33333",
        "decimal.getcontext().prec == 6",
    ),
    "the recursion limit": (
        "import sys\nsys.setrecursionlimit(4321)",
        "print(sys.getrecursionlimit()); sys.setrecursionlimit(5432)",
        "4321",
        "sys.getrecursionlimit() == 5432",
    ),
    "the garbage collector": (
        "import gc\ngc.disable(); gc.set_threshold(555, 5, 5)",
        "print(gc.isenabled(), gc.get_threshold()[0]); gc.enable(); gc.set_threshold(666, 5, 5)",
        "False 555",
        "gc.isenabled() and gc.get_threshold()[0] == 666",
    ),
    "the time zone": (
        "import os, time\nos.environ['TZ'] = 'UTC-9'; time.tzset()",
        "print(time.localtime(0).tm_hour); os.environ['TZ'] = 'UTC-2'; time.tzset()",
        "9",
        "time.localtime(0).tm_hour == 2",
    ),
    "a handler of a signal": (
        ("import os, signal\ncame = []\ndef handler(signum, frame): came.append(signum)\n"
        "old = signal.signal(signal.SIGUSR1, handler)\nold = signal.signal(signal.SIGALRM, handler)"),
        ("os.kill(os.getpid(), signal.SIGUSR1); old = signal.signal(signal.SIGUSR2, lambda *_: came.append('lambda'))\n"
        "old = signal.signal(signal.SIGALRM, signal.SIG_DFL); print(came == [signal.SIGUSR1])"),
        "True",
        ("(os.kill(os.getpid(), signal.SIGUSR2), signal.getsignal(signal.SIGUSR1) is handler) and "
        "signal.getsignal(signal.SIGALRM) is signal.SIG_DFL and came == [signal.SIGUSR1, 'lambda']"),
    ),
    "mask, limits, priority and processors of the process": (
        ("import os, resource\nold = os.umask(0o077); first = os.nice(0); _ = os.nice(1)\n"
        "limit, hard = resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(limit, (222, hard))"),
        ("print(oct(os.umask(0o027)), resource.getrlimit(limit)[0], os.nice(0) - first)\n"
        "_ = os.nice(1); resource.setrlimit(limit, (333, hard)); os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"),
        "0o77 222 1",
        "(os.umask(0o22), resource.getrlimit(limit)[0], os.nice(0) - first, len(os.sched_getaffinity(0))) == (0o27, 333, 2, 1)",
    ),
    "settings of the standard library": (
        ("import calendar, csv, multiprocessing, socket, sys, tracemalloc\nsocket.setdefaulttimeout(2.5)\n"
        "csv.register_dialect('pipes', delimiter='|'); sys.set_int_max_str_digits(9999)\n"
        "multiprocessing.set_start_method('spawn'); old = csv.field_size_limit(77)"),
        ("print(socket.getdefaulttimeout(), csv.get_dialect('pipes').delimiter, sys.get_int_max_str_digits(),\n"
        "      multiprocessing.get_start_method(), csv.field_size_limit(88))\n"
        "socket.setdefaulttimeout(3.5); csv.unregister_dialect('pipes'); tracemalloc.start(2); calendar.setfirstweekday(6)"),
        "2.5 | 9999 spawn 77",
        ("(socket.getdefaulttimeout(), 'pipes' in csv.list_dialects(), tracemalloc.get_traceback_limit(), "
        "calendar.firstweekday(), csv.field_size_limit()) == (3.5, False, 2, 6, 88)"),
    ),
    "how objects are pickled and stored": (
        ("import copyreg, pickle, sqlite3\nclass P: pass\ncopyreg.pickle(P, lambda p: (len, ('four',)))\n"
        "class Q: pass"),
        ("print(pickle.loads(pickle.dumps(P())))\ncopyreg.dispatch_table.pop(P)\ncopyreg.pickle(Q, lambda q: (len, ('seven',)))\n"
        "sqlite3.register_adapter(Q, lambda q: 7)"),
        "4",
        ("P not in copyreg.dispatch_table and copyreg.dispatch_table[Q](Q())[1] == ('seven',) and "
        "sqlite3.connect(':memory:').execute('select ?', (Q(),)).fetchone() == (7,)"),
    ),
    "an attribute of a module": (
        "import math, statistics\nmath.tau2 = kept = [1]",
        "math.tau2.append(2); statistics.fast = print; print(math.tau2)",
        "[1, 2]",
        "math.tau2 is kept and kept == [1, 2] and statistics.fast is print",
    ),
    "an attribute that is deleted": (
        "import math\nmath.gone = 1",
        "del math.gone; print('ok')",
        "ok",
        "not hasattr(math, 'gone')",
    ),
    "a method given to a library's class": (
        "from fractions import Fraction\nhalf = 'half of'\ndef tell(self): return f'{half} {self * 2}'\nFraction.tell = tell",
        "print(Fraction(1, 2).tell()); Fraction.shout = lambda self: 'loud'",
        "half of 1",
        "Fraction(1).shout() == 'loud' and Fraction.tell is tell",
    ),
    "a magic": (
        "from IPython.core.magic import register_line_magic\ntail = '!'\n@register_line_magic\ndef shout(line): return line.upper() + tail",
        "print(get_ipython().run_line_magic('shout', 'abc'))\n@register_line_magic\ndef whisper(line): return line.lower() + tail",
        "ABC!",
        "get_ipython().run_line_magic('whisper', 'ABC') == 'abc!'",
    ),
    "an alias": (
        "%alias greet echo hello",
        "%greet you\n%alias part echo bye",
        "hello you",
        "get_ipython().alias_manager.is_alias('part')",
    ),
    "%pprint": ("%pprint", "print([*range(3)])\n%pprint", "[0, 1, 2]\nPretty printing has been turned ON", "get_ipython().display_formatter.formatters['text/plain'].pprint"),
    "%pushd": (
        "import contextlib, io, os\nhere = os.getcwd()\nos.makedirs('sub', exist_ok=True)\n%pushd sub",
        "with contextlib.redirect_stdout(io.StringIO()): get_ipython().run_line_magic('popd', '')\nprint('back')",
        "back",
        "os.getcwd() == here and get_ipython().dir_stack == []",
    ),
    "%precision": ("%precision 3", "from math import pi\n%precision 4\ndisplay(pi)", "3.1416", "get_ipython().display_formatter.formatters['text/plain'].float_format == '%.4f'"),
    "an extension": (
        "%load_ext autoreload",
        "%autoreload 0\nprint('known')",
        "known",
        "any('autoreload' in e for e in get_ipython().extension_manager.loaded)",
    ),
    "an extension that a timed cell loads": (
        "pass",
        "%load_ext autoreload\nprint('loaded')",
        "loaded",
        "any('autoreload' in e for e in get_ipython().extension_manager.loaded)",
    ),
    "a formatter": (
        "class P: pass\nmark = '<P>'\nget_ipython().display_formatter.formatters['text/plain'].for_type(P, lambda o, p, c: p.text(mark))",
        "display(P())",
        "<P>",
        "True",
    ),
    "%config InlineBackend": (
        "%matplotlib inline\n%config InlineBackend.figure_format = 'svg'\nimport matplotlib.pyplot as plt",
        "%config InlineBackend.close_figures = False\nprint(get_ipython().run_line_magic('config', 'InlineBackend.figure_formats'))",
        "{'svg'}",
        "get_ipython().run_line_magic('config', 'InlineBackend.close_figures') is False",
    ),
    "the traceback's mode": ("%xmode Plain", "mode = get_ipython().InteractiveTB.mode\n%xmode Minimal\nprint(mode)", "Exception reporting mode: Minimal\nPlain", "get_ipython().InteractiveTB.mode == 'Minimal'"),
}  # fmt: skip


@pytest.mark.parametrize(
    "start", ["warm", *(pytest.param(start, marks=pytest.mark.full) for start in ("spawn", "fork"))]
)
@pytest.mark.parametrize("row", ROWS)
def test_what_a_notebook_sets_is_set_in_a_timed_cell_and_back(own_kernel: Kernel, row: str, start: str) -> None:
    before, code, printed, check = ROWS[row]
    assert own_kernel.run(before).status == "ok"
    timed = own_kernel.run(f"%%timeout -q --start {start} 60\n{code}")
    assert timed.status == "ok", timed.text
    assert timed.text.replace("\r", "").strip() == printed
    assert own_kernel.run(f"print(bool({check}))").stdout.strip() == "True"


def test_a_cell_that_is_ended_sets_nothing(own_kernel: Kernel) -> None:
    own_kernel.run("import math, decimal\nprecision = decimal.getcontext().prec")
    ended = own_kernel.run("%%timeout -q 0.5\nmath.tau2 = 1; decimal.getcontext().prec = 3\nwhile True: pass")
    assert ended.error is not None and ended.error.name == "DeadlineExceeded"
    checked = own_kernel.run("print(hasattr(math, 'tau2'), decimal.getcontext().prec == precision)")
    assert checked.stdout == "False True\n"


@pytest.mark.parametrize("start", ["warm", "spawn"])
def test_a_run_may_take_longer_than_sockets_of_the_notebook_wait(own_kernel: Kernel, start: str) -> None:
    """``socket.setdefaulttimeout`` is for the notebook's own sockets."""
    own_kernel.run("import socket, time; socket.setdefaulttimeout(0.1)")
    for _ in range(3):
        slept = own_kernel.run(f"%%timeout -q --start {start} 60\ntime.sleep(0.3); print(socket.getdefaulttimeout())")
        assert slept.stdout == "0.1\n", slept.text


#: Why a limit does not come back.
USES_MORE = "ValueError: this process uses more already"


def test_a_limit_that_would_end_the_kernel_is_named(own_kernel: Kernel) -> None:
    """The run has it; the kernel, which uses more, goes on without."""
    own_kernel.run(
        "import mmap, resource\nlarge = mmap.mmap(-1, 8 << 30, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)"
    )
    code = "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.getrlimit(resource.RLIMIT_AS)[1])); x = 1"
    timed = own_kernel.run(f"%%timeout -q 60\n{code}")
    assert f"RLIMIT_AS of resource ({USES_MORE})" in timed.text
    assert own_kernel.run("print(x, resource.getrlimit(resource.RLIMIT_AS)[0] == 4 << 30)").stdout == "1 False\n"


def test_a_cell_that_limits_itself_leaves_what_it_made(own_kernel: Kernel) -> None:
    """Be it more than the limit that it has set."""
    code = "import resource\n_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\nresource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))"
    timed = own_kernel.run(f"%%timeout -q 60\n{code}\nmade = bytes(3_000_000)")
    assert timed.status == "ok" and not timed.text, timed.text
    seen = own_kernel.run("print(len(made), resource.getrlimit(resource.RLIMIT_FSIZE)[0])")
    assert seen.stdout.startswith("3000000 2000000\n"), seen.text  # what the kernel writes is limited too


def test_a_function_sees_what_is_set_and_sets_nothing(own_kernel: Kernel) -> None:
    own_kernel.run("import decimal, ipytimeout\ndecimal.getcontext().prec = 5")
    code = "def f():\n    decimal.getcontext().prec -= 1\n    return decimal.getcontext().prec"
    seen = own_kernel.run(f"{code}\nprint(ipytimeout.run_with_timeout(20, f), decimal.getcontext().prec)")
    assert seen.stdout == "4 5\n", seen.text


@pytest.mark.parametrize("cell", ["%%timeout 20\nprint(f())", "print(ipytimeout.timeout(20).run(f))"])
def test_a_run_right_after_load_ext_knows_what_earlier_cells_have_set(python: str, tmp_path: Path, cell: str) -> None:
    """Also after the extension was loaded again, and of cells that ran meanwhile."""
    with contextlib.closing(Kernel(python, tmp_path)) as kernel:
        kernel.run(
            "import colorsys, ipytimeout\ncolorsys.first = 1\ndef f(): return [n for n in vars(colorsys) if n in ('first', 'zweiter')]"
        )
        kernel.run("%load_ext ipytimeout")
        assert "first" in kernel.run(cell).stdout
        kernel.run("%unload_ext ipytimeout")
        kernel.run("colorsys.zweiter = 2")
        kernel.run("%load_ext ipytimeout")
        seen = kernel.run(cell)
        assert "zweiter" in seen.stdout, seen.text


def test_namespaces_of_polars_are_registered_there_and_back(tmp_path: Path) -> None:
    register = (
        "@pl.api.register_dataframe_namespace('{0}')\nclass {0}:\n    def __init__(self, frame): self.frame = frame\n"
        "    def rows(self): return self.frame.height"
    )
    with contextlib.closing(Kernel(sys.executable, tmp_path)) as kernel:
        kernel.run("%load_ext ipytimeout\nimport polars as pl\nframe = pl.DataFrame({'a': [1, 2]})")
        kernel.run(register.format("first"))
        seen = kernel.run(f"%%timeout -q 60\nprint(frame.first.rows())\n{register.format('second')}")
        assert seen.stdout == "2\n", seen.text
        assert kernel.run("print(frame.second.rows(), frame.first.rows())").stdout == "2 2\n"


def test_what_a_timed_cell_imports_is_imported_in_the_kernel(own_kernel: Kernel) -> None:
    own_kernel.run("import sys")
    assert own_kernel.run("%%timeout -q 60\ndef f():\n    import wave, xml.dom.minidom\nf()").status == "ok"
    checked = own_kernel.run("print('wave' in sys.modules, 'xml.dom.minidom' in sys.modules)")
    assert checked.stdout == "True True\n"


def test_the_history_tells_libraries_the_number_of_the_cell(own_kernel: Kernel) -> None:
    """As natively: Plotly makes the name of a file of it."""
    own_kernel.run("1")
    code = "tail = get_ipython().history_manager.get_tail(2)\nprint([n for _, n, _ in tail], get_ipython().execution_count)"
    native, timed = (own_kernel.run(magic + code).stdout for magic in ("", "%%timeout -q 60\n"))
    assert timed == re.sub(r"\d+", lambda number: str(int(number[0]) + 1), native) != ""


def test_an_object_that_a_cell_deletes_goes_after_the_cell(own_kernel: Kernel) -> None:
    """What refers to it weakly, or waits for its end, sees that then; and sees it once."""
    made = """
import weakref
class K:
    def __del__(self): seen.append("deleted")
seen, k = [], K()
ref, end = weakref.ref(k), weakref.finalize(k, seen.append, "finalized")"""
    assert own_kernel.run(f"%%timeout -q 60\n{made}").status == "ok"
    assert own_kernel.run("%%timeout -q 60\ndel k\nprint(ref() is None, end.alive, seen)").stdout == "False True []\n"
    assert own_kernel.run("import gc; _ = gc.collect()").status == "ok"
    assert own_kernel.run("print(ref() is None, end.alive, sorted(seen))").stdout == (
        "True False ['deleted', 'finalized']\n"
    )
