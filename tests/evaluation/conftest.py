"""A model that looks at brightness, and photos for it."""

from pathlib import Path

import pytest
from tests.evaluation.support import STEPS, grey_photos
from tests.support import fake_bundle

from viewfinder.datasets.photos import Photo
from viewfinder.engines.loader import LoadedVariant, load_variant


@pytest.fixture
def loaded(store: Path) -> LoadedVariant:
    return load_variant(fake_bundle(store, classes=STEPS), threads=2)


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    """Three photos of each step, of which one of `step-1` is labelled `step-0`."""
    return grey_photos(tmp_path / "photos", mistakes=1)
