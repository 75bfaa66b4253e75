"""The second corpus: cells that nobody here wrote, of packages, taken from PyPI when they are asked for.

Example scripts and notebooks of source archives, tutorials with doctests, and the examples in docstrings of what is
installed. A sample is taken with a fixed seed; what needs the network, data or a window is left out, and counted.
Tables that seaborn's examples would load from the network are made up.
"""

from __future__ import annotations

import importlib.metadata
import json
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.as_if import seaborn_tables
from tests.as_if.docstrings import pieces
from tests.as_if.notebooks import MARK, Cell, Notebook, split, split_at_blank_lines
from tests.as_if.run import KEPT
from tests.as_if.source_archives import NotFetched, source_archive, texts

#: What cannot be run here: it needs the network, data that is not in the package, a window, an answer.
OUT_OF_REACH = re.compile(
    r"fetch_|get_dataset_names|urlopen|urllib|requests\.|https?://[^\s`>)]*\.(csv|json|zip|html|xml)|input\(|tkinter|gi\.repository"
    r"|\bwx\b|PyQt|PySide|qtapi|\bgtk|ginput|waitforbuttonpress|webagg|backend_bases import key_press|ffmpeg|usetex"
    r"|pgf|read_(sql|hdf|gbq|clipboard|excel|html|xml)|to_(hdf|gbq|clipboard|excel)|xarray|numba|plotly|polars"
    r"|os\.fork|nested_parallel|while True:|matplotlib\.use\("
)
#: Docstrings that show memory that nobody has written to: what is there is chance, three times the same or not.
UNWRITTEN = re.compile(r"masked_all|\b(np|numpy)\.(ma\.)?(empty|ndarray\()")
#: So many examples of docstrings make one notebook.
IN_ONE = 20


@dataclass(frozen=True, slots=True)
class Scripts:
    """Scripts, notebooks or tutorials of a source archive."""

    package: str
    under: tuple[str, ...]
    ending: str
    #: How many there are in the sample.
    sample: int
    #: So many make one notebook.
    in_one: int = 1


@dataclass(frozen=True, slots=True)
class Docstrings:
    """Examples of the docstrings of installed modules."""

    package: str
    modules: tuple[str, ...]
    first: str
    sample: int
    in_one: int = IN_ONE


PANDAS = (
    *("pandas", "pandas.api.types", "pandas.core.groupby", "pandas.core.resample", "pandas.core.strings.accessor"),
    *("pandas.core.indexes.accessors", "pandas.plotting"),
)
SKLEARN = tuple(
    f"sklearn.{name}"
    for name in (
        *("base", "calibration", "cluster", "compose", "covariance", "decomposition", "discriminant_analysis"),
        *("ensemble", "feature_extraction", "feature_selection", "gaussian_process", "impute", "inspection"),
        *("isotonic", "linear_model", "manifold", "metrics", "mixture", "model_selection", "multiclass"),
        *("multioutput", "naive_bayes", "neighbors", "neural_network", "pipeline", "preprocessing", "svm", "tree"),
    )
)
SOURCES: tuple[Scripts | Docstrings, ...] = (
    Scripts(
        "matplotlib",
        ("galleries/examples/", "galleries/tutorials/", "galleries/users_explain/", "galleries/plot_types/"),
        ".py",
        12,
        in_one=4,
    ),
    Scripts("scikit-learn", ("examples/",), ".py", 6, in_one=2),
    Docstrings("scikit-learn", SKLEARN, "", 20),
    Scripts("seaborn", ("examples/",), ".py", 4, in_one=4),
    Scripts("seaborn", ("doc/_docstrings/", "doc/_tutorial/"), ".ipynb", 4),
    Scripts("sympy", ("doc/src/tutorials/",), ".rst", 4),
    Docstrings("networkx", ("networkx",), "import networkx as nx", 30),
    Docstrings(
        "numpy",
        ("numpy", "numpy.linalg", "numpy.fft", "numpy.ma", "numpy.random", "numpy.char"),
        "import numpy as np",
        40,
    ),
    Docstrings("pandas", PANDAS, "import numpy as np\nimport pandas as pd", 40),
)


