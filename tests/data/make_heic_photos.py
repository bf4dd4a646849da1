"""Write the HEIC photos beside this file, from an example photo.

The extra `heif` decodes and does not encode, so this has packages of its own:

    uv run --no-project --with pillow-heif --with numpy python tests/data/make_heic_photos.py
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
PHOTO = HERE.parents[1] / "examples" / "photos" / "espresso.jpg"
SIZE = (160, 120)
QUALITY = 50
ORIENTATION, ON_ITS_SIDE = 0x0112, 6


def make() -> None:
    """Write them all."""
    library: Any = importlib.import_module("pillow_heif")
    image = Image.open(PHOTO).convert("RGB").resize(SIZE)
    grey = image.convert("L")
    clear = image.convert("RGBA")
    clear.putalpha(grey)
    exif = Image.Exif()
    exif[ORIENTATION] = ON_ITS_SIDE

    def write(name: str, photo: Any) -> None:
        photo.save(HERE / f"{name}.heic", quality=QUALITY)

    write("photo", library.from_pillow(image))
    write("alpha", library.from_pillow(clear))
    write("grey", library.from_pillow(grey))
    # The encoder writes what EXIF says into the container too.
    turned = library.from_pillow(image.transpose(Image.Transpose.ROTATE_90))
    turned.info["exif"] = exif.tobytes()
    write("turned", turned)
    pair = library.from_pillow(image)
    pair.add_from_pillow(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    write("pair", pair)
    for name, source, mode in (("deep", image, "RGB;16"), ("deep-grey", grey, "L;16")):
        samples = np.asarray(source).astype(np.uint16) * 257
        deep = library.from_bytes(mode, SIZE, samples.tobytes())
        write(name, deep)


if __name__ == "__main__":
    make()
