"""Figures of the server's processes, from Linux' `/proc`; elsewhere there are none.

The names are those that Prometheus' clients have: see
https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from viewfinder.telemetry.exposition import Totals
from viewfinder.telemetry.instruments import Family

_PROC = Path("/proc")
_PID = ("pid",)
_UTIME, _STIME, _START, _RSS = 11, 12, 19, 21  # of what follows the name in `stat`

_CPU = Family(
    "process_cpu_seconds_total",
    "counter",
    "Processor time of each server process, user and system.",
    _PID,
)
_MEMORY = Family("process_resident_memory_bytes", "gauge", "Its memory.", _PID)
_STARTED = Family(
    "process_start_time_seconds",
    "gauge",
    "Since when it has been running, in seconds of Unix.",
    _PID,
)
_FILES = Family("process_open_fds", "gauge", "Its open files and connections.", _PID)
_MOST_FILES = Family("process_max_fds", "gauge", "As many as there may be.", _PID)

PROCESS_FAMILIES = (_CPU, _MEMORY, _STARTED, _FILES, _MOST_FILES)
"""What there is to know of a process."""


def process_totals(pids: Iterable[int]) -> Totals:
    """The figures of processes; what cannot be read is left out.

    Args:
        pids: Their ids.
    """
    totals: Totals = {family.name: {} for family in PROCESS_FAMILIES}
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError, StopIteration):
            for family, value in _read(pid).items():
                totals[family.name][str(pid),] = [value]
    return totals


def _read(pid: int) -> dict[Family, float]:
    folder = _PROC / str(pid)
    # The name may hold anything, brackets too.
    fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return {
        _CPU: (int(fields[_UTIME]) + int(fields[_STIME])) / ticks,
        _MEMORY: float(int(fields[_RSS]) * os.sysconf("SC_PAGE_SIZE")),
        _STARTED: _boot_time() + int(fields[_START]) / ticks,
        _FILES: float(sum(1 for _ in (folder / "fd").iterdir())),
        _MOST_FILES: _most_files(folder),
    }


def _boot_time() -> float:
    lines = (_PROC / "stat").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("btime ")))


def _most_files(folder: Path) -> float:
    lines = (folder / "limits").read_text().splitlines()
    soft = next(line for line in lines if line.startswith("Max open files")).split()[3]
    return float("inf") if soft == "unlimited" else float(soft)
