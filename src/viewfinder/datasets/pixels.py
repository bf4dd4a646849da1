"""Photos as a model sees them, decoded once and kept on disk.

A cache is named by what is in it: the SHA-256 of every photo, the geometry, the limits, and the
code that decodes. So a change of any of them is seen, and none of names or labels costs anything.
Rows are in the order of the photos' SHA-256: whoever reads a data set twice, wherever it lies,
gets the same rows in the same order.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.datasets.cache import GIB, Index, Shelf, checksum
from viewfinder.datasets.photos import Photo, Skipped
from viewfinder.datasets.reading import read_photo
from viewfinder.errors import DatasetError, ViewfinderError
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits
from viewfinder.shared.side_by_side import side_by_side

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Pixels:
    """Decoded photos.

    Attributes:
        photos: Those that could be decoded, in the order of their digests, then of their paths.
        digests: SHA-256 of each photo's file, in hex.
        pixels: uint8 `[N, height, width, 3]`, 0-255, on disk, read-only: row i is photo i.
        skipped: Those that could not be decoded, and why.
    """

    photos: tuple[Photo, ...]
    digests: tuple[str, ...]
    pixels: NDArray[np.uint8]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class _Hashed:
    """A photo and the SHA-256 of its file; without one, why it has none."""

    photo: Photo
    digest: str
    problem: str = ""


def open_pixels(
    photos: Sequence[Photo],
    spec: PreprocessSpec,
    folder: Path,
    *,
    limits: Limits,
    threads: int,
    progress: Progress,
    most_bytes: int = 20 * GIB,
) -> Pixels:
    """Read every photo; decode those whose pixels are not in the cache.

    Args:
        photos: In any order.
        spec: The geometry.
        folder: Of all caches; it is made if need be. What is deleted there is made again.
        limits: What will be decoded.
        threads: To work with.
        progress: Told from this thread how many steps are done, and of how many; each photo takes
            two, to be read and to be decoded or found.
        most_bytes: How large all caches together may become before the longest unused ones are
            deleted. This one stays in any case.

    Raises:
        DatasetError: None of the photos can be decoded, one changes meanwhile, or there is no room
            for the cache.
    """
    steps = 2 * len(photos)
    hashed = []
    for one in side_by_side(lambda p: _hash(p, limits.image_bytes), photos, threads=threads):
        hashed.append(one)
        progress(len(hashed), steps)
    skipped = [Skipped(one.photo, one.problem) for one in hashed if one.problem]
    good = sorted(
        (one for one in hashed if not one.problem), key=lambda one: (one.digest, one.photo.path)
    )
    if not good:
        raise _nothing(skipped)
    told = functools.partial(_tell, progress, len(hashed) + len(skipped), steps)
    recipe = _recipe(spec, limits)
    wanted = [one.digest for one in good]
    try:
        with Shelf(folder, recipe, (spec.height, spec.width, 3)) as shelf:
            index, pixels = shelf.find(wanted, threads, told) or _make(
                shelf, good, spec, limits=limits, threads=threads, progress=told
            )
            shelf.tidy(most_bytes, keep=wanted)
    except OSError as error:
        raise DatasetError(
            f"cannot keep decoded photos in {folder}: {error.strerror or error}"
        ) from error
    skipped += [
        Skipped(one.photo, index.failed[one.digest]) for one in good if one.digest in index.failed
    ]
    kept = [one for one in good if one.digest not in index.failed]
    if not kept:
        raise _nothing(skipped)
    return Pixels(
        tuple(one.photo for one in kept),
        tuple(one.digest for one in kept),
        pixels,
        tuple(sorted(skipped, key=lambda one: one.photo.path)),
    )


def _tell(progress: Progress, before: int, steps: int, done: int) -> None:
    progress(before + done, steps)


def _nothing(skipped: Sequence[Skipped]) -> DatasetError:
    if not skipped:
        return DatasetError("there are no photos")
    first = min(skipped, key=lambda one: one.photo.path)
    return DatasetError(
        f"none of the {len(skipped)} photos can be used; {first.photo.path}: {first.reason}"
    )


def _hash(photo: Photo, most: int) -> _Hashed:
    try:
        return _Hashed(photo, hashlib.sha256(read_photo(photo.path, most)).hexdigest())
    except ViewfinderError as error:
        return _Hashed(photo, "", error.detail)


def _make(
    shelf: Shelf,
    hashed: Sequence[_Hashed],
    spec: PreprocessSpec,
    *,
    limits: Limits,
    threads: int,
    progress: Callable[[int], None],
) -> tuple[Index, NDArray[np.uint8]]:
    """Decode into a new cache what no other has."""
    known = shelf.known()

    def row(one: _Hashed) -> tuple[NDArray[np.uint8] | str, int]:
        kept = known.row(one.digest)
        if kept is None:
            kept = _decode(one, spec, limits)
        return kept, 0 if isinstance(kept, str) else checksum(kept)

    with shelf.new([one.digest for one in hashed]) as made:
        rows = side_by_side(row, _first_of_each(hashed), threads=threads)
        for (found, check), one in _for_each(rows, hashed):
            if isinstance(found, str):
                made.fail(one.digest, found)
            else:
                made.add(one.digest, found, check)
            progress(made.done)
    return made.index, made.pixels


def _first_of_each(hashed: Sequence[_Hashed]) -> Iterator[_Hashed]:
    """Each content once; equal ones lie side by side."""
    last = None
    for one in hashed:
        if one.digest != last:
            yield one
        last = one.digest


def _for_each(
    rows: Iterator[tuple[NDArray[np.uint8] | str, int]], hashed: Sequence[_Hashed]
) -> Iterator[tuple[tuple[NDArray[np.uint8] | str, int], _Hashed]]:
    """The row of each content, once for each photo that has it."""
    last = None
    for one in hashed:
        if one.digest != last:
            row = next(rows)
        last = one.digest
        yield row, one


def _decode(one: _Hashed, spec: PreprocessSpec, limits: Limits) -> NDArray[np.uint8] | str:
    """The pixels, or one sentence why there are none."""
    try:
        data = read_photo(one.photo.path, limits.image_bytes)
    except ViewfinderError:
        data = b""
    if hashlib.sha256(data).hexdigest() != one.digest:
        raise DatasetError(f"{one.photo.path} was changed while it was read; try again")
    try:
        return preprocess(data, spec, limits)
    except ViewfinderError as error:
        return error.detail


def _recipe(spec: PreprocessSpec, limits: Limits) -> str:
    """Everything but the photo that decides which pixels it becomes, or whether it becomes any."""
    said = {
        "spec": spec.model_dump(mode="json"),
        "limits": [limits.image_bytes, limits.jpeg_pixels, limits.pixels, limits.side],
        "code": _code(),
        "packages": [_version(name) for name in ("numpy", "pillow", "pi-heif")],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@functools.cache
def _code() -> str:
    """SHA-256 of the code that decodes: no pixels of an older one may be taken for this one's."""
    digest = hashlib.sha256()
    waiting = [resources.files("viewfinder.imaging")]
    while waiting:
        for entry in sorted(waiting.pop().iterdir(), key=lambda entry: entry.name):
            if entry.is_dir():
                waiting.append(entry)
            elif entry.name.endswith(".py"):
                digest.update(entry.read_bytes())
    return digest.hexdigest()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
