"""Photos that people have looked at: which are to be learned from, and what each is called."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from viewfinder.blobs.store import Blobs
from viewfinder.results.images import image_key
from viewfinder.results.labels import tidy_feedback
from viewfinder.storage.results.wanted import Wanted

if TYPE_CHECKING:
    from viewfinder.storage.results.rows import Result

SIDE_BY_SIDE = 8
"""Images that are fetched at once: S3 takes its time for each."""

_PAGE = 200


def reviewed_of(wanted: Wanted) -> Wanted:
    """Those that somebody has reviewed, the oldest first.

    Args:
        wanted: Of which model, and from when.
    """
    return Wanted(
        model=wanted.model,
        version=wanted.version,
        since=wanted.since,
        until=wanted.until,
        reviewed=True,
        order="oldest",
        limit=_PAGE,
    )


def place_of(result: "Result") -> PurePosixPath | None:
    """Where a photo belongs in a training folder, `<label>/reviewed-<id>.jpg`.

    None if its label, which then came by no API, cannot be the name of a folder.
    """
    try:
        label = tidy_feedback(result.feedback or "")
    except ValueError:
        return None
    return PurePosixPath(label, f"reviewed-{result.id}.jpg")


def stored_image(blobs: Blobs, result: "Result") -> bytes | None:
    """The stored image of a result, if there is one. Blocks, as `Blobs` does.

    Raises:
        OSError: The place of the images cannot be used.
    """
    if result.stored_bytes is None:
        return None
    try:
        return blobs.get(image_key(result.id))
    except FileNotFoundError:  # let go of since the row was read
        return None
