"""How the panel looks: its style sheet, which is sent with it, and the colours of its bar. Pure."""

from __future__ import annotations

BRAND = "var(--jp-brand-color1, #1976d2)"
WARN = "var(--jp-warn-color1, #f57c00)"
STILL = "var(--jp-ui-font-color3, #9e9e9e)"

STYLE = """<style>
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
