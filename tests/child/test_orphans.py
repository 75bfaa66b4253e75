"""Processes that are forked here and belong to the subreaper; each in a program of its own, which is one."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import ctypes, os, sys, time
import numpy as np
from ipytimeout.child import orphans
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
large = np.ones((400, 400)); large @ large  # the library's threads are there
fork = orphans.fork_twice if sys.argv[1] == "twice" else orphans.fork_orphan
def life(between):
    try:
        while os.getppid() == between: time.sleep(0.001)
        lives()
    finally:
        os._exit(7)
"""
WAYS = pytest.mark.parametrize("way", ["usual", "twice"])


def run(way: str, code: str) -> str:
    """Run the program with some code more; return what it prints."""
    program = PROGRAM + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", program, way], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@WAYS
def test_the_process_is_a_child_of_the_subreaper_and_a_copy_of_this_one(way: str) -> None:
    """It has its own memory, and computes with libraries that have threads; nobody else is left."""
    code = """
        here, seen = os.getpid(), ["before"]
        def lives():
            seen.append("there")
            assert float((large @ large)[0, 0]) == 400
            print(os.getppid() == here, seen, flush=True)
            os._exit(0)
        for _ in range(3):
            pid = fork(life)
            assert os.waitpid(-1, 0) == (pid, 0)
        print(seen)
        try: os.wait()
        except ChildProcessError: print("nobody")
    """
    assert run(way, code).splitlines() == ["True ['before', 'there']"] * 3 + ["['before']", "nobody"]


@WAYS
def test_the_stack_of_the_process_is_as_large_as_usual_and_ends(way: str) -> None:
    """C code may nest as deeply as the limit allows, and deeper it is a crash, not damage elsewhere."""
    code = """
        compile_pattern = ctypes.CDLL(None).regcomp  # which recurses
        def lives():
            room = ctypes.create_string_buffer(1000)
            os._exit(compile_pattern(room, b"(" * depth + b")" * depth, 1))
        for depth in (3000, 10**6):
            print(os.waitstatus_to_exitcode(os.waitpid(fork(life), 0)[1]))
    """
    assert run(way, code).split() == ["0", str(-signal.SIGSEGV)]


@WAYS
def test_the_process_is_where_its_thread_says_it_is(way: str) -> None:
    """On the stack of the main thread: other runtimes look there for how far it is to the end."""
    code = """
        def lives():
            attributes = ctypes.create_string_buffer(256)
            low, size = ctypes.c_size_t(), ctypes.c_size_t()
            library = ctypes.CDLL(None)
            library.pthread_self.restype = ctypes.c_void_p
            library.pthread_getattr_np(ctypes.c_void_p(library.pthread_self()), attributes)
            library.pthread_attr_getstack(attributes, ctypes.byref(low), ctypes.byref(size))
            registers = (ctypes.c_size_t * 2048)()
            library.getcontext(registers)
            print(any(low.value < word < low.value + size.value for word in registers), flush=True)
            os._exit(0)
        os.waitpid(fork(life), 0)
    """
    assert run(way, code) == "True"


@WAYS
def test_a_process_that_cannot_be_had_is_an_error(way: str) -> None:
    """And the next one can be had."""
    code = """
        import resource
        def lives(): os._exit(0)
        fork(life); os.wait()
        plain = os.fork
        def refuse(): raise BlockingIOError(11, "no more")
        os.fork = refuse
        try: fork(life)
        except OSError as error: print(error.errno)
        os.fork = plain
        print(os.waitpid(fork(life), 0)[1])
    """
    assert run(way, code).split() == ["11", "0"]
