"""The panel: how a run is going, with buttons, in the output of its cell. In the thread that waits for the run.

Law of the file: ipywidgets' own widgets, imported when the first panel is shown; no script of ours. Widgets are made,
changed and closed in this thread only. What a click does may run in any thread: it tells the warden, no more.
"""

from __future__ import annotations

import functools
import html
import linecache
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import inf, isinf
from typing import TYPE_CHECKING, Any

from ipytimeout.durations import format_duration
from ipytimeout.host import where
from ipytimeout.host.comms import Comms
from ipytimeout.host.supervise import Relay
from ipytimeout.host.view.live import CLICKS, SilentView
from ipytimeout.host.view.run_state import Facts, Phase, RunState
from ipytimeout.host.view.slot import BLANK, NOTHING, Bundle, Slot, SlotRelay
from ipytimeout.host.view.summary import as_bundle, memory_used, progress_note, time_used
from ipytimeout.host.widget_records import page_control
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.warden import Cancel, Extend, Where

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: A run that is over sooner shows no panel.
DELAY = 0.3
#: The panel is drawn at most so often; later, when nothing but seconds can be seen to change, once a second.
INTERVAL = 0.2
LATER_INTERVAL = 1.0
LATER = 60.0
#: A panel that was on the page for so long, in seconds, may be in a file; and so many lines are kept for those.
_SAVED, _MOST_LINES = 10.0, 50
#: From here on the bar warns.
_NEARLY = 0.8
#: So many frames of a stack are shown: the innermost.
_MOST_FRAMES = 12

_BRAND = "var(--jp-brand-color1, #1976d2)"
_WARN = "var(--jp-warn-color1, #f57c00)"
_STILL = "var(--jp-ui-font-color3, #9e9e9e)"
_NO_PUMP = "interrupt the kernel (■) to cancel"
_NO_ANSWER = "The process did not answer."

_STYLE = """<style>
.ipytimeout {
  --ipt-text: var(--jp-ui-font-color1, #212121); --ipt-dim: var(--jp-ui-font-color2, #616161);
  --ipt-line: var(--jp-border-color1, #bdbdbd); --ipt-stop: var(--jp-error-color1, #c62828);
  container-type: inline-size; overflow: hidden; color: var(--ipt-text);
  font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 13px;
}
.ipytimeout .ipt-row { height: 28px; align-items: center; overflow: hidden; }
.ipytimeout .ipt-row > * { margin: 0; flex: none; }
.ipytimeout .ipt-row > .ipt-bar {
  flex: 0 100 300px; min-width: 60px; height: 6px; line-height: 6px; margin: 0 12px 0 8px;
}
.ipytimeout .ipt-bar .progress {
  height: 6px; margin: 0; border: 0; border-radius: 3px; overflow: hidden; background: var(--jp-border-color2, #e0e0e0);
}
.ipytimeout .ipt-bar .progress-bar {
  height: 6px; border-radius: 3px; transition: width .2s linear, background-color .3s;
}
.ipytimeout .ipt-row > .ipt-bar.ipt-last { order: 1; margin: 0 0 0 12px; }
.ipytimeout .ipt-text { height: 28px; line-height: 28px; overflow: hidden; }
.ipytimeout .ipt-text .widget-html-content {
  line-height: 28px; padding: 0; font-size: 13px; font-variant-numeric: tabular-nums; white-space: pre;
  color: var(--ipt-text);
}
.ipytimeout .ipt-row > .ipt-first { margin-left: 8px; }
.ipytimeout .ipt-row > .ipt-note { flex: 1 1 0; min-width: 0; margin-left: 12px; order: 2; }
.ipytimeout .ipt-row > .ipt-memory { margin-left: 10px; }
.ipytimeout .ipt-memory .widget-html-content, .ipytimeout .ipt-note .widget-html-content { color: var(--ipt-dim); }
.ipytimeout .ipt-note .widget-html-content { overflow: hidden; text-overflow: ellipsis; }
.ipytimeout button.ipt-button {
  width: auto; height: 22px; line-height: 20px; margin: 0 0 0 6px; padding: 0 10px; border: 1px solid var(--ipt-line);
  border-radius: 4px; background: transparent; color: var(--ipt-text); box-shadow: none;
  font-family: inherit; font-size: 12px; transition: background-color .12s, border-color .12s, color .12s;
}
.ipytimeout button.ipt-button:hover:enabled { background: var(--jp-layout-color2, #eeeeee); box-shadow: none; }
.ipytimeout button.ipt-button:focus-visible {
  outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: -1px;
}
.ipytimeout button.ipt-button:disabled { opacity: .5; }
.ipytimeout button.ipt-quiet { border-color: transparent; color: var(--ipt-dim); padding: 0 8px; }
.ipytimeout button.ipt-cancel { color: var(--ipt-stop); border-color: var(--ipt-stop); font-weight: 500; }
.ipytimeout button.ipt-cancel:hover:enabled, .ipytimeout button.ipt-now {
  background: var(--ipt-stop); color: var(--jp-ui-inverse-font-color1, white);
}
.ipytimeout .ipt-stack .widget-html-content { line-height: 1.45; padding: 0; }
.ipytimeout .ipt-stack { margin: 0 8px 6px; }
.ipytimeout .ipt-stack pre {
  margin: 0; padding: 6px 10px; max-height: 14em; overflow: auto; white-space: pre; border-radius: 4px;
  font-family: var(--jp-code-font-family, monospace); font-size: 12px; line-height: 1.45;
  color: var(--ipt-text); background: var(--jp-layout-color2, #f5f5f5);
}
.ipytimeout .ipt-stack b { color: var(--jp-brand-color1, #1976d2); font-weight: 600; }
.ipytimeout .ipt-stack i { color: var(--ipt-dim); font-style: normal; }
.ipytimeout.jupyter-widgets-disconnected > * { display: none; }
.ipytimeout.jupyter-widgets-disconnected::before {
  content: "… out of reach: the kernel was restarted, or the connection to it is lost"; padding: 0 0 0 8px;
  font: 13px/28px var(--jp-ui-font-family, system-ui, sans-serif); color: var(--ipt-dim);
}
@media (prefers-reduced-motion: reduce) { .ipytimeout * { transition: none !important; } }
@container (max-width: 600px) { .ipytimeout .ipt-memory { display: none; } }
@container (max-width: 560px) { .ipytimeout .ipt-note { display: none; } }
@container (max-width: 480px) { .ipytimeout .ipt-where { display: none; } }
@container (max-width: 420px) { .ipytimeout .ipt-bar { display: none; } .ipytimeout .ipt-text { margin-left: 8px; } }
@container (max-width: 300px) { .ipytimeout .ipt-more { display: none; } }
</style>"""


