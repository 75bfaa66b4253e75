"""Pictures of the panel, made in a real page: ``python -m tests.e2e.pictures FOLDER``.

For each theme one picture of the states of a run, ``panel-light.png`` and ``panel-dark.png``, and a short animation,
``panel.gif``: every frame of it is a screenshot. Chromium and Pillow (which comes with matplotlib) are needed.
"""

from __future__ import annotations

import io
import itertools
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from tests.e2e.front_ends import LAB_HERE, Served, served

CELLS = [
    "%load_ext ipytimeout\nimport time",
    "%%timeout 5\nfor epoch in range(8):\n    print(f'epoch {epoch + 1}  loss {0.5 / (epoch + 1):.3f}')\n    time.sleep(0.4)",
    "%%timeout 3\nfor epoch in range(80):\n    time.sleep(0.4)\n    print(f'epoch {epoch + 1}')",
    "%%timeout 1\ndef slow(rows):\n    while rows: rows = rows + [1]\nslow([1])",
    "%%timeout 20\ndef step(batch):\n    while batch: pass\nstep([1])",
    "%%timeout -k 5 20\nwhile True:\n    try: time.sleep(1)\n    except BaseException: pass",
    "%%timeout 8\nfor epoch in range(80):\n    print(f'epoch {epoch + 1}  loss {1 / (epoch + 1):.3f}')\n    time.sleep(0.7)",
]
#: The cell of the animation, and the seconds between two frames of it, at least.
_FILMED = 6
_FRAME = 0.08


class Camera:
    def __init__(self, notebook: Served) -> None:
        self.notebook = notebook
        self.pictures: list[Image.Image] = []

    def shoot(self, number: int, height: float = 200) -> Image.Image:
        """Return a picture of the top of a cell."""
        box = self.notebook.cell(number).bounding_box()
        assert box is not None
        clip = {"x": box["x"], "y": box["y"], "width": box["width"], "height": min(height, box["height"])}
        return Image.open(io.BytesIO(self.notebook.page.screenshot(clip=clip))).convert("RGB")

    def keep(self, number: int, height: float = 200) -> None:
        self.pictures.append(self.shoot(number, height))

    def wait(self, seconds: float) -> None:
        self.notebook.page.wait_for_timeout(seconds * 1000)

    def strip(self, gap: int = 8) -> Image.Image:
        """Return all pictures, one above the other."""
        width = max(each.width for each in self.pictures)
        strip = Image.new("RGB", (width, sum(each.height + gap for each in self.pictures)), "#8a8a8a")
        top = 0
        for each in self.pictures:
            strip.paste(each, (0, top))
            top += each.height + gap
        return strip


def states(camera: Camera) -> Image.Image:
    """Show a run in each of its states."""
    notebook = camera.notebook

    def begin(number: int, seconds: float) -> None:
        notebook.run(number)
        notebook.page.mouse.move(2, 2)
        notebook.button(number, "cancel").wait_for()
        camera.wait(seconds)

    begin(1, 1.0)
    camera.keep(1)
    notebook.wait_for_prompt(1)
    camera.keep(1)
    begin(2, 2.0)
    camera.keep(2)
    notebook.wait_for_prompt(2)
    notebook.run(3)
    notebook.wait_for_prompt(3)
    camera.keep(3)
    begin(4, 0.6)
    notebook.button(4, "where").click()
    notebook.button(4, "more").click()
    camera.wait(0.6)
    camera.keep(4)
    notebook.button(4, "cancel").click()
    notebook.wait_for_prompt(4)
    camera.keep(4, 150)
    begin(5, 0.6)
    notebook.button(5, "cancel").click()
    notebook.page.mouse.move(2, 2)
    camera.wait(0.5)
    camera.keep(5)
    notebook.button(5, "cancel").click()
    notebook.wait_for_prompt(5)
    return camera.strip()


def animation(camera: Camera) -> tuple[list[Image.Image], list[int]]:
    """Return the frames of a run that is cancelled, and how long each was to be seen, in ms."""
    notebook = camera.notebook
    notebook.run(_FILMED)
    notebook.page.mouse.move(2, 2)
    frames: list[Image.Image] = []
    moments: list[float] = []

    def film(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            frames.append(camera.shoot(_FILMED, 260))
            moments.append(time.monotonic())
            camera.wait(_FRAME)

    film(3.0)
    notebook.button(_FILMED, "cancel").hover()
    film(0.7)
    notebook.button(_FILMED, "cancel").click()
    film(2.0)
    notebook.wait_for_prompt(_FILMED)
    height = max(frame.height for frame in frames)
    paper = frames[0].getpixel((frames[0].width - 1, frames[0].height - 1))
    times = [round((after - before) * 1000) for before, after in itertools.pairwise([*moments, time.monotonic()])]
    return [_on_paper(frame, height, paper) for frame in frames], times


def _on_paper(frame: Image.Image, height: int, paper: object) -> Image.Image:
    whole = Image.new("RGB", (frame.width, height), paper)  # type: ignore[arg-type]
    whole.paste(frame, (0, 0))
    return whole


def take(folder: Path, *, dark: bool, film: bool) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        served(LAB_HERE, sys.executable, CELLS, Path(directory), dark=dark) as notebook,
    ):
        notebook.run(0)
        notebook.wait_for_prompt(0)
        camera = Camera(notebook)
        states(camera).save(folder / f"panel-{'dark' if dark else 'light'}.png", optimize=True)
        if film:
            (first, *rest), times = animation(camera)
            first.save(folder / "panel.gif", optimize=True, save_all=True, append_images=rest, duration=times, loop=0)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    take(folder, dark=False, film=True)
    take(folder, dark=True, film=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
