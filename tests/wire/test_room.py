"""How much memory there is and how much is left, read from made-up files of the kernel."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ipytimeout.wire.room import Bounds

GB = 10**9


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n")
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 7\noom_kill 5\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/user/box\n")
    return tmp_path / "proc"


def group(
    folder: Path, limit: str, used: int, cache: int, version: int = 2, swap: tuple[str, int] | None = None
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current", "active_file", "memory.swap.max", "memory.swap.current")
    if version == 1:
        names = (
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
            "memory.memsw.limit_in_bytes",
            "memory.memsw.usage_in_bytes",
        )
    (folder / names[0]).write_text(limit + "\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cache}\n")
    if swap is not None:
        (folder / names[3]).write_text(f"{swap[0]}\n")
        (folder / names[4]).write_text(f"{swap[1]}\n")


def test_without_a_container_it_is_what_the_machine_has(proc: Path, tmp_path: Path) -> None:
    bounds = Bounds(proc, tmp_path / "none")
    assert bounds.left() == 4_000_000 * 1024
    assert bounds.total == 8_000_000 * 1024


def test_the_tightest_enclosing_group_counts_and_cache_is_free(proc: Path, tmp_path: Path) -> None:
    group(tmp_path / "cg/user/box", "max", GB, 0)
    group(tmp_path / "cg/user", str(3 * GB), 2 * GB, GB // 2)
    bounds = Bounds(proc, tmp_path / "cg")
    assert bounds.left() == 3 * GB - 2 * GB + GB // 2
    assert bounds.total == 3 * GB


def test_in_a_container_whose_path_is_the_hosts_the_root_counts(proc: Path, tmp_path: Path) -> None:
    group(tmp_path / "cg", str(GB), GB // 4, 0)
    bounds = Bounds(proc, tmp_path / "cg")
    assert (bounds.left(), bounds.total) == (GB - GB // 4, GB)


def test_the_older_kind_of_groups_is_read_too(proc: Path, tmp_path: Path) -> None:
    (proc / "self/cgroup").write_text("4:cpu,memory:/box\n")
    group(tmp_path / "cg/memory", "9223372036854771712", GB, 0, version=1)
    group(tmp_path / "cg/memory/box", str(GB), GB // 2, 0, version=1)
    bounds = Bounds(proc, tmp_path / "cg")
    assert (bounds.left(), bounds.total) == (GB // 2, GB)


def test_a_limit_of_more_than_the_machine_has_is_none(proc: Path, tmp_path: Path) -> None:
    (proc / "self/cgroup").write_text("4:memory:/\n")
    group(tmp_path / "cg/memory", "9223372036854771712", GB, 0, version=1)
    bounds = Bounds(proc, tmp_path / "cg")
    assert (bounds.left(), bounds.total) == (4_000_000 * 1024, 8_000_000 * 1024)


@pytest.mark.parametrize(
    ("version", "swap", "room"),
    [
        (2, None, GB // 2),
        (2, ("max", 0), GB // 2 + 2048 * 1024),  # no more than the machine has
        (2, ("1000000", 400_000), GB // 2 + 600_000),
        (1, (str(GB), GB // 2), GB // 2),  # version 1 bounds the sum
        (1, (str(2 * GB), GB // 2), GB // 2 + 2048 * 1024),
    ],
)
def test_swap_is_room_where_the_group_may_use_it(
    proc: Path, tmp_path: Path, version: int, swap: tuple[str, int] | None, room: int
) -> None:
    (proc / "meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\nSwapFree: 2048 kB\n")
    (proc / "self/cgroup").write_text("0::/box\n" if version == 2 else "4:memory:/box\n")
    group(tmp_path / ("cg/box" if version == 2 else "cg/memory/box"), str(GB), GB // 2, 0, version, swap)
    assert Bounds(proc, tmp_path / "cg").left() == room


def test_what_cannot_be_found_out_is_no_bound(tmp_path: Path) -> None:
    bounds = Bounds(tmp_path / "nothing", tmp_path / "nothing")
    assert (bounds.left(), bounds.total, bounds.kills()) == (math.inf, math.inf, 0)


def test_kills_for_want_of_memory_are_counted_in_the_innermost_group_or_else_for_the_machine(
    proc: Path, tmp_path: Path
) -> None:
    assert Bounds(proc, tmp_path / "none").kills() == 5
    group(tmp_path / "cg/user", "max", 0, 0)
    group(tmp_path / "cg/user/box", "max", 0, 0)
    (tmp_path / "cg/user/memory.events").write_text("low 0\noom_kill 9\n")
    (tmp_path / "cg/user/box/memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert Bounds(proc, tmp_path / "cg").kills() == 2


def test_this_machine_has_memory_and_not_all_of_it_is_used() -> None:
    bounds = Bounds()
    assert bounds.left() > 0 and bounds.total < math.inf
