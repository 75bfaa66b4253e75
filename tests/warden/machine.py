"""A machine whose memory the test decides on: made-up files of the kernel, and a warden that believes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipytimeout.host.launch import warden


class Machine:
    """A machine of 1 GB, of which all is left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "self").mkdir(parents=True)
        (folder / "self/cgroup").write_text("0::/\n")
        (folder / "memory.max").write_text("max\n")
        self.has(1000)
        self.has_killed(0)

    def has(self, megabytes: int) -> None:
        """So much is left now."""
        self._write("meminfo", f"MemTotal: 1000000 kB\nMemAvailable: {megabytes * 1000} kB\n")

    def has_killed(self, count: int) -> None:
        """The kernel has killed so many processes for want of memory."""
        self._write("memory.events", f"oom 9\noom_kill {count}\n")

    def _write(self, name: str, text: str) -> None:
        new = self._folder / "new"
        new.write_text(text)
        new.rename(self._folder / name)

    def used_by_wardens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every warden that is started from now on believes this machine."""
        where = str(self._folder)
        boot = "import sys; sys.path.append(sys.argv[1]); from ipytimeout.warden import limits, main; "
        boot += f"limits.Reserve.__init__.__defaults__ = ({where!r}, {where!r}); "
        monkeypatch.setattr(warden, "_BOOT", boot + "main.main(int(sys.argv[2]), int(sys.argv[3]))")
