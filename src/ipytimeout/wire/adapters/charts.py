"""What is set in libraries whose charts a page draws: Plotly, Altair, Bokeh.

In host and child, main thread; see ``adapters``.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_MAIN = "__main__"
_NOTHING = types.SimpleNamespace()


class _Renderers:
    """``pio.renderers``: how figures of Plotly are shown, how each way is set, and which were not used yet."""

    module = "plotly.io._renderers"
    _defaults = "plotly.io._defaults"

    def read(self) -> dict[str, Any]:
        config = getattr(sys.modules[self.module], "renderers", None)
        if config is None:
            return {}
        names = {id(renderer): name for name, renderer in config._renderers.items()}
        return {
            **{f"renderer {name}": (type(each), _copy(vars(each))) for name, each in config._renderers.items()},
            "default": config._default_name,
            "to be activated": [names[id(each)] for each in config._to_activate if id(each) in names],
            "on display": config._render_on_display,
            "images": _copy(vars(getattr(sys.modules.get(self._defaults), "defaults", None) or _NOTHING)),
        }

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        config = sys.modules[self.module].renderers
        for item, value in items.items():
            if item.startswith("renderer "):
                _set_renderer(config._renderers, item.removeprefix("renderer "), *value)
        if "default" in items:
            names = (items["default"] or "").split("+")
            config._default_name = items["default"]
            config._default_renderers = [config[name] for name in names if name in config]
        if "to be activated" in items:
            config._to_activate = [config[name] for name in items["to be activated"]]
        if "on display" in items:
            config.render_on_display = items["on display"]
        if items.get("images"):
            vars(sys.modules[self._defaults].defaults).update(items["images"])
        for item in gone:
            config._renderers.pop(item.removeprefix("renderer "), None)


def _set_renderer(renderers: dict[str, Any], name: str, kind: type, values: dict[str, Any]) -> None:
    renderer = renderers.get(name)
    if type(renderer) is not kind:
        renderers[name] = renderer = object.__new__(kind)
    vars(renderer).update(values)


class _Templates:
    """``pio.templates``: which is the default, those of the notebook's own, and those of Plotly that it has changed."""

    module = "plotly.io._templates"

    def __init__(self) -> None:
        #: As they are in Plotly; each is read from its file when one like it has been in use here.
        self._of_plotly: Any = None

    def read(self) -> dict[str, Any]:
        module: Any = sys.modules[self.module]
        config = getattr(module, "templates", None)
        if config is None:
            return {}
        if self._of_plotly is None:
            self._of_plotly = type(config)()
        found: dict[str, Any] = {}
        for name, each in config._templates.items():
            if name in self._of_plotly and (each is module.Lazy or each._props == self._of_plotly[name]._props):
                continue
            found[f"template {name}"] = each.to_plotly_json()
        if not isinstance(config.default, str | None):
            return {**found, "default": config.default.to_plotly_json()}
        return {**found, "default": config.default}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        module: Any = sys.modules[self.module]
        config = module.templates
        for item, value in items.items():
            if item.startswith("template "):
                config[item.removeprefix("template ")] = value
        if "default" in items:
            default = items["default"]
            config._default = config._validate(default) if isinstance(default, dict) else default
        for item in gone:
            name = item.removeprefix("template ")
            if name in type(config)():
                config._templates[name] = module.Lazy
            else:
                config._templates.pop(name, None)


class _Altair:
    """What is enabled in Altair, with its options: renderers, transformers of data, themes."""

    module = "altair"
    _where = (("renderers",), ("data_transformers",), ("theme", "_themes"), ("vegalite_compilers",))

    def _registries(self) -> Iterator[tuple[str, Any]]:
        for path in self._where:
            registry: Any = sys.modules[self.module]
            for name in path:
                registry = vars(registry).get(name) if registry is not None else None
            if hasattr(registry, "_get_state"):
                yield path[0], registry

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for kind, registry in self._registries():
            state = registry._get_state()
            found[f"{kind} enabled"] = state["_active_name"], state["_options"], state["_global_settings"]
            for name, plugin in state["_plugins"].items():
                if getattr(plugin, "__module__", "") == _MAIN:
                    found[f"{kind} plugin {name}"] = plugin
        return found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        registries = dict(self._registries())
        for item, value in sorted(items.items(), reverse=True):  # a plugin is registered before it is enabled
            kind, what, *name = item.split(" ", 2)
            if what == "plugin":
                registries[kind].register(name[0], value)
            else:
                active, options, settings = value
                registries[kind].enable(active, **options)
                registries[kind]._global_settings.update(settings)
        for item in gone:
            kind, _, *name = item.split(" ", 2)
            registries[kind].register(name[0], None)


class _Bokeh:
    """Where ``show`` of Bokeh shows, the theme, and the numbers of what is shown: each is a name on the page."""

    module = "bokeh.io.state"
    _numbers = "bokeh.util.serialization"

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        numbers: Any = sys.modules.get(self._numbers)
        if isinstance(number := getattr(numbers, "_simple_id", None), int):
            found["number"] = number
        if (state := getattr(sys.modules[self.module], "_STATE", None)) is not None:
            found["notebook"] = state._notebook, state._notebook_type
            found["file"] = state._file
            found["theme"] = state.document.theme._json
        return found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        numbers = vars(importlib.import_module(self._numbers))
        number = items.get("number", numbers["_simple_id"])
        for item, value in items.items():
            state = sys.modules[self.module].curstate()
            match item:
                case "notebook":
                    state._notebook, state._notebook_type = value
                case "file":
                    state._file = value
                case "theme" if value != state.document.theme._json:
                    state.document.theme = importlib.import_module("bokeh.themes").Theme(json=value)
        numbers["_simple_id"] = number  # a new document has taken some


class _BokehSettings:
    """``bokeh.settings.settings``, as far as the notebook has set it."""

    module = "bokeh.settings"

    def read(self) -> dict[str, Any]:
        module = sys.modules[self.module]
        unset = getattr(module, "_Unset", None)
        own = vars(getattr(module, "Settings", object)).items()
        found = {name: getattr(each, "_user_value", unset) for name, each in own if name != "dev"}
        return {name: value for name, value in found.items() if value is not unset}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        settings = sys.modules[self.module].settings
        for name, value in items.items():
            setattr(settings, name, value)
        for name in gone:
            vars(type(settings))[name].unset_value()


def _copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dict(value) if type(value) is dict else value for name, value in values.items()}


RENDERERS, TEMPLATES, ALTAIR = _Renderers(), _Templates(), _Altair()
BOKEH, BOKEH_SETTINGS = _Bokeh(), _BokehSettings()
