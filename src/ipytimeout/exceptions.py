"""The errors of a run. Vocabulary: standard library only, safe in every process.

.. code-block:: text

    Exception
    └── RunError                              a run ended in a way that the code inside did not choose
        ├── DeadlineExceeded  (TimeoutError)  the deadline passed
        ├── RunCancelled      (concurrent.futures.CancelledError)
        │                                     Cancel was clicked, or ``cancel()`` was called
        ├── MemoryLimitExceeded (MemoryError) the run used more memory than it was allowed
        ├── ChildDied                         its process ended by itself: a signal, or ``os._exit``
        └── ForeignError                      the code raised an exception that cannot be brought back

    KeyboardInterrupt
    └── DeadlineInterrupt                     raised *inside* the code at the deadline and on Cancel

Law of the file: every error pickles, and its text says what happened, to what, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import CancelledError
from types import MappingProxyType
from typing import Any

__all__ = [
    "ChildDied",
    "DeadlineExceeded",
    "DeadlineInterrupt",
    "ForeignError",
    "MemoryLimitExceeded",
    "RunCancelled",
    "RunError",
]


class RunError(Exception):
    """A run ended in a way that the code inside did not choose.

    Its traceback ends where the code was in the child; ``where`` is the same as text.
    """

    #: Where the code was, innermost last: one line each. Empty where nothing is known.
    where: tuple[str, ...] = ()
    #: What a function had made safe with ``checkpoint()`` before its run was ended, by name.
    checkpoints: Mapping[str, Any] = MappingProxyType({})


class DeadlineExceeded(RunError, TimeoutError):
    """The deadline passed before the code ended."""


class RunCancelled(RunError, CancelledError):
    """Cancel was clicked, or ``cancel()`` was called, before the code ended."""


class MemoryLimitExceeded(RunError, MemoryError):
    """The run and its descendants together used more memory than they were allowed, or than there was."""

    #: How many bytes they were seen to use.
    peak: int | None = None
    #: How many they were allowed; where no limit was set, how many this container, or this machine, may use in all.
    limit: int | None = None


class ChildDied(RunError):
    """The child process ended by itself: by a signal, or by an exit that Python does not see."""

    #: As ``Popen.returncode``: an exit code, or minus the number of a signal.
    returncode: int | None = None


class ForeignError(RunError):
    """The code raised an exception that cannot be pickled, or cannot be rebuilt here."""

    #: The name of the exception's class.
    class_name: str = ""
    #: The exception's text.
    text: str = ""


class DeadlineInterrupt(KeyboardInterrupt):
    """Raised inside the code at the deadline and on Cancel.

    A ``KeyboardInterrupt`` and not a ``TimeoutError``: that is an ``OSError``, which the retry loop of
    ordinary code (``except OSError: continue``) would swallow.
    """
