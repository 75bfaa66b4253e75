"""How much memory is left, read from made-up files of the kernel."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ipytimeout.host import room

GB = 10**9


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/user/box\n")
    return tmp_path / "proc"


def group(folder: Path, limit: str, used: int, cache: int, version: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    (folder / names[0]).write_text(limit + "\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cache}\n")


def test_without_a_container_it_is_what_the_machine_has(proc: Path, tmp_path: Path) -> None:
    assert room.room(proc, tmp_path / "none") == 4_000_000 * 1024


def test_the_tightest_enclosing_group_counts_and_cache_is_free(proc: Path, tmp_path: Path) -> None:
    group(tmp_path / "cg/user/box", "max", GB, 0)
    group(tmp_path / "cg/user", str(3 * GB), 2 * GB, GB // 2)
    assert room.room(proc, tmp_path / "cg") == 3 * GB - 2 * GB + GB // 2


def test_in_a_container_whose_path_is_the_hosts_the_root_counts(proc: Path, tmp_path: Path) -> None:
    group(tmp_path / "cg", str(GB), GB // 4, 0)
    assert room.room(proc, tmp_path / "cg") == GB - GB // 4


def test_the_older_kind_of_groups_is_read_too(proc: Path, tmp_path: Path) -> None:
    (proc / "self/cgroup").write_text("4:cpu,memory:/box\n")
    group(tmp_path / "cg/memory/box", str(GB), GB // 2, 0, version=1)
    assert room.room(proc, tmp_path / "cg") == GB - GB // 2


def test_what_cannot_be_found_out_is_enough(tmp_path: Path) -> None:
    assert room.room(tmp_path / "nothing", tmp_path / "nothing") == math.inf


def test_a_copy_that_does_not_fit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "room", lambda: 1.5 * GB)
    room.refuse_without_room(GB)
    with pytest.raises(MemoryError, match=r"needs 2 GB .* only 1\.5 GB of memory left"):
        room.refuse_without_room(2 * GB)
