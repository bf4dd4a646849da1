"""Photos that are the same, or look it."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from tests.datasets.sets import blobs
from tests.support import EXPECTED, PHOTOS, encode

from viewfinder.datasets.duplicates import fingerprints, group


def _marks(*images: Image.Image, side: int = 64) -> NDArray[np.uint64]:
    return fingerprints(np.stack([np.asarray(image.resize((side, side))) for image in images]))


def _apart(one: Image.Image, other: Image.Image) -> int:
    first, second = _marks(one, other)
    return int(np.bitwise_count(first ^ second))


def _examples() -> list[Image.Image]:
    return [Image.open(PHOTOS / name).convert("RGB") for name in sorted(EXPECTED)]


def _groups(marks: list[int], near: int = 4) -> list[int]:
    digests = [str(number) for number in range(len(marks))]
    return group(digests, np.array(marks, np.uint64), near=near)


@pytest.mark.parametrize("image", _examples())
def test_a_photo_still_looks_the_same_in_another_size_quality_or_light(image: Image.Image) -> None:
    worse = Image.open(BytesIO(encode(image, "JPEG", quality=30)))
    assert _apart(image, worse) <= 4
    assert _apart(image, image.resize((image.width // 2, image.height // 2))) <= 4
    assert _apart(image, ImageEnhance.Brightness(image).enhance(1.1)) <= 4


def test_different_photos_do_not_look_the_same() -> None:
    assert len(set(_groups(_marks(*_examples(), *map(blobs, range(50))).tolist()))) == 55


@pytest.mark.parametrize("side", [8, 17, 32, 250])
def test_any_size_of_pixels_has_a_fingerprint(side: int) -> None:
    marks = _marks(blobs(1), blobs(2), side=side)
    assert marks.dtype == np.uint64
    assert len(set(marks.tolist())) == 2


def test_photos_without_contrast_are_the_same_only_if_their_files_are() -> None:
    flat = [Image.new("RGB", (64, 64), colour) for colour in ("white", "white", "grey", "black")]
    faint = Image.fromarray(np.asarray(blobs(1)) // 128 + 100)
    marks = _marks(*flat, faint)
    assert not marks.any()
    assert group(["w", "w", "g", "b", "f"], marks) == [0, 0, 1, 2, 3]


def test_no_photos_have_no_groups() -> None:
    assert group([], fingerprints(np.empty((0, 8, 8, 3), np.uint8))) == []


def test_whatever_looks_like_one_of_a_group_belongs_to_it() -> None:
    assert _groups([0b1, 0b1111_0, 0b11111, 0xFFFF << 40], near=4) == [0, 0, 0, 1]
    assert _groups([0xF, 0xFFFF << 40, 0xFF, 0xFFF]) == [0, 1, 0, 0]


def test_copies_share_a_group_whatever_they_look_like() -> None:
    marks = np.array([0xF0F0, 0xFFFF << 32, 0xF0F0], np.uint64)
    assert group(["a", "b", "b"], marks) == [0, 0, 0]


@given(
    st.lists(st.integers(1, 2**64 - 1), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.sets(st.integers(0, 63), max_size=6)), max_size=24),
)
def test_groups_are_those_that_comparing_every_pair_gives(
    seeds: list[int], changes: list[tuple[int, set[int]]]
) -> None:
    marks = list(seeds)
    for which, bits in changes:
        marks.append(marks[which % len(marks)] ^ sum(1 << bit for bit in bits) or 1)
    expected = list(range(len(marks)))
    for one in range(len(marks)):
        for other in range(one):
            if (marks[one] ^ marks[other]).bit_count() <= 4:
                low, high = sorted((expected[one], expected[other]))
                expected = [low if number == high else number for number in expected]
    numbers: dict[int, int] = {}
    assert _groups(marks) == [numbers.setdefault(number, len(numbers)) for number in expected]


def test_thousands_that_all_look_the_same_are_one_group() -> None:
    random = np.random.default_rng(0)
    flips = np.uint64(1) << random.integers(0, 64, (2, 5_000)).astype(np.uint64)
    marks = np.uint64(0x0123456789ABCDEF) ^ flips[0] ^ flips[1]
    assert set(_groups(marks.tolist())) == {0}
