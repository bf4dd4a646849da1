"""What it costs to have Viewfinder: time to the first answer, memory, bytes on disk.

    python -m benchmarks.footprint [--rounds 5] [--quick]

The install is measured in a fresh virtual environment made from the lock file, without extras and
without the tools of development.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.environments import megabytes, uv
from benchmarks.harness import Figure, median, parse, parser, photos, save
from benchmarks.processes import VIEWFINDER, viewfinder_until
from benchmarks.wrk import raw


def main() -> None:
    """Measure, print and save."""
    rounds = parse(parser(__doc__, rounds=(5, 1))).rounds
    starts = [first_answer() for _ in range(rounds)]
    helps = [help_() for _ in range(rounds)]
    save(
        "footprint",
        [
            Figure("first answer, s", median([seconds for seconds, _ in starts]), at_most=2.0),
            Figure("idle memory, MB", median([memory for _, memory in starts]), at_most=250.0),
            Figure("viewfinder --help, s", median(helps), at_most=0.4),
            Figure("base install, MB", install(), at_most=300.0),
        ],
    )


def first_answer() -> tuple[float, float]:
    """Seconds from the start of the process to a classified photo, then its idle memory in MB."""
    with viewfinder_until("/v1/classify", raw(photos()[0])) as server:
        return server.started_s, server.memory_mb()


def help_() -> float:
    """Seconds that `viewfinder --help` takes."""
    began = time.monotonic()
    subprocess.run([VIEWFINDER, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def install() -> float:
    """MB that the base install takes, Python itself left out."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "venv"
        uv(
            *("sync", "--quiet", "--frozen", "--no-dev", "--no-editable"),
            *("--python", sys.executable),
            UV_PROJECT_ENVIRONMENT=str(place),
            UV_LINK_MODE="copy",
        )
        return megabytes(place)


if __name__ == "__main__":
    main()
