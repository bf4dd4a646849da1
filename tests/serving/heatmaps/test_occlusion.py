"""What occlusion covers, and what it makes of the answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.registry.bundle import describe
from viewfinder.registry.manifest import Calibration, Golden, Variant
from viewfinder.serving.heatmaps.occlusion import (
    GRID,
    grid,
    log_odds,
    losses,
    normalised,
    occlusions,
)

NOISE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)


def variant(output: str = "logits", temperature: float = 1.0) -> Variant:
    return Variant(
        name="only",
        format="fake",
        engine="fake",
        file=describe("graph.json", b"{}"),
        preprocess=PreprocessSpec(width=8, height=8),
        golden=Golden(tolerance=0.01),
        output=output,
        calibration=Calibration(temperature=temperature),
    )


def test_the_first_picture_is_whole() -> None:
    assert np.array_equal(occlusions(NOISE)[0].picture(), NOISE)


def test_each_other_picture_has_a_part_in_the_mean_colour_and_the_rest_as_it_was() -> None:
    mean = NOISE.mean(axis=(0, 1)).round()
    for covered in occlusions(NOISE)[1:]:
        picture = covered.picture()
        assert (picture[covered.rows, covered.columns] == mean).all()
        changed = (picture != NOISE).any(axis=2)
        changed[covered.rows, covered.columns] = False
        assert not changed.any()


def test_a_flat_picture_stays_as_it_is() -> None:
    flat = np.full((20, 20, 3), 77, np.uint8)
    assert all(np.array_equal(covered.picture(), flat) for covered in occlusions(flat))


@given(st.integers(1, 40), st.integers(1, 40))
def test_every_pixel_is_covered_at_its_own_place_of_the_grid(height: int, width: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    rows, columns = grid(pixels)
    places = occlusions(pixels)[1:]
    assert len(places) == rows * columns <= GRID * GRID
    for y in range(height):
        for x in range(width):
            place = places[(y * rows // height) * columns + x * columns // width]
            assert place.rows.start <= y < place.rows.stop
            assert place.columns.start <= x < place.columns.stop


def test_neighbours_overlap() -> None:
    first, second = occlusions(NOISE)[1:3]
    assert first.rows == second.rows
    assert first.columns.start < second.columns.start < first.columns.stop


def test_log_odds_are_those_of_the_confidence() -> None:
    scores = np.log(np.array([[0.7, 0.2, 0.1]], np.float32))
    assert log_odds(scores, 0, variant()) == pytest.approx(np.log(0.7 / 0.3))
    assert log_odds(np.exp(scores), 1, variant("probabilities")) == pytest.approx(np.log(0.2 / 0.8))


def test_log_odds_heed_the_temperature() -> None:
    scores = np.array([[4.0, 0.0]], np.float32)
    assert log_odds(scores, 0, variant(temperature=2.0)) == pytest.approx(2.0)


def test_log_odds_move_where_confidence_does_not_any_more() -> None:
    sure = np.array([[60.0, 0.0], [50.0, 0.0]], np.float32)
    assert log_odds(sure, 0, variant()) == pytest.approx([60, 50])


def test_the_only_class_there_is_cannot_lose() -> None:
    assert log_odds(np.array([[3.0], [1.0]], np.float32), 0, variant()).tolist() == [0, 0]


def test_losses_are_what_is_missing_row_by_row() -> None:
    lost = losses(np.array([5.0, 5, 4, 3, 6, 5, 5]), (2, 3))
    assert lost.tolist() == [[0, 1, 2], [-1, 0, 0]]


def test_the_most_is_one_and_what_speaks_against_the_class_is_nothing() -> None:
    assert normalised(np.array([[-4.0, 1.0], [2.0, 0.0]])).tolist() == [[0, 0.5], [1, 0]]


@pytest.mark.parametrize("evidence", [0.0, -1.0])
def test_where_nothing_speaks_for_the_class_all_is_nothing(evidence: float) -> None:
    assert not normalised(np.full((2, 2), evidence)).any()
