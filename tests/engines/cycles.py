"""Load, ask and close a graph again and again, and print how the memory grew.

`python -m tests.engines.cycles ENGINE GRAPH` prints the megabytes by which the process was larger
after the last cycle than after the first ones, in which a runtime fills pools that it keeps.
"""

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np
import psutil

from viewfinder.engines.base import EngineOptions
from viewfinder.engines.loader import engine_module

WARM_UP = 2
CYCLES = 5


def main(name: str, graph: Path) -> None:
    """Run the cycles."""
    sizes = []
    for _ in range(WARM_UP + CYCLES):
        engine = engine_module(name).load(graph, EngineOptions(threads=2))
        engine.predict(np.zeros((1, *engine.input_shape), np.uint8))
        engine.close()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        sizes.append(psutil.Process().memory_info().rss / 1e6)
    sys.stdout.write(f"{sizes[-1] - sizes[WARM_UP - 1]}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
