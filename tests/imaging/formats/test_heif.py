"""HEIC: what is kept of the container, what its pictures may cost, and what is refused."""

import struct
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.robustness import images
from tests.robustness.mutants import broken, heic_photos
from tests.support import DATA, in_full

from viewfinder.errors import (
    ImageTooLargeError,
    InvalidImageError,
    UnsupportedMediaTypeError,
)
from viewfinder.imaging.decode import decode, sniff
from viewfinder.imaging.formats import heif
from viewfinder.imaging.formats.hevc import largest_picture
from viewfinder.imaging.formats.isobmff import Container, Item, Property, Reference
from viewfinder.imaging.formats.isobmff_writing import write
from viewfinder.settings import Limits

LIMITS = Limits()
ESPRESSO = images.picture().resize((160, 120))
MUTANTS = in_full(200, 5000)

needs_heif = pytest.mark.heif


def photo(name: str) -> bytes:
    return (DATA / f"{name}.heic").read_bytes()


def difference(data: bytes, other: Image.Image) -> float:
    got = decode(data, limits=LIMITS)
    assert got.mode == "RGB"
    assert got.size == other.size
    return float(np.abs(np.asarray(got, np.int16) - np.asarray(other, np.int16)).mean())


def items(data: bytes, *numbers: int) -> list[Item]:
    container = Container.read(data)
    return [container.item(number) for number in numbers]


def with_property(item: Item, kind: bytes, body: bytes) -> Item:
    others = tuple(found for found in item.properties if found.kind != kind)
    return replace(item, properties=(*others, Property(kind, body)))


def of_size(item: Item, width: int, height: int) -> Item:
    return with_property(item, b"ispe", struct.pack(">4xII", width, height))


