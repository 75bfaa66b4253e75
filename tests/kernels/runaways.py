"""The table of what code can do against its end, and how such a run has to end. Pure data: plain Python texts.

Each code runs as a cell and as the body of a function, of this package and of its peers. It may use ``os`` and
``time``, ``register()`` to have a process watched that nothing else would tell, and ``note(text)`` for the name of
a file or of shared memory that must not stay.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Back(enum.Enum):
    """When control is back, from the first line of the code."""

    DEADLINE = "at the deadline"
    GRACE = "by the end of the grace period"
    ONCE = "as soon as the code ends"
    STALLED = "when nothing has moved for 10 s"


@dataclass(frozen=True, slots=True)
class End:
    """How a run has to end."""

    #: The class of the error; "" when it finishes.
    error: str
    #: What the error's text has to say, as a regular expression.
    words: str = ""
    #: What the cell shows, as a regular expression.
    shows: str = ""
    #: Whether what the code did comes back, where it runs as a cell.
    comes_back: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that code can do, and how it ends as a cell and as a function."""

    name: str
    code: str
    back: Back
    cell: End
    function: End
    #: How long the code itself takes at most, in seconds.
    takes: float = 0.0
    #: Whether the function has to be a coroutine function.
    awaits: bool = False
    #: Whether the function returns ``made``.
    returns: bool = False
    #: Whether it needs a shell around it, so that the peers cannot run it.
    needs_shell: bool = False


_TIMED_OUT = End("DeadlineExceeded", r"timed out after 1 s.*nothing was changed in the notebook")


def _runaway(name: str, code: str, back: Back = Back.GRACE, *, shows: str = "", **options: bool) -> Kind:
    end = End(_TIMED_OUT.error, _TIMED_OUT.words, shows)
    return Kind(name, code, back, end, end, **options)


def _death(name: str, code: str, words: str, takes: float = 0.0) -> Kind:
    end = End("ChildDied", words + ".*nothing was changed in the notebook")
    return Kind(name, code, Back.ONCE, end, end, takes)


def _raising(name: str, code: str, error: str, words: str, takes: float = 0.0) -> Kind:
    return Kind(name, code, Back.ONCE, End(error, words, comes_back=True), End(error, words), takes)


def _finished(name: str, code: str, *, shows: str = "", takes: float = 0.0, **options: bool) -> Kind:
    return Kind(name, code, Back.ONCE, End("", "", shows, comes_back=True), End(""), takes, **options)


_DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        register()
        time.sleep(60)
    os._exit(0)
os.wait()
time.sleep(0.05)
"""
_FORK_BOMB = """
for _ in range(2):
    for _ in range(8):
        if os.fork() == 0:
            register()
            break
time.sleep(60)
"""
_RUNNER = """
until = time.monotonic() + 8
if os.fork() == 0:
    os.setsid()
    while time.monotonic() < until:
        if os.fork():
            os._exit(0)
    os._exit(0)
time.sleep(60)
"""
_POOL = """
import numpy
from joblib import Parallel, delayed
def work(array):
    time.sleep(60)
Parallel(2)(delayed(work)(numpy.zeros(1 << 18)) for _ in range(4))
"""
_SHARED_MEMORY = """
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=4096)
note(memory.name)
"""
_ODD = """
import os, sys, time
class Odd:
    def __reduce__(self):
        {action}
made = Odd()
"""

KINDS = (
    # ------------------------------------------------ it does not end
    _runaway("a sleep", "time.sleep(60)", Back.DEADLINE),
    _runaway("a Python loop", "while True: pass", Back.DEADLINE),
    _runaway("a regular expression", "import re; re.match(r'(a+)+$', 'a' * 40 + 'b')"),
    _runaway("a C loop that holds the GIL", "import itertools; sum(itertools.repeat(1))"),
    _runaway(
        "a C call that never returns",
        """
import ctypes
lock, lib = ctypes.create_string_buffer(256), ctypes.CDLL(None)
lib.pthread_mutex_lock(lock)
lib.pthread_mutex_lock(lock)
""",
    ),
    _runaway(
        "a C call that never returns the GIL",
        """
