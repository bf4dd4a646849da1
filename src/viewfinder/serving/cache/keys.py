"""What an answer is kept by."""

import asyncio
import hashlib

from viewfinder import __version__
from viewfinder.engines.loader import LoadedVariant

_LARGE = 256 * 1024


async def digest_of(data: bytes) -> str:
    """SHA-256 of a photo's bytes, as 64 hexadecimal digits."""
    if len(data) < _LARGE:
        return hashlib.sha256(data).hexdigest()
    return await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())


def key_of(photo: str, loaded: LoadedVariant) -> str:
    """The name of an answer: the photo, and everything that decides what a model says of it."""
    return f"{__version__}:{loaded.bundle.digest}:{loaded.variant.name}:{photo}"
