"""``--start fork`` in real kernels: what only a copy of the kernel can do, and what it must not do to the kernel.

What it has in common with the other start methods is tried by their tables: ``test_traps.py``, ``test_matrix.py`` …
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.kernels.harness import Kernel
from tests.kernels.matrix import PROMISED, SLACK

TIMED = "%%timeout -q --start fork 60\n"

#: What the notebook has that cannot be sent, what a cell does with it, and what is true of it afterwards.
OF_THE_KERNEL = {
    "a database": (
        "import sqlite3; x = sqlite3.connect(':memory:'); x.execute('create table t(a)'); x.execute('insert into t values (7)')",
        "rows = x.execute('select a from t').fetchall(); kept = [x]",
        "rows == [(7,)] and kept[0] is x",
    ),
    "a generator that has begun": (
        "x = iter([i for i in range(9)]); g = (i * i for i in x); next(g)",
        "kept = {'g': g}; y = 3",
        "kept['g'] is g and y == 3 and next(g) == 1",
    ),
    "a socket": (
        "import socket; x, other = socket.socketpair()",
        "x.send(b'hello'); kept = (x,)",
        "other.recv(9) == b'hello' and kept[0] is x and x.fileno() > 0",
    ),
    "a lock in an object": (
        "import threading\nclass Box: pass\nx = Box(); x.lock = threading.Lock(); x.items = []",
        "with x.lock: x.items.append(1)\nlocked = x.lock.locked()",
        "x.items == [1] and not locked and x.lock.acquire(timeout=1)",
    ),
    "a thread": (
        "import threading; end = threading.Event(); x = threading.Thread(target=end.wait); x.start()",
        "name = x.name; kept = [x]",
        "kept[0] is x and x.is_alive() and not end.set() and not x.join(9)",
    ),
    "a class that refuses to be pickled": (
        "class Own:\n    def __reduce__(self): raise TypeError('no')\nx = Own(); x.items = [1]; y = x.items",
        "x.items.append(2); x.z = 3",
        "x.items == [1, 2] and x.z == 3 and y is x.items",
    ),
    "a pipe": (
        "import os; a, b = os.pipe(); x = open(b, 'wb', 0)",
        "x.write(b'hello'); kept = [x]",
        "os.read(a, 9) == b'hello' and kept[0] is x and not x.closed",
    ),
}


@pytest.mark.parametrize("name", OF_THE_KERNEL)
def test_a_copy_of_the_kernel_uses_what_cannot_be_sent(kernel: Kernel, name: str) -> None:
    """It is there, it works, and it is the kernel's very own afterwards."""
    before, cell, check = OF_THE_KERNEL[name]
    assert kernel.run(before).status == "ok"
    result = kernel.run(TIMED + cell)
    assert (result.status, result.text) == ("ok", "")
    assert kernel.run(f"print({check})").stdout == "True\n"


def test_what_is_changed_and_cannot_be_restored_is_named(kernel: Kernel) -> None:
    """A database that only the copy has written to, a generator that it has advanced, a cursor of which nobody knows."""
    kernel.run(
        "import sqlite3\ndef count():\n    n = 0\n    while True:\n        n += 1; yield n\n"
        "g = count(); next(g); d = sqlite3.connect(':memory:'); d.execute('create table t(a)'); c = d.cursor()"
    )
    result = kernel.run(TIMED + "next(g); d.execute('insert into t values (1)'); c.execute('select 1'); rows = [1]")
    assert result.status == "ok", result.text
    assert "g (it was changed, and a generator that has begun cannot leave its process)" in result.text
    assert "d (it was changed, and a database connection cannot leave its process)" in result.text
    assert (
        "c (a database cursor cannot leave its process: whether the code has changed it cannot be told" in result.text
    )
    assert kernel.run("print(next(g), d.execute('select * from t').fetchall(), rows)").stdout == "2 [] [1]\n"


def test_a_large_array_is_used_without_a_copy(kernel: Kernel) -> None:
    """1 GiB is summed in a copy that may use 100 MB; what is written comes back alone; new memory counts."""
    kernel.run("import numpy as np; big = np.ones(2**27); alias = big")
    result = kernel.run("%%timeout -q --start fork -m 100MB 60\ns = big.sum(); big[2**20] = 3.0")
    assert (result.status, result.text) == ("ok", ""), result.text
    peak = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1.5 * 2**20)"
    assert kernel.run("print(s == 2**27, big.sum() == 2**27 + 2, alias is big)").stdout == "True True True\n"
    assert kernel.run(peak).stdout == "True\n"
    result = kernel.run("%%timeout -q --start fork -m 100MB 60\nmore = big + 1")
    assert result.error is not None and result.error.name == "MemoryLimitExceeded", result.text
    kernel.run("del big, alias")


