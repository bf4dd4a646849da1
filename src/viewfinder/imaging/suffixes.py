"""What the files of photos are called."""

from pathlib import PurePath
from typing import Final

HEIC: Final = frozenset({".heic", ".heif", ".hif"})
"""Those that need the extra `heif`."""

# For finding photos in a folder. What a file is, its first bytes say: see `decode.recognise`.
SUFFIXES: Final = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        *HEIC,
    }
)


def is_photo_name(name: str) -> bool:
    """Whether a file of this name is taken for a photo."""
    return PurePath(name).suffix.lower() in SUFFIXES
