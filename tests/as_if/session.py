"""Run one notebook in one fresh kernel and write down, cell by cell, what is seen and what is there afterwards."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from tests.as_if.notebooks import Notebook
from tests.kernels.harness import Kernel

LOOK, STATE = ((Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("look.py", "process_state.py"))
#: A cell that natively needs longer is too slow for this harness.
SLOW = 20.0
#: More than the deadline of a timed cell, which ends it by itself.
STUCK = 100.0

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_OF_PROCESS = re.compile(r"ipykernel_\d+")
#: The last are the names of parts of an SVG of matplotlib.
_UNIQUE = re.compile(
    r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b(?:image|[hmp])[0-9a-f]{10}\b"
)

#: One output: its kind, what it is called, and its texts.
Output = dict[str, Any]


@dataclass(slots=True)
class Seen:
    """What one cell gave."""

    outputs: list[Output] = field(default_factory=list)
    status: str = ""
    execution_count: int = 0
    payload: list[Any] = field(default_factory=list)
    #: What ``look.py`` found after it.
    left: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(slots=True)
class Record:
    """What one notebook gave in one kernel."""

    cells: list[Seen] = field(default_factory=list)
    #: Why it was not run, or not to its end; "" when it was.
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Record:
        return cls([Seen(**cell) for cell in data["cells"]], data["trouble"])


def plain(text: str) -> str:
    """Return a text without colours, addresses and process numbers."""
    return _OF_PROCESS.sub("ipykernel_", _ADDRESS.sub("0x", _COLOUR.sub("", text)))


class Session:
    """A fresh kernel in an empty folder, which has the same path each time."""

    def __init__(self, python: str, folder: Path, environ: dict[str, str], prefix: str = "") -> None:
        self._prefix = prefix
        shutil.rmtree(folder, ignore_errors=True)
        work = folder / "work"
        work.mkdir(parents=True)
        self._found = folder / "found.json"
        of_run = {
            "IPYTHONDIR": str(folder / "ipython"),
            "HOME": str(folder),
            "MPLCONFIGDIR": str(folder.parent / "mpl"),
        }
        self._kernel = Kernel(python, folder, {**of_run, **environ}, cwd=str(work), stderr=subprocess.DEVNULL)
        self._unique: dict[str, str] = {}
        start = (
            "(lambda shell, run: setattr(shell.kernel, 'as_if', "
            f"run({LOOK!r})['Eye'](shell, run({STATE!r})['state_of'])))(get_ipython(), "
            "lambda text: (own := {'__name__': 'as_if_look'}, exec(compile(text, 'look', 'exec'), own))[0])"
        )
        self.run("%load_ext ipytimeout")
        # What that imports beside what the user does is not what a cell imports.
        imports = "[each.join() for each in __import__('threading').enumerate() if each.name == 'ipytimeout: begin']"
        self._evaluate(imports)
        self._evaluate(start)

    def run(self, code: str) -> Seen:
        """Run one cell."""
        client = self._kernel.client
        seen = Seen()
        began = time.monotonic()
        request = client.execute(code, allow_stdin=False)
        until = began + STUCK
        while True:
            try:
                message = client.get_iopub_msg(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                raise Stuck from None
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                break
            if (output := self._output(kind, content)) is not None:
                seen.outputs.append(output)
        while True:
            reply = client.get_shell_msg(timeout=STUCK)
            if reply["parent_header"].get("msg_id") == request:
                break
        seen.status = reply["content"]["status"]
        seen.execution_count = reply["content"].get("execution_count", 0)
        seen.payload = [self._texts(p) for p in reply["content"].get("payload", [])]
        seen.seconds = time.monotonic() - began
        return seen

    def look(self) -> dict[str, Any]:
        """Look at what is there now."""
        self._evaluate(f"get_ipython().kernel.as_if({str(self._found)!r})")
        found: dict[str, Any] = json.loads(self._found.read_text(encoding="utf-8", errors="surrogatepass"))
        return {
            **found,
            "names": {name: self._text(text) for name, text in found["names"].items()},
            "out": {name: self._text(text) for name, text in found["out"].items()},
        }

    def let_go(self) -> None:
        """Refer to nothing any more, not even weakly: an array that somebody refers to cannot be resized."""
        self._evaluate("get_ipython().kernel.as_if.refs.clear()")

    def has(self, modules: tuple[str, ...]) -> list[str]:
        """Return which of these modules cannot be imported here."""
        expression = f"[m for m in {list(modules)!r} if __import__('importlib.util').util.find_spec(m) is None]"
        missing: list[str] = json.loads(self._evaluate(expression).replace("'", '"'))
        return missing

    def without_magic(self, text: str) -> str:
        """Leave out the line of the magic, where a cell shows earlier cells: its author has written it."""
        if not self._prefix:
            return text
        shown = self._prefix
        for _ in range(3):  # as it is, as its ``repr``, and as the ``repr`` of that
            text, shown = text.replace(shown, ""), repr(shown)[1:-1]
        return text

    def close(self) -> None:
        self._kernel.close()

    def _evaluate(self, expression: str) -> str:
        """Evaluate an expression between two cells, without counting as one."""
        client = self._kernel.client
        request = client.execute("", silent=True, store_history=False, user_expressions={"x": expression})
        while True:
            reply = client.get_shell_msg(timeout=STUCK)
            if reply["parent_header"].get("msg_id") == request:
                break
        found = reply["content"]["user_expressions"]["x"]
        if found["status"] != "ok":
            raise RuntimeError("looking failed: " + "\n".join(found["traceback"]))
        return str(found["data"].get("text/plain", ""))

    # ------------------------------------------------------------ messages

    def _output(self, kind: str, content: dict[str, Any]) -> Output | None:
        match kind:
            case "stream":
                return {"kind": kind, "name": content["name"], "text": content["text"]}
            case "display_data" | "update_display_data" | "execute_result":
                shown = "display_id" in content.get("transient", {})
                return {
                    "kind": kind,
                    "data": {mime: self._texts(data) for mime, data in content["data"].items()},
                    "metadata": self._texts(content.get("metadata", {})),
                    "count": content.get("execution_count"),
                    "display_id": self._texts(content["transient"]["display_id"]) if shown else None,
                }
            case "error":
                return {
                    "kind": kind,
                    "ename": content["ename"],
                    "evalue": self._text(content["evalue"]),
                    "traceback": self._text("\n".join(content["traceback"])),
                }
            case "clear_output":
                return {"kind": kind, "wait": content.get("wait")}
            case "comm_open" | "comm_msg" | "comm_close":
                return {"kind": kind, "content": self._texts(content)}
        return None  # status, execute_input

    def _text(self, text: str) -> str:
        """Number what is unique in the order of its appearance."""
        text = plain(self.without_magic(text))
        return _UNIQUE.sub(lambda m: self._unique.setdefault(m[0], f"<unique {len(self._unique)}>"), text)

    def _texts(self, data: Any) -> Any:
        if isinstance(data, str):
            return self._text(data)
        if isinstance(data, dict):
            return {self._text(k): self._texts(v) for k, v in data.items()}
        return [self._texts(each) for each in data] if isinstance(data, list) else data


class Stuck(Exception):
    """A cell did not end, although it had to."""


def record(notebook: Notebook, python: str, folder: Path, prefix: str, environ: dict[str, str]) -> Record:
    """Run a notebook in a fresh kernel; ``prefix`` is the first line of each cell, or "" for natively."""
    result = Record()
    session = Session(python, folder, environ, prefix)
    try:
        if missing := session.has(notebook.needs):
            result.trouble = f"not installed: {', '.join(missing)}"
            return result
        if notebook.setup:
            session.run(notebook.setup)
        session.look()
        for cell in notebook.cells:
            if ".resize(" in cell.code:
                session.let_go()
            seen = session.run(prefix + cell.code)
            seen.outputs = merged(seen.outputs)
            for output in seen.outputs:
                if output["kind"] == "stream":
                    output["text"] = session.without_magic(output["text"])
            seen.left = session.look()
            result.cells.append(seen)
            if not prefix and seen.seconds > SLOW:
                result.trouble = f"cell {len(result.cells)} is too slow: {seen.seconds:.0f} s"
                break
    except Stuck:
        result.trouble = f"cell {len(result.cells) + 1} did not end"
    except (RuntimeError, Empty) as error:
        result.trouble = f"after cell {len(result.cells)}: {type(error).__name__}: {error}"
    finally:
        session.close()
    return result


def merged(outputs: list[Output]) -> list[Output]:
    """Join the texts of each stream between two other outputs: how they are cut into messages is chance.

    So is how the two streams are interleaved natively: each is sent when its buffer is.
    """
    result: list[Output] = []
    open_streams: dict[str, Output] = {}
    for output in outputs:
        if output["kind"] == "stream":
            stream = open_streams.get(output["name"])
            if stream is None:
                stream = open_streams[output["name"]] = {**output, "text": ""}
                result.append(stream)
            stream["text"] += output["text"]
        else:
            open_streams = {}
            result.append(output)
    for output in result:
        if output["kind"] == "stream":
            output["text"] = plain(output["text"])
    # stdout before stderr, as they are flushed
    return _in_order(result)


def _in_order(outputs: list[Output]) -> list[Output]:
    """Put stdout before stderr where they stand side by side."""
    for i in range(len(outputs) - 1):
        one, two = outputs[i], outputs[i + 1]
        if one["kind"] == two["kind"] == "stream" and (one["name"], two["name"]) == ("stderr", "stdout"):
            outputs[i], outputs[i + 1] = two, one
    return outputs
