"""What processes take of a machine, as `/proc` of Linux has it."""

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
# Of `/proc/PID/stat`, from behind the program's name on.
_USER, _SYSTEM = 11, 12


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and all below it have taken so far.

    Attributes:
        cpu_s: Processor seconds.
        loops_s: Of the main thread of each, by process id: where a server has its event loop.
        resident: Bytes in RAM.
        peak: The most of them, summed over the processes.
    """

    cpu_s: float
    loops_s: dict[int, float]
    resident: int
    peak: int


def usage(pid: int) -> Usage:
    """Look at a process and all below it; one that has ended counts as nothing."""
    cpu, resident, peak = 0.0, 0, 0
    loops: dict[int, float] = {}
    for one in _family(pid):
        with contextlib.suppress(OSError):
            process = Path(f"/proc/{one}")
            cpu += _seconds(process)
            loops[one] = _seconds(process / "task" / str(one))
            status = (process / "status").read_text()
            resident += _bytes(status, "VmRSS")
            peak += _bytes(status, "VmHWM")
    return Usage(cpu, loops, resident, peak)


def busiest_loop(before: Usage, after: Usage) -> float:
    """Processor seconds of the main thread that was busiest between two looks."""
    return max(
        (after.loops_s[pid] - before.loops_s.get(pid, 0.0) for pid in after.loops_s), default=0.0
    )


def _family(pid: int) -> list[int]:
    found = [pid]
    for one in found:  # which grows
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, children.read_text().split())
    return found


def _seconds(folder: Path) -> float:
    # A program's name may hold anything, also spaces and brackets.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS


def _bytes(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0
