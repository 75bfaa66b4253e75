"""The static line that stays in the saved output when a run is over. Pure; in the user's process.

One line of text and the same as HTML that needs no widget, no script and no style sheet: a reopened notebook,
nbconvert and a code host show it. No meaning by colour alone.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

from ipytimeout.options import format_duration
from ipytimeout.outcomes import Ending, Outcome

# Named fallbacks: the sanitizer of untrusted notebooks drops a style whose fallback is a hexadecimal colour.
_COLOURS = {
    "✓": "var(--jp-success-color1, green)",
    "✗": "var(--jp-error-color1, firebrick)",
    "■": "var(--jp-warn-color1, darkorange)",
    "…": "var(--jp-ui-font-color2, gray)",
}
_LOOK = "font-family:var(--jp-ui-font-family, sans-serif);font-size:var(--jp-ui-font-size1, 13px)"


def summary_line(outcome: Outcome, place: str = "", carried: str = "") -> str:
    """Return the line for one run. ``place``: where the code was; ``carried``: "sent 1.2 GB in 0.5 s"."""
    limit = "" if outcome.timeout == float("inf") else f" of {format_duration(outcome.timeout)}"
    took = f"{outcome.elapsed:.1f} s{limit}"
    at = f" {place}" if place else ""
    untouched = " — nothing was changed in the notebook"
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
            line = f"■ interrupted after {took}{at}"
        case Ending.OVER_MEMORY | Ending.DIED:
            line = f"✗ {outcome.ending.value} after {took}{at}{untouched}"
    if carried:
        line += f", {carried}"
    if outcome.ended_processes:
        line += f"; ended processes it had left running: {', '.join(outcome.ended_processes)}"
    return line


def left_behind_line(left_behind: Mapping[str, str]) -> str:
    """Return the line that names what could not come back, each with its reason."""
    return "… left behind: " + "; ".join(f"{name} ({reason})" for name, reason in left_behind.items())


def as_bundle(line: str) -> dict[str, str]:
    """Return a line as a MIME bundle."""
    mark, _, rest = line.partition(" ")
    style = f"color:{_COLOURS.get(mark, _COLOURS['…'])}"
    text = f'<div style="{_LOOK}"><span style="{style}">{mark}</span> {html.escape(rest)}</div>'
    return {"text/plain": line, "text/html": text}
