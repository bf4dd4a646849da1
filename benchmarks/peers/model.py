"""The work that every peer does for a photo: the default model by LiteRT, on one thread.

The Pillow calls are those that Viewfinder makes for a JPEG, so that the pixels are the same. A
peer's own environment has no Viewfinder in it: this imports nothing else of the benchmarks.
"""

import io
import json
import math
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from PIL import Image

BUNDLE = (
    Path(__file__).parents[2] / "src/viewfinder/registry/builtin/efficientnet-lite0/1"
).resolve()
CLASSES = 5


class Model:
    """One interpreter; one photo at a time."""

    def __init__(self) -> None:
        manifest = json.loads((BUNDLE / "bundle.json").read_text())
        variant = manifest["variants"][0]
        spec = variant["preprocess"]
        if (spec["resize"], spec["interpolation"], spec["channels"]) != ("crop", "bilinear", "rgb"):
            raise ValueError("the default model has another geometry than this knows")
        self._size = spec["width"], spec["height"]
        self._fraction = spec["crop_fraction"]
        self._temperature = variant["calibration"]["temperature"]
        self._labels = [label["name"] for label in manifest["labels"]]
        self._interpreter = Interpreter(
            model_path=str(BUNDLE / variant["file"]["path"]), num_threads=1
        )
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = next(
            detail["index"]
            for detail in self._interpreter.get_output_details()
            if len(detail["shape"]) != len(("image", "row", "column", "channel"))
        )

    def pixels(self, photo: bytes) -> NDArray[np.uint8]:
        """The bytes of a JPEG to uint8 `[height, width, 3]`."""
        with Image.open(io.BytesIO(photo)) as image:
            # From twice the input on, more pixels change nothing: libjpeg scales down by itself.
            width, height = (math.ceil(side * 2 / self._fraction) for side in self._size)
            image.draft(None, (width, height))
            rgb = image.convert("RGB")
        shown = rgb.resize(self._size, Image.Resampling.BILINEAR, box=self._box(rgb.size))
        return np.asarray(shown)

    def confidence(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels to what each class is given, which is 1 together."""
        self._interpreter.set_tensor(self._input, pixels[np.newaxis])
        self._interpreter.invoke()
        logits = self._interpreter.get_tensor(self._output)[0] / self._temperature
        powers = np.exp(logits - logits.max())
        confidence: NDArray[np.float32] = powers / powers.sum()
        return confidence

    def best(self, confidence: NDArray[np.float32]) -> list[dict[str, str | float]]:
        """The best classes by name."""
        return [
            {"class": self._labels[index], "confidence": float(confidence[index])}
            for index in np.argsort(-confidence)[:CLASSES]
        ]

    def classify(self, photo: bytes) -> list[dict[str, str | float]]:
        """All of it."""
        return self.best(self.confidence(self.pixels(photo)))

    def _box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The central part that is looked at."""
        scale = min(have / need for have, need in zip(size, self._size, strict=True))
        width, height = (side * scale * self._fraction for side in self._size)
        left, top = (size[0] - width) / 2, (size[1] - height) / 2
        return left, top, left + width, top + height