def decode_apart(photos: Iterable[bytes]) -> list[str]:
    """In a process of its own, where a fault in the library is the end of that alone."""
    program = """
import sys
from viewfinder.errors import RequestError
from viewfinder.imaging.decode import decode
from viewfinder.settings import Limits
for line in sys.stdin:
    try:
        decode(bytes.fromhex(line), limits=Limits())
    except RequestError:
        print("refused")
    else:
        print("sound")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input="\n".join(photo.hex() for photo in photos),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_heif
@pytest.mark.parametrize("name", ["photo", "deep", "turned", "pair"])
def test_a_heic_photo_is_decoded_upright_in_8_bits_and_of_several_the_first(name: str) -> None:
    assert sniff(photo(name)) == "HEIC"
    assert difference(photo(name), ESPRESSO) < 4


@needs_heif
@pytest.mark.parametrize("name", ["grey", "deep-grey"])
def test_a_grey_heic_photo_keeps_its_brightness(name: str) -> None:
    assert difference(photo(name), ESPRESSO.convert("L").convert("RGB")) < 4


@needs_heif
def test_what_is_transparent_in_a_heic_photo_is_white() -> None:
    white = Image.new("RGB", ESPRESSO.size, "white")
    assert difference(photo("alpha"), Image.composite(ESPRESSO, white, ESPRESSO.convert("L"))) < 4


@needs_heif
def test_a_photo_is_turned_by_its_container_and_not_a_second_time_by_exif() -> None:
    data = photo("turned")
    assert b"Exif" in data
    assert b"irot" in data
    assert heif.plain(data).orientation == 1
    without = items(data, Container.read(data).primary)[0]
    kept = tuple(found for found in without.properties if found.kind != b"irot")
    lying = write([replace(without, properties=kept)], [])
    assert decode(lying, limits=LIMITS).size == (120, 160)


@needs_heif
def test_tiles_are_put_together_and_cropped() -> None:
    data = images.heic_of_tiles(photo("pair"), (310, 110))
    whole = Image.new("RGB", (320, 120))
    whole.paste(ESPRESSO, (0, 0))
    whole.paste(ESPRESSO.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (160, 0))
    assert difference(data, whole.crop((0, 0, 310, 110))) < 4


@needs_heif
def test_nothing_but_the_first_picture_is_kept() -> None:
    for name in ("turned", "pair"):
        kept = heif.plain(photo(name)).data
        assert b"Exif" not in kept
        assert len(items(kept, 1)[0].data) == len(kept) - kept.index(b"mdat") - 4


@needs_heif
def test_bytes_that_follow_the_container_do_not_matter() -> None:
    film = struct.pack(">I4s", 1_000_008, b"mdat") + bytes(1_000_000)
    assert decode(photo("photo") + film, limits=LIMITS).size == (160, 120)


@needs_heif
def test_the_limits_hold_before_a_pixel_is_decoded() -> None:
    for limits in (Limits(pixels=160 * 120 - 1), Limits(side=159)):
        with pytest.raises(ImageTooLargeError):
            decode(photo("photo"), limits=limits)
    assert decode(photo("photo"), limits=Limits(pixels=160 * 120, side=160)).size == (160, 120)
    (item,) = items(photo("photo"), 1)
    with pytest.raises(ImageTooLargeError, match="a HEIC may have 25,000,000 pixels"):
        decode(write([of_size(item, 6000, 6000)], []), limits=LIMITS)


@needs_heif
@pytest.mark.parametrize("size", [(8192, 64), (64, 8192)])
def test_a_picture_that_is_coded_larger_than_announced_is_refused(size: tuple[int, int]) -> None:
    (item,) = items(photo("photo"), 1)
    sequence = images.hevc_sequence(*size)
    coding = next(found.body for found in item.properties if found.kind == b"hvcC")
    unit = bytes([33, 0, 1]) + struct.pack(">H", len(sequence)) + sequence
    larger = coding[:22] + bytes([coding[22] + 1]) + coding[23:] + unit
    inside = struct.pack(">I", len(sequence)) + sequence + item.data
    for bomb in (with_property(item, b"hvcC", larger), replace(item, data=inside)):
        with pytest.raises(InvalidImageError, match="no encoder"):
            decode(write([bomb], []), limits=LIMITS)


@pytest.mark.parametrize("name", ["photo", "deep", "grey"])
def test_the_size_of_a_coded_picture_is_read(name: str) -> None:
    (item,) = items(photo(name), 1)
    coding = next(found.body for found in item.properties if found.kind == b"hvcC")
    assert largest_picture(coding, item.data) == (160, 120)
    sequence = images.hevc_sequence(1920, 1088)
    assert largest_picture(bytes(23), bytes([len(sequence)]) + sequence) == (1920, 1088)


@needs_heif
def test_a_film_in_place_of_a_picture_is_refused() -> None:
    (item,) = items(photo("photo"), 1)
    with pytest.raises(InvalidImageError, match="no encoder"):
        decode(write([replace(item, data=item.data * 2)], []), limits=LIMITS)
    with pytest.raises(InvalidImageError, match="no still image"):
        decode(photo("photo").replace(b"meta", b"moov"), limits=LIMITS)


@needs_heif
@pytest.mark.parametrize("size", [(160, 120), (320, 121), (321, 120), (100, 120)])
def test_tiles_that_do_not_make_their_grid_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidImageError, match="no encoder"):
        decode(images.heic_of_tiles(photo("pair"), size), limits=LIMITS)


@needs_heif
def test_one_tile_named_a_thousand_times_is_refused() -> None:
    (tile,) = items(photo("photo"), 1)
    for across, down in ((30, 30), (256, 256)):
        size = (160 * across, 120 * down)
        shape = struct.pack(">4BII", 0, 1, down - 1, across - 1, *size)
        grid = of_size(Item(2, b"grid", shape, ()), *size)
        named = Reference(b"dimg", 2, (1,) * min(across * down, 65535))
        with pytest.raises(InvalidImageError, match="no encoder"):
            decode(write([grid, tile], [named]), limits=Limits(side=60_000, pixels=89_000_000))


@needs_heif
def test_many_items_made_of_the_same_bytes_are_refused() -> None:
    data = bytearray(images.heic_of_tiles(photo("pair")))
    # In the table of places, the second tile is said to lie where the first does.
    table = data.index(b"iloc") + 4 + 4 + 4
    first, second = (table + 14 * number for number in (1, 2))
    data[second + 6 : second + 14] = data[first + 6 : first + 14]
    short = bytes(data)
    assert decode(short, limits=LIMITS).size == (310, 110)  # it fits into the length of the file
    data[first + 10 : first + 14] = struct.pack(">I", len(data) - 600)
    with pytest.raises(InvalidImageError):
        decode(bytes(data), limits=LIMITS)


@needs_heif
def test_a_picture_that_is_turned_a_hundred_times_is_refused() -> None:
    (item,) = items(photo("photo"), 1)
    turns = tuple(Property(b"irot", b"\1", is_essential=True) for _ in range(100))
    with pytest.raises(InvalidImageError, match="no encoder"):
        decode(write([replace(item, properties=item.properties + turns)], []), limits=LIMITS)


@needs_heif
def test_a_property_that_must_be_known_and_is_not_is_refused() -> None:
    (item,) = items(photo("photo"), 1)
    for is_essential in (True, False):
        unknown = Property(b"lsel", b"\0\1", is_essential=is_essential)
        data = write([replace(item, properties=(*item.properties, unknown))], [])
        if is_essential:
            with pytest.raises(InvalidImageError):
                decode(data, limits=LIMITS)
        else:
            assert difference(data, ESPRESSO) < 4


@needs_heif
@pytest.mark.parametrize("kind", [b"av01", b"iovl", b"jpeg"])
def test_a_picture_that_is_not_hevc_is_unsupported(kind: bytes) -> None:
    (item,) = items(photo("photo"), 1)
    with pytest.raises(UnsupportedMediaTypeError, match="HEVC"):
        decode(write([replace(item, kind=kind)], []), limits=LIMITS)


@needs_heif
def test_a_count_without_an_end_is_refused_at_once() -> None:
    whole = photo("photo")
    for mark, place in ((b"iloc", 10), (b"ipma", 8)):
        data = bytearray(whole)
        start = data.index(mark) + place
        data[start : start + 2] = b"\xff\xff"
        with pytest.raises(InvalidImageError):
            decode(bytes(data), limits=LIMITS)
    flood = whole[:28] + struct.pack(">I4s", 8, b"free") * 1_000_000 + whole[28:]
    with pytest.raises(InvalidImageError, match="no encoder"):
        decode(flood, limits=LIMITS)


@needs_heif
def test_a_heic_photo_that_is_cut_anywhere_is_refused() -> None:
    for data in (photo("photo"), photo("alpha"), images.heic_of_tiles(photo("pair"))):
        for end in (12, 20, 100, len(data) // 2, len(data) - 1):
            with pytest.raises(InvalidImageError):
                decode(data[:end], limits=LIMITS)


@needs_heif
def test_several_threads_decode_at_once() -> None:
    data = photo("photo")
    with ThreadPoolExecutor(8) as pool:
        decoded = list(pool.map(lambda _: decode(data, limits=LIMITS).tobytes(), range(64)))
    assert len(set(decoded)) == 1


@needs_heif
def test_broken_heic_photos_are_decoded_or_refused_and_end_no_process() -> None:
    answers = decode_apart(mutant.data for mutant in broken(heic_photos(), 1, MUTANTS))
    assert len(answers) == MUTANTS
    assert min(answers.count("sound"), answers.count("refused")) > MUTANTS / 5


@needs_heif
def test_metadata_of_a_kind_that_is_no_text_does_not_end_the_process() -> None:
    # pi-heif 1.4 dies of that (a name that is not UTF-8) when it only opens the file.
    data = photo("turned").replace(b"Exif\0", b"E\xeaif\0", 1)
    assert data != photo("turned")
    assert decode_apart([data]) == ["sound"]


def test_without_the_extra_a_heic_photo_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    heif._library.cache_clear()
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    assert not heif.is_installed()
    with pytest.raises(UnsupportedMediaTypeError) as raised:
        decode(photo("photo"), limits=LIMITS)
    assert (
        raised.value.detail
        == "HEIC photos are not switched on here: send a JPEG, or install the extra heif."
    )


def test_the_library_is_imported_when_a_photo_needs_it_and_not_before() -> None:
    program = """
import sys
from viewfinder.imaging.decode import sniff
assert sniff(b"\\0\\0\\0\\x1cftypheic") == "HEIC"
assert "pi_heif" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_announces_hevc_is_taken_for_heic() -> None:
    for brand in (b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"hevx"):
        assert sniff(b"\0\0\0\x18ftyp" + brand) == "HEIC"
    for brand in (b"avif", b"avis", b"mp42", b"qt  ", b"jp2 "):
        assert sniff(b"\0\0\0\x18ftyp" + brand) is None
