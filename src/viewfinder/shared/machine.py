"""What this machine is called, and how much of it there is."""

import contextlib
import math
import os
import platform
from pathlib import Path

_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def machine() -> str:
    """The processor of this machine, as people call it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """Cores this process may use: in a container, often fewer than the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(OSError, ValueError):  # no cgroup v2, or no quota ("max")
        quota, period = _CPU_QUOTA.read_text().split()
        return max(1, min(cores or 1, math.ceil(int(quota) / int(period))))
    return cores or 1
