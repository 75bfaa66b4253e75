"""What a run opens, names and hands on, seen from outside; and a child that wants to run code in the kernel.

It is no sandbox: the code has the user's rights. But nothing of ours may widen them, and with ``--discard`` a kernel
unpickles nothing that the code could have made.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import psutil
import pytest

from tests.kernels.harness import Kernel

_METHODS = ["warm", "spawn"]
_WAITING = (
    "import numpy, time; made = numpy.ones(8_000_000); text = len(big); print('waiting', flush=True); time.sleep(60)"
)


def _listening(pid: int) -> set[str]:
    """Return the sockets at which somebody could knock: those that listen, and those that have a name."""
    found = psutil.Process(pid).net_connections(kind="all")
    return {str(c.laddr) for c in found if c.status == psutil.CONN_LISTEN or (isinstance(c.laddr, str) and c.laddr)}


def _descriptors(pid: int) -> dict[int, str]:
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


def _files_written(pid: int) -> list[str]:
    """Return the files that a process has open for writing, by name."""
    found = []
    for fd, target in _descriptors(pid).items():
        with contextlib.suppress(OSError):
            flags = re.search(r"flags:\s+(\d+)", Path(f"/proc/{pid}/fdinfo/{fd}").read_text())
            if os.path.isfile(target) and flags and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY:
                found.append(target)
    return found


@pytest.mark.parametrize("method", _METHODS)
def test_no_socket_listens_and_no_file_has_a_name(own_kernel: Kernel, tmp_path: Path, method: str) -> None:
    """While a run is under way, with large data in both directions."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    own_kernel.run(f"import os; os.environ['TMPDIR'] = {str(temporary)!r}; big = b'x' * 8_000_000")
    native = _listening(own_kernel.pid)
    cell = own_kernel.submit(f"%%timeout --start {method} 60\n{_WAITING}")
    cell.wait_for("waiting")
    ours = [each.pid for each in own_kernel.processes() if each.pid != own_kernel.pid]
    assert len(ours) >= 2
    assert _listening(own_kernel.pid) == native
    assert [_listening(pid) for pid in ours] == [set()] * len(ours)
    assert list(temporary.iterdir()) == []
    assert [written for pid in ours for written in _files_written(pid)] == []
    own_kernel.interrupt()
    cell.wait()


@pytest.mark.parametrize("method", _METHODS)
def test_no_process_of_ours_inherits_a_descriptor_of_the_kernel(python: str, tmp_path: Path, method: str) -> None:
    """Neither its sockets to the front end, nor a file that the notebook has opened for its own children."""
    kernel = Kernel(python, tmp_path)
    try:
        path = str(tmp_path / "open")
        kernel.run(f"import os; fd = os.open({path!r}, os.O_CREAT | os.O_RDWR, 0o600); os.set_inheritable(fd, True)")
        mine = _descriptors(kernel.pid)
        assert path in mine.values()
        # Its standard streams are where any program of the user's writes its complaints.
        own = {target for target in mine.values() if target not in (mine[0], mine[1], mine[2], "/dev/null")}
        kernel.run("%load_ext ipytimeout")
        cell = kernel.submit(
            f"%%timeout --start {method} 60\nimport time; print('waiting', flush=True); time.sleep(60)"
        )
        cell.wait_for("waiting")
        ours = [each.pid for each in kernel.processes() if each.pid != kernel.pid]
        assert len(ours) >= 2
        for pid in ours:
            shared = own & set(_descriptors(pid).values())
            assert not {target for target in shared if not target.startswith("anon_inode:")}  # these have no identity
        kernel.interrupt()
        cell.wait()
    finally:
        kernel.close()


#: Code that takes hold of its own child's channel, and of the pipes to the warden.
TAKE = """
import os, pickle, time
channel = get_ipython().channel
pipes = [int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) >= 900]
pipes = [fd for fd in pipes if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")]
"""
#: Code that speaks for it: it sends a report with a pickle of its choice, and says that it has ended.
HOSTILE = """
from ipytimeout.wire.messages.from_child import Changes
class Evil:
    def __reduce__(self): return exec, ("import os; open({path!r}, 'w').write(str(os.getpid()))",)
evil = pickle.dumps(Evil())
channel.send(Changes(True, None, False, False, {{}}, None, {{}}, [], [evil, evil]))
for fd in pipes: os.write(fd, b"E")
time.sleep(60)
"""


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("options", ["--discard", ""])
def test_with_discard_a_hostile_child_cannot_run_code_in_the_kernel(
    kernel: Kernel, tmp_path: Path, method: str, options: str
) -> None:
    """Without it, it can: then a child's report is trusted as the code itself is."""
    path = tmp_path / "evil"
    kernel.run(f"%%timeout {options} --start {method} 20\n{TAKE}{HOSTILE.format(path=str(path))}")
    assert path.exists() == (not options)
    if path.exists():
        assert path.read_text() == str(kernel.pid)
    assert kernel.run("%%timeout 60\nprint('next')").stdout == "next\n"


@pytest.mark.parametrize(
    "garbage",
    [
        "b'rubbish' * 100",
        "bytes(4096)",
        "b'ti' + b'\\xff' * 64",
        "b'ti\\0\\0' + b'\\0' * 4 + (2).to_bytes(8, 'little') + b'[]'",
    ],
    ids=["text", "zeros", "a head of nonsense", "JSON that is no message"],
)
def test_a_child_that_speaks_rubbish_is_an_error_of_the_cell_only(kernel: Kernel, garbage: str) -> None:
    """The kernel and the next run are none the worse."""
    code = f"{TAKE}channel._socket.sendall({garbage})\ntime.sleep(60)"
    kernel.run("rows = []")
    before = {each.pid for each in kernel.processes()}
    result = kernel.run(f"%%timeout 20\nrows.append(1)\n{code}", timeout=15)
    assert result.error is not None
    assert result.error.name == "RunError", result.text
    assert "nothing was changed in the notebook" in result.error.value
    assert kernel.run("%%timeout 60\nprint('next', rows)").stdout == "next []\n"
    assert len({each.pid for each in kernel.processes()}) <= len(before) + 1