#: What panels have become that may be in a file: a page that opens it finds them as long as this process lives.
_LINES: deque[Widgets] = deque()


class PanelView(SilentView):
    """A panel in a slot of the cell's output, and at the end a line in its place."""

    shows_memory = True

    def __init__(
        self, shell: InteractiveShell, numbers: Mapping[str, int], *, holds_place: bool, has_stack: bool = True
    ) -> None:
        self._shell = shell
        self._kernel: Any = getattr(shell, "kernel", None)
        self._numbers = numbers
        self._slot = Slot(self._kernel)
        #: Front ends do not replace what an Output widget has caught: the panel itself must become the line.
        self._caught = is_caught(self._kernel)
        self.can_replace = not self._caught
        self._state: RunState | None = None
        self._tell: Callable[[Message], None] = lambda message: None
        self._widgets: Widgets | None = None
        self._hears = False
        self._next = time.monotonic() + DELAY
        self._shown = inf
        self._drawn: Phase | None = None
        self._holds_place = holds_place
        self._has_stack = has_stack
        if holds_place and not self._caught:
            self._slot.put(BLANK)

    def attach(self, state: RunState, tell_warden: Callable[[Message], None]) -> None:
        self._state, self._tell = state, tell_warden

    def hears(self, comms: Comms | None, *, clicks: bool) -> None:
        self._slot.comms, self._hears = comms, clicks

    def around(self, relay: Relay) -> Relay:
        return SlotRelay(relay, self._slot, self._shell)

    def due(self) -> float:
        if self._state is None:
            return inf
        facts = self._state.facts
        if self._drawn in (None, Phase.RUNNING) or facts.phase is not self._drawn:
            return self._next
        return inf

    def draw(self) -> None:
        now = time.monotonic()
        if self._state is None or now < self._next:
            return
        facts = self._state.facts
        try:
            self._draw(facts)
        except Exception as error:  # of ipywidgets: a broken installation must not cost the run
            self._state = None
            warnings.warn(f"ipytimeout cannot show its panel ({error!r}); {_NO_PUMP}", stacklevel=2)
            return
        self._drawn = facts.phase
        self._next = now + (INTERVAL if facts.elapsed < LATER else LATER_INTERVAL)

    def _draw(self, facts: Facts) -> None:
        if self._widgets is None:
            self._widgets = Widgets(facts, self._hears, self._wish, has_stack=self._has_stack)
            CLICKS.update(self._widgets.clicks)
            if self._slot.comms is not None:
                self._slot.comms.records.show()  # ipywidgets is imported by now
            self._slot.put(self._widgets.bundle)
            self._shown = time.monotonic()
        self._widgets.draw(facts)

    def _wish(self, message: Message) -> None:
        """Called by a click, maybe in another thread: for the warden of the present attempt."""
        self._tell(message)

    def show_stack(self, text: str) -> None:
        if self._widgets is not None:
            self._widgets.show_dump(text, self._numbers)

    def conclude(self, line: str) -> None:
        if self._holds_place or self._slot.shown:
            self._end(as_bundle(line))

    def close(self) -> None:
        if self._widgets is not None:
            self._end(NOTHING)

    def _end(self, content: Bundle) -> None:
        """Replace the panel for good. In this order: closed first, the page would jump."""
        for button in self._widgets.clicks if self._widgets is not None else ():
            CLICKS.pop(button, None)
        if self._widgets is None:
            self._slot.put(content)
        elif self._caught:
            self._widgets.become(content["text/html"])
        elif self._widgets.was_restored:  # the slot is not known to a page that was opened meanwhile
            self._slot.put(content)
            self._widgets.become(content["text/html"])
        else:
            self._slot.put(content)
            if time.monotonic() - self._shown > _SAVED:
                self._widgets.become(content["text/html"])
                _LINES.append(self._widgets)
            else:
                self._widgets.close()
            if len(_LINES) > _MOST_LINES:
                _LINES.popleft().close()
        self._widgets = self._state = None


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
        style = add("HTML", value=_STYLE, layout=hidden)
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
            self._bar.style.bar_color = _STILL if not running else _WARN if _is_short_of_time(facts) else _BRAND
            if self._bar.layout.display is not None:
                self._bar.layout.display = None
        self._text.value = html.escape(time_used(facts.elapsed, facts.timeout))
        if facts.memory:
            used = html.escape(memory_used(facts.memory, facts.memory_limit))
            self._memory.value = f'<span title="memory that the run uses">{used}</span>'
        note = html.escape(progress_note(facts.said)) if running else facts.phase.value
        self._note.value = note if self._hears else " · ".join(filter(None, (note, _NO_PUMP)))
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