import ctypes
lock, lib = ctypes.create_string_buffer(256), ctypes.PyDLL(None)
lib.pthread_mutex_lock(lock)
lib.pthread_mutex_lock(lock)
""",
    ),
    _runaway(
        "SIGINT and SIGTERM ignored",
        """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True: pass
""",
    ),
    _runaway(
        "every signal blocked",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass",
    ),
    _runaway(
        "every exception swallowed",
        """
while True:
    try:
        while True: pass
    except BaseException: pass
""",
    ),
    _runaway(
        "a retry loop with except OSError",
        """
while True:
    try: time.sleep(60)
    except OSError: pass
""",
        Back.DEADLINE,
    ),
    _runaway("a loop in finally", "try:\n    while True: pass\nfinally:\n    while True: pass"),
    _runaway(
        "a top-level await, with a finally",
        """
import asyncio
try: await asyncio.sleep(60)
finally: print("finally ran", flush=True)
""",
        Back.DEADLINE,
        shows="finally ran",
        awaits=True,
    ),
    _runaway(
        "the main thread in join",
        """
import threading
thread = threading.Thread(target=time.sleep, args=(60,))
thread.start()
thread.join()
""",
        Back.DEADLINE,
    ),
    _runaway(
        "threads that never end",
        """
import threading
for _ in range(4): threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()
while True: pass
""",
    ),
    _runaway("a stopped process", "import signal; os.kill(os.getpid(), signal.SIGSTOP)"),
    _runaway("a flood of output", "while True: print('x' * 1000)"),
    _runaway(
        "a flood of displays",
        "from IPython.display import display\nwhile True: display({'text/plain': 'x' * 1000}, raw=True)",
        needs_shell=True,
    ),
    _runaway("all descriptors closed, and a loop", "os.closerange(0, 65536)\nwhile True: pass"),
    _runaway(
        "descriptors exhausted, and a loop",
        """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
kept = []
while True:
    try: kept.append(os.open(os.devnull, os.O_RDONLY))
    except OSError: pass
""",
        Back.DEADLINE,
    ),
    # ------------------------------------------------ and neither does what it started
    _runaway("a shell command", "os.system('sleep 60')"),
    _runaway("a shell line of IPython", "!sleep 60", needs_shell=True),
    _runaway("an endless command in a shell line of IPython", "!yes", needs_shell=True),
    _runaway("a grandchild", "import subprocess; subprocess.Popen(['sleep', '60'])\nwhile True: pass", Back.DEADLINE),
    _runaway(
        "a grandchild in a session of its own",
        "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True)\nwhile True: pass",
        Back.DEADLINE,
    ),
    _runaway(
        "a grandchild that ignores SIGTERM",
        """
import subprocess
subprocess.run(["sh", "-c", "trap '' INT TERM HUP; while :; do sleep 1; done"])
""",
    ),
    _runaway("a double-forked daemon", _DAEMON + "while True: pass", Back.DEADLINE),
    _runaway("a joblib pool", _POOL),
    _runaway(
        "a multiprocessing pool",
        "import multiprocessing\nmultiprocessing.get_context('fork').Pool(2).map(time.sleep, [60] * 4)",
    ),
    _runaway("a bounded fork bomb", _FORK_BOMB),
    _runaway("a daemon that forks and leaves, for ever", _RUNNER, Back.DEADLINE),
    _runaway("named shared memory left open", _SHARED_MEMORY + "time.sleep(60)", Back.DEADLINE),
    # ------------------------------------------------ it dies
    _death("os._exit(3)", "os._exit(3)", "exit code 3"),
    _death("a segmentation fault", "import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    _death("an abort", "os.abort()", "SIGABRT"),
    _death(
        "SIGKILL from outside",
        """
