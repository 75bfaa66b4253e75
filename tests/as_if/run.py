"""Run notebooks natively and timed, several at a time, and remember what they natively gave.

What three native runs gave is kept in ``.as-if`` at the top of the repository (git-ignored), by what it depends on:
cells, interpreter, installed versions, and how the harness looks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.as_if import session
from tests.as_if.compare import Compared, compare
from tests.as_if.notebooks import Notebook
from tests.as_if.session import Record, record
from tests.kernels.environments import REPOSITORY

KEPT = REPOSITORY / ".as-if"
#: So many native runs say what is deterministic. A notebook of which all cells are the same as in the first needs no more;
#: one that is still different after three is run three times more, since three throws of a coin agree now and then.
NATIVE_RUNS = (1, 3, 6)
_HARNESS = session.LOOK + Path(session.__file__).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Done:
    """One notebook, run and compared."""

    notebook: Notebook
    cells: list[Compared]
    #: Why it was not run, or not to its end; "" when it was.
    trouble: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Runner:
    """How notebooks are run."""

    python: str
    versions: str
    prefix: str
    #: Where kept results are; None: nowhere.
    kept: Path | None = KEPT

    def run(self, notebooks: list[Notebook], say: Callable[[Done], None], workers: int = 2) -> list[Done]:
        """Run them all, ``workers`` at a time."""
        done: list[Done] = []
        pool = ThreadPoolExecutor(workers)
        try:
            for each in pool.map(self._run_one, notebooks):
                say(each)
                done.append(each)
        finally:
            pool.shutdown(cancel_futures=True)
        return done

    def _run_one(self, notebook: Notebook) -> Done:
        folder = Path(tempfile.gettempdir()) / f"as-if-{os.getuid()}" / _safe(notebook)
        natives = self._natives(notebook, folder, NATIVE_RUNS[0])
        if not natives[0].cells:
            return Done(notebook, [], natives[0].trouble or "it has no cells")
        timed = record(_cut(notebook, natives), self.python, folder, f"{self.prefix}\n", self._environ())
        cells = compare(_cut(notebook, natives), natives, timed)
        for runs in NATIVE_RUNS[1:]:
            if not all(cell.same or cell.named or not cell.deterministic for cell in cells):
                natives = self._natives(notebook, folder, runs)
                cells = compare(_cut(notebook, natives), natives, timed)
        return Done(notebook, cells, natives[0].trouble, sum(cell.seconds for cell in timed.cells))

    def _natives(self, notebook: Notebook, folder: Path, runs: int) -> list[Record]:
        """Return what so many native runs gave; what is kept of them is not run again."""
        text = "\0".join(
            [
                self.python,
                str(REPOSITORY),
                self.versions,
                _HARNESS,
                notebook.setup,
                *(cell.code for cell in notebook.cells),
            ]
        )
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        path = self.kept / f"{_safe(notebook)}-{key}.json" if self.kept else None
        natives: list[Record] = []
        if path is not None and path.exists():
            natives = [Record.of_json(data) for data in json.loads(path.read_text())]
        had = len(natives)
        while len(natives) < runs and (not natives or natives[0].cells):
            natives.append(record(notebook, self.python, folder, "", self._environ()))
        if path is not None and len(natives) > had:
            path.parent.mkdir(exist_ok=True)
            for old in path.parent.glob(f"{_safe(notebook)}-{'?' * 24}.json"):
                old.unlink()
            path.write_text(json.dumps([native.as_json() for native in natives]))
        return natives

    def _environ(self) -> dict[str, str]:
        source = str(REPOSITORY / "src")
        # Hashes of text are chance (README, "Limits"): an order that hangs on them would differ now and then.
        return {"PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}


def _cut(notebook: Notebook, natives: list[Record]) -> Notebook:
    """Leave out the cells that some native run did not come to."""
    length = min(len(native.cells) for native in natives)
    return dataclasses.replace(notebook, cells=notebook.cells[:length])


def _safe(notebook: Notebook) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in f"{notebook.area}-{notebook.name}")
