"""One contract for every way to have a child, and what is special about the template."""

from __future__ import annotations

import dataclasses
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipytimeout.host.launch.child import Child, WardenDied
from ipytimeout.host.launch.launcher import AutoLauncher
from ipytimeout.host.launch.spawn import SpawnLauncher
from ipytimeout.host.launch.warden import get_warden
from ipytimeout.host.launch.warm import Template, TemplateUnusable, WarmLauncher
from ipytimeout.host.process_state import rehearsal
from ipytimeout.host.settle import settle_like_here
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.from_child import Changes, Running
from ipytimeout.wire.messages.outputs import Stream
from ipytimeout.wire.messages.to_child import Call, Settle
from ipytimeout.wire.messages.warden import Arm, Finish, Gone, Started, Verdict
from ipytimeout.wire.pickling import CALL, dump_namespace
from ipytimeout.wire.state import read_state

Launcher = SpawnLauncher | WarmLauncher


@pytest.fixture(params=[SpawnLauncher, WarmLauncher], ids=["spawn", "warm"])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    """A launcher of its own, after which no descriptor may be open that was not before."""
    get_warden()
    gc.collect()
    before = set(os.listdir("/proc/self/fd"))
    launcher: Launcher = request.param()
    yield launcher
    launcher.close()
    gc.collect()
    left = {fd: _target(fd) for fd in set(os.listdir("/proc/self/fd")) - before}
    assert not {fd: t for fd, t in left.items() if t}, "descriptors stayed open"


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


@pytest.fixture
def settle() -> Settle:
    return dataclasses.replace(settle_like_here(None), preload=[])


def call(child: Child, function: Callable[[], object]) -> list[Message]:
    """Have a child call a function, and return what it and its warden said, to the end."""
    heard: list[Message] = []

    def until(kind: type) -> None:
        while not any(isinstance(m, kind) for m in heard):
            for message in child.receive(child.wait(20)):
                assert not isinstance(message, WardenDied)
                heard.append(message)

    dump = dump_namespace({}, [], {CALL: (function, (), {})})
    until(Started)
    child.tell_warden(Arm(60.0, 1.0, 60.0, False))
    child.send(Call(read_state(), {}, {}, False, dump.buffers))
    until(Changes)
    until(Verdict)
    child.tell_warden(Finish())
    until(Gone)
    heard += child.rest()
    child.close()
    return heard


def said(messages: list[Message]) -> str:
    return "".join(m.text for m in messages if isinstance(m, Stream))


def show_process() -> None:
    print(os.getpid(), os.getppid(), os.getsid(0), flush=True)


def test_a_child_runs_once_as_a_child_of_the_warden_in_a_session_of_its_own(launcher: Launcher, settle: Settle) -> None:
    messages = call(launcher.take(settle), show_process)
    pid, parent, session = map(int, said(messages).split())
    assert (parent, session) == (get_warden().pid, pid)
    kinds = [type(m) for m in messages if not isinstance(m, Stream)]
    assert kinds.index(Started) < kinds.index(Running) < kinds.index(Changes) < kinds.index(Gone)


def test_no_child_is_used_twice(launcher: Launcher, settle: Settle) -> None:
    pids = set()
    for _ in range(3):
        pids.add(said(call(launcher.take(settle), show_process)).split()[0])
        launcher.prepare(settle, rehearsal)
    assert len(pids) == 3


