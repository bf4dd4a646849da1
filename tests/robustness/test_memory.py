"""Memory is bounded, whatever is asked."""

import numpy as np
from benchmarks.soak import MOST_MB, soak
from PIL import Image
from tests.support import encode, in_full

# A planted leak keeps 16 KB of each body: half as much again as is allowed.
LEAKING = 3000
REQUESTS = in_full(LEAKING, 100_000)
WARM_UP = in_full(1000, 2000)


def _pictures() -> list[bytes]:
    """Noise, which no format makes small: about 25 KB each."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 160, 160, 3), np.uint8)
    pictures = [encode(Image.fromarray(pixels), "JPEG", quality=90) for pixels in noise]
    assert all(len(picture) > 16 * 1024 for picture in pictures)
    return pictures


def test_requests_of_every_kind_leave_nothing_behind() -> None:
    soaked = soak(_pictures(), REQUESTS, warm_up=WARM_UP)
    assert sum(soaked.outcomes.values()) == REQUESTS
    assert soaked.growth <= MOST_MB, soaked.samples


def test_a_planted_leak_is_found() -> None:
    soaked = soak(_pictures(), LEAKING, warm_up=WARM_UP, leaking=True)
    assert soaked.growth > MOST_MB, soaked.samples
