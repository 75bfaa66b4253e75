"""What a later cell would find in a kernel beside names, as plain text. Its source is sent to the kernel too.

Law of the file: as of ``look.py``: it touches nothing, and reads only of what is imported.
"""

from __future__ import annotations

import gc
import hashlib
import os
import re
import sys
from typing import Any

#: Variables of whoever started the kernel.
OF_THE_CALLER = ("JPY_PARENT_PID", "OLDPWD", "PWD", "SHLVL", "_")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")


def digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def umask() -> str:
    with open("/proc/self/status") as file:
        return next(line for line in file if line.startswith("Umask"))


def state_of(shell: Any) -> dict[str, str]:
    modules = sys.modules
    found: dict[str, Any] = {
        "cwd": os.getcwd() if os.path.isdir(".") else "gone",
        "environ": {k: v for k, v in sorted(os.environ.items()) if k not in OF_THE_CALLER},
        "sys.path": list(sys.path),
        "sys.argv": list(sys.argv),
        "recursion limit": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "collector": (gc.isenabled(), gc.get_threshold(), gc.get_debug()),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "umask": umask(),
        "sys.displayhook": type(sys.displayhook).__name__,
        "shell": {
            "ast_node_interactivity": shell.ast_node_interactivity,
            "autocall": getattr(shell, "autocall", None),
            "automagic": getattr(shell, "automagic", None),
            "xmode": getattr(shell, "xmode", None) or shell.InteractiveTB.mode,
            "colors": shell.colors,
            "pdb": shell.call_pdb,
            "float_format": getattr(shell.display_formatter.formatters["text/plain"], "float_format", ""),
            "pprint": getattr(shell.display_formatter.formatters["text/plain"], "pprint", None),
            "active types": list(shell.display_formatter.active_types),
            "extensions": sorted(shell.extension_manager.loaded),
            "line magics": sorted(shell.magics_manager.magics["line"]),
            "cell magics": sorted(shell.magics_manager.magics["cell"]),
            "aliases": sorted(shell.alias_manager.aliases),
            # A deferred printer becomes one of its class when it is first used.
            "formatters": {
                kind: sorted(
                    {f"{c.__module__}.{c.__qualname__}" for c in formatter.type_printers}
                    | {".".join(map(str, names)) for names in formatter.deferred_printers}
                )
                for kind, formatter in shell.display_formatter.formatters.items()
            },
            "callbacks": {k: [getattr(f, "__qualname__", "?") for f in v] for k, v in shell.events.callbacks.items()},
            "ast transformers": [type(t).__name__ for t in shell.ast_transformers],
            "input transformers": [getattr(t, "__name__", "?") for t in shell.input_transformers_post],
        },
    }
    if "resource" in modules:
        names = [name for name in dir(modules["resource"]) if name.startswith("RLIMIT_") and name != "RLIMIT_RTTIME"]
        found["limits"] = {name: modules["resource"].getrlimit(getattr(modules["resource"], name)) for name in names}
    if "socket" in modules:
        found["socket timeout"] = modules["socket"].getdefaulttimeout()
    if "random" in modules:
        found["random"] = digest(repr(modules["random"].getstate()).encode())
    if "warnings" in modules:
        found["warnings.filters"] = [
            (f[0], getattr(f[1], "pattern", f[1]), f[2].__name__, getattr(f[3], "pattern", f[3]), f[4])
            for f in modules["warnings"].filters
            # numpy's own, whenever it is imported
            if not (" size changed" in str(getattr(f[1], "pattern", f[1])) or f[2].__name__ == "RankWarning")
        ]
    if "decimal" in modules:
        found["decimal"] = repr(modules["decimal"].getcontext())
    if "locale" in modules:
        found["locale"] = modules["locale"].setlocale(modules["locale"].LC_ALL)
    if "logging" in modules:
        logging = modules["logging"]
        of_root = [(type(h).__name__, h.level) for h in logging.root.handlers]
        # Others than those of the user's notebook come and go with what is imported.
        named = {n: o.level for n, o in logging.root.manager.loggerDict.items() if getattr(o, "level", 0)}
        found["logging"] = [logging.root.level, of_root, logging.root.manager.disable, sorted(named.items())]
    if hasattr(modules.get("numpy"), "get_printoptions"):
        numpy = modules["numpy"]
        found["numpy.printoptions"] = sorted((k, str(v)) for k, v in numpy.get_printoptions().items())
        found["numpy.errstate"] = sorted(numpy.geterr().items())
    if hasattr(modules.get("numpy.random"), "get_state"):
        found["numpy.random"] = digest(repr(modules["numpy.random"].get_state(legacy=False)).encode())
    if hasattr(modules.get("matplotlib"), "rcParams"):
        rc = dict.items(modules["matplotlib"].rcParams)
        found["rcParams"] = {k: ADDRESS.sub("", str(v)) for k, v in rc if "sentinel" not in str(v).lower()}
    if hasattr(modules.get("matplotlib.pyplot"), "get_fignums"):
        found["figures"] = modules["matplotlib.pyplot"].get_fignums()
    if hasattr(modules.get("pandas"), "options"):
        config = modules["pandas._config.config"]
        found["pandas.options"] = {
            k: str(config.get_option(k))
            for k in sorted(config._registered_options)
            if k not in config._deprecated_options
        }
    if hasattr(modules.get("torch"), "get_rng_state"):
        found["torch.random"] = digest(modules["torch"].get_rng_state().numpy().tobytes())
    if hasattr(modules.get("sklearn"), "get_config"):
        found["sklearn.config"] = modules["sklearn"].get_config()
    if hasattr(modules.get("polars"), "Config"):
        found["polars.config"] = modules["polars"].Config.state()
    flat: dict[str, str] = {}
    for key, value in found.items():
        if isinstance(value, dict):
            flat.update({f"{key}: {k}": ADDRESS.sub("0x", str(v)) for k, v in value.items()})
        else:
            flat[key] = ADDRESS.sub("0x", str(value))
    return flat
