"""The orientation in an EXIF block, however that is written."""

import struct
import tracemalloc

import pytest
from PIL import Image
from tests.robustness import images

from viewfinder.imaging.formats.exif import orientation


def _block(order: str, kind: int, value: bytes, tag: int = 0x0112) -> bytes:
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    entry = struct.pack(f"{order}HHI", tag, kind, 1) + value
    return start + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_it_is_read_in_both_byte_orders_and_lengths(order: str, value: int) -> None:
    assert orientation(_block(order, 3, struct.pack(f"{order}HH", value, 0))) == value
    assert orientation(_block(order, 4, struct.pack(f"{order}I", value))) == value
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = value
    assert orientation(exif.tobytes()) == value


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"MM\0*",
        b"MM\0*\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        _block(">", 3, b"\0\0\0\0"),
        _block(">", 3, b"\0\x09\0\0"),
        _block(">", 2, b"\0\6\0\0"),
        _block(">", 3, b"\0\6\0\0", tag=0x0113),
        _block(">", 3, b"\0\6\0\0")[:-7],
    ],
)
def test_what_is_broken_counts_as_upright(block: bytes) -> None:
    assert orientation(block) == 1


def test_a_block_whose_tags_all_claim_the_whole_of_it_costs_nothing() -> None:
    block = images.greedy_exif(60_000, 8_000_000)
    tracemalloc.start()
    try:
        assert orientation(block) == 1
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
