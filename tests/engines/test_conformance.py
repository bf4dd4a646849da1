"""What every engine keeps, with each engine in turn."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support import PHOTOS, fake_bundle

from viewfinder.engines.base import Engine, EngineOptions
from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.errors import BundleError
from viewfinder.imaging.geometry import to_input
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.registry import BUILTIN_MODEL, BUILTIN_STORE, scan

THREADS = 3


@pytest.fixture(params=["litert", "fake"])
def bundle(request: pytest.FixtureRequest, store: Path) -> Bundle:
    if request.param == "fake":
        return fake_bundle(store)
    return scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL)


@pytest.fixture
def loaded(bundle: Bundle) -> Iterator[LoadedVariant]:
    variant = load_variant(bundle, threads=THREADS)
    yield variant
    variant.engine.close()


@pytest.fixture
def engine(loaded: LoadedVariant) -> Engine:
    return loaded.engine


@pytest.fixture
def batch(loaded: LoadedVariant) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    photos = [Image.open(BytesIO(p.read_bytes())).convert("RGB") for p in PHOTOS.glob("*.jpg")]
    return np.stack([to_input(photo, loaded.variant.preprocess) for photo in photos])


def test_shapes_and_types(engine: Engine, loaded: LoadedVariant, batch: np.ndarray) -> None:
    spec = loaded.variant.preprocess
    assert engine.input_shape == (spec.height, spec.width, 3)
    assert engine.classes == len(loaded.bundle.manifest.labels)
    scores = engine.predict(batch)
    assert scores.shape == (len(batch), engine.classes)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_a_batch_answers_as_its_images_do_alone(engine: Engine, batch: np.ndarray) -> None:
    together = engine.predict(batch)
    alone = np.concatenate([engine.predict(image[np.newaxis]) for image in batch])
    assert (together == alone).all()


def test_an_answer_is_the_callers_own(engine: Engine, batch: np.ndarray) -> None:
    first = engine.predict(batch[:1])
    kept = first.copy()
    engine.predict(batch[1:2])
    assert (first == kept).all()


def test_more_threads_than_instances_answer_as_one_does(engine: Engine, batch: np.ndarray) -> None:
    expected = engine.predict(batch)
    turns = [number % len(batch) for number in range(60)]
    with ThreadPoolExecutor(2 * THREADS) as pool:
        answers = pool.map(lambda turn: engine.predict(batch[turn : turn + 1])[0], turns)
        for turn, answer in zip(turns, answers, strict=True):
            assert (answer == expected[turn]).all()


def test_traits(engine: Engine) -> None:
    assert engine.traits.instances == THREADS
    assert engine.traits.max_useful_batch == 1
    assert engine.traits.device == "cpu"


def test_a_file_that_is_no_graph_is_refused(bundle: Bundle) -> None:
    variant = bundle.manifest.variant()
    path = bundle.folder / variant.file.path
    module = import_module(f"viewfinder.engines.{variant.engine}")
    with pytest.raises(BundleError, match="is not a graph"):
        module.load(path.parent / "bundle.json", EngineOptions(threads=1))