@pytest.mark.full
def test_memory_that_a_pool_of_the_cell_has_too_comes_back_whole(kernel: Kernel) -> None:
    """Processes that the cell has forked, and that still live, hide which pages were written: then all of it is sent."""
    kernel.run("import numpy as np; big = np.arange(2**20); other = np.arange(2**20)")
    code = "import multiprocessing\npool = multiprocessing.get_context('fork').Pool(1)\npool.apply(int)\nbig[7] = 1"
    result = kernel.run(TIMED + code)
    assert result.status == "ok", result.text
    assert kernel.run("print(big[6:9], (other == np.arange(2**20)).all())").stdout == "[6 1 8] True\n"


def test_the_threads_of_the_notebook_are_not_in_a_copy(kernel: Kernel) -> None:
    """An executor of the notebook takes no work there, and goes on in the kernel."""
    kernel.run(
        "import threading\nfrom concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)\n"
        "print(pool.submit(int).result())"
    )
    code = "future = pool.submit(int)\ntry: future.result(0.3)\nexcept TimeoutError: print('no work')"
    result = kernel.run(
        TIMED + code + "\nprint('workers', sum(t.name.startswith('Thread') for t in threading.enumerate()))"
    )
    assert (result.status, result.stdout) == ("ok", "no work\nworkers 0\n"), result.text
    assert kernel.run("print(pool.submit(int).result(9))").stdout == "0\n"
    kernel.run("pool.shutdown()")


def test_what_is_reached_past_the_text_of_the_code_is_not_looked_after(kernel: Kernel) -> None:
    """A name that is put together, and looked up in ``sys.modules``; what ``eval`` reaches is looked after."""
    kernel.run("hidden, seen = [], []")
    reach = "import sys\nvars(sys.modules['_'.join(['', '', 'main', '', ''])])[''.join(['hid', 'den'])].append(1)"
    assert kernel.run(TIMED + reach).status == "ok"
    assert kernel.run(TIMED + "eval(''.join(['se', 'en'])).append(2)").status == "ok"
    assert kernel.run("print(hidden, seen)").stdout == "[] [2]\n"


def test_a_file_is_read_on_where_the_kernel_was(kernel: Kernel, tmp_path: Path) -> None:
    """A run that is undone has not moved the kernel's place in a file; one that is not has."""
    (tmp_path / "lines").write_text("".join(f"{i}\n" for i in range(9)))
    kernel.run(f"f = open({str(tmp_path / 'lines')!r}, buffering=1); f.readline()")
    result = kernel.run("%%timeout -q --start fork 0.5\nf.read()\nwhile True: pass")
    assert result.error is not None and result.error.name == "DeadlineExceeded"
    result = kernel.run(TIMED + "print(f.readline(), end='')")
    assert result.stdout == "1\n", result.text
    assert kernel.run("print(f.readline(), end='')").stdout == "2\n"


def test_nothing_of_the_kernel_is_written_or_ended_twice(kernel: Kernel, tmp_path: Path) -> None:
    """What waits in a buffer of the kernel, and what it does at its exit, is not done by its copy."""
    waiting, exits = tmp_path / "waiting", tmp_path / "exits"
    kernel.run(
        f"import atexit, ctypes, os\nhidden = [open({str(waiting)!r}, 'w')]; hidden[0].write('once')\n"
        f"atexit.register(lambda: open({str(exits)!r}, 'a').write('exit'))\n"
        "class Last:\n    def __del__(self): os.write(1, b'end of Last')\nlast = Last(); last.self = last; del last"
    )
    assert kernel.run(TIMED + "import gc; gc.collect(); y = 1; print('ran')").text.strip() == "ran"
    kernel.run("hidden[0].flush()")
    assert waiting.read_text() == "once"
    assert not exits.exists()


@pytest.mark.full
def test_a_kernel_whose_threads_print_and_log_is_copied(kernel: Kernel) -> None:
    """Whatever lock another thread holds at the moment of the fork, the copy runs."""
    kernel.run(
        "import logging, threading, sys\nend = threading.Event()\nlog = logging.getLogger('noise')\n"
        "log.addHandler(logging.StreamHandler(sys.stderr)); log.propagate = False\n"
        "def noise():\n    while not end.wait(0.003): log.warning('x'); print('y')\n"
        "threads = [threading.Thread(target=noise) for _ in range(2)]\nfor t in threads: t.start()"
    )
    for number in range(6):
        result = kernel.run(
            f"%%timeout -q --start fork 20\nlog.warning('mine'); print('run {number}'); done = {number}"
        )
        assert result.status == "ok", result.text
        assert f"run {number}\n" in result.stdout
    assert kernel.run("end.set(); [t.join() for t in threads]; print('done', done)").stdout.endswith("done 5\n")


