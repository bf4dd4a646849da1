"""Reviewed photos as a zip, on both databases."""

import asyncio
import gc
import io
import json
import logging
import threading
import zipfile
from collections.abc import Iterable
from datetime import timedelta
from typing import Self

import pytest
from tests.results.making import NOW
from tests.results.reviewing import Reviewed
from tests.support import soon

from viewfinder.blobs.store import FolderBlobs
from viewfinder.results.archive import zip_reviewed
from viewfinder.results.images import image_key
from viewfinder.results.reviewed import SIDE_BY_SIDE
from viewfinder.storage.results.wanted import Wanted


async def _parts(reviewed: Reviewed, wanted: Wanted | None = None) -> list[bytes]:
    parts = zip_reviewed(reviewed.table, reviewed.blobs, wanted or Wanted())
    return [part async for part in parts]


def _opened(parts: Iterable[bytes]) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(b"".join(parts)))
    assert archive.testzip() is None
    return archive


def _said(archive: zipfile.ZipFile) -> dict[str, int]:
    said: dict[str, int] = json.loads(archive.comment)
    return said


async def test_the_zip_has_the_files_of_the_folder(reviewed: Reviewed) -> None:
    for number in range(1, 2 * SIDE_BY_SIDE):
        await reviewed.add(number, "Löwe und Bär" if number % 3 else "cat")
    await reviewed.add(30, None)
    await reviewed.add(31, "cat", image=False)
    await reviewed.add(32, "../out")
    lost = await reviewed.add(33, "cat")
    reviewed.blobs.delete([image_key(lost)])
    await reviewed.export()
    archive = _opened(await _parts(reviewed))
    assert set(archive.namelist()) == reviewed.files()
    for name in archive.namelist():
        assert archive.read(name) == (reviewed.folder / name).read_bytes()
    assert _said(archive) == {"written": 15, "without_image": 2, "unfit": 1}


async def test_the_oldest_come_first_and_the_same_photos_make_the_same_bytes(
    reviewed: Reviewed,
) -> None:
    added = [await reviewed.add(number, f"class {number % 2}") for number in (5, 1, 3)]
    parts = await _parts(reviewed)
    assert [name[-40:-4] for name in _opened(parts).namelist()] == [added[n] for n in (1, 2, 0)]
    assert await _parts(reviewed) == parts


async def test_each_photo_says_its_size_before_itself(reviewed: Reviewed) -> None:
    """Programs that read a zip from its beginning need that."""
    one = await reviewed.add(1, "cat")
    size = len(reviewed.blobs.get(image_key(one)))
    (info,) = _opened(await _parts(reviewed)).infolist()
    assert not info.flag_bits & 0x08
    head = (await _parts(reviewed))[0][:30]
    assert int.from_bytes(head[18:22], "little") == size


async def test_a_part_is_given_before_the_next_photos_are_read(reviewed: Reviewed) -> None:
    for number in range(3 * SIDE_BY_SIDE):
        await reviewed.add(number, "cat")
    read: list[str] = []

    class Counting(FolderBlobs):
        def get(self, key: str) -> bytes:
            read.append(key)
            return super().get(key)

    blobs = Counting(reviewed.folder.parent / "blobs")
    counts = [len(read) async for _ in zip_reviewed(reviewed.table, blobs, Wanted())]
    assert counts == [SIDE_BY_SIDE, 2 * SIDE_BY_SIDE, 3 * SIDE_BY_SIDE, 3 * SIDE_BY_SIDE]


async def test_only_what_is_wanted_is_in_it(reviewed: Reviewed) -> None:
    await reviewed.add(1, "cat")
    late = await reviewed.add(3, "cat")
    await reviewed.add(4, "cat", model="other")
    wanted = Wanted(model="fake", since=NOW + timedelta(days=2))
    assert _opened(await _parts(reviewed, wanted)).namelist() == [f"cat/reviewed-{late}.jpg"]
    nothing = _opened(await _parts(reviewed, Wanted(model="fake", version=2)))
    assert nothing.namelist() == []
    assert _said(nothing) == {"written": 0, "without_image": 0, "unfit": 0}


class Watched(bytes):
    """A photo that stops the thread that writes it, when that asks for the size once more.

    Attributes:
        asked: How often that was.
        stop_at: When to stop.
    """

    def __init__(self, _: bytes, stop_at: int = 0) -> None:
        self.asked = 0
        self.stop_at = stop_at
        self.stopped = threading.Event()
        self.go_on = threading.Event()

    def __new__(cls, content: bytes, _: int = 0) -> Self:
        return super().__new__(cls, content)

    def __len__(self) -> int:
        self.asked += 1
        if self.asked == self.stop_at:
            self.stopped.set()
            assert self.go_on.wait(30)
        return super().__len__()


async def test_it_can_be_cancelled_at_any_moment(
    reviewed: Reviewed, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(SIDE_BY_SIDE + 2):
        await reviewed.add(number, "cat")

    async def read(photo: Watched) -> list[bytes]:
        class Same(FolderBlobs):
            def get(self, _: str) -> bytes:
                return photo

        parts = zip_reviewed(reviewed.table, Same(reviewed.folder), Wanted())
        return [part async for part in parts]

    whole = Watched(bytes(100_000))
    assert len(_opened(await read(whole)).namelist()) == SIDE_BY_SIDE + 2
    assert whole.asked >= 2 * (SIDE_BY_SIDE + 2)  # before each photo has its place, and then
    gc.collect()  # what other tests left has its say before
    with caplog.at_level(logging.INFO):
        caplog.clear()
        for moment in range(1, whole.asked + 1):
            photo = Watched(whole, moment)
            reading = asyncio.create_task(read(photo))
            await soon(photo.stopped.is_set)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            photo.go_on.set()
        await asyncio.get_running_loop().shutdown_default_executor()  # their threads have ended
        del reading, photo
        gc.collect()
        assert not caplog.records
