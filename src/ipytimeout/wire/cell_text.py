"""The text of a cell, and what can be told of it before it runs. Pure; in host and child.

To make Python of a text and to read that takes longer than most of what is asked of it, so each is done once.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator


class CellText:
    """A cell as it was written."""

    def __init__(self, code: str, transform: Callable[[str], str]) -> None:
        """``transform`` makes Python of it, as ``InteractiveShell.transform_cell`` does, and may raise anything."""
        self.code = code
        self.transform = functools.cache(transform)

    @functools.cached_property
    def tree(self) -> ast.Module:
        """What it says; nothing where it is no Python, or a transformer of the user's fails."""
        try:
            return ast.parse(self.transform(self.code))
        except Exception:  # whatever the transformer raises
            return ast.Module([], [])

    @functools.cached_property
    def assigned(self) -> list[tuple[list[str], str]]:
        """What it assigns or deletes on something that has a name: (["plt"], "foo") for ``plt.foo = …``."""
        return list(_assigned(self.tree))


def path_of(node: ast.AST) -> list[str]:
    """Return the names of ``a.b.c``; none of anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def _assigned(tree: ast.AST) -> Iterator[tuple[list[str], str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value, attribute, ast.Store() | ast.Del()):
                path = path_of(value)
            case ast.Subscript(value, ast.Constant(str(attribute)), ast.Store() | ast.Del()):
                path = path_of(value)
                path = path if path == ["sys", "modules"] else []
            case ast.Call(ast.Name("setattr" | "delattr"), [value, ast.Constant(str(attribute)), *_]):
                path = path_of(value)
            case _:
                continue
        if path:
            yield path, attribute
