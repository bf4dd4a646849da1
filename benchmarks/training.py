"""From a folder of photos to a published model: how long, how good, how much memory.

    python -m benchmarks.training PHOTOS [--fine-tune] [--quick]

PHOTOS has `train`, `validation` and `test`. The head alone is trained first, from nothing cached;
then, with `--fine-tune`, everything with the defaults. The reference is what most tutorials do: the
frozen backbone inside the model, in TensorFlow, epoch after epoch; one epoch of it is timed beside
ours, in the same run.
"""

import json
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import Figure, parse, parser, save
from benchmarks.processes import VIEWFINDER, clean_environment

_MB = 1_000_000
_QUICK_EPOCHS = 1


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("photos", type=Path, help="a folder with train/, validation/ and test/")
    options.add_argument("--fine-tune", action="store_true", help="the whole too (minutes)")
    arguments = parse(options)
    head, memory = train(arguments.photos, "--no-fine-tune")
    epoch_s = tutorial_epoch(arguments.photos)
    figures = [
        Figure("head alone, s", head["seconds"], at_most=90.0),
        Figure("head alone, accuracy on test, %", _percent(head, "accuracy"), at_least=85.0),
        Figure("head alone, ECE on test, %", _percent(head, "ece"), at_most=6.0),
        Figure("head alone, peak memory, MB", memory, at_most=4000.0),
        Figure("tutorial's way, one epoch, s", epoch_s),
        Figure("tutorial's 10 epochs to our whole", 10 * epoch_s / head["seconds"]),
    ]
    if arguments.fine_tune:
        extra = ["--epochs", str(_QUICK_EPOCHS)] if arguments.quick else []
        tuned, memory = train(arguments.photos, *extra)
        figures += [
            Figure("fine-tuned, s", tuned["seconds"], at_most=900.0),
            Figure("fine-tuned, accuracy on test, %", _percent(tuned, "accuracy"), at_least=91.0),
            Figure("fine-tuned, ECE on test, %", _percent(tuned, "ece"), at_most=6.0),
            Figure("fine-tuned, peak memory, MB", memory, at_most=4000.0),
        ]
    save("training", figures)


def train(photos: Path, *options: str) -> tuple[dict[str, Any], float]:
    """Run the command in an empty data home: its last line, and its peak memory in MB."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [VIEWFINDER, "train", photos, "--name", "benchmark", "--json", *options],
            env=clean_environment(home),
            stdout=subprocess.PIPE,
            text=True,
        )
        peak = _watch(process)
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit("training failed")
        return json.loads(output), peak[0] / _MB


def _watch(process: "subprocess.Popen[str]") -> list[int]:
    """A list with the most bytes in memory so far, without the pages of the photos' cache."""
    peak = [0]

    def look() -> None:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                found = watched.memory_info()
            except psutil.NoSuchProcess:
                return
            peak[0] = max(peak[0], found.rss - found.shared)
            time.sleep(0.2)

    threading.Thread(target=look, daemon=True).start()
    return peak


def tutorial_epoch(photos: Path) -> float:
    """Seconds of one epoch of a frozen backbone with a head of 1,024, as tutorials train it."""
    import keras

    from viewfinder.modeling.backbones import BACKBONES
    from viewfinder.modeling.classifier import build_classifier
    from viewfinder.modeling.cutting import below_pool

    backbone = BACKBONES["efficientnet-lite0"]
    data = keras.utils.image_dataset_from_directory(
        photos / "train", image_size=(backbone.input_size, backbone.input_size), verbose=False
    )
    model = build_classifier(backbone, len(data.class_names), head="mlp")
    for layer in below_pool(model):
        layer.trainable = False
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    began = time.monotonic()
    model.fit(data, epochs=1, verbose=0)
    return time.monotonic() - began


def _percent(found: dict[str, Any], name: str) -> float:
    return 100 * float(found["evaluation"]["test"][name])


if __name__ == "__main__":
    main()