def package_notebooks(
    python: str, wanted: set[str], *, many: bool, say: Callable[[str], None], seed: int = 1
) -> list[Notebook]:
    """Return notebooks of all packages, or of those that are wanted: a sample, or with ``many`` ten times as many."""
    found: list[Notebook] = []
    for source in SOURCES:
        if wanted and source.package not in wanted:
            continue
        try:
            every, skipped = _every(source, python)
        except (NotFetched, importlib.metadata.PackageNotFoundError) as error:
            say(f"{source.package}: skipped: {error}")
            continue
        chosen = _sample(every, source.sample * (10 if many else 1), seed)
        chosen = _joined(chosen, source)
        if source.package == "seaborn":
            chosen = [replace(each, setup=_with_tables()) for each in chosen]
        say(f"{source.package}: {len(chosen)} notebooks of {len(every)} examples; {skipped} out of reach")
        found += chosen
    return found


def _with_tables() -> str:
    """Return what makes seaborn find tables where it keeps those that it has loaded, and leaves no name."""
    return f"__import__('os').environ['SEABORN_DATA'] = {str(seaborn_tables.write(KEPT))!r}"


def _sample(notebooks: list[Notebook], size: int, seed: int) -> list[Notebook]:
    picked = random.Random(seed).sample(range(len(notebooks)), min(size, len(notebooks)))
    return [notebooks[i] for i in sorted(picked)]


def _every(source: Scripts | Docstrings, python: str) -> tuple[list[Notebook], int]:
    """Return all notebooks of a source, and how many were left out."""
    found, skipped = [], 0
    for name, cells in _scripts(source, python) if isinstance(source, Scripts) else _docstrings(source, python):
        if not cells:
            continue
        unwritten = isinstance(source, Docstrings) and any(UNWRITTEN.search(cell.code) for cell in cells)
        if unwritten or any(OUT_OF_REACH.search(cell.code) for cell in cells):
            skipped += 1
        else:
            found.append(Notebook(source.package, name, tuple(cells)))
    return found, skipped


def _scripts(source: Scripts, python: str) -> Iterator[tuple[str, list[Cell]]]:
    archive = source_archive(python, source.package, _version(python, source.package))
    for path, text in texts(archive, source.under, source.ending).items():
        name = path.rpartition(".")[0].replace("/", ".")
        if source.ending == ".rst":
            yield name, [Cell("", piece) for piece in _safe_pieces(text)]
        elif source.ending == ".ipynb":
            cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
            yield name, [Cell("", code) for cell in cells if (code := "".join(cell["source"])).strip()]
        else:
            code = text.replace('if __name__ == "__main__":', "if True:").replace(
                "if __name__ == '__main__':", "if True:"
            )
            yield name, list(split(code) if len(MARK.findall(code)) > 1 else split_at_blank_lines(code))


def _safe_pieces(text: str) -> list[str]:
    try:
        return pieces(text)
    except ValueError:
        return []


def _docstrings(source: Docstrings, python: str) -> Iterator[tuple[str, list[Cell]]]:
    script = Path(__file__).with_name("docstrings.py")
    done = subprocess.run([python, str(script), *source.modules], capture_output=True, text=True, check=True)
    for name, cells in json.loads(done.stdout.splitlines()[-1]):
        yield name, [Cell(name, code) for code in cells]


def _joined(notebooks: list[Notebook], source: Scripts | Docstrings) -> list[Notebook]:
    """Put several examples into one notebook, as if a reader tried one after the other."""
    if source.in_one == 1:
        return notebooks
    first = (Cell("", source.first),) if isinstance(source, Docstrings) and source.first else ()
    joined = []
    for i in range(0, len(notebooks), source.in_one):
        group = notebooks[i : i + source.in_one]
        cells = (*first, *(cell for each in group for cell in each.cells))
        joined.append(Notebook(source.package, group[0].name + "…" * (len(group) > 1), cells))
    return joined


def _version(python: str, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotFetched(f"{package} is not installed")
    return done.stdout.strip()
