"""The photos to measure with: decoding depends on them, so the report says what they were."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from viewfinder.capacity.measured import Pictures
from viewfinder.errors import DatasetError, RequestError
from viewfinder.imaging.decode import decode, upright_size
from viewfinder.imaging.length import check_length
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan
from viewfinder.settings import Limits

MOST = 64
"""Photos beyond which more would only fill the memory."""

_SMALL = (64, 64)


@dataclass(frozen=True, slots=True)
class Photos:
    """Photos that a server takes.

    Attributes:
        data: Their files.
        pictures: What they are like.
    """

    data: tuple[bytes, ...]
    pictures: Pictures


def golden_of(bundle: Bundle | None, limits: Limits) -> Photos:
    """Those that came with a model; with the builtin where it has none, or is elsewhere.

    Raises:
        BundleError: They are not what was sealed.
    """
    builtin = scan((BUILTIN_STORE,)).resolve(BUILTIN_MODEL)
    for one in filter(None, (bundle, builtin)):
        samples = one.manifest.variant().golden.samples
        data = [one.verified(sample.file).read_bytes() for sample in samples]
        if data:
            name = one.manifest.called
            return gather(data, f"golden photos of {name}", limits)
    raise DatasetError("there are no photos to measure with; give some with --photos")


def gather(data: Iterable[bytes], source: str, limits: Limits) -> Photos:
    """Those that a server takes, of some.

    Args:
        data: Their files.
        source: Where they are from.
        limits: What will be decoded.

    Raises:
        DatasetError: It takes none of them.
    """
    kept: list[bytes] = []
    left_out, why = 0, "there are none"
    for one in data:
        try:
            check_length(one, limits.image_bytes)
            decode(one, limits=limits, enough=_SMALL)
        except RequestError as error:
            left_out, why = left_out + 1, error.detail.rstrip(".")
        else:
            kept.append(one)
    if not kept:
        raise DatasetError(f"no photo of {source} can be measured with: {why}")
    sizes = [len(one) for one in kept]
    sides = sorted((upright_size(one) for one in kept), key=lambda side: side[0] * side[1])
    pictures = Pictures(
        source,
        len(kept),
        left_out,
        (min(sizes), int(np.median(sizes)), max(sizes)),
        (sides[0], sides[-1]),
    )
    return Photos(tuple(kept), pictures)
