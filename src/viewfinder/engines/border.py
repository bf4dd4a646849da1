"""Between pixels and a graph's own idea of its input, and between its output and scores.

A graph that Viewfinder makes takes uint8 pixels and gives float32 logits, and nothing happens here.
Foreign graphs want floats, other integers, or channels first, and may give quantised scores.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from viewfinder.errors import BundleError
from viewfinder.registry.manifest import Scaling

_CHANNELS = 3
_RANK = 4

_Input = TypeVar("_Input")
_Output = TypeVar("_Output")


@dataclass(frozen=True, slots=True)
class Quantization:
    """A whole number `q` stands for `(q - zero_point) * scale`."""

    scale: float
    zero_point: int

    def encode(
        self, values: NDArray[np.float32], dtype: np.dtype[np.integer]
    ) -> NDArray[np.integer]:
        """The nearest whole numbers that the type holds."""
        limits = np.iinfo(dtype)
        whole = np.round(values / np.float32(self.scale)) + self.zero_point
        held: NDArray[np.integer] = np.clip(whole, limits.min, limits.max).astype(dtype)
        return held

    def decode(self, values: NDArray[np.integer]) -> NDArray[np.float32]:
        """What the whole numbers stand for."""
        return (values.astype(np.float32) - self.zero_point) * np.float32(self.scale)


@dataclass(frozen=True, slots=True)
class InputBorder:
    """How a graph wants its images.

    Attributes:
        height: In pixels.
        width: In pixels.
        channels_first: Whether the graph takes `[N, 3, H, W]`.
        dtype: uint8, int8, float32 or float16.
        scaling: Applied to the pixels; None hands them over as they are.
        quantization: Applied after the scaling, for whole numbers.
    """

    height: int
    width: int
    channels_first: bool
    dtype: np.dtype[np.generic]
    scaling: Scaling | None
    quantization: Quantization | None

    @classmethod
    def of(
        cls,
        shape: Sequence[int | None],
        dtype: DTypeLike,
        scaling: Scaling | None,
        quantization: Quantization | None = None,
    ) -> Self:
        """Read what a graph says of its input.

        Args:
            shape: `[N, H, W, 3]` or `[N, 3, H, W]`; N may be unknown (None, or not positive).
            dtype: The type of its values.
            scaling: What the manifest says.
            quantization: What whole numbers stand for, if the graph says it.

        Raises:
            BundleError: No image has this shape, or the manifest lacks the scaling.
        """
        kind = np.dtype(dtype)
        if len(shape) != _RANK or _CHANNELS not in (shape[1], shape[3]):
            raise BundleError(
                f"the graph's input has the shape {_shown(shape)}; an image is "
                "[1, height, width, 3] or [1, 3, height, width]"
            )
        channels_first = shape[3] != _CHANNELS
        height, width = shape[2:] if channels_first else shape[1:3]
        if not height or not width or height < 1 or width < 1:
            raise BundleError("the graph's input has no fixed height and width")
        if kind not in (np.uint8, np.int8, np.float32, np.float16):
            raise BundleError(f"the graph's input is {kind}; uint8, int8 and floats can be served")
        if kind != np.uint8 and scaling is None:
            raise BundleError(
                f"the graph's input is {kind}, and the manifest says no scaling for it"
            )
        if kind in (np.uint8, np.int8) and scaling is not None and quantization is None:
            raise BundleError("the graph takes whole numbers and does not say what they stand for")
        return cls(int(height), int(width), channels_first, kind, scaling, quantization)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """`(height, width, 3)`, whatever order the graph has them in."""
        return self.height, self.width, _CHANNELS

    def encode(self, batch: NDArray[np.uint8]) -> NDArray[np.generic]:
        """uint8 `[N, H, W, 3]` to what the graph takes."""
        values: NDArray[np.generic] = batch
        if self.scaling is not None:
            mean = np.asarray(self.scaling.mean, np.float32)
            std = np.asarray(self.scaling.std, np.float32)
            scaled = (batch.astype(np.float32) - mean) / std
            if self.quantization is not None and np.issubdtype(self.dtype, np.integer):
                values = self.quantization.encode(scaled, np.dtype(self.dtype.str))
            else:
                values = scaled.astype(self.dtype)
        if self.channels_first:
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        return values


def one_each(inputs: Collection[_Input], outputs: Collection[_Output]) -> tuple[_Input, _Output]:
    """The only input of a graph, and its only output.

    Raises:
        BundleError: It has more of them, or none.
    """
    if len(inputs) != 1 or len(outputs) != 1:
        raise BundleError("a graph needs exactly one input and one output")
    return next(iter(inputs)), next(iter(outputs))


def count_classes(shape: Sequence[int | None]) -> int:
    """Numbers in one image's scores, from the shape of a graph's output.

    Raises:
        BundleError: It is not `[N, classes]`; axes of length one do not count.
    """
    counts = [n for n in shape[1:] if n != 1]
    if len(shape) <= 1 or len(counts) > 1 or not all(isinstance(n, int) and n > 0 for n in counts):
        raise BundleError(f"the graph's output has the shape {_shown(shape)}, not [1, classes]")
    return int(counts[0] or 1) if counts else 1


def in_parts(
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    batch: NDArray[np.uint8],
    size: int,
    *,
    fill: bool,
) -> NDArray[np.float32]:
    """Ask a graph for a batch of any length, some images at a time.

    Args:
        run: uint8 `[n, H, W, 3]` to float32 `[n, classes]`.
        batch: uint8 `[N, H, W, 3]`.
        size: The most images in a part.
        fill: Whether the graph takes exactly that many: blank images fill the last part.
    """
    answers = []
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        count = len(part)
        if fill and count < size:
            blank = np.zeros((size - count, *part.shape[1:]), part.dtype)
            part = np.concatenate([part, blank])
        answers.append(run(part)[:count])
    return answers[0] if len(answers) == 1 else np.concatenate(answers)


def to_scores(
    values: NDArray[np.generic], classes: int, quantization: Quantization | None = None
) -> NDArray[np.float32]:
    """A graph's output to float32 `[N, classes]` that is the caller's own."""
    if quantization is not None and np.issubdtype(values.dtype, np.integer):
        return quantization.decode(values.astype(np.int64)).reshape(-1, classes)
    return np.array(values, np.float32).reshape(-1, classes)


def _shown(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if n is None or n < 0 else str(n) for n in shape) + "]"
