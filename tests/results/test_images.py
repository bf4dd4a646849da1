"""Stored images: pixels and nothing else, in what the processor has to spare."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.results.answers import answered, recording, rows
from tests.s3 import FakeS3, running_s3
from tests.support import DATA, encode, photo, same_pixels, soon

from viewfinder.blobs.store import Blobs, FolderBlobs, open_blobs
from viewfinder.errors import InvalidImageError
from viewfinder.results.images import ImageKeeper, image_key, stored_form
from viewfinder.serving.queue.scheduler import Scheduler
from viewfinder.settings import BlobSettings, Limits, Settings
from viewfinder.storage.database import Database
from viewfinder.storage.results.retention import OldResults

MARKER = b"Xq7-whose-photo-is-this"
LIMITS = Limits()


def _form(data: bytes, side: int = 1024) -> Image.Image:
    form = stored_form(data, side=side, limits=LIMITS)
    assert MARKER not in form
    image = Image.open(BytesIO(form))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert image.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    return image


def _marked(kind: str) -> bytes:
    image = Image.open(BytesIO(photo("cat.jpg"))).resize((320, 200))
    exif = Image.Exif()
    exif[0x010E] = MARKER.decode()
    match kind:
        case "JPEG":
            more = {"exif": exif, "comment": MARKER, "xmp": MARKER, "icc_profile": MARKER}
            return encode(image, kind, **more) + MARKER
        case "GIF":
            return encode(image, kind, comment=MARKER)
        case _:
            return encode(image, kind, exif=exif, xmp=MARKER)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_nothing_of_the_file_is_kept_but_its_pixels(kind: str) -> None:
    data = _marked(kind)
    assert MARKER in data
    assert _form(data).size == (320, 200)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.open(BytesIO(photo("cat.jpg"))).resize((320, 200))
    data = encode(image, "JPEG", exif=exif, quality=95)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    form = _form(data)
    assert form.size == upright.size
    difference = np.asarray(form, int) - np.asarray(upright, int)
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("side", [64, 300, 1024])
def test_its_longer_side_is_at_most_what_is_asked_for(side: int) -> None:
    large = encode(Image.open(BytesIO(photo("cat.jpg"))).resize((900, 2700)), "JPEG")
    assert _form(large, side).size == (round(side / 3), side)
    small = encode(Image.new("RGB", (40, 20), "red"))
    assert _form(small, side).size == (40, 20)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "1"])
def test_it_is_rgb_whatever_was_sent(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    _form(encode(Image.new(mode, (50, 30)), kind))


@pytest.mark.heif
def test_a_heic_photo_becomes_a_jpeg() -> None:
    form = _form((DATA / "turned.heic").read_bytes(), side=64)
    assert max(form.size) <= 64


def test_what_cannot_be_decoded_has_no_form() -> None:
    with pytest.raises(InvalidImageError):
        stored_form(photo("cat.jpg")[:3000], side=64, limits=LIMITS)


@pytest.fixture
def cpu() -> Iterator[Scheduler]:
    scheduler = Scheduler(threads=1, capacity=100)
    scheduler.start()
    yield scheduler
    scheduler.close()


def _keeper(cpu: Scheduler, blobs: Blobs, **options: Any) -> ImageKeeper:
    return ImageKeeper(cpu, blobs, side=64, limits=LIMITS, encoding=2, **options)


@pytest.fixture(params=["folder", "s3"])
async def blobs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Blobs]:
    """A place for images, of either kind."""
    if request.param == "folder":
        yield FolderBlobs(tmp_path / "blobs")
        return
    with running_s3() as s3:
        yield _on(s3, monkeypatch)


def _on(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    s3.request("PUT", "bucket")
    return open_blobs(Settings(blobs=BlobSettings(url="s3://bucket/kept")))


async def _stored(database: Database) -> list[int | None]:
    return [row["stored_bytes"] for row in await rows(database)]


async def test_the_row_says_how_large_its_image_is_once_that_is_there(
    settings: Settings, database: Database, cpu: Scheduler, tmp_path: Path
) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    one = answered(photo("cat.jpg"))
    async with recording(settings, images=_keeper(cpu, blobs)) as recorder:
        recorder.record(one)
        await recorder.flush()
    kept = blobs.get(image_key(one.prediction.id))
    assert same_pixels(
        Image.open(BytesIO(kept)),
        Image.open(BytesIO(stored_form(one.data, side=64, limits=LIMITS))),
    )
    assert await _stored(database) == [len(kept)]


async def test_images_go_to_either_kind_of_place(cpu: Scheduler, blobs: Blobs) -> None:
    keeper = _keeper(cpu, blobs)
    for identifier in ("a", "b"):
        assert keeper.reserve(photo("cat.jpg"))
        keeper.store(identifier, photo("cat.jpg"))
    await keeper.settled()
    assert keeper.stored.keys() == {"a", "b"}
    image = await asyncio.to_thread(blobs.get, image_key("a"))
    assert len(image) == keeper.stored["a"]
    await keeper.forget(frozenset({"a"}))
    with pytest.raises(FileNotFoundError):
        await asyncio.to_thread(blobs.get, image_key("a"))
    assert (keeper.losses.count, keeper.failing) == (0, False)


async def test_a_place_that_cannot_be_used_costs_the_image_and_never_the_row(
    settings: Settings, database: Database, cpu: Scheduler, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "blobs"
    in_the_way.write_text("no folder")
    keeper = _keeper(cpu, FolderBlobs(in_the_way))
    async with recording(settings, images=keeper) as recorder:
        recorder.record(answered(photo("cat.jpg")))
        await soon(lambda: keeper.losses.count)
        assert recorder.state == "images cannot be stored; 1 are lost"
        in_the_way.unlink()
        recorder.record(answered(photo("cat.jpg")))
        await soon(lambda: not keeper.failing)
        assert recorder.state == "images were lost just now; 1 are lost"
    first, second = await _stored(database)
    assert first is None
    assert second is not None


async def test_s3_that_is_away_costs_the_image(
    monkeypatch: pytest.MonkeyPatch, cpu: Scheduler
) -> None:
    with running_s3() as s3:
        keeper = _keeper(cpu, _on(s3, monkeypatch))
        s3.refuse = lambda *_: "AccessDenied"
        assert keeper.reserve(photo("cat.jpg"))
        keeper.store("a", photo("cat.jpg"))
        await keeper.settled()
    assert (keeper.losses.count, keeper.failing, keeper.stored) == (1, True, {})


async def test_an_image_that_does_not_fit_is_lost_and_its_row_is_kept(
    settings: Settings, database: Database, cpu: Scheduler, tmp_path: Path
) -> None:
    data = photo("cat.jpg")
    keeper = _keeper(cpu, FolderBlobs(tmp_path / "blobs"), room=2 * (len(data) + 4096))
    async with recording(settings, images=keeper, gather_s=60) as recorder:
        for _ in range(3):
            recorder.record(answered(data))
        assert (recorder.waiting, keeper.losses.count) == (3, 1)
        await recorder.flush()
        await keeper.settled()
        recorder.record(answered(data))  # there is room again
    assert [size is not None for size in await _stored(database)] == [True, True, False, True]


async def test_tiny_images_do_not_wait_without_end(cpu: Scheduler, tmp_path: Path) -> None:
    keeper = _keeper(cpu, FolderBlobs(tmp_path / "blobs"), room=1_000_000)
    assert sum(keeper.reserve(b"tiny") for _ in range(1000)) < 250
    assert keeper.losses.count > 750


async def test_an_image_that_cannot_be_decoded_is_lost_and_makes_room(
    settings: Settings, database: Database, cpu: Scheduler, tmp_path: Path
) -> None:
    keeper = _keeper(cpu, FolderBlobs(tmp_path / "blobs"), room=5000)
    async with recording(settings, images=keeper) as recorder:
        for number in range(1, 4):
            recorder.record(answered(b"no photo"))
            await soon(partial(_lost, keeper, number))
    assert await _stored(database) == [None, None, None]


async def test_images_wait_for_those_who_wait_for_answers(cpu: Scheduler, tmp_path: Path) -> None:
    keeper, order = _keeper(cpu, FolderBlobs(tmp_path)), list[str]()
    entered, free = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert free.wait(20)

    far = time.monotonic() + 60
    holding = asyncio.create_task(cpu.run(hold, deadline=far))
    await asyncio.to_thread(entered.wait, 20)
    keeper._form = partial(_noting, order)
    assert keeper.reserve(b"photo")
    keeper.store("a", b"photo")
    await soon(lambda: cpu._lanes.batch)
    asking = [
        asyncio.create_task(cpu.run(lambda: order.append("answer"), deadline=far)) for _ in range(5)
    ]
    await soon(lambda: len(cpu._lanes.interactive) == 5)
    free.set()
    await asyncio.gather(holding, *asking)
    await keeper.settled()
    assert order == [*["answer"] * 5, "image"]


async def test_the_image_of_a_result_that_was_erased_meanwhile_goes_too(
    settings: Settings, database: Database, cpu: Scheduler, tmp_path: Path
) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    keeper = _keeper(cpu, blobs)
    entered, free = threading.Event(), threading.Event()
    one = answered(photo("cat.jpg"))

    def hold() -> None:
        entered.set()
        assert free.wait(20)

    holding = asyncio.create_task(cpu.run(hold, deadline=time.monotonic() + 60))
    await asyncio.to_thread(entered.wait, 20)
    async with recording(settings, images=keeper) as recorder:
        recorder.record(one)
        await recorder.flush()
        await OldResults(database).erase([one.prediction.id])
        free.set()
        await holding
        await keeper.settled()
        await soon(lambda: not keeper.stored)
    with pytest.raises(FileNotFoundError):
        blobs.get(image_key(one.prediction.id))


def test_what_a_crash_left_of_an_image_is_erased_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    beside, key = image_key("0123450"), image_key("0123456")
    blobs.put(beside, b"image")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        patch.setattr(Path, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            blobs.put(key, b"image")
    folder = (tmp_path / "blobs" / key).parent
    files = list(folder.iterdir())
    assert len(files) == 2
    assert {file.stat().st_mode & 0o077 for file in files} == {0}
    blobs.delete([beside, key])
    assert not folder.exists()


def _lost(keeper: ImageKeeper, count: int) -> bool:
    return keeper.losses.count == count


def _noting(order: list[str], data: bytes) -> bytes:
    order.append("image")
    return data
