"""Photos to learn from."""

import numpy as np

from viewfinder.training.examples import MARGIN, Examples

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), np.uint8)
CHOSEN = Examples(PIXELS, np.array([4, 0, 2]), np.array([1, 0, 1]))


def test_rows_are_taken_in_their_own_order() -> None:
    np.testing.assert_array_equal(CHOSEN.whole([1, 0]), PIXELS[[0, 4]])


def test_the_centre_is_what_is_left_without_the_margin() -> None:
    centre = CHOSEN.centre(slice(None))
    half = MARGIN // 2
    assert CHOSEN.side == 16
    assert centre.shape == (3, 16, 16, 3)
    np.testing.assert_array_equal(centre[0], PIXELS[4, half:-half, half:-half])
