"""From verdict and report to outcome and exception: the table of endings."""

from __future__ import annotations

import pickle

import pytest

from ipytimeout.exceptions import ChildDied, DeadlineExceeded, ForeignError, MemoryLimitExceeded, RunCancelled, RunError
from ipytimeout.host import endings
from ipytimeout.host.endings import Kept
from ipytimeout.host.view.summary import as_bundle, left_behind_line, summary_line
from ipytimeout.outcomes import Ending, Outcome
from ipytimeout.wire.messages.from_child import Changes
from ipytimeout.wire.messages.outputs import Error
from ipytimeout.wire.messages.warden import Cause, Gone, Verdict


def changes(success: bool = True, interrupted: bool = False, deadline_interrupt: bool = False) -> Changes:
    return Changes(success, None, deadline_interrupt, interrupted, {}, None, {}, [])


@pytest.mark.parametrize(
    ("cause", "report", "ending"),
    [
        ("", changes(), Ending.FINISHED),
        ("", changes(success=False), Ending.RAISED),
        ("", changes(success=False, interrupted=True), Ending.INTERRUPTED),
        ("timed out", changes(), Ending.TIMED_OUT),
        ("timed out", None, Ending.TIMED_OUT),
        ("stalled", None, Ending.TIMED_OUT),
        ("cancelled", changes(success=False), Ending.CANCELLED),
        ("interrupted", None, Ending.INTERRUPTED),
        ("over memory", None, Ending.OVER_MEMORY),
        ("out of memory", changes(), Ending.OVER_MEMORY),
        ("died", None, Ending.DIED),
        ("died", changes(), Ending.DIED),
    ],
)
def test_the_verdict_decides_and_then_the_report(cause: str, report: Changes | None, ending: Ending) -> None:
    """Code that swallowed the deadline and reports success is timed out all the same."""
    assert endings.outcome_of(Verdict(cause, 1.0, None, ""), report, 5.0, Gone([])).ending is ending


def error(cause: Cause, returncode: int | None = None, *, oom_killed: bool = False, **options: object) -> BaseException:
    verdict = Verdict(cause.value, 1.5, returncode, "", oom_killed)
    outcome = endings.outcome_of(verdict, None, 5.0, Gone([], 2_100_000_000, 1.0), 2e9)
    settings = {"running": True, "place": "in f(), line 3", "stderr": "", **options}
    return endings.error_of(outcome, verdict, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cause", "returncode", "kind", "words"),
    [
        (Cause.TIMED_OUT, None, DeadlineExceeded, "timed out after 5 s in f(), line 3"),
        (Cause.STALLED, None, DeadlineExceeded, "bringing the results back made no progress for 10 s"),
        (Cause.CANCELLED, None, RunCancelled, "cancelled after 1.5 s in f(), line 3"),
        (Cause.INTERRUPTED, None, KeyboardInterrupt, "took no effect"),
        (
            Cause.OVER_MEMORY,
            None,
            MemoryLimitExceeded,
            "used 2.1 GB of memory, and 2 GB were allowed, after 1.5 s in f()",
        ),
        (Cause.OUT_OF_MEMORY, None, MemoryLimitExceeded, "almost nothing was left of the 2 GB of memory"),
        (Cause.DIED, -11, ChildDied, "SIGSEGV"),
        (Cause.DIED, 3, ChildDied, "exit code 3"),
        (Cause.DIED, None, ChildDied, "died"),
    ],
)
def test_each_error_says_what_happened_and_that_nothing_was_changed(
    cause: Cause, returncode: int | None, kind: type[BaseException], words: str
) -> None:
    raised = error(cause, returncode)
    assert type(raised) is kind
    assert words in str(raised) and "nothing was changed in the notebook" in str(raised)


