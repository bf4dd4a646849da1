"""The cache of decoded photos."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.datasets.sets import SPEC, blobs, opened, write, write_set
from tests.support import PHOTOS, encode, photo

from viewfinder.datasets import pixels as module
from viewfinder.datasets.photos import Photo
from viewfinder.datasets.pixels import Pixels, open_pixels
from viewfinder.datasets.sources.source import read_dataset
from viewfinder.errors import DatasetError
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Photo, ...]:
    """Twelve photos of two classes."""
    return read_dataset(write_set(tmp_path / "data", {"a": 6, "b": 6})).photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where caches are; it does not exist yet."""
    return tmp_path / "home" / "pixels"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What has been decoded."""
    seen: list[bytes] = []

    def counted(data: bytes, spec: PreprocessSpec, limits: Limits) -> np.ndarray:
        seen.append(data)
        return preprocess(data, spec, limits)

    monkeypatch.setattr(module, "preprocess", counted)
    return seen


def _caches(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _are_right(found: Pixels) -> bool:
    return len(found.photos) == len(found.pixels) == len(found.digests) and all(
        np.array_equal(row, preprocess(one.path.read_bytes(), SPEC, Limits()))
        for one, row in zip(found.photos, found.pixels, strict=True)
    )


@pytest.mark.parametrize(
    "data",
    [
        *(pytest.param(path.read_bytes(), id=path.name) for path in sorted(PHOTOS.glob("*.jpg"))),
        *(
            pytest.param(
                encode(Image.open(PHOTOS / "cat.jpg").resize(size), kind), id=f"{kind}-{size}"
            )
            for kind in ("JPEG", "PNG")
            for size in ((301, 977), (1401, 2003), (97, 61))
        ),
    ],
)
def test_the_centre_of_larger_cached_pixels_is_what_serving_sees(
    tmp_path: Path, data: bytes
) -> None:
    side = 224
    path = write(tmp_path / "photo", data)
    found = open_pixels(
        [Photo(path, "a")],
        PreprocessSpec(width=side + 32, height=side + 32),
        tmp_path / "cache",
        limits=Limits(),
        threads=1,
        progress=lambda *_: None,
    )
    served = PreprocessSpec(width=side, height=side, crop_fraction=side / (side + 32))
    assert np.array_equal(found.pixels[0, 16:-16, 16:-16], preprocess(data, served, Limits()))


def test_each_photo_is_decoded_once_by_the_code_that_serves(
    photos: tuple[Photo, ...], folder: Path, decoded: list[bytes]
) -> None:
    first = opened(photos, folder)
    assert _are_right(first)
    assert set(first.photos) == set(photos)
    assert not first.pixels.flags.writeable
    assert len(decoded) == 12
    again = opened(photos, folder)
    assert np.array_equal(again.pixels, first.pixels)
    assert again.photos == first.photos
    assert len(decoded) == 12


def test_rows_are_in_the_order_of_contents_whatever_the_files_are_called(
    photos: tuple[Photo, ...], folder: Path, tmp_path: Path, decoded: list[bytes]
) -> None:
    first = opened(photos, folder)
    moved = []
    for number, one in enumerate(photos):
        path = write(tmp_path / "moved" / f"{-number}.png", one.path.read_bytes())
        moved.append(Photo(path, "other"))
    again = opened(tuple(moved), folder)
    assert again.digests == first.digests == tuple(sorted(first.digests))
    assert np.array_equal(again.pixels, first.pixels)
    assert len(decoded) == 12


def test_a_change_of_a_file_is_seen_and_only_it_is_decoded(
    photos: tuple[Photo, ...], folder: Path, decoded: list[bytes]
) -> None:
    opened(photos, folder)
    before = photos[3].path.stat()
    write(photos[3].path, blobs(99))
    os.utime(photos[3].path, ns=(before.st_atime_ns, before.st_mtime_ns))
    decoded.clear()
    assert _are_right(opened(photos, folder))
    assert decoded == [photos[3].path.read_bytes()]


@pytest.mark.parametrize(
    ("spec", "limits"),
    [(PreprocessSpec(width=8, height=8), Limits()), (SPEC, Limits(side=1000))],
)
def test_another_geometry_or_limit_is_another_cache(
    photos: tuple[Photo, ...],
    folder: Path,
    decoded: list[bytes],
    spec: PreprocessSpec,
    limits: Limits,
) -> None:
    opened(photos, folder)
    open_pixels(photos, spec, folder, limits=limits, threads=2, progress=lambda *_: None)
    assert len(decoded) == 24
    assert len(_caches(folder)) == 2


def test_newer_code_makes_another_cache(
    photos: tuple[Photo, ...], folder: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(photos, folder)
    monkeypatch.setattr(module, "_code", lambda: "newer")
    opened(photos, folder)
    assert len(decoded) == 24


def test_copies_are_decoded_once_and_each_has_a_row(
    tmp_path: Path, folder: Path, decoded: list[bytes]
) -> None:
    data = write_set(tmp_path / "data", {"a": 2, "b": 1})
    shutil.copy(data / "a" / "000.png", data / "b" / "copy.png")
    found = opened(read_dataset(data).photos, folder)
    assert _are_right(found)
    assert len(found.photos) == 4
    assert len(decoded) == 3


def test_photos_that_fail_are_skipped_with_the_reason(
    photos: tuple[Photo, ...], folder: Path, tmp_path: Path
) -> None:
    bad = {
        "html.jpg": b"<html>",
        "cut.jpg": photo("cat.jpg")[:2000],
        "empty.jpg": b"",
        "large.jpg": bytes(Limits().image_bytes + 1),
    }
    extra = [Photo(write(tmp_path / name, data), "a") for name, data in bad.items()]
    extra.append(Photo(tmp_path / "nowhere.jpg", "a"))
    for _ in range(2):  # decoded, then from the cache
        found = opened((*extra, *photos), folder)
        assert _are_right(found)
        assert {one.photo.path.name: one.reason for one in found.skipped} == {
            "html.jpg": "The image is not JPEG, PNG, WebP, HEIC, GIF or BMP.",
            "cut.jpg": "The JPEG image is damaged and cannot be decoded.",
            "empty.jpg": "The image is empty.",
            "large.jpg": "The image is over the limit of 10,485,760 bytes.",
            "nowhere.jpg": "The file cannot be read.",
        }


def test_photos_that_all_fail_are_an_error(folder: Path, tmp_path: Path) -> None:
    bad = Photo(write(tmp_path / "bad.jpg", b"<html>"), "a")
    with pytest.raises(DatasetError, match=r"none of the 1 photos can be used.*bad\.jpg"):
        opened((bad,), folder)
    with pytest.raises(DatasetError, match="no photos"):
        opened((), folder)


def test_a_photo_that_changes_meanwhile_is_an_error(
    photos: tuple[Photo, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = module._hash

    def hashed(one: Photo, most: int) -> object:
        found = really(one, most)
        return replace(found, digest="0" * 64) if one == photos[5] else found

    monkeypatch.setattr(module, "_hash", hashed)
    with pytest.raises(DatasetError, match="was changed while it was read"):
        opened(photos, folder)
    assert _caches(folder) == []


def _flip(cache: Path) -> None:
    rows = bytearray((cache / "pixels").read_bytes())
    rows[1000] ^= 1
    (cache / "pixels").write_bytes(rows)


def _cut(cache: Path) -> None:
    os.truncate(cache / "pixels", 1000)


def _garble(cache: Path) -> None:
    (cache / "index.json").write_text("{")


def _shorten(cache: Path) -> None:
    index = json.loads((cache / "index.json").read_text())
    index["checksums"].pop()
    (cache / "index.json").write_text(json.dumps(index))


def _lose(cache: Path) -> None:
    (cache / "index.json").unlink()


def _replace(cache: Path) -> None:
    shutil.rmtree(cache)
    cache.write_text("a file")


@pytest.mark.parametrize("damage", [_flip, _cut, _garble, _shorten, _lose, _replace])
def test_a_damaged_cache_is_made_anew(
    photos: tuple[Photo, ...], folder: Path, damage: object, decoded: list[bytes]
) -> None:
    assert callable(damage)
    opened(photos, folder)
    damage(*_caches(folder))
    assert _are_right(opened(photos, folder))
    decoded.clear()
    assert _are_right(opened(photos, folder))
    assert decoded == []


_ELSEWHERE = """
import os, signal, sys
from pathlib import Path
from viewfinder.datasets import pixels
from viewfinder.datasets.sources.source import read_dataset
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.settings import Limits

