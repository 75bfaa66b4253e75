"""Jobs, ``arun`` and ``map``, as a user's program uses them: scripts in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PRELUDE = """
import asyncio, concurrent.futures, gc, itertools, os, socket, threading, time
from ipytimeout import *
def double(x, seconds=0.0):
    time.sleep(seconds)
    return 2 * x
def spin():
    while True: pass
def moody(x):
    if x == 1: time.sleep(60)
    if x == 2: raise ValueError(x)
    if x == 3: os._exit(3)
    return x
def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)
def names(values):
    return [type(v).__name__ if isinstance(v, BaseException) else v for v in values]
"""

#: What a script does, and what it prints.
SCRIPTS = {
    "a job is a future with more to tell": (
        """
        job = submit(20, double, 3)
        print(isinstance(job, concurrent.futures.Future), job.result(20), job.done(), job.state, job.remaining)
        print(job.elapsed < 5, job.usage.peak_memory >= 0, job.usage.cpu >= 0, job.cancel(), jobs())
        """,
        ["True 6 True finished 0.0", "True True True False []"],
    ),
    "a running job is cancelled": (
        """
        job = submit(60, spin)
        until(lambda: job.state == "running")
        until(lambda: "in spin: while True: pass" in job.stack())
        print(jobs() == [job], job.cancelled(), job.cancel())
        try: job.result(20)
        except concurrent.futures.CancelledError as error: print(type(error).__name__, job.state)
        """,
        ["True False True", "RunCancelled cancelled"],
    ),
    "a job that is cancelled while it is prepared": (
        "job = submit(60, spin); print(job.cancel(), type(job.exception(20)).__name__)",
        ["True RunCancelled"],
    ),
    "a job is given more time": (
        """
        job = submit(1, double, 3, 2.0)
        until(lambda: job.state == "running")
        job.extend(60); until(lambda: job.remaining > 30)
        print(job.result(20))
        """,
        ["6"],
    ),
    "the deadline of a job": ("print(type(submit(0.3, spin).exception(20)).__name__)", ["DeadlineExceeded"]),
    "what is passed is what it was": (
        "data = [1]; job = submit(20, lambda: (time.sleep(0.3), data)[1]); data.append(2); print(job.result(20))",
        ["[1]"],
    ),
    "wait, as_completed and callbacks": (
        """
        slow, fast = submit(20, double, 1, 1.0), submit(20, double, 2)
        seen = []; fast.add_done_callback(seen.append)
        print([job.result() for job in concurrent.futures.as_completed([slow, fast], 20)], seen == [fast])
        """,
        ["[4, 2] True"],
    ),
    "a job that nobody wants any more": (
        """
        job = submit(600, spin)
        until(lambda: job.state == "running")
        handle = job._handle
        del job; gc.collect()
        until(lambda: handle.outcome is not None); print(handle.outcome.ending.value, jobs())
        """,
        ["cancelled []"],
    ),
    "jobs of a program that ends": ("job = submit(600, spin); until(lambda: job.state == 'running'); print('end')", ["end"]),
    "jobs from many threads": (
        """
        found = []
        threads = [threading.Thread(target=lambda i=i: found.append(run_with_timeout(30, double, i))) for i in range(5)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(sorted(found))
        """,
        ["[0, 2, 4, 6, 8]"],
    ),
    "await": (
        """
        async def main():
            print(await submit(20, double, 1), await timeout(20).arun(double, 2), await timeout(0.3, default=0).arun(spin))
            ticks = 0
            job = submit(20, double, 3, 0.5)
            while not job.done():
                await asyncio.sleep(0.01); ticks += 1
            print(ticks > 10)
            try: await asyncio.wait_for(timeout(600).arun(spin), 0.5)
            except TimeoutError: print("given up")
            await asyncio.sleep(0)
            until(lambda: not jobs()); print("ended")
        asyncio.run(main())
        """,
        ["2 4 0", "True", "given up", "ended"],
    ),
    "a decorated function": (
        """
        @timeout(20)
        def triple(x): return 3 * x
        @timeout(20)
        async def later(x):
            await asyncio.sleep(0.01)
            return x
        class Thing:
            @timeout(20)
            def twice(self, x): return 2 * x
        print(triple(1), triple.submit(2).result(20), list(triple.map([3, 4])), Thing().twice(5), later.submit(6).result(20))
        async def main(): print(await triple.arun(7), await later(8))
        asyncio.run(main())
        """,
        ["3 6 [9, 12] 10 6", "21 8"],
    ),
    "map": (
        """
        print(list(timeout(20).map(double, range(6), workers=3)))
        print(names(timeout(0.7).map(moody, range(5), workers=2)))
        print(names(timeout(0.7, default=None).map(moody, range(5), workers=2)))
        print(names(timeout(0.7).map(moody, range(5), workers=2, ordered=False))[-1])
        """,
        [
            "[0, 2, 4, 6, 8, 10]",
            "[0, 'DeadlineExceeded', 'ValueError', 'ChildDied', 4]",
            "[0, None, 'ValueError', 'ChildDied', 4]",
            "DeadlineExceeded",
        ],
    ),
    "map that raises": (
        """
        values = timeout(20).map(lambda x: 1 // x, [1, 0, 2], workers=1, errors="raise")
        print(next(values))
        try: next(values)
        except ZeroDivisionError: print("raised")
        until(lambda: not jobs())
        """,
        ["1", "raised"],
    ),
    "an item that cannot be sent costs only itself": (
        """
        print(names(timeout(20).map(type, [1, (i for i in [1]).__iter__().__class__, threading.Lock(), socket.socket(), 2]))[3:])
        """,
        ["['PicklingError', <class 'int'>]"],
    ),
    "a map that is interrupted": (
        """
        import signal
        threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
        try: list(timeout(600).map(lambda i: spin(), range(4), workers=2))
        except KeyboardInterrupt: print("interrupted")
        until(lambda: not jobs()); print("ended")
        """,
        ["interrupted", "ended"],
    ),
    "a long map": (
        """
        import tracemalloc
        values = timeout(20).map(len, (bytes(1_000_000) for _ in itertools.count()), workers=2)
        for _ in range(10): next(values)
        tracemalloc.start()
        for _ in range(40): assert next(values) == 1_000_000
        print(tracemalloc.get_traced_memory()[1] < 40_000_000, threading.active_count() < 10, len(os.listdir("/proc/self/fd")) < 60)
        """,
        ["True True True"],
    ),
    "an endless map": (
        """
        read = []
        values = timeout(20).map(double, (read.append(i) or i for i in itertools.count()), workers=2)
        print([next(values) for _ in range(3)], len(read) < 12)
        values.close(); until(lambda: not jobs()); print("ended")
        """,
        ["[0, 2, 4] True", "ended"],
    ),
    "items find what is set, from the first to the last": (
        """
        import decimal, pathlib
        pathlib.Path(__file__).with_name("own.py").write_text("import decimal; decimal.getcontext().Emax = 99; rows = []")
        import own
        def seen(i):
            own.rows.append(i)
            return os.environ["MINE"], decimal.getcontext().prec, decimal.getcontext().Emax, own.rows, os.getcwd()
        here, context = os.getcwd(), decimal.getcontext()
        context.prec, context.Emax, os.environ["MINE"] = 5, 50, "a"
        values = list(timeout(20).map(seen, range(5), workers=2))
        print(all(value == ("a", 5, 50, [i], here) for i, value in enumerate(values)))
        values = timeout(20).map(seen, range(6), workers=1)
        next(values); os.chdir("/"); context.prec = 7; os.environ["MINE"] = "b"; own.rows.append("x")
        print(list(values)[-1] == ("b", 7, 50, ["x", 5], "/"), context.Emax)
        list(timeout(20).map(seen, range(3)))
        print(timeout(20).run(seen, 1) == ("b", 7, 50, ["x", 1], "/"))
        """,
        ["True", "True 50", "True"],
    ),
    "items have the random numbers of the program": (
        """
        import random
        random.seed(3); first = random.random(); random.seed(3)
        print([value == first for value in timeout(20).map(lambda i: __import__("random").random(), range(4), workers=2)])
        random.seed(4)
        print(set(timeout(20).map(lambda i: random.random(), range(4), workers=1)) == {random.Random(4).random()})
        """,
        ["[True, True, True, True]", "True"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_program_with_jobs_prints_what_it_should(tmp_path: Path, name: str) -> None:
    """And says nothing on stderr, and ends."""
    code, lines = SCRIPTS[name]
    file = tmp_path / "script.py"
    file.write_text(PRELUDE + textwrap.dedent(code))
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=100)
    assert done.stderr == "" and done.stdout.splitlines() == lines


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("timeout(5).submit(3)", "submit() takes a function"),
        ("timeout(5).map(3, [])", "map() takes a function"),
        ("timeout(5).map(print, [], workers=0)", "at least 1"),
        ("timeout(5).map(print, [], errors='ignore')", "'return' or 'raise'".replace("'", '"')),
        ("submit(0, print)", "more than zero"),
    ],
)
def test_a_mistake_is_told_at_once(call: str, words: str) -> None:
    import ipytimeout

    with pytest.raises((TypeError, ValueError)) as error:
        eval(call, {**{name: getattr(ipytimeout, name) for name in ipytimeout.__all__}})
    assert words in str(error.value)
