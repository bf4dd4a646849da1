"""Photos that people have looked at, as a zip that is sent while it is written."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from viewfinder.blobs.store import Blobs
from viewfinder.blobs.threads import in_thread
from viewfinder.results.reviewed import SIDE_BY_SIDE, place_of, reviewed_of, stored_image
from viewfinder.storage.results.wanted import Wanted

if TYPE_CHECKING:
    from viewfinder.storage.results.rows import Result
    from viewfinder.storage.results.table import Results

_MODE = 0o644 << 16


@dataclass
class Archived:
    """How an archive went, in photos.

    Attributes:
        written: In the archive.
        without_image: Of which no image is stored.
        unfit: Whose label cannot be the name of a folder.
    """

    written: int = 0
    without_image: int = 0
    unfit: int = 0


async def zip_reviewed(
    results: "Results", blobs: Blobs, wanted: Wanted
) -> AsyncGenerator[bytes, None]:
    """The stored images of reviewed results, each as `<label>/reviewed-<id>.jpg`, oldest first.

    The same results make the same bytes. The comment of the zip is JSON: how many photos are in it,
    and how many could not be (see `Archived`). In memory are some images, and a name for each photo
    that was written; nothing is compressed, for JPEGs are already. Whoever asks for no more parts,
    or is cancelled, leaves a zip without an end.

    Args:
        results: What was answered, and what people say.
        blobs: The images.
        wanted: Of which model, and from when.

    Raises:
        DatabaseError: The database cannot be used.
        OSError: The images cannot be read.
    """
    archive = _Archive()
    async for page in results.pages(reviewed_of(wanted)):
        for start in range(0, len(page), SIDE_BY_SIDE):
            some = page[start : start + SIDE_BY_SIDE]
            fetching = (in_thread(stored_image, blobs, result) for result in some)
            images = await asyncio.gather(*fetching)
            if data := await asyncio.to_thread(archive.add, some, images):
                yield data
    yield await asyncio.to_thread(archive.finish)


class _Archive:
    """One zip, as far as it is written."""

    def __init__(self) -> None:
        self._done = Archived()
        self._end = _End()
        self._zip = _Zip(self._end, "w", zipfile.ZIP_STORED)

    def add(self, some: "Sequence[Result]", images: Sequence[bytes | None]) -> bytes:
        """Write some, and give what that makes."""
        for result, image in zip(some, images, strict=True):
            place = place_of(result)
            if place is None:
                self._done.unfit += 1
            elif image is None:
                self._done.without_image += 1
            else:
                member = zipfile.ZipInfo(str(place), result.created.timetuple()[:6])
                member.external_attr = _MODE
                self._zip.writestr(member, image)
                self._done.written += 1
        return self._end.take()

    def finish(self) -> bytes:
        """Give what is left: the directory, and what the archive says of itself."""
        self._zip.comment = json.dumps(asdict(self._done)).encode()
        self._zip.close()
        return self._end.take()


class _Zip(zipfile.ZipFile):
    """A zip that can be let go of at any moment, also while a thread still writes into it.

    Of the thread's work nobody takes anything then, and there is no file to be closed.
    """

    def __del__(self) -> None:
        """`zipfile` would write the end here, on whichever thread lets go last."""


class _End(io.BytesIO):
    """The end of a file, which alone can still be changed; what was before is taken already.

    `zipfile` goes back to write the size of a member before it. Where it cannot, it writes the size
    behind it, which some programs refuse in a zip that is not compressed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._taken = 0

    def tell(self) -> int:
        """See `io.IOBase.tell`."""
        return self._taken + super().tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """See `io.IOBase.seek`."""
        if whence == io.SEEK_SET:
            offset -= self._taken
        return self._taken + super().seek(offset, whence)

    def take(self) -> bytes:
        """What has been written since it was last taken."""
        data = self.getvalue()
        self._taken += len(data)
        super().seek(0)
        self.truncate(0)
        return data
