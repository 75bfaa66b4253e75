"""The two commands of the README, read from it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.kernels.environments import REPOSITORY

README = REPOSITORY / "README.md"


@dataclass(frozen=True, slots=True)
class Commands:
    """Both are one line each."""

    start: str
    test: str

    @property
    def start_parts(self) -> tuple[str, str]:
        """Split the first command: what sets up and ends, and what starts the server."""
        set_up, _, server = self.start.rpartition(" && ")
        return set_up, server


def commands() -> Commands:
    """Return the README's commands: its only two blocks of shell."""
    start, test = re.findall(r"^```bash\n(.*)\n```$", README.read_text(), flags=re.MULTILINE)
    return Commands(start, test)