def test_a_risk_is_named_before_the_code_runs_and_once(kernel: Kernel) -> None:
    """A library that hangs in a copy of a process that has used it."""
    kernel.run("import sys, types; sys.modules['grpc'] = types.ModuleType('grpc')")
    result = kernel.run(TIMED + "print('ran')")
    kinds = [(kind, str(content)) for kind, content in result.order]
    told = [i for i, (_, text) in enumerate(kinds) if "--start fork: this process uses" in text and "grpc" in text]
    assert told and told[0] < next(i for i, (kind, _) in enumerate(kinds) if kind == "stream")
    assert kernel.run(TIMED + "print('again')").text.strip() == "again"
    kernel.run("del sys.modules['grpc']")


def test_every_face_of_the_package_can_have_a_copy(kernel: Kernel) -> None:
    """Functions, decorators, jobs, maps and lines; and a run inside a run."""
    code = """
import sqlite3
from ipytimeout import run_with_timeout, timeout
db = sqlite3.connect(":memory:", check_same_thread=False); db.execute("create table t(a)")
forked = timeout(30, start="fork")
@forked
def rows(n): return [n, *db.execute("select * from t")]
def inner(): return forked.run(lambda: 5) + run_with_timeout(30, lambda: 6)
value = %timeout -q --start fork 30 rows.__wrapped__(9)
print(rows(1), rows.submit(2).result(), list(rows.map([3, 4])), await rows.arun(5), value, forked.run(inner))
"""
    assert kernel.run(code).text.strip() == "[1] [2] [[3], [4]] [5] [9] 11"


def test_a_background_cell_is_refused(kernel: Kernel) -> None:
    """A copy of the kernel knows nothing of what later cells change."""
    result = kernel.run("%%timeout --start fork --background job 60\nx = 1")
    assert "UsageError: --start fork is not for --background" in result.text
    result = kernel.run("from ipytimeout import timeout\ntimeout(5, start='fork', commit=True).submit(int)")
    assert result.error is not None and "is only for run()" in result.error.value


@pytest.mark.full
def test_a_widget_and_a_display_of_the_notebook_are_the_copys(kernel: Kernel) -> None:
    """What is said to a widget reaches the page once, and its value the kernel."""
    kernel.run("import ipywidgets, sys; bar = ipywidgets.IntProgress(max=5); out = sys.stdout; shell = get_ipython()")
    code = "bar.value = 3; print('to out', file=out); shown = shell is get_ipython(); display(bar.value); shown"
    result = kernel.run(TIMED + code)
    assert result.stdout == "to out\n"
    assert [output["data"]["text/plain"] for output in result.outputs] == ["3", "True"]
    assert kernel.run("print(bar.value, out is sys.stdout)").stdout == "3 True\n"


@pytest.mark.parametrize("victim", ["kernel", "warden"])
def test_a_copy_ends_when_the_kernel_or_its_warden_is_killed(own_kernel: Kernel, victim: str) -> None:
    """Nothing of the run is left, whoever goes first."""
    own_kernel.run(TIMED + "pass")  # from here on the kernel's own warden is there
    before = {each.pid for each in own_kernel.processes()}
    cell = own_kernel.submit(
        "%%timeout --start fork 60\nimport os\nif not os.fork(): os.setsid()\nprint('runs', flush=True)\nwhile True: pass"
    )
    cell.wait_for("runs")
    new = [each for each in own_kernel.processes() if each.pid not in before]
    of_run = [each for each in new if "ipytimeout.child.template" not in each.command]
    (warden,) = [each for each in of_run if "ipytimeout.warden.main" in each.command]
    os.kill(own_kernel.pid if victim == "kernel" else warden.pid, signal.SIGKILL)
    killed = time.monotonic()
    while own_kernel.processes() and {each.pid for each in own_kernel.processes()} & {each.pid for each in of_run}:
        assert time.monotonic() < killed + 1.0 + PROMISED + SLACK, [e.command for e in own_kernel.processes()]
        time.sleep(0.01)
    if victim == "warden":
        result = cell.wait()
        assert result.error is not None and "warden" in result.error.value
        assert own_kernel.run(TIMED + "print('next')").text.strip() == "next"
