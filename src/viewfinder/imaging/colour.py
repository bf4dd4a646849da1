"""Any colour mode to RGB."""

import numpy as np
from PIL import Image

_BACKGROUND = (255, 255, 255)
_STRIP = 1_000_000
"""Pixels worked on at once."""


def to_rgb(image: Image.Image, enough: tuple[int, int] | None = None) -> Image.Image:
    """Convert to RGB, with what is transparent laid on white.

    An image with transparency, or with 16 bits a sample, is converted strip by strip: one of 25
    megapixels would otherwise be in memory three times, at four bytes a pixel.

    Args:
        image: A loaded image of any mode that a decoder gives.
        enough: Width and height that suffice: such a strip is averaged down by a whole number as
            long as both stay at least this.

    Returns:
        An image of mode RGB.
    """
    if not (image.has_transparency_data or _is_deep(image)):
        return image if image.mode == "RGB" else image.convert("RGB")
    width, height = image.size
    step = max(1, min(width // enough[0], height // enough[1])) if enough else 1
    rgb = Image.new("RGB", (-(-width // step), -(-height // step)))
    rows = max(1, _STRIP // width // step) * step
    for top in range(0, height, rows):
        strip = _flatten(image.crop((0, top, width, min(top + rows, height))))
        rgb.paste(strip.reduce(step) if step > 1 else strip, (0, top // step))
    return rgb


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I")


def _flatten(image: Image.Image) -> Image.Image:
    if _is_deep(image):  # 16-bit grey; Pillow's own conversion would clip at 255
        samples = np.asarray(image)
        grey = (samples >> 8).astype(np.uint8)
        if (transparent := image.info.get("transparency")) is not None:
            grey[samples == transparent] = _BACKGROUND[0]
        return Image.fromarray(grey).convert("RGB")
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    flat = Image.new("RGB", rgba.size, _BACKGROUND)
    flat.paste(rgba, mask=rgba)
    return flat