import subprocess
subprocess.Popen(["sh", "-c", f"sleep 0.2; kill -9 {os.getpid()}"])
time.sleep(60)
""",
        "SIGKILL",
        takes=0.25,
    ),
    _death("a double-forked daemon, and an abort", _DAEMON + "os.abort()", "SIGABRT", takes=0.1),
    _death("all descriptors closed", "os.closerange(0, 65536)", "exit code 70.*closed the connection to the notebook"),
    # ------------------------------------------------ it raises
    _raising("sys.exit", "import sys; sys.exit(3)", "SystemExit", "3"),
    _finished("exit", "exit()", needs_shell=True),
    # A cell shows the code's own traceback all the same.
    Kind(
        "an exception that cannot be pickled",
        "import socket\nerror = ValueError('odd'); error.socket = socket.socket()\nraise error",
        Back.ONCE,
        End("ValueError", "odd", "raise error", comes_back=True),
        End("ForeignError", "ValueError: odd .*socket"),
    ),
    Kind(
        "an exception that cannot be rebuilt",
        """
class Odd(Exception):
    def __reduce__(self): return eval, ("1 / 0",)
raise Odd("odd")
""",
        Back.ONCE,
        End("Odd", "odd", "raise Odd", comes_back=True),
        End("ForeignError", "Odd: odd .*division"),
    ),
    _raising("MemoryError", "bytearray(1 << 60)", "MemoryError", ""),
    _raising(
        "memory exhausted",
        """
import resource
with open("/proc/self/statm") as file: size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20), -1))
kept = []
while True: kept.append(bytearray(1 << 16))
""",
        "MemoryError",
        "",
        takes=0.5,
    ),
    # ------------------------------------------------ it ends, and leaves something
    _finished(
        "a thread that will not end", "import threading; threading.Thread(target=time.sleep, args=(60,)).start()"
    ),
    _finished("a double-forked daemon, and an end", _DAEMON, shows=r"ended processes.*\(pid \d+\)", takes=0.1),
    _finished("standard descriptors closed", "os.close(0); os.close(1); os.close(2)"),
    _finished(
        "descriptors exhausted",
        """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    while True: os.open(os.devnull, os.O_RDONLY)
except OSError: pass
made = bytearray(4 << 20)
""",
        takes=0.05,
        returns=True,
    ),
    _finished(
        "a full disk for the transport",
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, -1))\nmade = bytearray(16 << 20)",
        takes=0.1,
        returns=True,
    ),
    _finished("named shared memory not unlinked", _SHARED_MEMORY + "memory.close(); del memory"),
    Kind(
        "a result that cannot be pickled",
        "import socket\nmade = socket.socket()",
        Back.ONCE,
        End("", "", r"made.*socket", comes_back=True),
        End("PicklingError", "its result cannot be brought back: .*socket"),
        returns=True,
    ),
    # ------------------------------------------------ it ends, and the way back does not
    Kind(
        "an object whose pickling raises SystemExit",
        _ODD.format(action="sys.exit(5)"),
        Back.ONCE,
        End("", "", "made.*SystemExit", comes_back=True),
        End("PicklingError", "SystemExit"),
        returns=True,
    ),
    Kind(
        "an object whose pickling crashes",
        _ODD.format(action="os.abort()"),
        Back.ONCE,
        End("ChildDied", "SIGABRT"),
        End("ChildDied", "SIGABRT"),
        returns=True,
    ),
    Kind(
        "an object whose pickling exits",
        _ODD.format(action="os._exit(5)"),
        Back.ONCE,
        End("ChildDied", "exit code 5"),
        End("ChildDied", "exit code 5"),
        returns=True,
    ),
    Kind(
        "an object whose pickling hangs",
        _ODD.format(action="time.sleep(60)"),
        Back.STALLED,
        End("DeadlineExceeded", "bringing the results back made no progress for 10 s"),
        End("DeadlineExceeded", "bringing the results back made no progress for 10 s"),
        returns=True,
    ),
)

#: Those that the ordinary run of the tests leaves out, because others in it are much like them, or faster.
SELDOM = frozenset(
    (
        "a sleep",
        "a C call that never returns",
        "every signal blocked",
        "a loop in finally",
        "all descriptors closed, and a loop",
        "a shell command",
        "a grandchild",
        "a grandchild in a session of its own",
        "a multiprocessing pool",
        "an abort",
        "exit",
        "an exception that cannot be rebuilt",
        "MemoryError",
        "an object whose pickling exits",
        "an object whose pickling hangs",
    )
)
