"""What it costs to have Viewfinder: time to the first answer, memory, bytes on disk.

    python -m benchmarks.footprint [--rounds 5] [--quick]

The install is measured in a fresh virtual environment made from the lock file, without extras and
without the tools of development.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil

from benchmarks.harness import ROOT, Figure, median, parse, parser, photos, save
from benchmarks.processes import VIEWFINDER, Server, clean_environment, free_port

_MB = 1_000_000


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
    port = free_port()
    photo = photos()[0]
    with tempfile.TemporaryDirectory() as home:
        began = time.monotonic()
        process = subprocess.Popen(
            [VIEWFINDER, "serve", "--port", str(port)],
            env=clean_environment(home),
            stderr=subprocess.DEVNULL,
        )
        try:
            while True:
                try:
                    answer = httpx2.post(
                        f"http://127.0.0.1:{port}/v1/classify",
                        content=photo,
                        headers={"Content-Type": "image/jpeg"},
                        trust_env=False,
                    )
                    break
                except httpx2.ConnectError:
                    time.sleep(0.005)
            seconds = time.monotonic() - began
            answer.raise_for_status()
            return seconds, Server(port, psutil.Process(process.pid)).memory_mb()
        finally:
            process.terminate()
            process.wait(30)


def help_() -> float:
    """Seconds that `viewfinder --help` takes."""
    began = time.monotonic()
    subprocess.run([VIEWFINDER, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def install() -> float:
    """MB that the base install takes, Python itself left out."""
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "venv"
        subprocess.run(
            [
                uv,
                "sync",
                "--quiet",
                "--frozen",
                "--no-dev",
                "--no-editable",
                "--python",
                sys.executable,
            ],
            cwd=ROOT,
            env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(place), "UV_LINK_MODE": "copy"},
            check=True,
        )
        files = (path for path in place.rglob("*") if path.is_file() and not path.is_symlink())
        return sum(path.stat().st_size for path in files) / _MB


if __name__ == "__main__":
    main()
