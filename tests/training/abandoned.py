"""A program that leaves pipelines of photos half read, for a garbage collection to find somewhere.

Wherever it is one of TensorFlow's threads, the end of a pipeline waits there for the rest of it.
"""

import gc
import sys
from pathlib import Path
from typing import Any

from tests.training.test_finetune import tuning

_ROUNDS = 200


class _Cycle:
    """Ends with a garbage collection, not before."""

    def __init__(self, kept: Any) -> None:
        self.kept, self.itself = kept, self


def main() -> None:
    """Do it in the folder that the first argument names."""
    _, fine_tuning = tuning(Path(sys.argv[1]))
    gc.set_threshold(50, 2, 2)
    for _ in range(_ROUNDS):
        pipeline = iter(fine_tuning._dataset(0, 0, 4))
        next(pipeline)
        _Cycle(pipeline)
    del pipeline
    gc.collect()


if __name__ == "__main__":
    main()