def test_a_child_that_has_rehearsed_finds_what_is_set_when_it_runs(
    launcher: Launcher, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only what was set when it rehearsed; whether it had the time for that or not."""

    def show() -> None:
        import os

        print(os.environ.get("WHEN"))

    for pause in (0.0, 1.0):
        monkeypatch.setenv("WHEN", "at the rehearsal")
        launcher.prepare(settle, rehearsal)
        time.sleep(pause)
        monkeypatch.setenv("WHEN", "later")
        assert said(call(launcher.take(settle), show)) == "later\n"


def test_a_child_that_is_let_go_ends(launcher: Launcher, settle: Settle) -> None:
    child = launcher.take(settle)
    pid = 0
    while not pid:
        pid = next((m.pid for m in child.receive(child.wait(20)) if isinstance(m, Started)), 0)
    child.close()
    until = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < until:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{pid}")


def test_a_child_is_not_reached_by_the_interrupt_of_the_hosts_process_group(launcher: Launcher, settle: Settle) -> None:
    child = launcher.take(settle)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        os.kill(get_warden().pid, signal.SIGINT)
        assert said(call(child, show_process))
    finally:
        signal.signal(signal.SIGINT, handler)


def test_signals_have_their_ordinary_meaning_in_a_child(launcher: Launcher, settle: Settle) -> None:
    def show() -> None:
        import signal

        names = ("SIGTERM", "SIGPIPE", "SIGCHLD", "SIGHUP")
        print(*(signal.getsignal(getattr(signal, n)).name for n in names))  # type: ignore[union-attr]
        print(signal.pthread_sigmask(signal.SIG_BLOCK, []))

    assert said(call(launcher.take(settle), show)).split() == ["SIG_DFL", "SIG_IGN", "SIG_DFL", "SIG_DFL", "set()"]


def test_a_new_warden_serves_after_the_old_one_was_killed(launcher: Launcher, settle: Settle) -> None:
    launcher.prepare(settle, rehearsal)
    killed = get_warden()
    os.kill(killed.pid, signal.SIGKILL)
    killed._process.wait()
    assert said(call(launcher.take(settle), show_process)).split()[1] == str(get_warden().pid) != str(killed.pid)


def test_a_library_that_the_notebook_has_imported_is_already_there(launcher: Launcher, settle: Settle) -> None:
    settle = dataclasses.replace(settle, preload=["colorsys"])

    def show() -> None:
        import sys

        print("colorsys" in sys.modules)

    assert said(call(launcher.take(settle), show)) == "True\n"


def test_two_children_do_not_draw_the_same_random_numbers(launcher: Launcher, settle: Settle) -> None:
    settle = dataclasses.replace(settle, preload=["random"])

    def show() -> None:
        import random

        print(random.random())

    def without_state(child: Child) -> str:
        return said(call(child, show))

    one = without_state(launcher.take(settle))
    sys.modules["random"].random()  # the host's state is what the next child gets
    assert one != without_state(launcher.take(settle))


# ---------------------------------------------------------------- the template


@pytest.fixture
def warm() -> Iterator[WarmLauncher]:
    launcher = WarmLauncher()
    yield launcher
    launcher.close()


def test_a_fork_that_is_to_come_later_comes_when_a_run_waits_for_it(
    warm: WarmLauncher, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ipytimeout.host.launch.warm._LATER", 3600.0)
    warm.prepare(settle, rehearsal)
    assert said(call(warm.take(settle), show_process))


def test_the_template_imports_nothing_for_the_sake_of_what_is_set(warm: WarmLauncher, settle: Settle) -> None:
    """Of the libraries that the notebook has, it imports those that it is told."""
    importlib.import_module("numpy.random")  # whose generator has a state here
    assert "numpy.random" in rehearsal().state.generators
    for _ in range(2):
        warm.prepare(settle, rehearsal)
        assert said(call(warm.take(settle), show_process))
    assert not warm.unusable and warm.template is not None
    assert "_multiarray_umath" not in Path(f"/proc/{warm.template.pid()}/maps").read_text()


def test_the_template_follows_what_the_notebook_imports_later(warm: WarmLauncher, settle: Settle) -> None:
    def show() -> None:
        import sys

        print("colorsys" in sys.modules, "sndhdr" in sys.modules)

    assert said(call(warm.take(settle), show)) == "False False\n"
    later = dataclasses.replace(settle, preload=["colorsys"])
    warm.prepare(settle, rehearsal)
    warm.prepare(later, rehearsal)
    assert said(call(warm.take(later), show)) == "True False\n"


def test_a_library_that_starts_a_thread_at_import_makes_the_template_unusable(
    warm: WarmLauncher, settle: Settle, tmp_path: os.PathLike[str]
) -> None:
    """A fork copies only the thread that forks; what the others held is held for ever."""
    with open(os.path.join(tmp_path, "threaded.py"), "w") as file:
        file.write("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n")
    settle = dataclasses.replace(settle, preload=["threaded"], sys_path=[str(tmp_path), *settle.sys_path])
    with pytest.raises(TemplateUnusable, match="importing threaded started a thread"):
        warm.take(settle)
    with pytest.raises(TemplateUnusable, match="threaded"):
        warm.take(settle)


def test_where_the_template_is_unusable_children_are_spawned_and_that_is_told_once(
    settle: Settle, tmp_path: os.PathLike[str]
) -> None:
    with open(os.path.join(tmp_path, "threaded.py"), "w") as file:
        file.write("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n")
    threaded = dataclasses.replace(settle, preload=["threaded"], sys_path=[str(tmp_path), *settle.sys_path])
    launcher = AutoLauncher(WarmLauncher(), SpawnLauncher())
    first = launcher.take(threaded)
    assert "importing threaded started a thread" in first.note
    assert said(call(first, show_process))
    second = launcher.take(threaded)
    assert second.note == ""
    second.close()
    launcher.close()


def test_a_template_that_imports_for_long_goes_on_and_serves_later_runs(
    warm: WarmLauncher, settle: Settle, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run waits for it, the next ones are spawned at once, and what it has imported is not lost."""
    monkeypatch.setattr("ipytimeout.host.launch.warm.PATIENCE", 0.3)
    with open(os.path.join(tmp_path, "slow_to_import.py"), "w") as file:
        file.write("import time\ntime.sleep(3)\n")
    settle = dataclasses.replace(settle, preload=["slow_to_import"], sys_path=[str(tmp_path), *settle.sys_path])
    with pytest.raises(TemplateUnusable, match="still importing"):
        warm.take(settle)
    template = warm.template
    with pytest.raises(TemplateUnusable, match="still importing"):
        warm.take(settle)
    monkeypatch.setattr("ipytimeout.host.launch.warm._AGAIN", 30.0)
    assert said(call(warm.take(settle), show_process))
    assert warm.template is template


def test_a_killed_template_is_replaced(warm: WarmLauncher, settle: Settle) -> None:
    assert said(call(warm.take(settle), show_process))
    warm.prepare(settle, rehearsal)
    assert warm.template is not None
    pid = warm.template.pid()
    os.kill(pid, signal.SIGKILL)
    while os.path.exists(f"/proc/{pid}"):
        time.sleep(0.01)
    assert said(call(warm.take(settle), show_process))


def test_an_interrupt_while_a_child_is_fetched_spoils_no_later_run(
    warm: WarmLauncher, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the template has answered meanwhile is not taken for the answer to a later question."""
    assert said(call(warm.take(settle), show_process))
    answer = Template._next_answer

    def interrupted(template: Template, patience: float) -> None:
        answer(template, patience)
        raise KeyboardInterrupt

    monkeypatch.setattr(Template, "_next_answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        warm.take(settle)
    monkeypatch.undo()
    assert said(call(warm.take(settle), show_process))


def test_a_warden_that_is_killed_at_this_very_moment_is_no_error_of_preparing(settle: Settle) -> None:
    """It is not yet known to be dead when a spare is asked for."""
    for launcher in (SpawnLauncher(), WarmLauncher()):
        os.kill(get_warden().pid, signal.SIGSTOP)
        os.kill(get_warden().pid, signal.SIGKILL)
        launcher.prepare(settle, rehearsal)
        launcher.close()
        while get_warden()._process.poll() is not None:
            time.sleep(0.01)


def test_nothing_stays_when_the_warden_is_killed_at_any_moment_of_a_fork(
    settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two parents a child has nobody who would end it."""
    mark = f"run-{time.monotonic_ns()}"
    monkeypatch.setenv("IPYTIMEOUT_TEST_MARK", mark)
    for delay in range(12):
        warm = WarmLauncher()
        warm.prepare(settle, rehearsal)
        time.sleep(0.12 + delay / 50)  # the template takes so long to start, and to fork
        os.kill(get_warden().pid, signal.SIGKILL)
        warm.close()
    until = time.monotonic() + 10
    while (left := _marked(mark)) and time.monotonic() < until:
        time.sleep(0.02)
    assert left == []


def _marked(mark: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark.encode() in file.read():
                        found.append(int(name))
            except OSError:
                continue
    return found


def test_an_empty_child_is_forked_from_the_template_and_shares_its_memory(warm: WarmLauncher, settle: Settle) -> None:
    """The spare costs what it has of its own, not what the template has imported."""
    child = warm.take(settle)
    pid = 0
    while not pid:
        pid = next((m.pid for m in child.receive(child.wait(20)) if isinstance(m, Started)), 0)
    with open(f"/proc/{pid}/smaps_rollup") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line and "kB" in line)
    private = sum(int(fields[k].split()[0]) for k in ("Private_Dirty", "Private_Clean"))
    assert private < int(fields["Rss"].split()[0]) / 2
    child.close()


def test_runs_that_follow_each_other_at_once_have_several_spares(settle: Settle) -> None:
    """And no more of them when they are over."""
    launcher = WarmLauncher()
    try:
        launcher.prepare(settle, rehearsal)
        before = launcher.spares
        for _ in range(before + 1):
            assert "None" in said(call(launcher.take(settle), lambda: print(None)))
            launcher.prepare(settle, rehearsal)
        assert before > 1 and launcher.spares == before
    finally:
        launcher.close()
