"""Draw what ``goals --write FILE`` has measured: ``python -m tests.benchmarks.plots FILE DIRECTORY``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

_OURS, _THEIRS, _MISSED = "#1f6feb", "#8c959f", "#bf3989"


def costs(figures: dict[str, Any], path: Path) -> None:
    """What a run of nothing costs, by whom."""
    rows = sorted(figures["costs"].items(), key=lambda row: -row[1])
    figure, axes = plt.subplots(figsize=(8, 0.36 * len(rows) + 1), layout="constrained")
    ours = ["timeout" in name and "_" not in name for name, _ in rows]
    bars = axes.barh([name for name, _ in rows], [ms for _, ms in rows], color=[_OURS if o else _THEIRS for o in ours])
    axes.bar_label(bars, [f"{ms:.1f} ms" for _, ms in rows], padding=3, fontsize=9)
    axes.set(xscale="log", xlabel="milliseconds more than a native cell (median, logarithmic)")
    axes.set_xlim(right=max(ms for _, ms in rows) * 3)
    axes.set_title("A run of nothing in a process of its own", loc="left")
    _save(figure, axes, path)


def goals(figures: dict[str, Any], path: Path) -> None:
    """How far each figure is from what is allowed."""
    rows = figures["goals"][::-1]
    shares = [max(row["measured"] / row["allowed"], 0.02) for row in rows]
    figure, axes = plt.subplots(figsize=(9, 0.3 * len(rows) + 1), layout="constrained")
    colors = [_OURS if row["met"] else _MISSED for row in rows]
    bars = axes.barh([row["what"] for row in rows], shares, color=colors)
    labels = [f"{row['measured']:.3g} {row['unit']} of {row['allowed']:g}" for row in rows]
    axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlim(0, max(2.0, *(share * 1.3 for share in shares)))
    axes.set(xlabel="share of what is allowed (the line)")
    axes.tick_params(axis="y", labelsize=8)
    _save(figure, axes, path)


def memory(figures: dict[str, Any], path: Path) -> None:
    """The memory of the kernel and of its processes while a cell reads a large array."""
    curves = figures["memory"]
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    parts = ("kernel", "its processes")
    axes.stackplot(curves["seconds"], *(curves[part] for part in parts), labels=parts, colors=(_THEIRS, _OURS))
    axes.set(xlabel="seconds", ylabel="MiB (shared pages count once)")
    axes.set_title("A timed cell sums a large array", loc="left")
    axes.legend(loc="upper right", frameon=False)
    _save(figure, axes, path)


def profile(figures: dict[str, Any], path: Path) -> None:
    """Where each millisecond of an empty run goes."""
    steps = figures["profile"]
    figure, axes = plt.subplots(figsize=(8, 0.34 * len(steps) + 1), layout="constrained")
    begin = 0.0
    for step in steps:
        axes.barh(step["what"], step["ms"], left=begin, color=_OURS)
        axes.text(begin + step["ms"], step["what"], f"  {step['ms']:.2f} ms", va="center", fontsize=8)
        begin += step["ms"]
    axes.invert_yaxis()
    axes.set(xlabel="milliseconds from the call of the magic (medians)")
    axes.set_xlim(right=begin * 1.12)
    _save(figure, axes, path)


def _save(figure: Any, axes: Any, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
    print(path.name)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.plots", description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path)
    parser.add_argument("directory", type=Path)
    options = parser.parse_args()
    figures = json.loads(options.figures.read_text())
    options.directory.mkdir(parents=True, exist_ok=True)
    for draw in (costs, goals, memory, profile):
        if figures.get(draw.__name__):
            draw(figures, options.directory / f"{draw.__name__}.png")


if __name__ == "__main__":
    main()
