"""What a bundle keeps of the photos that it was measured with."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support import fake_bundle

from viewfinder.imaging.statistics import ImageStatistics
from viewfinder.registry.bundle import Bundle, seal, write_bundle
from viewfinder.registry.manifest import Manifest
from viewfinder.registry.reference import MEASURES, MOST_BINS, Distribution, Reference, bin_of

HUGE = 10**400  # more than a float can hold
ALL_IN_ONE = {"edges": [], "counts": [HUGE]}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _reference(classes: list[int]) -> Reference:
    values = [number / len(classes) for number in range(len(classes))]
    looks = [ImageStatistics(value, 0.5, 0.1, 1 - value) for value in values]
    return Reference.of(classes, values, looks)


def _with_reference(bundle: Bundle, reference: Reference | None) -> Manifest:
    variant = bundle.manifest.variant().model_copy(update={"reference": reference})
    return bundle.manifest.model_copy(update={"version": 2, "variants": (variant,)})


def test_values_lie_in_bins_that_hold_about_equally_many() -> None:
    found = Distribution.of(number / 100 for number in range(100))
    assert found.counts == (10,) * 10
    assert found.edges == tuple(tenth / 10 for tenth in range(1, 10))


def test_what_is_the_same_for_many_takes_one_bin() -> None:
    found = Distribution.of([1.0] * 50 + [0.2, 0.4] * 25)
    assert found.edges == (0.4, 1.0)
    assert found.counts == (25, 25, 50)
    assert Distribution.of([0.5] * 9) == Distribution(edges=(), counts=(9,))


def test_processors_that_round_differently_find_the_same_bin() -> None:
    found = Distribution.of([0.5] * 50 + [0.99999997] * 50)
    assert bin_of(found.edges, 1.0) == bin_of(found.edges, 0.9999999) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_every_bin_holds_something_and_every_value_is_counted(values: list[float]) -> None:
    found = Distribution.of(values)
    assert len(found.counts) <= MOST_BINS
    assert all(found.counts)
    assert sum(found.counts) == len(values)


def test_a_reference_comes_back_from_the_bundle(store: Path) -> None:
    reference = _reference([3, 0, 3, 3])
    assert reference.classes == {0: 1, 3: 3}
    assert [sum(reference.measure(name).counts) for name in MEASURES] == [4] * 5
    manifest = _with_reference(fake_bundle(store), reference)
    graph = (store / "fake" / "1" / "graph.json").read_bytes()
    written = write_bundle(store / "fake" / "2", manifest, {"graph.json": graph})
    assert Bundle.read(written.folder).manifest.variant().reference == reference


def test_a_bundle_without_one_says_nothing_of_it(store: Path) -> None:
    bundle = fake_bundle(store)
    assert bundle.manifest.variant().reference is None
    assert b"reference" not in seal(bundle.manifest)


@pytest.mark.parametrize(
    "wrong",
    [
        {"photos": 5},
        {"classes": {"0": 1, "3": 2}},
        {"classes": {"0": 4, "3": 0}},
        {"classes": {"99": 4}},
        {"classes": {"-1": 4}},
        {"confidence": {"edges": [0.5], "counts": [4]}},
        {"confidence": {"edges": [0.5, 0.5], "counts": [1, 1, 2]}},
        {"confidence": {"edges": [0.5], "counts": [5, -1]}},
        {"brightness": {"edges": [], "counts": [3]}},
        {"brightness": None},
        {"photos": HUGE, "classes": {"0": HUGE}, **dict.fromkeys(MEASURES, ALL_IN_ONE)},
    ],
)
def test_a_reference_that_makes_no_sense_is_refused(store: Path, wrong: dict[str, Any]) -> None:
    manifest = _with_reference(fake_bundle(store), _reference([3, 0, 3, 3]))
    document = manifest.model_dump(mode="json", exclude_none=True)
    assert Manifest.model_validate(document) == manifest
    document["variants"][0]["reference"] |= wrong
    with pytest.raises(ValidationError):
        Manifest.model_validate(document)
