"""Print the examples in the docstrings of a package's public functions and classes, as JSON. Run by its interpreter.

``python docstrings.py numpy``: a list of [name, [piece of code, ...]], where a piece ends at each output that the
example shows.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import sys
import warnings
from collections.abc import Iterator
from typing import Any

PARSER = doctest.DocTestParser()


def public(package: Any) -> Iterator[tuple[str, str]]:
    """Give the name and the docstring of everything public, and of the public methods of classes."""
    name = package.__name__
    for attribute in sorted(set(getattr(package, "__all__", dir(package)))):
        try:
            obj = getattr(package, attribute, None)
        except ImportError:  # it asks for another import first
            continue
        if attribute.startswith("_") or inspect.ismodule(obj) or not callable(obj):
            continue
        yield f"{name}.{attribute}", inspect.getdoc(obj) or ""
        if isinstance(obj, type):
            for method in sorted(vars(obj)):
                if not method.startswith("_"):
                    yield f"{name}.{attribute}.{method}", inspect.getdoc(getattr(obj, method)) or ""


def pieces(text: str) -> list[str]:
    """Split the examples of a docstring into cells."""
    found: list[str] = []
    lines: list[str] = []
    for example in PARSER.get_examples(text):
        if doctest.SKIP in example.options or ">>>" in example.source:
            continue
        lines.append(example.source.rstrip("\n"))
        if example.want:
            found.append("\n".join(lines))
            lines = []
    return [*found, "\n".join(lines)] if lines else found


def main(names: list[str]) -> None:
    """Print what is asked for."""
    warnings.simplefilter("ignore")
    examples, seen = [], set()
    for name in names:
        for what, text in public(importlib.import_module(name)):
            try:
                cells = pieces(text)
            except ValueError:  # not a well-formed example
                continue
            if cells and text not in seen:
                seen.add(text)
                examples.append([what, cells])
    print(json.dumps(examples))


if __name__ == "__main__":
    main(sys.argv[1:])
