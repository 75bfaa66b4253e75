"""The signals by which the warden speaks to the code's main thread. Pure data, in any process.

Law of the file: the kernel delivers the lower-numbered of two pending real-time signals first, and
``STACK_SIGNAL`` is the lower one, so that a stack that is asked for together with an interrupt shows where the
code was, not where it went.

Real-time signals, because programs and libraries use the two ``SIGUSR`` for themselves; from the upper half of
them, because glibc, Go and the JVM take theirs from the lower end, and debuggers the last one.
"""

from __future__ import annotations

import signal

#: Raises ``DeadlineInterrupt`` in the child's main thread.
DEADLINE_SIGNAL: int
#: Makes the child's interpreter write the stacks of its threads, where it gets to run.
STACK_SIGNAL: int
#: Makes the child's ``faulthandler`` write the stack of its main thread, from wherever it is. Only for code that
#: gives the interpreter no chance, or is killed next: faulthandler reads frames in the middle of their making, and may
#: crash (one in 2,000 where threads begin and end, one in 25 in a destructor of CPython 3.13.0).
HARD_STACK_SIGNAL: int
#: Tells the child's main thread that a front end has sent something to a widget. The child sends it to itself.
COMM_SIGNAL: int

if hasattr(signal, "SIGRTMAX"):
    DEADLINE_SIGNAL = int(signal.SIGRTMAX) - 5
    STACK_SIGNAL = int(signal.SIGRTMAX) - 6
    HARD_STACK_SIGNAL = int(signal.SIGRTMAX) - 4
    COMM_SIGNAL = int(signal.SIGRTMAX) - 7
else:
    DEADLINE_SIGNAL = int(signal.SIGUSR2)
    STACK_SIGNAL = int(signal.SIGUSR1)
    HARD_STACK_SIGNAL = int(signal.SIGURG)  # which is ignored where nobody wants it
    COMM_SIGNAL = int(signal.SIGIO)
