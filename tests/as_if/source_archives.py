"""Fetch the source archives of packages from the index that pip uses, at the version that is installed.

They are kept in ``.as-if`` (git-ignored). ``pip download`` asks the package's build backend for its metadata, which
for some takes minutes and a compiler: a stand-in answers, from the archive's own ``PKG-INFO``, and nothing of the
package is run.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.as_if.run import KEPT

#: The build backends of the packages that are asked for.
BACKENDS = ("mesonpy", "setuptools.build_meta", "flit_core.buildapi", "hatchling.build", "poetry.core.masonry.api")
STAND_IN = """
import re
import sys
from pathlib import Path


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    info = Path("PKG-INFO").read_text(encoding="utf-8")
    name, version = (re.search(f"^{key}: (.*)$", info, re.MULTILINE)[1] for key in ("Name", "Version"))
    folder = Path(metadata_directory, f"{re.sub('[-_.]+', '_', name)}-{version}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    (folder / "WHEEL").write_text("Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return folder.name


__legacy__ = sys.modules[__name__]
"""


class NotFetched(Exception):
    """An archive cannot be had; the text says why."""


def source_archive(python: str, name: str, version: str) -> Path:
    """Return the source archive of a package; fetch it when it is not there."""
    folder = KEPT / "sdists"
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"{name.replace('-', '_')}-{version}.tar.gz"
    if not (folder / pattern).exists():
        with tempfile.TemporaryDirectory() as stand_ins:
            _write_stand_ins(Path(stand_ins))
            command = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
            command += ["--no-build-isolation", "--dest", str(folder), f"{name}=={version}"]
            environ = {**os.environ, "PYTHONPATH": stand_ins}
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if not (folder / pattern).exists():
            raise NotFetched(f"{name} {version}: {done.stderr.strip()[-300:] or 'no source archive'}")
    return folder / pattern


def _write_stand_ins(folder: Path) -> None:
    for backend in BACKENDS:
        path = folder.joinpath(*backend.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        for parent in path.relative_to(folder).parents:
            if parent != Path():
                (folder / parent / "__init__.py").touch()
        path.write_text(STAND_IN)


def texts(archive: Path, under: tuple[str, ...], ending: str) -> dict[str, str]:
    """Return the text files below some folders of an archive, by their path in it."""
    found: dict[str, str] = {}
    with tarfile.open(archive) as packed:
        for member in packed:
            path = member.name.partition("/")[2]
            if member.isfile() and path.startswith(under) and path.endswith(ending):
                file = packed.extractfile(member)
                if file is not None:
                    found[path] = file.read().decode("utf-8", "replace")
    return dict(sorted(found.items()))
