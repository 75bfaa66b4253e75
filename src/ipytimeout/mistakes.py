"""The user's mistakes in options, and how what was given is shown in them. Vocabulary: any process, any thread."""

from __future__ import annotations


class OptionError(ValueError):
    """The user's mistake in an option or a duration; nothing has run. Its text is one line."""


def shown(value: object) -> str:
    """Show a wrong value in one short line, whatever its ``repr`` does."""
    try:
        return one_line(repr(value), 40)
    except Exception:
        return f"a {type(value).__name__}"


def one_line(text: str, limit: int = 80) -> str:
    """Return a text on one line, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
