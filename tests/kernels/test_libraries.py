"""What ``warm`` is for: timed cells in a kernel that has used libraries which do not survive a fork; in real kernels.

Forking a kernel that has used OpenMP, polars or torch hangs or crashes. The template has imported them and never used
them. ``--start warm`` fails where it cannot fork from the template, and ``auto`` says so once: neither may happen here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.environments import ENVIRONMENTS
from tests.kernels.harness import Kernel, Result


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel of the newest ipykernel for all of this file; what a test has imported stays imported."""
    kernel = Kernel(ENVIRONMENTS["ipykernel7"](), tmp_path_factory.mktemp("libraries"))
    yield kernel
    kernel.close()


@pytest.fixture
def notebook(shared: Kernel) -> Kernel:
    """The kernel with an empty namespace, in a folder that can be imported from."""
    ok(shared, "%reset -f\n%reload_ext ipytimeout")
    return shared


def ok(kernel: Kernel, code: str, timeout: float = 100) -> Result:
    """Run a cell that has to succeed."""
    result = kernel.run(code, timeout)
    assert result.status == "ok", result.text
    return result


def timed(kernel: Kernel, code: str, start: str = "warm") -> Result:
    """Run a timed cell that has to succeed, and about which there is nothing to say."""
    result = ok(kernel, f"%%timeout -q --start {start} 60\n{code}")
    assert _notes(result) == []
    return result


def _notes(result: Result) -> list[str]:
    """Return what was said below a cell: what was left behind, or that it was not started as usual."""
    shown = [each["data"].get("text/plain", "") for each in result.outputs]
    return [text for text in shown if text.startswith("…")]


def value(kernel: Kernel, expression: str) -> str:
    """Return an expression's value in the kernel, as text."""
    return ok(kernel, f"print(({expression}))").stdout.strip()


#: Each library: what the kernel does natively, what a timed cell does, and what is true of it afterwards.
USES = {
    "KMeans": (
        "import numpy as np\nfrom sklearn.cluster import KMeans\nX = np.random.default_rng(0).random((2000, 8))\nfirst = KMeans(4, n_init=2, random_state=0).fit(X)",
        "again = KMeans(4, n_init=2, random_state=0).fit(X); labels = first.predict(X)",
        "np.allclose(again.inertia_, first.inertia_) and (labels == first.labels_).all()",
    ),
    "HistGradientBoosting": (
        "import numpy as np\nfrom sklearn.ensemble import HistGradientBoostingRegressor as H\nX = np.random.default_rng(0).random((2000, 4)); y = X.sum(1)\nfirst = H(max_iter=5).fit(X, y)",
        "model = H(max_iter=5).fit(X, y); first.set_params(max_iter=7, warm_start=True); _ = first.fit(X, y)",
        "first.n_iter_ == 7 and model.n_iter_ == 5 and model.predict(X[:3]).shape == (3,)",
    ),
    "polars": (
        "import polars as pl\ndf = pl.DataFrame({'k': ['a', 'b'] * 50_000, 'v': range(100_000)})\nfirst = df.group_by('k').agg(pl.col('v').sum()).sort('k')",
        "second = df.lazy().group_by('k').agg(pl.col('v').sum()).sort('k').collect()\nwide = df.with_columns(w=pl.col('v') * 2)",
        "second.equals(first) and wide['w'][-1] == 199_998",
    ),
    "torch": (
        "import torch\nw = torch.ones(300, 300, requires_grad=True)\n(w @ w).sum().backward()\nm = torch.nn.Linear(3, 1); sgd = torch.optim.SGD(m.parameters(), lr=0.1)\nbefore = m.weight.detach().clone()",
        "p = w.detach() @ w.detach()\nv = torch.ones(300, 300, requires_grad=True)\n(v @ v).sum().backward()\nm(torch.ones(8, 3)).sum().backward(); _ = sgd.step()",
        "p[0, 0] == 300 and v.grad[0, 0] == 600 and not torch.equal(before, m.weight) and sgd.param_groups[0]['params'][0] is m.weight",
    ),
    "scipy": (
        "import numpy as np, scipy.linalg, scipy.optimize\na = np.random.default_rng(0).random((200, 200)); first = scipy.linalg.svdvals(a)",
        "second = scipy.linalg.svdvals(a); root = scipy.optimize.brentq(lambda x: x * x - 2, 0, 2)",
        "np.allclose(first, second) and abs(root * root - 2) < 1e-9",
    ),
    "pandas": (
        "import pandas as pd\ndf = pd.DataFrame({'k': list('aab'), 'v': [1.0, 2, 3]}); first = df.groupby('k').v.sum()",
        "second = df.groupby('k').v.sum(); df['share'] = df.v / df.groupby('k').v.transform('sum'); df.attrs['by'] = 'k'",
        "second.equals(first) and list(df) == ['k', 'v', 'share'] and df.attrs == {'by': 'k'}",
    ),
    "pandas' strings": (
        "import pandas as pd\ndf = pd.DataFrame({'s': ['a', None, 'ä'] * 10_000}); first = df.s.str.upper()",
        "second = df.s.str.upper(); df['n'] = df.s.str.len(); df.loc[0, 's'] = 'changed'",
        "second.equals(first) and df.n[0] == 1 and df.s[0] == 'changed' and df.s.dtype == first.dtype",
    ),
    "Arrow": (
        "import pandas as pd, pyarrow as pa, pyarrow.compute\ndf = pd.DataFrame({'s': pd.array(['a', None, 'ä'] * 10_000, dtype='string[pyarrow]'), 'n': pd.array(range(30_000), dtype='int64[pyarrow]')})\ntable = pa.table({'x': [1, 2]}); same = df; first = df.s.str.upper(); total = pa.compute.sum(table['x']).as_py()",
        "second = df.s.str.upper(); df['t'] = df.n + 1; df.loc[0, 's'] = 'changed'; wider = table.append_column('y', pa.array(['p', 'q'])); kept = table; total = pa.compute.sum(table['x']).as_py()",
        "same is df and second.equals(first) and df.t[2] == 3 and df.s[0] == 'changed' and df.s.dtype == first.dtype and kept is table and wider.column_names == ['x', 'y'] and total == 3",
    ),
    "matplotlib": (
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nfig, ax = plt.subplots(); plt.close(fig)",
        "line, = ax.plot([1, 4, 2]); ax.set_title('timed')",
        "ax.get_title() == 'timed' and ax.lines[0] is line and fig.axes == [ax]",
    ),
    "threads of joblib": (
        "from joblib import Parallel, delayed\nfirst = Parallel(2, prefer='threads')(delayed(abs)(-n) for n in range(9))",
        "second = Parallel(2, prefer='threads')(delayed(abs)(-n) for n in range(9))",
        "first == second == list(range(9))",
    ),
}  # fmt: skip