NAMES = tuple(f"n{i}" for i in range(12))


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (Kept(), "nothing was changed in the notebook"),
        (Kept(done=True), "what it had done was kept"),
        (Kept(done=True, names=("a",)), "what it had done was kept, and of its checkpoints a"),
        (Kept(names=("a", "b")), "only its checkpoints were kept: a, b"),
        (Kept(names=("a", "b"), by_error=True), "its checkpoints are in error.checkpoints: a, b"),
        (Kept(by_error=True), "nothing was changed in the notebook"),
        (Kept(why_not="the interrupt took no effect in time"), "in time, so nothing was changed in the notebook"),
        (Kept(names=NAMES), "n8, n9 and 2 more"),
    ],
)
@pytest.mark.parametrize("cause", [Cause.TIMED_OUT, Cause.STALLED, Cause.CANCELLED, Cause.INTERRUPTED, Cause.DIED])
def test_error_and_summary_say_what_was_kept(kept: Kept, words: str, cause: Cause) -> None:
    """And what is not undone, where the code's own work is not kept."""
    raised = error(cause, kept=kept)
    assert words in str(raised) and ("not undone" in str(raised)) == (not kept.done)
    outcome = endings.outcome_of(Verdict(cause.value, 1.5, None, ""), None, 5.0, Gone([]))
    line = summary_line(outcome, kept=kept)
    assert (f" — {kept}" in line) == (cause is not Cause.INTERRUPTED or bool(kept.names))
    assert words in str(endings.warden_lost(kept))


def test_a_death_comes_with_its_last_words_and_its_code() -> None:
    raised = error(Cause.DIED, 3, stderr="out of cheese")
    assert isinstance(raised, ChildDied)
    assert "out of cheese" in str(raised) and raised.returncode == 3


def test_a_run_that_the_system_killed_for_want_of_memory_says_so() -> None:
    assert "because there was no memory left" in str(error(Cause.DIED, -9, oom_killed=True))
    assert "memory" not in str(error(Cause.DIED, -9))


@pytest.mark.parametrize("cause", [Cause.OVER_MEMORY, Cause.OUT_OF_MEMORY])
def test_a_run_over_memory_says_peak_limit_and_what_to_do_and_keeps_them_when_it_is_pickled(cause: Cause) -> None:
    raised = pickle.loads(pickle.dumps(error(cause)))
    assert isinstance(raised, MemoryError) and isinstance(raised, MemoryLimitExceeded)
    assert (raised.peak, raised.limit) == (2_100_000_000, 2_000_000_000)
    assert "give" in str(raised) and "\n" not in str(raised)


def test_the_summary_of_a_run_over_memory_has_peak_and_limit() -> None:
    outcome = Outcome(Ending.OVER_MEMORY, 2.12, 5.0, peak=2_100_000_000, memory_limit=2e9)
    line = summary_line(outcome, "in f(), line 3")
    assert line.startswith("✗ over memory after 2.1 s of 5 s: 2.1 GB of 2 GB in f(), line 3 — nothing was changed")


def test_every_error_pickles_with_its_attributes() -> None:
    for kind in (DeadlineExceeded, RunCancelled, ChildDied, ForeignError, RunError):
        one = kind("what happened")
        one.where = ("Cell In[1], line 2, in f",)
        one.checkpoints = {"best": 1}
        again = pickle.loads(pickle.dumps(one))
        assert (type(again), str(again), again.where) == (kind, "what happened", one.where)
        assert again.checkpoints == {"best": 1} and kind("another").checkpoints == {}


def test_an_exception_that_cannot_come_back_is_told_by_name_and_text() -> None:
    report = Changes(False, Error("Odd", "went wrong", ["…"]), False, False, {}, None, {}, [])
    raised = endings.foreign_error(report, "a socket cannot leave its process")
    assert (raised.class_name, raised.text) == ("Odd", "went wrong")
    assert "Odd: went wrong" in str(raised) and "a socket" in str(raised)


@pytest.mark.parametrize("ending", Ending)
def test_the_summary_is_one_line_that_says_how_it_ended(ending: Ending) -> None:
    line = summary_line(Outcome(ending, 2.12, 5.0), "in slow(), line 3")
    assert "\n" not in line and line[0] in "✓✗■"
    assert ("nothing was changed" in line) == (not ending.brings_back)


def test_the_summary_names_processes_that_were_ended_and_no_limit_where_there_is_none() -> None:
    line = summary_line(Outcome(Ending.FINISHED, 2.12, float("inf"), None, ("sleep 60 (pid 7)",)))
    assert line == "✓ 2.1 s; ended processes it had left running: sleep 60 (pid 7)"


def test_a_line_is_shown_as_text_and_as_html_that_cannot_be_broken_out_of() -> None:
    line = left_behind_line({"<script>": "a & b"})
    bundle = as_bundle(line)
    assert bundle["text/plain"] == line
    assert "<script>" not in bundle["text/html"] and "&amp;" in bundle["text/html"]
