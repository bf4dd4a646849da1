"""Photos that are the same, or look it.

A fingerprint is the perceptual hash of Zauner (Implementation and benchmarking of perceptual image
hash functions, 2010): the signs of 64 low frequencies of the grey photo, about
their median. It was chosen over the difference hash because it outlives another size, JPEG quality
or brightness with fewer bits changed: see `docs/data.md` for the figures.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

NEAR: Final = 4
"""Bits, of 64, that two photos which look the same may differ in; see `docs/data.md`."""
_SIDE = 32
_FREQUENCIES = 8
_FLAT = 1.5
_CHUNK = 32
_BLOCK = 1024
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as JPEG has it
_BITS = np.uint64(1) << np.arange(64, dtype=np.uint64)


def fingerprints(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The perceptual hash of each photo; 0 for one without contrast, which looks like any other.

    Args:
        pixels: uint8 `[N, height, width, 3]`, 0-255; a memory map is read in pieces.

    Returns:
        uint64 `[N]`.
    """
    rows, columns = _projection(pixels.shape[1]), _projection(pixels.shape[2])
    found = np.zeros(len(pixels), np.uint64)
    for start in range(0, len(pixels), _CHUNK):
        grey = pixels[start : start + _CHUNK].astype(np.float32) @ _LUMA
        low = (rows @ grey @ columns.T).reshape(len(grey), -1)
        bits = low > np.median(low, axis=1, keepdims=True)
        marks = np.where(bits, _BITS, np.uint64(0)).sum(axis=1, dtype=np.uint64)
        contrast = grey.std(axis=(1, 2))
        found[start : start + len(grey)] = np.where(contrast < _FLAT, np.uint64(0), marks)
    return found


def group(
    digests: Sequence[str], fingerprints: NDArray[np.uint64], *, near: int = NEAR
) -> list[int]:
    """Number the groups of photos that are the same or look it.

    Whatever looks like one of a group belongs to it, even if it looks less like another of them.

    Args:
        digests: Of each photo's content.
        fingerprints: uint64 `[N]`, of each photo; 0 looks like nothing.
        near: Bits that two fingerprints may differ in.

    Returns:
        For each photo the number of its group; numbers rise from 0 in the order of first photos.
    """
    first: dict[str, int] = {}
    groups = np.array([first.setdefault(digest, i) for i, digest in enumerate(digests)], np.intp)
    seen: dict[int, int] = {}
    for number, mark in enumerate(fingerprints.tolist()):
        if mark:
            _join(groups, groups[[seen.setdefault(mark, number), number]])
    marks, photos = np.array(list(seen), np.uint64), np.array(list(seen.values()), np.intp)
    for together in _near(marks, near):
        _join(groups, groups[photos[together]])
    numbers: dict[int, int] = {}
    return [numbers.setdefault(number, len(numbers)) for number in groups.tolist()]


def _projection(size: int) -> NDArray[np.float32]:
    """`[8, size]`: average `size` pixels down to 32, then take the 8 lowest frequencies but 0.

    The averaging is by area, the frequencies are those of the discrete cosine transform (DCT-II).
    """
    edges = np.linspace(0, size, _SIDE + 1)
    left, right = (
        np.maximum.outer(edges[:-1], np.arange(size)),
        np.minimum.outer(edges[1:], np.arange(1, size + 1)),
    )
    area = np.clip(right - left, 0, None) * _SIDE / size
    frequencies, places = np.arange(1, _FREQUENCIES + 1), np.arange(_SIDE) + 0.5
    cosines = np.cos(np.pi / _SIDE * np.outer(frequencies, places))
    projection: NDArray[np.float32] = (cosines @ area).astype(np.float32)
    return projection


def _near(marks: NDArray[np.uint64], near: int) -> Iterator[NDArray[np.intp]]:
    """For each mark, some at a time, the places of those that differ from it in few bits.

    Cut into `near + 1` bands, two such marks have one band in common (Norouzi et al., Fast search
    in Hamming space with multi-index hashing, 2012): only marks with a common band are compared,
    in blocks, so that however many are alike the memory stays small.
    """
    edges = np.linspace(0, 64, near + 2).astype(int)
    for low, high in pairwise(edges.tolist()):
        band = (marks >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(band, kind="stable")
        borders = np.flatnonzero(np.diff(band[order])) + 1
        for alike in np.split(order, borders):
            if len(alike) > 1:
                yield from _compare(marks, alike, near)


def _compare(
    marks: NDArray[np.uint64], places: NDArray[np.intp], near: int
) -> Iterator[NDArray[np.intp]]:
    for top in range(0, len(places), _BLOCK):
        rows = places[top : top + _BLOCK]
        for left in range(top, len(places), _BLOCK):
            columns = places[left : left + _BLOCK]
            close = np.bitwise_count(marks[rows, np.newaxis] ^ marks[columns]) <= near
            alone = 1 if left == top else 0  # each is near itself
            for row in np.flatnonzero(close.sum(axis=1) > alone).tolist():
                yield np.append(columns[close[row]], rows[row])


def _join(groups: NDArray[np.intp], some: NDArray[np.intp]) -> None:
    """Make some groups one, which is called as the first of them."""
    found = np.unique(some)
    if len(found) > 1:
        groups[np.isin(groups, found)] = found[0]
