"""The weights of a head come in one form; whatever else a file holds, it is refused."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import as_npy

from viewfinder.engines.head import head_file, read_head
from viewfinder.errors import BundleError

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4)
GOOD = head_file(WEIGHTS)


def _with_header(header: bytes, version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + b"\0" * 48


def _header(descr: bytes, shape: bytes = b"(3, 4)") -> bytes:
    said = b"{'descr': " + descr + b", 'fortran_order': False, 'shape': " + shape + b", }"
    return _with_header(said + b"\n")


def _archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("head.npy", GOOD)
    return file.getvalue()


HOSTILE = {
    "empty": b"",
    "text": b"no array",
    "magic alone": GOOD[:8],
    "cut": GOOD[:-1],
    "too long": GOOD + b"\0",
    "cut header": GOOD[:60],
    "another version": GOOD[:6] + b"\x02\x00" + GOOD[8:],
    "float64": as_npy(WEIGHTS.astype(np.float64)),
    "other end first": as_npy(WEIGHTS.astype(">f4")),
    "columns first": as_npy(np.asfortranarray(WEIGHTS)),
    "one axis": as_npy(WEIGHTS[0]),
    "three axes": as_npy(WEIGHTS[np.newaxis]),
    "nothing in it": as_npy(WEIGHTS[:0]),
    "not a number": as_npy(np.full((3, 4), np.nan, np.float32)),
    "infinite": as_npy(np.full((3, 4), np.inf, np.float32)),
    "pickle": as_npy(np.array([{"runs": "code"}], dtype=object)),
    "archive": _archive(),
    "cut archive": _archive()[:40],
    "negative": _header(b"'<f4'", b"(-3, -4)"),
    "bomb": _header(b"'<f4'", b"(9999999, 9999999)"),
    "more than a machine's word": _header(b"'<f4'", b"(1" + b"0" * 30 + b", 4)"),
    "more than a number may have": _header(b"'<f4'", b"(1" + b"0" * 5000 + b", 4)"),
    "nested": _with_header(b"(" * 60_000),
    "open bracket": _with_header(b"{'descr': ("),
    "open string": _with_header(b"{'descr': '''"),
    "no syntax": _with_header(b"{'descr': '<f4', 'shape'\n"),
    "no keys": _with_header(b"{[]: 1}\n"),
    "other keys": _with_header(b"{'descr': '<f4'}\n"),
    "division by zero": _header(b"'<M8[25s/0]'"),
    "tuple for a type": _header(b"('<f4', (2**62,))"),
    "fields": _header(b"[('a', '<f4')]"),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_head_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "head.npy"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"head\.npy does not hold the weights of a head"):
        read_head(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not hold the weights of a head"):
        read_head(tmp_path / "head.npy")


@given(st.dictionaries(st.integers(0, len(GOOD) - 1), st.integers(0, 255), min_size=1, max_size=4))
def test_a_damaged_head_is_refused_or_as_large_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, damage: dict[int, int]
) -> None:
    content = bytearray(GOOD)
    for place, value in damage.items():
        content[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    path.write_bytes(content)
    try:
        head = read_head(path)
    except BundleError:
        return
    assert (head.ndim, head.size) == (2, WEIGHTS.size)
    assert head.dtype == np.float32


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (64, 3), (1280, 1000)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_written_is_read(tmp_path: Path, shape: tuple[int, int], order: str) -> None:
    weights = np.linspace(-1, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    path = tmp_path / "head.npy"
    path.write_bytes(head_file(np.asarray(weights, order="C" if order == "C" else "F")))
    head = read_head(path)
    assert head.dtype == np.float32
    assert np.array_equal(head, weights)
