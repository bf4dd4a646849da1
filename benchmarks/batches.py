"""What a batch buys on a CPU: the time of an image in batches of 1 to 32, on one thread.

    python -m benchmarks.batches [--rounds 15] [--quick]

The shipped int8 graph, in LiteRT, with its input made longer. Batches take turns, and
the processor time of the thread counts: what others do on the machine disturbs little. What says
something is the time of an image beside that at a batch of one.
"""

import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from benchmarks.harness import Figure, median, parse, parser, save
from viewfinder.conversion.terminal import quiet
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE

_BATCHES = (1, 4, 8, 16, 32)


def main() -> None:
    """Measure, print and save."""
    rounds = parse(parser(__doc__, rounds=(15, 3))).rounds
    calls = {size: _interpreter(size) for size in _BATCHES}
    spent: dict[int, list[float]] = {size: [] for size in _BATCHES}
    for turn in range(rounds + 1):
        for size, interpreter in calls.items():
            began = time.thread_time()
            interpreter.invoke()
            if turn:  # the first call of each is slower
                spent[size].append((time.thread_time() - began) * 1000 / size)
    found = {size: median(each) for size, each in spent.items()}
    figures = [
        Figure(f"batch of {size}: time of an image, of that alone", found[size] / found[1])
        for size in _BATCHES
    ]
    save("batches", figures, milliseconds=found)


def _interpreter(size: int) -> Interpreter:
    """The shipped graph for that many images, its input filled."""
    bundle = Bundle.read(BUILTIN_STORE / BUILTIN_MODEL / "1")
    path = bundle.folder / bundle.manifest.variant().file.path
    with quiet():
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        image = interpreter.get_input_details()[0]
        shape = (size, *image["shape"].tolist()[1:])
        interpreter.resize_tensor_input(image["index"], shape)
        interpreter.allocate_tensors()
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    interpreter.set_tensor(image["index"], pixels)
    return interpreter


if __name__ == "__main__":
    main()