@pytest.mark.parametrize("library", USES)
def test_a_timed_cell_works_after_the_kernel_has_used_the_library(notebook: Kernel, library: str) -> None:
    """Forked from the template, whether that is asked for or chosen, and also after the kernel has used it again."""
    native, code, check = USES[library]
    if library == "torch" and value(notebook, "bool(__import__('importlib.util').util.find_spec('torch'))") == "False":
        pytest.skip("not here: torch is not installed; .ci/full installs it where there is a wheel for it")
    for start in ("warm", "auto"):
        ok(notebook, native)
        timed(notebook, code, start)
        assert value(notebook, f"bool({check})") == "True"


def test_a_timed_cell_shows_its_figures_and_frames(notebook: Kernel) -> None:
    """Inline figures, and tables as HTML, as natively."""
    ok(notebook, "%matplotlib inline\nimport pandas as pd, matplotlib.pyplot as plt")
    code = "plt.plot([1, 2]); plt.show()\npd.DataFrame({'a': [1]})"
    native, shown = ok(notebook, code), timed(notebook, code)
    kinds = [sorted(output["data"]) for output in shown.outputs]
    assert kinds == [["image/png", "text/plain"], ["text/html", "text/plain"]]
    assert [output["data"] for output in shown.outputs] == [output["data"] for output in native.outputs]


