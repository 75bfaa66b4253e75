"""Compare a timed run of a notebook with native ones, of which there are three or more where it differs. Pure.

Law of the file: only what the native runs agree on is compared, and as little as possible is dropped: where only
some words of a text differ natively, only these are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.as_if.named import NEW_TEXT, accepted, named_in, without_line
from tests.as_if.notebooks import Cell, Notebook
from tests.as_if.session import Record, Seen

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*(?:e[+-]?\d+)?|\w+|\s+|.", re.DOTALL)
#: A time, whatever its unit.
_TIME = re.compile(r"\b\d+(\.\d+)?(e[+-]?\d+)? ?(ns|[µμ]s|us|ms|s)\b")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:e[+-]?\d+)?|[-+]?\b(?:nan|inf)\b")
_SPACES = re.compile(r"\s+")
_WORD = re.compile(r"[^\W\d]\w*")
#: State that much else depends on: where it is different, what a later cell shows follows from it.
_TELLING = re.compile(
    r"(numpy\.|torch\.)?random|rcParams: (?!interactive|backend)|pandas\.options|numpy\.(print|err)|decimal|cwd|polars\."
    r"|sklearn\.|shell: (ast|float|xmode|formatters|aliases|line|cell)|logging"
)
#: What the shell imports to show a traceback or a page, wherever it does that; and what this package gets ready by
#: itself while the kernel is idle, whenever that is.
_OF_SHELLS = frozenset({"asttokens", "executing", "pure_eval", "stack_data", "pygments", "IPython", "ipytimeout"})
_THIS = "Out of this cell"
#: IPython drops it with each cell: whether the next one is at the same address is chance.
_MADE_ANEW = "__warningregistry__"
#: What stands for output that natively is never the same.
_ANY = object()


@dataclass(frozen=True, slots=True)
class Difference:
    #: "outputs", "name", "sharing", "modules", "state", "history".
    kind: str
    key: str
    native: str
    timed: str
    #: Whether it does not follow from a difference of an earlier cell.
    new: bool = True
    #: Whether it is a name that could not come back, as the README says, and as the user is told; or follows from one.
    named: bool = False


@dataclass(slots=True)
class Compared:
    """One cell."""

    notebook: Notebook
    number: int
    cell: Cell
    #: Whether the native runs gave the same outputs, but for single words.
    deterministic: bool
    differences: list[Difference] = field(default_factory=list)
    #: Whether something is named under the cell, and only what the README says.
    names_something: bool = False

    @property
    def same(self) -> bool:
        return not self.differences and not self.names_something

    @property
    def named(self) -> bool:
        """Whether all that is different is named, or follows from what was."""
        return not self.same and all(d.named for d in self.differences)

    @property
    def new(self) -> list[Difference]:
        return [d for d in self.differences if d.new]


def compare(notebook: Notebook, natives: list[Record], timed: Record) -> list[Compared]:
    """Compare all cells that ran natively."""
    length = min(len(native.cells) for native in natives)
    found: list[Compared] = []
    before: set[tuple[str, str]] = set()
    lost: set[str] = set()
    for i, cell in enumerate(notebook.cells[:length]):
        seen = [native.cells[i] for native in natives]
        if i >= len(timed.cells):
            why = Difference("outputs", "the cell", "ran", timed.trouble or "did not run", new=i == len(timed.cells))
            found.append(Compared(notebook, i + 1, cell, deterministic=True, differences=[why]))
            continue
        refused = named_in(timed.cells[i])
        are_listed = bool(refused) and all(map(accepted, refused.values()))
        seen_timed = without_line(timed.cells[i]) if are_listed else timed.cells[i]
        outputs, deterministic = _compare_outputs(seen, seen_timed)
        differences = [*outputs, *_compare_left([each.left for each in seen], seen_timed.left)]
        lost |= {module for module, reason in refused.items() if reason == NEW_TEXT}
        marked = [
            replace(_marked(each, cell, before), named=_is_named(each, cell, lost, refused)) for each in differences
        ]
        # What is the same again is lost no more; what comes of a lost name is lost too.
        lost = {f"Out[{seen[0].execution_count}]" if d.key == _THIS else d.key for d in marked if d.named}
        before = {(d.kind, d.key) for d in marked if d.kind != "outputs"}
        found.append(Compared(notebook, i + 1, cell, deterministic, marked, are_listed))
    return found


def _marked(difference: Difference, cell: Cell, before: set[tuple[str, str]]) -> Difference:
    """Say whether this follows from what was different before the cell."""
    follows = (difference.kind, difference.key) in before
    if difference.kind in ("outputs", "name", "sharing", "history"):
        used = set(_WORD.findall(cell.code))
        follows = follows or any(kind == "name" and key in used for kind, key in before)
        follows = follows or any(kind == "state" and _TELLING.match(key) for kind, key in before)
    if difference.kind == "history":
        follows = follows or difference.key != _THIS
    return Difference(difference.kind, difference.key, difference.native, difference.timed, new=not follows)


def _is_named(difference: Difference, cell: Cell, lost: set[str], refused: dict[str, str]) -> bool:
    """Tell whether a difference is one of a name that could not come back, or of a cell that uses such a name.

    ``lost``: names, and results in ``Out``, that were lost before this cell.
    """
    key = difference.key
    if difference.kind not in ("name", "sharing", "outputs", "history"):
        return False
    if accepted(refused.get(key, "")) or key in lost:
        return True
    if difference.kind == "sharing":
        return not (lost | {name for name in refused if accepted(refused[name])}).isdisjoint(_WORD.findall(key))
    if key in ("_", "__", "___"):
        return any(each.startswith("Out[") for each in lost)
    return not lost.isdisjoint(_WORD.findall(cell.code))


# ---------------------------------------------------------------- outputs


def _compare_outputs(natives: list[Seen], timed: Seen) -> tuple[list[Difference], bool]:
    shapes = [_shape(seen) for seen in natives]
    if len(set(shapes)) > 1:
        return [], False
    if shapes[0] != _shape(timed):
        return [Difference("outputs", "the list of outputs", shapes[0], f"{_shape(timed)}\n{_all_text(timed)}")], True
    deterministic = True
    differences = []
    for key, texts in _side_by_side([_texts(seen) for seen in natives]):
        wanted = common(texts)
        if wanted is _ANY:
            deterministic = False
        elif not matches(wanted, got := _texts(timed).get(key, "")):
            differences.append(Difference("outputs", key, texts[0], got))
    return differences, deterministic


def _shape(seen: Seen) -> str:
    """Say what kinds of outputs there are, in order."""
    kinds = [seen.status, f"[{seen.execution_count}]"]
    for output in seen.outputs:
        kind = str(output.get("name", output["kind"]))
        if "data" in output:
            kind += f"({', '.join(sorted(output['data']))})"
            kind += " with an id" if output["display_id"] else ""
        kinds.append(kind)
    kinds += [f"payload {p.get('source')}" for p in seen.payload]
    return "; ".join(kinds)


def _texts(seen: Seen) -> dict[str, str]:
    found: dict[str, str] = {}
    for i, output in enumerate(seen.outputs):
        match output["kind"]:
            case "stream":
                found[f"{output['name']} {i}"] = output["text"]
            case "error":
                found[f"error {i}"] = f"{output['ename']}: {output['evalue']}"
                found[f"traceback {i}"] = output["traceback"]
            case "display_data" | "update_display_data" | "execute_result":
                for mime, data in output["data"].items():
                    found[f"{output['kind']} {i} {mime}"] = data if isinstance(data, str) else json.dumps(data)
                rest = {k: output[k] for k in ("metadata", "count", "display_id")}
                found[f"{output['kind']} {i}"] = json.dumps(rest, sort_keys=True)
            case kind:
                found[f"{kind} {i}"] = json.dumps(output, sort_keys=True)
    found |= {f"payload {i}": json.dumps(p, sort_keys=True) for i, p in enumerate(seen.payload)}
    return found


def _all_text(seen: Seen) -> str:
    return "\n".join(t for k, t in _texts(seen).items() if len(t) < 2000)


def _side_by_side(mappings: list[dict[str, str]]) -> Iterable[tuple[str, list[str]]]:
    for key in mappings[0]:
        yield key, [mapping.get(key, "") for mapping in mappings]


def common(texts: list[str]) -> Any:
    """Return the tokens that the texts have in common, with None for those that differ; or ``_ANY``."""
    if len(set(texts)) == 1:
        return texts[0]
    texts = [_TIME.sub("<time>", text) for text in texts]
    if (by_chance := _by_chance(texts)) is not None:
        return by_chance
    if max(map(len, texts)) > 200_000:
        return _ANY
    tokens = [_TOKEN.findall(text) for text in texts]
    if len(set(map(len, tokens))) > 1:
        return _ANY
    merged = [these[0] if len(set(these)) == 1 else None for these in zip(*tokens, strict=True)]
    return merged if sum(token is None for token in merged) <= len(merged) / 3 else _ANY


@dataclass(frozen=True, slots=True)
class _ByChance:
    """A text of which some numbers differ natively: then others may be the same each time by chance.

    None of their lines is compared but for its words, and none of the lines that have no word of their own.
    """

    lines: tuple[str, ...]
    left_open: tuple[bool, ...]

    def matches(self, text: str) -> bool:
        lines = text.splitlines()
        return len(lines) == len(self.lines) and all(
            without_numbers(line) == without_numbers(wanted) if left_open else line == wanted
            for line, wanted, left_open in zip(lines, self.lines, self.left_open, strict=True)
        )


def _by_chance(texts: list[str]) -> _ByChance | None:
    if len({without_numbers(text) for text in texts}) > 1 or len({len(text.splitlines()) for text in texts}) > 1:
        return None
    lines = list(zip(*(text.splitlines() for text in texts), strict=True))
    differs = [len(set(these)) > 1 for these in lines]
    wordless = [not _WORD.search(without_numbers(these[0])) for these in lines]
    left_open = [d or (any(differs) and w) for d, w in zip(differs, wordless, strict=True)]
    return _ByChance(tuple(these[0] for these in lines), tuple(left_open))


def without_numbers(text: str) -> str:
    return _SPACES.sub("", _NUMBER.sub("", text))


def matches(wanted: Any, text: str) -> bool:
    """Tell whether a text is what the native ones have in common."""
    if isinstance(wanted, _ByChance):
        return wanted.matches(_TIME.sub("<time>", text))
    if isinstance(wanted, str):
        return wanted == text
    tokens = _TOKEN.findall(_TIME.sub("<time>", text))
    return len(tokens) == len(wanted) and all(w is None or w == t for w, t in zip(wanted, tokens, strict=True))


# ---------------------------------------------------------------- what is left


def _compare_left(natives: list[dict[str, Any]], timed: dict[str, Any]) -> list[Difference]:
    first = natives[0]
    differences = [
        *_compare_texts("name", [n["names"] for n in natives], timed["names"]),
        *_compare_texts("state", [n["state"] for n in natives], timed["state"]),
    ]
    numbers = sorted({*first["out"], *timed["out"]}, key=int)
    last = numbers[-1] if numbers else ""
    for d in _compare_texts("history", [n["out"] for n in natives], timed["out"]):
        key = _THIS if d.key == last else f"Out[{d.key}]"
        differences.append(Difference(d.kind, key, d.native, d.timed))
    if len({str(n["in"]) for n in natives}) == 1 and first["in"] != timed["in"]:
        differences.append(Difference("history", _THIS, str(first["in"]), str(timed["in"])))
    wanted = set.intersection(*(set(n["sharing"]) for n in natives))
    possible = set.union(*(set(n["sharing"]) for n in natives))
    got = set(timed["sharing"])
    differences += [Difference("sharing", group, "shared", "not") for group in sorted(wanted - got)]
    differences += [Difference("sharing", group, "not", "shared") for group in sorted(got - possible)]
    missing = set.intersection(*(set(n["modules"]) for n in natives)) - set(timed["modules"])
    missing = {name for name in missing if name.partition(".")[0] not in _OF_SHELLS}
    differences += [Difference("modules", name, "imported", "not") for name in sorted(missing)]
    return differences


def _compare_texts(kind: str, natives: list[dict[str, str]], timed: dict[str, str]) -> list[Difference]:
    differences = []
    for key in dict.fromkeys([*natives[0], *timed]):
        if kind == "state" and key not in natives[0] and "." in key.partition(":")[0]:
            continue  # of a library that is not imported natively
        texts = [native.get(key, "<missing>") for native in natives]
        got = timed.get(key, "<missing>")
        if key == _MADE_ANEW:
            texts, got = [text.partition(" ")[2] for text in texts], got.partition(" ")[2]
        if len(set(texts)) == 1 and texts[0] != got:
            differences.append(Difference(kind, key, texts[0], got))
    return differences
