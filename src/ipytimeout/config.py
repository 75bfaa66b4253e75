"""What is so unless an option says otherwise, and what no option may exceed. In the user's process, any thread.

From the environment (``IPYTIMEOUT_TIMEOUT``, ``…_KILL_AFTER``, ``…_MEMORY``, ``…_START``, ``…_MAX_OUTPUT``,
``…_MAX_TIMEOUT``, ``…_MAX_MEMORY``), and over it from ``%config TimeoutMagics`` where the extension is loaded.

Law of the file: a mistake names the setting that it is in. The limits are no defence against code that sets out to
change them.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from ipytimeout.durations import format_duration, parse_duration
from ipytimeout.mistakes import OptionError
from ipytimeout.options import DEFAULT_KILL_AFTER, RunOptions, StartMethod, parse_max_output, parse_memory, parse_start
from ipytimeout.sizes import Share, format_size

PREFIX = "IPYTIMEOUT_"


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults, and the limits. Seconds, bytes."""

    #: None: every run has to say it.
    timeout: float | None = None
    kill_after: float = DEFAULT_KILL_AFTER
    memory: int | Share | None = None
    start: StartMethod = StartMethod.AUTO
    max_timeout: float = inf
    max_memory: int | Share | None = None
    #: How many bytes of stream output are shown; None: what is usual where it goes.
    max_output: float | None = None

    def bound(self, options: RunOptions) -> RunOptions:
        """Return the options, with the limit of memory where they have none.

        Raises
        ------
        OptionError
            They exceed a limit.
        """
        if options.timeout > self.max_timeout:
            asked, most = format_duration(options.timeout), format_duration(self.max_timeout)
            raise OptionError(f"{asked} is more than max_timeout allows: {most}")
        if self.max_memory is None:
            return options
        if options.memory is None:
            return dataclasses.replace(options, memory=self.max_memory)
        from ipytimeout.host.room import limit_in_bytes

        wanted, limit = limit_in_bytes(options.memory), limit_in_bytes(self.max_memory)
        if wanted > limit:
            raise OptionError(f"{format_size(wanted)} is more than max_memory allows: {format_size(limit)}")
        return options


#: How each setting is read.
_READ: Mapping[str, Callable[[Any], Any]] = {
    "timeout": parse_duration,
    "kill_after": lambda value: parse_duration(value, allow_zero=True),
    "memory": parse_memory,
    "start": parse_start,
    "max_timeout": parse_duration,
    "max_memory": parse_memory,
    "max_output": parse_max_output,
}


def settings() -> Settings:
    """Return what holds now, for this process.

    Raises
    ------
    OptionError
        A setting is none that there is.
    """
    given = {f"{PREFIX}{name.upper()}": (name, os.environ.get(f"{PREFIX}{name.upper()}", "")) for name in _READ}
    given |= {f"TimeoutMagics.{trait_of(name)}": (name, value) for name, value in _configured().items()}
    found: dict[str, Any] = {}
    for where, (name, value) in given.items():
        if value == "" or value is None:
            continue
        try:
            found[name] = _READ[name](value)
        except OptionError as error:
            raise OptionError(f"{where}: {error}") from None
    return Settings(**found)


def _configured() -> dict[str, Any]:
    """Return the traits of the magics that are set."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    magics = shell.magics_manager.registry.get("TimeoutMagics") if shell is not None else None
    return {name: getattr(magics, trait_of(name)) for name in _READ} if magics is not None else {}


def trait_of(name: str) -> str:
    """Return the trait of ``TimeoutMagics`` for a setting: its method is named ``timeout`` already."""
    return name if name in ("max_timeout", "max_memory") else f"default_{name}"
