"""The widgets of one panel: what they show of a run, and what a click on them wishes. In the thread that made them.

Law of the file: ipywidgets' own widgets, imported when the first panel is shown; no script of ours. Widgets are made,
changed and closed in one thread only. What a click does may run in any thread: it tells the warden, no more.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Mapping
from math import isinf
from typing import Any

from ipytimeout.durations import format_duration
from ipytimeout.host import where
from ipytimeout.host.view.panel_style import BRAND, STILL, STYLE, WARN
from ipytimeout.host.view.run_state import Facts, Phase
from ipytimeout.host.view.slot import Bundle
from ipytimeout.host.view.stack import stack_as_html, threads_as_html
from ipytimeout.host.view.summary import memory_used, progress_note, time_used
from ipytimeout.host.widget_records import page_control
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.warden import Cancel, Extend, Where

#: From here on the bar warns.
_NEARLY = 0.8
#: What to do where a click would not be heard.
NO_PUMP = "interrupt the kernel (■) to cancel"


class Widgets:
    """The widgets of one panel."""

    def __init__(
        self, facts: Facts, hears: bool, tell: Callable[[Message], None], title: str = "", *, has_stack: bool = True
    ) -> None:
        import ipywidgets

        self._control = page_control()
        more = facts.timeout  # as much again, whatever it is extended to
        self._all: list[Any] = []

        def add(kind: str, *classes: str, layout: dict[str, str] | None = None, **traits: Any) -> Any:
            layout_of_it = ipywidgets.Layout(**(layout or {}))
            widget = getattr(ipywidgets, kind)(layout=layout_of_it, _dom_classes=classes, **traits)
            self._all.append(widget)
            return widget

        hidden = {"display": "none"}
        limited = not isinf(facts.timeout)
        # Without a limit it appears where it moves nothing, when the code says how far it is.
        place = ("ipt-bar",) if limited else ("ipt-bar", "ipt-last")
        self._bar = add("FloatProgress", *place, max=1.0, layout={"height": "6px", **({} if limited else hidden)})
        # As wide as it will get, so that the buttons stay where they are.
        width = f"{0.85 * len(time_used(facts.timeout if limited else 599, facts.timeout)):.1f}ch"
        first = () if limited else ("ipt-first",)
        self._text = add("HTML", "ipt-text", *first, layout={"flex": f"0 1 {width}"})
        # Also there before anything is known, for the same reason. Its capitals are wide.
        widest = memory_used(888_000_000, facts.memory_limit)
        self._memory = add("HTML", "ipt-text", "ipt-memory", layout={"flex": f"0 1 {1.1 * len(widest):.1f}ch"})
        self._note = add("HTML", "ipt-text", "ipt-note")
        shown = {} if hears else hidden
        self._where = add(
            "Button",
            "ipt-button",
            "ipt-quiet",
            "ipt-where",
            description="Where?",
            tooltip="Show where the code is now",
            layout=shown if has_stack else hidden,
        )
        self._more = add(
            "Button",
            "ipt-button",
            "ipt-more",
            description=f"+ {format_duration(more)}",
            tooltip=f"Give it {format_duration(more)} more",
            layout=shown if limited else hidden,
        )
        self._cancel = add(
            "Button",
            "ipt-button",
            "ipt-cancel",
            description="Cancel",
            tooltip="End this run; the notebook stays as it was before the cell",
            layout={"min_width": "72px", **shown},
        )
        self._hears = hears
        #: What a click does, by the comm id of its button.
        self.clicks: dict[str, Callable[[], None]] = {}
        for button, message in ((self._where, Where()), (self._more, Extend(more)), (self._cancel, Cancel())):
            click = functools.partial(tell, message)
            self.clicks[button.comm.comm_id] = click
            # Where the click comes another way than through the pump: in a subshell's thread.
            button.on_click(functools.partial(_call, click))
        name = [add("HTML", "ipt-text", "ipt-first", value=html.escape(title))] if title else []
        row = add(
            "HBox",
            "ipt-row",
            children=[*name, self._bar, self._text, self._memory, self._where, self._more, self._cancel, self._note],
        )
        self._stack = add("HTML", "ipt-stack", layout=hidden)
        style = add("HTML", value=STYLE, layout=hidden)
        self.draw(facts)
        self._box = add("VBox", "ipytimeout", children=[style, row, self._stack])

    @property
    def bundle(self) -> Bundle:
        """What shows the panel; saved meanwhile, it shows the text."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
        text = "… a run was not finished when this was saved"
        return {"text/plain": text, "application/vnd.jupyter.widget-view+json": view}

    def draw(self, facts: Facts) -> None:
        """Show these facts; what has not changed is not sent again."""
        running = facts.phase is Phase.RUNNING
        if facts.bar is not None:
            self._bar.value = facts.bar
            self._bar.style.bar_color = STILL if not running else WARN if _is_short_of_time(facts) else BRAND
            if self._bar.layout.display is not None:
                self._bar.layout.display = None
        self._text.value = html.escape(time_used(facts.elapsed, facts.timeout))
        if facts.memory:
            used = html.escape(memory_used(facts.memory, facts.memory_limit))
            self._memory.value = f'<span title="memory that the run uses">{used}</span>'
        note = html.escape(progress_note(facts.said)) if running else facts.phase.value
        self._note.value = note if self._hears else " · ".join(filter(None, (note, NO_PUMP)))
        self._where.disabled = self._more.disabled = not running
        if facts.phase is Phase.ENDING and self._cancel.description == "Cancel":
            self._cancel.description = "End now"
            self._cancel.tooltip = "It was asked to end; end it without waiting"
            self._cancel.add_class("ipt-now")

    def show_dump(self, text: str, numbers: Mapping[str, int]) -> None:
        """Show where the code is, as faulthandler wrote it."""
        self._stack.value = stack_as_html(where.frames_of_dump(text), numbers) + threads_as_html(
            where.threads_of_dump(text), numbers
        )
        self._stack.layout.display = None

    @property
    def was_restored(self) -> bool:
        """Whether a page was opened meanwhile, which shows it too."""
        return page_control() is not self._control

    def become(self, text: str) -> None:
        """Be only this HTML from now on."""
        line, self._stack = self._stack, self._text
        line.value = text
        line.layout.display = None
        line.remove_class("ipt-stack")
        self._box.children = [line]
        self._box.remove_class("ipytimeout")
        self._all = [widget for widget in self._all if widget not in (line, self._box)]
        self.close()
        self._all = [line, self._box]

    def close(self) -> None:
        """Close every widget, with what belongs to it: a closed widget leaves its layout and style open."""
        for widget in reversed(self._all):
            for part in (widget, widget.layout, getattr(widget, "style", None)):
                if part is not None:
                    part.close()


def _is_short_of_time(facts: Facts) -> bool:
    """Tell whether the deadline is near, or nearer than the end of what the code has to do."""
    if facts.fraction is None:
        return False
    if facts.said is not None and facts.said.left is not None:
        return facts.said.left > facts.timeout - facts.elapsed
    return facts.fraction > _NEARLY


def _call(click: Callable[[], None], button: object) -> None:
    click()
