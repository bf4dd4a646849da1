"""What it costs to have Viewfinder: time to the first answer, memory, bytes on disk.

    python -m benchmarks.footprint [--rounds 5]

The install is measured in a fresh virtual environment made from the lock file, without extras and
without the tools of development.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil

from benchmarks.harness import PHOTOS, ROOT, VIEWFINDER, clean_environment, free_port, median, save

_MB = 1_000_000
_TARGETS = {
    "first_answer_s": 2.0,
    "idle_memory_mb": 250.0,
    "install_mb": 300.0,
    "help_s": 0.4,
}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds

    starts = [first_answer() for _ in range(rounds)]
    result = {
        "first_answer_s": median([seconds for seconds, _ in starts]),
        "idle_memory_mb": median([memory for _, memory in starts]),
        "help_s": median([help_() for _ in range(rounds)]),
        "install_mb": install(),
    }
    print(f"{'':20}{'measured':>10}{'to reach':>10}")
    for name, target in _TARGETS.items():
        print(f"{name:20}{result[name]:10.2f}{target:10.2f}")
    save("footprint", result)


def first_answer() -> tuple[float, float]:
    """Seconds from the start of the process to a classified photo, then its idle memory in MB."""
    port = free_port()
    photo = PHOTOS[0].read_bytes()
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
            tree = [psutil.Process(process.pid)]
            tree += tree[0].children(recursive=True)
            return seconds, sum(part.memory_info().rss for part in tree) / _MB
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