def test_a_module_of_the_users_has_the_text_that_is_on_disk_and_the_values_of_the_notebook(
    notebook: Kernel, tmp_path: Path
) -> None:
    """The template does not have it, although the kernel does; that its text was changed is told."""
    module = tmp_path / "of_the_user.py"
    module.write_text("value = 1\ndef text(): return 'old'\n")
    ok(notebook, f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport of_the_user as mine")
    timed(notebook, "seen = mine.value, mine.text()")
    assert value(notebook, "seen") == "(1, 'old')"
    module.write_text("value = 2  # changed\ndef text(): return 'new'\n")
    told = ok(notebook, "%%timeout -q --start warm 60\nseen = mine.value, mine.text()")
    assert "… changed on disk since the notebook imported it: of_the_user" in told.text
    assert value(notebook, "seen, mine.value, mine.text()") == "((1, 'new'), 1, 'old')"
    timed(notebook, "import sys\nthere = any(name.startswith('of_the_u') for name in sys.modules)")
    assert value(notebook, "there") == "False"


def test_an_import_in_the_child_sees_the_kernels_path_and_environment(notebook: Kernel, tmp_path: Path) -> None:
    """As they are now, not as they were when the template started."""
    (tmp_path / "asks.py").write_text("import os\nanswer = os.environ.get('OF_THE_KERNEL')\n")
    ok(notebook, f"import os, sys; sys.path.append({str(tmp_path)!r}); os.environ['OF_THE_KERNEL'] = 'seen'")
    timed(notebook, "import asks\nanswer = asks.answer")
    assert value(notebook, "answer") == "seen"


def test_the_template_follows_the_imports_of_the_notebook(notebook: Kernel) -> None:
    """A library that the kernel imports later costs a timed cell no import; one that it has not imported is not there."""
    code = "import sys\nfound = 'mailbox' in sys.modules, 'wsgiref.simple_server' in sys.modules"
    timed(notebook, code)
    assert value(notebook, "found") == "(False, False)"
    ok(notebook, "import mailbox as not_called_so")  # a name that the code tells, in a string too, is sent
    timed(notebook, code)
    assert value(notebook, "found") == "(True, False)"


def test_what_the_template_imports_can_be_configured(notebook: Kernel) -> None:
    """``preload`` has it import more than the notebook, ``never_preload`` less."""
    ok(notebook, "%config TimeoutMagics.preload = ['imaplib']\n%config TimeoutMagics.never_preload = ['ftplib']")
    ok(notebook, "import ftplib as ftp")
    timed(notebook, "import sys\nfound = [name in sys.modules for name in ('imaplib', 'ftplib')]\nport = ftp.FTP_PORT")
    assert value(notebook, "found, port") == "([True, True], 21)"
    timed(notebook, "import sys\nfound = [name in sys.modules for name in ('imaplib', 'ftplib')]")
    assert value(notebook, "found") == "[True, False]"
    assert value(notebook, "'imaplib' in __import__('sys').modules") == "False"
    ok(notebook, "%config TimeoutMagics.preload = []\n%config TimeoutMagics.never_preload = []")


def test_a_library_that_starts_a_thread_at_import_is_spawned_with_and_that_is_told_once(tmp_path: Path) -> None:
    """A copy of a process that has threads does not have them: such a library would not work in it."""
    library = tmp_path / "site-packages" / "threaded.py"
    library.parent.mkdir()
    library.write_text("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n")
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(library.parent)]))
    kernel = Kernel(ENVIRONMENTS["ipykernel7"](), tmp_path, {"PYTHONPATH": path})
    try:
        ok(kernel, "%load_ext ipytimeout\nimport threaded")
        notes = [_notes(ok(kernel, "%%timeout -q 60\nthreads = threaded.threading.active_count()")) for _ in range(3)]
        assert [len(each) for each in notes] == [1, 0, 0]
        assert "importing threaded started a thread" in notes[0][0]
        assert int(value(kernel, "threads")) > 1
    finally:
        kernel.close()


def test_an_idle_kernel_costs_no_cpu(own_kernel: Kernel) -> None:
    """Warden, template, its three spares and the one that was spawned wait without a tick of the clock."""
    for start in ("warm", "spawn"):
        ok(own_kernel, f"%%timeout -q --start {start} 60\nx = 1")
    until = time.monotonic() + 60
    while _cpu_in(own_kernel, 1.0) and time.monotonic() < until:
        pass  # a spare is still importing
    assert len(_waiting(own_kernel)) == 6
    assert _cpu_in(own_kernel, 3.0) <= 1


def _waiting(kernel: Kernel) -> list[int]:
    """Return what the kernel has started."""
    return [each.pid for each in kernel.processes() if each.pid != kernel.pid]


def _cpu_in(kernel: Kernel, seconds: float) -> int:
    """Return how many ticks of processor time everything that the kernel has started uses in some seconds."""
    before = sum(map(_ticks, _waiting(kernel)))
    time.sleep(seconds)
    return sum(map(_ticks, _waiting(kernel))) - before


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # a spare that was not wanted any more
        return 0
    return int(fields[11]) + int(fields[12])