data, folder, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
really = pixels.preprocess

def decode(*arguments):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return really(*arguments)

pixels.preprocess = decode
print("ready", flush=True)
sys.stdin.readline()
spec = PreprocessSpec(width=16, height=16)
photos = read_dataset(data).photos
found = pixels.open_pixels(
    photos, spec, folder, limits=Limits(), threads=2, progress=lambda *_: None
)
for one, row in zip(found.photos, found.pixels, strict=True):
    assert (row == really(one.path.read_bytes(), spec, Limits())).all()
"""


def _elsewhere(folder: Path, *, die_at: int = 0) -> subprocess.Popen[bytes]:
    """A process that opens the pixels when it is told, or dies as it decodes a photo."""
    data = folder.parents[1] / "data"
    return subprocess.Popen(
        [sys.executable, "-c", _ELSEWHERE, data, folder, str(die_at)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_a_kill_half_way_leaves_nothing_that_is_taken_for_whole(
    photos: tuple[Photo, ...], folder: Path
) -> None:
    with _elsewhere(folder, die_at=6) as process:
        process.communicate(b"\n", timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert _caches(folder) == []
    assert list(folder.glob(".partial-*"))
    assert _are_right(opened(photos, folder))
    assert len(_caches(folder)) == 1
    assert list(folder.glob(".partial-*")) == []


def test_several_processes_at_once_do_not_hurt_each_other(
    photos: tuple[Photo, ...], folder: Path
) -> None:
    with _elsewhere(folder) as one, _elsewhere(folder) as other:
        for process in (one, other):
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in (one, other):
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        for process in (one, other):
            process.communicate(timeout=60)
            assert process.returncode == 0
    assert _are_right(opened(photos, folder))
    assert len(_caches(folder)) == 1
    assert list(folder.glob(".partial-*")) == []


def test_the_caches_that_were_not_used_for_longest_make_room(
    photos: tuple[Photo, ...], folder: Path, decoded: list[bytes]
) -> None:
    row = 16 * 16 * 3
    sets = [photos[:4], photos[4:8], photos[8:]]
    for age, chosen in enumerate(sets):
        opened(chosen, folder)
        (newest,) = [c for c in _caches(folder) if (c / "index.json").stat().st_mtime > 10**9]
        os.utime(newest / "index.json", (age, age))
    assert _are_right(opened(sets[0], folder))  # now it is the one used last
    decoded.clear()
    assert _are_right(opened(photos[:5], folder, most_bytes=9 * row))
    assert len(_caches(folder)) == 2
    opened(sets[0], folder)
    assert decoded == []
    opened(photos, folder, most_bytes=1)  # too large, and stays
    assert len(_caches(folder)) == 1


def test_a_full_disk_is_an_error_before_anything_is_decoded(
    photos: tuple[Photo, ...], folder: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DatasetError, match=r"are free; delete what is there"):
        opened(photos, folder)
    assert decoded == []


def test_a_folder_that_cannot_be_written_is_an_error(
    photos: tuple[Photo, ...], tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="cannot keep decoded photos"):
        opened(photos, write(tmp_path / "file", b"") / "pixels")


def test_progress_rises_to_all(photos: tuple[Photo, ...], folder: Path, tmp_path: Path) -> None:
    bad = Photo(write(tmp_path / "bad.jpg", b""), "a")
    for _ in range(2):
        told: list[tuple[int, int]] = []

        def tell(done: int, total: int, told: list[tuple[int, int]] = told) -> None:
            told.append((done, total))

        open_pixels((*photos, bad), SPEC, folder, limits=Limits(), threads=2, progress=tell)
        assert {total for _, total in told} == {26}
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[-1] == (26, 26)
        assert len(told) >= 25
