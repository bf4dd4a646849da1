"""How fast the backbones were when they were measured, remembered for each machine."""

import contextlib
import fcntl
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Speed:
    """Of a backbone as a float32 LiteRT graph.

    Attributes:
        milliseconds: The median for one photo, on one thread.
        date: When it was measured, ISO 8601.
    """

    milliseconds: float
    date: str


def read_speeds(home: Path) -> dict[str, Speed]:
    """What was measured on this machine, by the names of the backbones."""
    remembered: dict[str, Speed] = {}
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # or it is not ours
        for name, speed in json.loads(_file(home).read_bytes())[platform.node()].items():
            remembered[name] = Speed(float(speed["milliseconds"]), str(speed["date"]))
    return remembered


def remember_speeds(home: Path, speeds: Mapping[str, Speed]) -> None:
    """Keep what was measured on this machine, beside what was measured on others.

    What cannot be kept is measured again another time.
    """
    path = _file(home)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _add(path, {**read_speeds(home), **speeds})


def _add(path: Path, speeds: Mapping[str, Speed]) -> None:
    machines: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        machines = found if isinstance(found, dict) else {}
    machines[platform.node()] = {name: asdict(speed) for name, speed in speeds.items()}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(machines, indent=1))
    partial.replace(path)


def _file(home: Path) -> Path:
    return home / "cache" / "backbones.json"