def is_caught(kernel: Any) -> bool:
    """Tell whether the outputs of this cell go into an Output widget (``_instances``: ipywidgets 8.1)."""
    widgets = sys.modules.get("ipywidgets.widgets.widget")
    outputs = sys.modules.get("ipywidgets.widgets.widget_output")
    if widgets is None or outputs is None:
        return False
    cell = (kernel.get_parent().get("header") or {}).get("msg_id")
    instances = list(getattr(widgets, "_instances", {}).values())
    return any(isinstance(each, outputs.Output) and each.msg_id == cell for each in instances)


def _call(click: Callable[[], None], button: object) -> None:
    click()


def stack_as_html(frames: Sequence[where.Frame], numbers: Mapping[str, int]) -> str:
    """Return a stack for people: where, in bold, then the line of source; outermost first."""
    if not frames:
        return f"<pre>{_NO_ANSWER}</pre>"
    lines = []
    if (left_out := len(frames) - _MOST_FRAMES) > 0:
        lines.append(f"<i>… {left_out} more above</i>")
    for file, line, name in frames[-_MOST_FRAMES:]:
        place = f"In [{numbers[file]}]" if file in numbers else _short(file)
        function = "" if name.startswith("<module") else f" in {name}"
        at = html.escape(f"{place}, line {line}")
        lines.append(
            f"<b>{at}</b>{html.escape(function)}" if file in numbers else f"<i>{at}{html.escape(function)}</i>"
        )
        if source := linecache.getline(file, line).strip():
            lines.append(f"    {html.escape(source)}")
    return f"<pre>{chr(10).join(lines)}</pre>"


def threads_as_html(threads: Mapping[str, Sequence[where.Frame]], numbers: Mapping[str, int]) -> str:
    """Return the stacks of the other threads, folded: one click away."""
    if not threads:
        return ""
    stacks = [f"<b>{html.escape(name)}</b>{stack_as_html(frames, numbers)}" for name, frames in threads.items()]
    title = "1 other thread" if len(stacks) == 1 else f"{len(stacks)} other threads"
    return f"<details><summary>{title}</summary>{''.join(stacks)}</details>"


def _short(file: str) -> str:
    """Return a library's file without what is before the library."""
    _, found, inner = file.replace(os.sep, "/").rpartition("/site-packages/")
    return inner if found else file
