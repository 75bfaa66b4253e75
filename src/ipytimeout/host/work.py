"""What is to be run, and the message that it makes. Runs in the user's process, in the thread that starts a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ipytimeout.host.baseline import Baseline
from ipytimeout.host.capture import Needed
from ipytimeout.host.comms import Comms
from ipytimeout.host.room import refuse_without_room
from ipytimeout.sizes import format_size
from ipytimeout.wire.messages import ProcessState
from ipytimeout.wire.messages.to_child import Call, Execute
from ipytimeout.wire.modules import MODULES
from ipytimeout.wire.pickling import Dump, dump_namespace
from ipytimeout.wire.survey import Inherited, survey

#: A copy of so many bytes is made without asking whether there is room for it.
_ALWAYS_FITS = 1 << 24


@dataclass(frozen=True, slots=True)
class Sent:
    """What goes to the child."""

    dump: Dump
    message: Execute | Call
    #: What a copy of this process has: then nothing is sent but the message.
    inherited: Inherited | None = None
    #: Of a background run: what it is to be compared with when it comes back.
    baseline: Baseline | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be run, and on which names."""

    namespace: dict[str, Any]
    needed: Needed
    state: ProcessState
    #: Make the message from the names that were dumped; called again when a name proves impossible to send.
    message: Callable[[Dump, dict[str, str]], Execute | Call]
    #: What travels beside the names.
    extra: Mapping[str, object] = field(default_factory=dict)
    #: Whether the notebook goes on meanwhile, and what it changes is to be left alone.
    meanwhile: bool = False
    #: Whether the child is a copy of this process.
    copies: bool = False
    #: The shell of this process.
    shell: Any = None
    #: Widgets, where there can be any.
    comms: Comms | None = None


def dumped(work: Work, impossible: Mapping[str, str]) -> Sent:
    """Pickle what is to be sent, but for what has proved impossible; a copy of this process has it all."""
    if work.copies:
        seen = work.needed.names | work.needed.too_large.keys()
        surveyed = survey(work.namespace, seen, work.extra, work.needed.modules)
        inherited = Inherited(work.namespace, dict(work.extra), work.shell, surveyed)
        nothing = Dump([], surveyed.table)
        return Sent(nothing, work.message(nothing, {}), inherited)
    refused = {
        name: f"it is large ({format_size(size)}) and the code does not name it; add --with {name}"
        for name, size in work.needed.too_large.items()
    }
    extra = {name: value for name, value in work.extra.items() if name not in impossible}
    modules = work.needed.modules if MODULES not in impossible else ()
    dump = dump_namespace(work.namespace, work.needed.names - impossible.keys(), extra, modules)
    size = sum(memoryview(b).nbytes for b in dump.buffers)
    if size > _ALWAYS_FITS:
        refuse_without_room(size)
    names = work.needed.names - dump.refused.keys()
    baseline = Baseline(work.namespace, names, dump.table, work.state) if work.meanwhile else None
    return Sent(dump, work.message(dump, {**refused, **dump.refused, **impossible}), baseline=baseline)
