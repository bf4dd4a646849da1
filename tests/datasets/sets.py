"""Small data sets on disk."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from tests.support import encode

from viewfinder.datasets.photos import Photo
from viewfinder.datasets.pixels import Pixels, open_pixels
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.settings import Limits

SPEC = PreprocessSpec(width=16, height=16)


def blobs(seed: int, size: tuple[int, int] = (48, 48)) -> Image.Image:
    """A picture of its own: a few soft blobs of colour."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def write(path: Path, content: Image.Image | bytes) -> Path:
    """A file, and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else encode(content))
    return path


def write_set(folder: Path, classes: Mapping[str, int], seed: int = 0) -> Path:
    """A folder for each class, with so many pictures that are all different."""
    for label, photos in classes.items():
        for number in range(photos):
            seed += 1
            write(folder / label / f"{number:03}.png", blobs(seed))
    return folder


def opened(photos: tuple[Photo, ...], folder: Path, **options: int) -> Pixels:
    """The pixels of photos, with nobody told how far it is."""
    return open_pixels(
        photos, SPEC, folder, limits=Limits(), threads=2, progress=lambda *_: None, **options
    )
