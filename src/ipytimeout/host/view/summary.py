"""The static line that stays in the saved output when a run is over. Pure; in the user's process.

One line of text and the same as HTML that needs no widget, no script and no style sheet: a reopened notebook,
nbconvert and a code host show it. No meaning by colour alone.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from math import inf

from ipytimeout.durations import format_duration
from ipytimeout.host.endings import Kept
from ipytimeout.host.view.run_state import Said
from ipytimeout.outcomes import Ending, Outcome
from ipytimeout.sizes import format_size

# Named fallbacks: the sanitizer of untrusted notebooks drops a style whose fallback is a hexadecimal colour.
_COLOURS = {
    "✓": "var(--jp-success-color1, green)",
    "✗": "var(--jp-error-color1, firebrick)",
    "■": "var(--jp-warn-color1, darkorange)",
    "…": "var(--jp-ui-font-color2, gray)",
}
# As high as the panel, in whose place it stands.
_LOOK = "font-family:var(--jp-ui-font-family, sans-serif);font-size:13px;line-height:28px;margin:0;padding:0 0 0 8px"
_DIM = "color:var(--jp-ui-font-color2, gray)"
#: So many characters of what the code says are shown.
_MOST_SAID = 60
#: Where the part of a line begins that explains the first.
_TAIL = re.compile(r" — |; |: ")


def time_used(elapsed: float, timeout: float) -> str:
    """Return how much of its time a run has used: "2.1 s of 5 s"."""
    used = f"{elapsed:.1f} s" if elapsed < 59.95 else format_duration(elapsed)
    return used if timeout == inf else f"{used} of {format_duration(timeout)}"


def memory_used(used: int, limit: float) -> str:
    """Return how much memory a run uses: "1.2 GB of 2 GB"."""
    return format_size(used) if limit == inf else f"{format_size(used)} of {format_size(limit)}"


def progress_note(said: Said | None) -> str:
    """Return what the code says of its progress, and how long the rest will take: "37 of 100 · 12 s left"."""
    if said is None:
        return ""
    words = " ".join("".join(char if char.isprintable() else " " for char in said.text).split())
    if not words and said.fraction is not None:
        words = f"{said.fraction:.0%}"
    if len(words) > _MOST_SAID:
        words = words[: _MOST_SAID - 1] + "…"
    if said.left is None or said.fraction == 1:
        return words
    return f"{words} · {format_duration(round(said.left))} left"


def summary_line(outcome: Outcome, place: str = "", carried: str = "", kept: Kept | None = None) -> str:
    """Return the line for one run. ``place``: where the code was; ``carried``: "sent 1.2 GB in 0.5 s"."""
    kept = kept or Kept()
    took = time_used(outcome.elapsed, outcome.timeout)
    at = f" {place}" if place else ""
    untouched = f" — {kept}"
    match outcome.ending:
        case Ending.FINISHED:
            line = f"✓ {took}"
        case Ending.RAISED:
            line = f"✗ raised an error after {took}"
        case Ending.TIMED_OUT:
            line = f"✗ timed out after {format_duration(outcome.timeout)}{at}{untouched}"
        case Ending.CANCELLED:
            line = f"■ cancelled after {took}{at}{untouched}"
        case Ending.INTERRUPTED:
            line = f"■ interrupted after {took}{at}{untouched if kept.names else ''}"
        case Ending.OVER_MEMORY:
            used = memory_used(outcome.peak, outcome.memory_limit)
            line = f"✗ {outcome.ending.value} after {took}: {used}{at}{untouched}"
        case Ending.DIED:
            line = f"✗ {outcome.ending.value} after {took}{at}{untouched}"
    if carried:
        line += f", {carried}"
    if outcome.ended_processes:
        line += f"; ended processes it had left running: {', '.join(outcome.ended_processes)}"
    return line


def left_behind_line(left_behind: Mapping[str, str]) -> str:
    """Return the line that names what could not come back, each with its reason."""
    return "… left behind: " + "; ".join(f"{name} ({reason})" for name, reason in left_behind.items())


def dead_widgets(count: int) -> dict[str, str]:
    """Say what became of widgets that could be used while the run lasted."""
    match count:
        case 0:
            return {}
        case 1:
            return {"1 widget": "its callbacks have ended with the run"}
    return {f"{count} widgets": "their callbacks have ended with the run"}


def outdated_line(modules: Sequence[str]) -> str:
    """Return the line that names modules whose text is not what the kernel has imported."""
    return (
        f"… changed on disk since the notebook imported it: {', '.join(modules)}; "
        f"the cell used the new text, the notebook has the old one until importlib.reload({modules[0]})"
    )


def as_bundle(line: str) -> dict[str, str]:
    """Return a line as a MIME bundle."""
    mark, _, rest = line.partition(" ")
    tail = _TAIL.search(rest)
    head, explained = (rest, "") if tail is None else (rest[: tail.start()], rest[tail.start() :])
    style = f"color:{_COLOURS.get(mark, _COLOURS['…'])};font-weight:bold"
    text = f'<span style="{style}">{mark}</span> {html.escape(head)}'
    if explained:
        text += f'<span style="{_DIM}">{html.escape(explained)}</span>'
    return {"text/plain": line, "text/html": f'<div style="{_LOOK}">{text}</div>'}
