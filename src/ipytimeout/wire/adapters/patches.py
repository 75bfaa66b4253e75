"""What libraries put into others when they are asked to: ``nest_asyncio.apply()``, ``tqdm.pandas()``.

In host and child, main thread; see ``adapters``. Law of the file: it is put there by the library's own function.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any


class _Nested:
    """Loops that run within themselves. ``module``: of which of two packages, the second goes on with the first."""

    def __init__(self, module: str) -> None:
        self.module = module

    def read(self) -> dict[str, Any]:
        asyncio = sys.modules.get("asyncio")
        is_newer = hasattr(asyncio, "_nest_asyncio2")
        return {"applied": hasattr(asyncio, "_nest_patched") and is_newer == (self.module == "nest_asyncio2")}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        if not items["applied"]:
            raise ValueError("it cannot be undone from outside")
        import asyncio

        apply = sys.modules[self.module].apply
        try:
            apply(asyncio.get_running_loop())
        except RuntimeError:
            loop = asyncio.new_event_loop()
            apply(loop)  # it is the class of loops that is changed
            loop.close()


class _Tqdm:
    """``df.progress_apply`` and its like: of which class the bars are, and with which words."""

    module = "tqdm.std"
    _method = "progress_apply"

    def read(self) -> dict[str, Any]:
        frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
        method: Any = vars(frame).get(self._method) if frame is not None else None
        if getattr(method, "__module__", "") != self.module:
            return {}
        cells = dict(zip(method.__code__.co_freevars, method.__closure__ or (), strict=True))
        if not {"cls", "tqdm_kwargs"} <= cells.keys():
            return {}  # another version
        return {self._method: (cells["cls"].cell_contents, dict(cells["tqdm_kwargs"].cell_contents))}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for kind, words in items.values():
            kind.pandas(**words)


NESTED = {name: _Nested(name) for name in ("nest_asyncio", "nest_asyncio2")}
TQDM = _Tqdm()
