"""What this machine is called."""

import platform
from pathlib import Path


def machine() -> str:
    """The processor of this machine, as people call it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
