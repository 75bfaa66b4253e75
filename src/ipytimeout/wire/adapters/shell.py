"""What a notebook sets in IPython's shell: extensions, magics, aliases, formatters, traits. See ``adapters``."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any

#: Extensions that each shell has anyway, and this package, whose place is the kernel.
_NOT_SENT = frozenset({"ipytimeout", "storemagic", "IPython.extensions.storemagic"})
_TRAITS = ("ast_node_interactivity", "colors", "call_pdb", "autocall")
_TRANSFORMERS = ("input_transformers_cleanup", "input_transformers_post", "ast_transformers")
_AUTORELOAD = ("enabled", "check_all", "autoload_obj")
_MAIN = "__main__"


class _Shell:
    """Items are named "kind name", as in "line magic hello"."""

    module = "IPython"

    def read(self) -> dict[str, Any]:
        shell = get_shell()
        if shell is None:
            return {}
        items: dict[str, Any] = {f"trait {name}": getattr(shell, name, None) for name in _TRAITS}
        items["traceback mode"] = shell.InteractiveTB.mode
        # Whatever else the notebook has put there shows numbers in a way of its own.
        items["precision"] = getattr(shell.display_formatter.formatters["text/plain"], "float_precision", "")
        items["formats"] = sorted(shell.display_formatter.active_types)
        items["pprint"] = shell.display_formatter.formatters["text/plain"].pprint
        items["automagic"] = shell.magics_manager.auto_magic
        items["pushed directories"] = list(shell.dir_stack)
        items |= {f"extension {name}": True for name in shell.extension_manager.loaded - _NOT_SENT}
        items |= {f"alias {name}": command for name, command in shell.alias_manager.aliases}
        items |= self._magics(shell.magics_manager.magics)
        items |= self._printers(shell.display_formatter.formatters)
        items |= self._hooks(shell)
        if (reloader := _reloader(shell)) is not None:
            items["autoreload"] = {name: getattr(reloader, name, False) for name in _AUTORELOAD}
        return items

    @staticmethod
    def _magics(magics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the magics that the notebook has defined; those of a class by their class."""
        items: dict[str, Any] = {}
        for kind, functions in magics.items():
            for name, function in functions.items():
                # Nothing is asked of any other: IPython's own are imported when they are looked into.
                if type(function).__name__ == "MagicAlias":
                    items[f"alias of a {kind} magic {name}"] = (function.magic_name, function.magic_params)
                elif type(function) is types.MethodType and type(function.__self__).__module__ == _MAIN:
                    items[f"magics {type(function.__self__).__qualname__}"] = type(function.__self__)
                elif type(function) is types.FunctionType and function.__module__ == _MAIN:
                    items[f"{kind} magic {name}"] = function
        return items

    @staticmethod
    def _printers(formatters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the printers that the notebook has registered."""
        return {
            f"printer {mime} {kind.__module__}.{kind.__qualname__}": (kind, function)
            for mime, formatter in formatters.items()
            for kind, function in formatter.type_printers.items()
            if is_of_notebook(function)
        }

    @staticmethod
    def _hooks(shell: Any) -> dict[str, Any]:
        """Return what the notebook has registered to be called with each cell."""
        lists = {f"callbacks {event}": functions for event, functions in shell.events.callbacks.items()}
        lists |= {f"transformers {name}": getattr(shell, name) for name in _TRANSFORMERS}
        return {item: own for item, functions in lists.items() if (own := tuple(filter(is_of_notebook, functions)))}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        shell = get_shell()
        if shell is None:
            return
        for item, value in items.items():
            self._set(shell, item, value)
        for item in gone:
            self._unset(shell, item)

    @staticmethod
    def _set(shell: Any, item: str, value: Any) -> None:
        words = item.split()
        match words:
            case ["trait", name]:
                setattr(shell, name, value)
            case ["traceback", "mode"]:
                shell.InteractiveTB.set_mode(mode=value)
            case ["precision"]:
                shell.display_formatter.formatters["text/plain"].float_precision = value
            case ["pprint"]:
                shell.display_formatter.formatters["text/plain"].pprint = value
            case ["automagic"]:
                shell.magics_manager.auto_magic = value
            case ["pushed", "directories"]:
                shell.dir_stack[:] = value
            case ["autoreload"]:
                vars(_reloader(shell)).update(value)
            case ["formats"]:
                shell.display_formatter.active_types = value
            case ["extension", name]:
                shell.extension_manager.load_extension(name)
            case ["alias", "of", "a", kind, "magic", name]:
                shell.magics_manager.register_alias(name, value[0], kind, value[1])
            case ["alias", name]:
                shell.alias_manager.undefine_alias(name) if shell.alias_manager.is_alias(name) else None
                shell.alias_manager.define_alias(name, value)
            case ["magics", _]:
                shell.register_magics(value)
            case [kind, "magic", name]:
                shell.register_magic_function(value, kind, name)
            case ["callbacks" | "transformers" as kind, name]:
                _put_own(shell.events.callbacks[name] if kind == "callbacks" else getattr(shell, name), value)
            case ["printer", mime, _]:
                shell.display_formatter.formatters[mime].for_type(*value)
            case _:
                raise ValueError(f"no item of a shell: {item}")

    @staticmethod
    def _unset(shell: Any, item: str) -> None:
        match item.split():
            case ["extension", name]:
                shell.extension_manager.unload_extension(name)
            case ["alias", "of", "a", kind, "magic", name] | [kind, "magic", name]:
                shell.magics_manager.magics[kind].pop(name, None)
            case ["alias", name]:
                shell.alias_manager.undefine_alias(name)
            case ["callbacks" | "transformers" as kind, name]:
                _put_own(shell.events.callbacks[name] if kind == "callbacks" else getattr(shell, name), ())
            case ["printer", mime, kind]:
                printers = shell.display_formatter.formatters[mime].type_printers
                for each in [each for each in printers if f"{each.__module__}.{each.__qualname__}" == kind]:
                    del printers[each]
            case _:
                return


def _reloader(shell: Any) -> Any:
    """Return what ``%autoreload`` sets; None before it is loaded."""
    return getattr(shell.magics_manager.registry.get("AutoreloadMagics"), "_reloader", None)


def is_of_notebook(function: Any) -> bool:
    """Tell whether this can only be told by what it is made of: the notebook's own, and what a library has made.

    IPython's own, and those of its figures, come with their settings.
    """
    function = getattr(function, "__func__", function)
    owner = function if type(function) is types.FunctionType else type(function)
    module = getattr(owner, "__module__", "") or ""
    return module == _MAIN or (
        "<locals>" in owner.__qualname__ and not module.startswith(("IPython", "matplotlib", "ipykernel", "ipytimeout"))
    )


def _put_own(functions: list[Any], own: tuple[Any, ...]) -> None:
    """Let these be the notebook's in a list; all others stay where they are."""
    functions[:] = [each for each in functions if not is_of_notebook(each)] + list(own)


class _Inline:
    """How figures are shown: ``%config InlineBackend``."""

    module = "matplotlib_inline.config"
    _traits = ("figure_formats", "rc", "print_figure_kwargs", "close_figures")

    def read(self) -> dict[str, Any]:
        backend: Any = sys.modules[self.module].InlineBackend
        if not backend.initialized():
            return {}
        own = backend.instance()
        return {name: _copied(getattr(own, name)) for name in self._traits}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        shell = get_shell()
        if shell is None:
            return
        own: Any = sys.modules[self.module].InlineBackend.instance(parent=shell)
        own.shell = shell
        if own not in shell.configurables:
            shell.configurables.append(own)
        for name, value in items.items():
            setattr(own, name, value)


def _copied(value: Any) -> Any:
    return type(value)(value) if type(value) in (dict, set, list) else value


def get_shell() -> Any:
    get: Callable[[], Any] | None = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get() if get is not None else None


SHELL, INLINE = _Shell(), _Inline()
