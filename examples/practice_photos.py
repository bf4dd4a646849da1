"""Makes photos to practise with.

    python examples/practice_photos.py practice

Small grey pieces of four of the photos beside it: from which photo is this piece? `photos` is to
learn from, `exam` is to be judged with, `incoming` is what comes later.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

SOURCES = Path(__file__).parent / "photos"
CLASSES = ("cat", "espresso", "running-shoe", "sandal")


def main(folder: Path, each: int) -> None:
    """Write so many pieces of each photo to learn from, and fewer for the other folders."""
    chance = np.random.default_rng(0)  # the same pieces each time
    for label in CLASSES:
        with Image.open(SOURCES / f"{label}.jpg") as image:
            whole = ImageOps.grayscale(image)
        for part, count in ("photos", each), ("exam", each // 3), ("incoming", each // 6):
            (folder / part / label).mkdir(parents=True)
            for number in range(count):
                piece(whole, chance).save(folder / part / label / f"{number:03}.jpg")


def piece(whole: Image.Image, chance: np.random.Generator) -> Image.Image:
    """A square of it, somewhere, brighter or darker, mirrored or not."""
    side = int(min(whole.size) * chance.uniform(0.06, 0.25))
    left = int(chance.integers(whole.width - side))
    top = int(chance.integers(whole.height - side))
    seen = whole.crop((left, top, left + side, top + side))
    if chance.integers(2):
        seen = ImageOps.mirror(seen)
    return ImageEnhance.Brightness(seen).enhance(chance.uniform(0.3, 1.4))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a new one")
    parser.add_argument("--each", type=int, default=120, help="pieces of each photo to learn from")
    asked = parser.parse_args()
    main(asked.folder, asked.each)
