"""What an archive may be, and what is left of one that is something else."""

import io
import stat
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.jobs.zips import changed, flood, quoting, zipped

from viewfinder.errors import (
    InvalidParameterError,
    MalformedRequestError,
    PayloadTooLargeError,
    RequestError,
    UnsupportedMediaTypeError,
)
from viewfinder.jobs.archive import Archive, open_archive
from viewfinder.settings import MIB


@contextmanager
def opened(
    data: bytes, *, most_images: int = 10, most_bytes: int = MIB, image_bytes: int = 1000
) -> Iterator[Archive]:
    with open_archive(
        io.BytesIO(data), most_images=most_images, most_bytes=most_bytes, image_bytes=image_bytes
    ) as archive:
        yield archive


def names(data: bytes) -> list[str]:
    with opened(data) as archive:
        return [entry.name for entry in archive.entries]


def refusal(data: bytes, **limits: int) -> RequestError:
    with pytest.raises(RequestError) as caught, opened(data, **limits):
        pass
    return caught.value


def only(data: bytes) -> bytes:
    with opened(data) as archive:
        (entry,) = archive.entries
        return archive.read(entry)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_its_files_come_in_their_order_and_whole(tmp_path: Path, compression: int) -> None:
    files = {"b.jpg": b"second", "a/deep/down.png": b"first", "z": b""}
    path = tmp_path / "photos.zip"
    path.write_bytes(zipped(files, compression=compression))
    with open_archive(path, most_images=3, most_bytes=11, image_bytes=6) as archive:
        assert [(entry.name, entry.bytes) for entry in archive.entries] == [
            ("b.jpg", 6),
            ("a/deep/down.png", 5),
            ("z", 0),
        ]
        assert [archive.read(entry) for entry in archive.entries] == [*files.values()]


def test_what_is_no_photo_by_its_nature_is_left_out() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.mkdir("photos")
        for name in ("photos/a.jpg", "__MACOSX/photos/._a.jpg", ".DS_Store", "x/.git/config"):
            archive.writestr(name, b"x")
        link = zipfile.ZipInfo("link.jpg")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert names(file.getvalue()) == ["photos/a.jpg"]


@pytest.mark.parametrize(
    "name",
    ["../x.jpg", "a/../../x.jpg", "/x", "C:\\x", "..\\x", "\\\\host\\x", "a\\..\\..\\x", "c:x"],
)
def test_a_file_outside_of_the_archive_spoils_it(name: str) -> None:
    error = refusal(zipped({"good.jpg": b"x", name: b"x"}))
    assert error.code == "malformed_request"
    assert repr(name) in error.detail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"\xff\xd8\xff not a zip" * 100,
        zipped({"x": b"x" * 300})[:-30],
        zipped({"x": b"x"})[:-1],
        b"PK\5\6" + b"\xff" * 18,
        zipped({"x": b"x"}).replace(b"PK\1\2", b"PK\1\3"),
        changed(zipped({"x": b"x"}), compressed=0x7FFFFFFF),
        changed(zipped({"x": b"x"}), offset=0x7FFFFFFF),
        changed(zipped({"x": b"x"}), flags=0x800).replace(b"x", b"\xff"),
    ],
    ids=["empty", "2 bytes", "other", "cut", "cut by 1", "end", "sign", "length", "place", "name"],
)
def test_what_is_no_zip_or_damaged_is_malformed(data: bytes) -> None:
    assert refusal(data).code == "malformed_request"


def test_a_zip_behind_an_image_is_a_zip() -> None:
    assert names(b"\xff\xd8\xff" * 50 + zipped({"a.jpg": b"x"})) == ["a.jpg"]


def test_two_files_of_one_name_are_two_files() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.jpg", b"2")
    with opened(file.getvalue()) as found:
        assert [found.read(entry) for entry in found.entries] == [b"1", b"2"]


def test_as_many_images_as_the_limit_and_no_more() -> None:
    assert len(names(zipped({str(n): b"x" for n in range(10)}))) == 10
    error = refusal(zipped({str(n): b"x" for n in range(11)}))
    assert isinstance(error, InvalidParameterError)
    assert "11" in error.detail


@pytest.mark.parametrize("files", [{}, {"__MACOSX/a": b""}])
def test_an_archive_of_no_images_is_refused(files: dict[str, bytes]) -> None:
    assert isinstance(refusal(zipped(files)), InvalidParameterError)


def test_as_many_bytes_as_the_limit_and_no_more() -> None:
    files = {"a": b"\0" * 600, "b": b"\0" * 424}
    with opened(zipped(files), most_bytes=1024):
        pass
    assert isinstance(refusal(zipped(files), most_bytes=1023), PayloadTooLargeError)


def test_a_bomb_of_quotations_is_refused() -> None:
    data = quoting(10, b"\0" * 100_000)
    assert len(data) < 2000
    assert isinstance(refusal(data, most_bytes=999_999), PayloadTooLargeError)
    assert isinstance(refusal(data), MalformedRequestError)


def test_of_a_file_no_more_is_unpacked_than_an_image_may_have() -> None:
    bomb = zipped({"x": b"\0" * 100 * MIB})
    tracemalloc.start()
    try:
        for data in (changed(bomb, size=MIB), changed(bomb, size=5000)):
            assert only(data) == b"\0" * 1001
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"flags": 1}, UnsupportedMediaTypeError),
        ({"flags": 0x21}, UnsupportedMediaTypeError),
        ({"method": 12}, UnsupportedMediaTypeError),
        ({"method": 99}, UnsupportedMediaTypeError),
        ({"flags": 0x20}, MalformedRequestError),
        ({"crc": 1}, MalformedRequestError),
        ({"size": 3}, MalformedRequestError),
        ({"offset": 1}, MalformedRequestError),
    ],
)
def test_a_file_that_cannot_be_unpacked_fails_alone(
    fields: dict[str, int], kind: type[RequestError]
) -> None:
    with opened(changed(zipped({"x": b"content"}), **fields)) as archive, pytest.raises(kind):
        archive.read(archive.entries[0])


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_cannot_be_bounded_are_not_taken(compression: int) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        only(zipped({"x": b"\0" * MIB}, compression=compression))


def test_a_million_entries_are_refused_before_they_are_read() -> None:
    data = flood(1_000_000)
    tracemalloc.start()
    try:
        assert isinstance(refusal(data, most_images=10_000), PayloadTooLargeError)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_more_entries_than_an_old_zip_can_count_are_counted() -> None:
    error = refusal(flood(66_000), most_images=65_999)
    assert "66,000" in error.detail
