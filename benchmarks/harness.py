"""What the benchmarks share: their options, real photos, medians, tables, results."""

import argparse
import contextlib
import json
import math
import platform
import re
import signal
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from viewfinder import __version__
from viewfinder.shared.machine import available_cores

ROOT = Path(__file__).parents[1]
PHOTOS = sorted((ROOT / "examples" / "photos").glob("*.jpg"))
RESULTS = ROOT / "benchmarks" / "results"


class Failed(SystemExit):
    """Ends a benchmark with what is wrong, unless somebody does without what failed."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number and what it is to reach.

    Attributes:
        name: What was measured, with its unit.
        value: The number.
        at_least: The target, where more is better.
        at_most: The target, where less is better.
    """

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the target is met; true where there is none."""
        return not (
            (self.at_least is not None and not self.value >= self.at_least)
            or (self.at_most is not None and not self.value <= self.at_most)
        )


def parser(document: str, **numbers: tuple[int, int]) -> argparse.ArgumentParser:
    """The options of a benchmark.

    Args:
        document: The module's docstring; its first line is the help.
        numbers: For each option its usual value, and its value with `--quick`.
    """
    made = argparse.ArgumentParser(description=document.splitlines()[0])
    made.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    for name, (usual, quick) in numbers.items():
        made.add_argument(f"--{name}", type=int, help=f"default {usual}, with --quick {quick}")
    made.set_defaults(numbers=numbers)
    return made


def parse(made: argparse.ArgumentParser) -> argparse.Namespace:
    """What the command line says, the numbers filled in."""
    # A benchmark that is told to stop takes its servers with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    arguments = made.parse_args()
    for name, (usual, quick) in arguments.numbers.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, quick if arguments.quick else usual)
    return arguments


def photos() -> list[bytes]:
    """The example photos."""
    return [path.read_bytes() for path in PHOTOS]


def median(numbers: Sequence[float]) -> float:
    """The middle one: the machine is noisy."""
    return statistics.median(numbers)


def percentile(numbers: Sequence[float], share: float) -> float:
    """The number under which `share` percent of them lie; not a number where there are none."""
    return float(np.percentile(numbers, share)) if len(numbers) else float("nan")


def show(figures: Sequence[Figure]) -> None:
    """Print what was measured beside what is to be reached."""
    if not figures:
        return
    width = max(len(figure.name) for figure in figures) + 2
    print(f"\n{'':{width}}{'measured':>10}  {'to reach':>10}")
    for figure in figures:
        print(f"{figure.name:{width}}{figure.value:10.2f}  {_target(figure)}")


def _target(figure: Figure) -> str:
    least, most = figure.at_least, figure.at_most
    if least is None and most is None:
        return ""
    if least is None or most is None:
        target = f">= {least:.2f}" if least is not None else f"<= {most:.2f}"
    else:
        target = f"{least:.2f}-{most:.2f}"
    return f"{target:>10}  {'reached' if figure.reached else 'MISSED'}"


def save(name: str, figures: Sequence[Figure], **details: Any) -> None:
    """Print the figures, and write them with the machine that they were measured on."""
    show(figures)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    listed = [{**asdict(figure), "reached": figure.reached} for figure in figures]
    result = {"machine": machine(), "figures": listed, **details}
    path.write_text(json.dumps(_finite(result), indent=2, allow_nan=False) + "\n")
    print(f"written to {path.relative_to(ROOT)}")


def _finite(value: Any) -> Any:
    """JSON has neither infinity nor a number that is none: null stands for both."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def machine() -> dict[str, Any]:
    """What a figure depends on."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        model = found[1] if found else model
    return {
        "processor": model,
        "cores": available_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "viewfinder": __version__,
    }
