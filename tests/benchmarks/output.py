"""How long cells take that write much: timed and natively, in turns, in one kernel. Figures are printed, never asserted.

``python -m tests.benchmarks.output [ROUNDS]``. A time is from sending the cell until the kernel is idle and all that it
published has been read. The timed cell shows no more than a page is given: 2 MB of text.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tests.kernels.harness import Kernel

CASES = {
    "200,000 prints": "for i in range(200_000): print(i)",
    "500 displays": "for i in range(500): display(i)",
    "one line of 50 MB": "print('x' * 50_000_000)",
    "100,000 prints to each stream, alternating": (
        "import sys\nfor i in range(100_000): print(i); print(i, file=sys.stderr)"
    ),
    "50,000 prints, a display after each 100": (
        "for i in range(50_000):\n    print(i)\n    if i % 100 == 99: display(i)"
    ),
}
#: Time for the next idle process to get ready, in a kernel that does nothing else.
_READY = "import time; time.sleep(0.5)"


def compare(kernel: Kernel, code: str, rounds: int) -> tuple[list[float], list[float]]:
    """Return how long a cell takes natively and timed, in seconds, in as many rounds; one more warms up."""
    native, timed = [], []
    for _ in range(rounds + 1):
        kernel.run(_READY)
        for times, magic in ((native, ""), (timed, "%%timeout -q 600\n")):
            result = kernel.run(magic + code, 600)
            assert result.status == "ok", result.text
            times.append(result.seconds)
    return native[1:], timed[1:]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    print(f"{'':42} {'n':>3} {'natively s':>10} {'timed s':>10} {'median ratio':>13} {'quartiles':>12}")
    with tempfile.TemporaryDirectory() as directory:
        kernel = Kernel(sys.executable, Path(directory))
        try:
            kernel.run("%load_ext ipytimeout")
            for name, code in CASES.items():
                native, timed = compare(kernel, code, rounds)
                ratios = sorted(after / before for before, after in zip(native, timed, strict=True))
                low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if rounds > 1 else ratios * 3
                print(
                    f"{name:42} {len(ratios):3} {statistics.median(native):10.3f} {statistics.median(timed):10.3f}"
                    f" {middle:13.2f} {low:6.2f}-{high:.2f}",
                    flush=True,
                )
        finally:
            kernel.close()


if __name__ == "__main__":
    main()
