"""What the threads do with one photo: decode, resize, infer, and pick the best classes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.engines.loader import LoadedVariant
from viewfinder.imaging.preprocess import prepare
from viewfinder.imaging.statistics import ImageStatistics, image_statistics
from viewfinder.serving.drift.sample import Sample
from viewfinder.serving.queue.devices import Devices
from viewfinder.serving.queue.lanes import Lane, Stage
from viewfinder.settings import Limits
from viewfinder.shared.options import MOST_CLASSES

_BYTES_PER_CLASS = np.dtype(np.int32).itemsize + np.dtype(np.float32).itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The best classes of one photo, best first, at most `MOST_CLASSES`.

    Attributes:
        indices: int32 `[K]`, places in the model's output.
        confidence: float32 `[K]`, 0-1.
    """

    indices: NDArray[np.int32]
    confidence: NDArray[np.float32]

    @classmethod
    def best(cls, confidence: NDArray[np.float32]) -> Self:
        """Pick them from the confidence of all classes; among equals, the lower index first."""
        count = min(MOST_CLASSES, confidence.size)
        # Sorting all of a thousand classes takes five times as long as picking a few and sorting
        # those.
        least = np.partition(confidence, -count)[-count]
        candidates = np.flatnonzero(confidence >= least)
        order = candidates[np.argsort(-confidence[candidates], kind="stable")][:count]
        return cls(order.astype(np.int32), confidence[order])

    def to_bytes(self) -> bytes:
        """A form for a cache."""
        return self.indices.tobytes() + self.confidence.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, classes: int) -> Self:
        """What `to_bytes` gave.

        Args:
            data: From a cache, which others may write to.
            classes: How many the model has.

        Raises:
            ValueError: No answer of such a model has this form.
        """
        count = min(MOST_CLASSES, classes)
        if len(data) != count * _BYTES_PER_CLASS:
            raise ValueError(f"{len(data)} bytes for {count} classes")
        middle = len(data) // 2
        indices = np.frombuffer(data[:middle], np.int32)
        confidence = np.frombuffer(data[middle:], np.float32)
        in_range = (indices >= 0) & (indices < classes) & (confidence >= 0) & (confidence <= 1)
        if not (in_range.all() and (np.diff(confidence) <= 0).all()):
            raise ValueError("indices or confidences that no model gives")
        if np.unique(indices).size != count:
            raise ValueError("a class twice")
        return cls(indices, confidence)


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """Scores, and when they came to be on the clock of `time.monotonic`.

    Attributes:
        scores: The answer.
        began: A thread took the photo up.
        decode: Seconds of decoding and resizing.
        infer: Seconds of the graph, with all that were in its batch.
        inferred: The graph was done.
        pixels: Width times height of the photo as it was sent.
        statistics: What it looks like, where that is compared and it was chosen for it.
    """

    scores: Scores
    began: float
    decode: float
    infer: float
    inferred: float = 0.0
    pixels: int = 0
    statistics: ImageStatistics | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    input: NDArray[np.uint8]
    began: float
    seconds: float
    pixels: int
    statistics: ImageStatistics | None

    def computed(self, scores: Scores, seconds: float, inferred: float) -> Computed:
        return Computed(
            scores, self.began, self.seconds, seconds, inferred, self.pixels, self.statistics
        )


class Computation:
    """The way of a photo through one loaded model.

    On a CPU that is one call, so that a photo changes threads once. Where batches pay, decoding
    stays on the CPU's threads and the graph has a stage, and a device's queue, of its own.

    Args:
        loaded: The model.
        limits: What will be decoded.
        looked_at: Of which photos to say what they look like; None for none.
    """

    def __init__(
        self, loaded: LoadedVariant, limits: Limits, *, looked_at: Sample | None = None
    ) -> None:
        self._loaded = loaded
        self._limits = limits
        self._looked_at = looked_at
        traits = loaded.engine.traits
        self._device = traits.device
        self._whole: Stage[bytes, Computed] = Stage(self._classify)
        self._decode: Stage[bytes, _Decoded] = Stage(self._prepare)
        self._infer: Stage[_Decoded, tuple[Scores, float, float]] = Stage(
            self._predict, largest=traits.max_useful_batch
        )

    async def run(self, data: bytes, devices: Devices, deadline: float, lane: Lane) -> Computed:
        """Compute one photo's scores.

        Raises:
            RequestError: The photo is at fault.
            ServiceError: There is no time for it.
        """
        if self._device == "cpu" and self._infer.largest == 1:
            return await devices.cpu.submit(self._whole, data, deadline=deadline, lane=lane)
        decoded = await devices.cpu.submit(self._decode, data, deadline=deadline, lane=lane)
        scores, seconds, inferred = await devices.of(self._device).submit(
            self._infer, decoded, deadline=deadline, lane=lane
        )
        return decoded.computed(scores, seconds, inferred)

    def compute(self, photo: bytes | Image.Image) -> Computed:
        """Compute one photo's scores on this very thread.

        Args:
            photo: The bytes of an image file, or an image that somebody has decoded.

        Raises:
            RequestError: The photo is at fault.
        """
        decoded = self._prepared(photo)
        ((scores, seconds, inferred),) = self._predict([decoded])
        return decoded.computed(scores, seconds, inferred)

    def _prepared(self, photo: bytes | Image.Image) -> _Decoded:
        began = time.monotonic()
        prepared = prepare(photo, self._loaded.variant.preprocess, self._limits)
        seconds = time.monotonic() - began
        width, height = prepared.size
        is_looked_at = self._looked_at is not None and self._looked_at.chosen()
        statistics = image_statistics(prepared.pixels) if is_looked_at else None
        return _Decoded(prepared.pixels, began, seconds, width * height, statistics)

    def _prepare(self, photos: Sequence[bytes]) -> list[_Decoded]:
        return [self._prepared(photos[0])]

    def _predict(self, decoded: Sequence[_Decoded]) -> list[tuple[Scores, float, float]]:
        began = time.monotonic()
        confidence = self._loaded.confidences(np.stack([one.input for one in decoded]))
        ended = time.monotonic()
        return [(Scores.best(row), ended - began, ended) for row in confidence]

    def _classify(self, photos: Sequence[bytes]) -> list[Computed]:
        return [self.compute(photos[0])]
