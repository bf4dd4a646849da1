"""Photos that the fake engine has right, or wrong."""

from pathlib import Path

from tests.support import grey

from viewfinder.datasets.photos import Photo

STEPS = 4
_EACH = 3


def grey_photos(folder: Path, *, mistakes: int = 0) -> list[Photo]:
    """Photos in a folder for each step of brightness, of which some lie in another's folder.

    Args:
        folder: Where to write them.
        mistakes: How many of `step-0` are as bright as `step-1`.
    """
    photos = []
    for step in range(STEPS):
        for number in range(_EACH):
            wrong = step == 0 and number < mistakes
            path = folder / f"step-{step}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(grey((step + wrong) * 256 // STEPS + 10 + number))
            photos.append(Photo(path, f"step-{step}"))
    return photos
