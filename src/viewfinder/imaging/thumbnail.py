"""A photo written anew: small, and with nothing of the file that it came from but its pixels."""

from io import BytesIO

from PIL import Image


def small_jpeg(image: Image.Image, side: int, *, quality: int) -> tuple[bytes, tuple[int, int]]:
    """A JPEG whose longer side is at most `side` pixels, without metadata.

    Args:
        image: Of mode RGB; it is not changed.
        side: In pixels.
        quality: Of the JPEG, 1-95.

    Returns:
        The file, and its width and height.
    """
    image = image.copy()
    image.thumbnail((side, side))
    bare = Image.new("RGB", image.size)  # Pillow would write an image's comment again
    bare.paste(image)
    file = BytesIO()
    bare.save(file, "JPEG", quality=quality)
    return file.getvalue(), bare.size
