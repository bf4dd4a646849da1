"""What every engine keeps, with each engine in turn.

LiteRT runs twice: the shipped int8 graph, and the same float32 graph as the other engines. The
engine of `examples/engine` comes from a package of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.engines.bundles import FORMATS, builtin, coloured, converted
from tests.plugins import install_example
from tests.support import EXPECTED, PHOTOS, ROOT, fake_bundle

from viewfinder.engines.base import Engine, EngineOptions
from viewfinder.engines.loader import LoadedVariant, engine_module, load_variant
from viewfinder.errors import BundleError, MissingExtraError, NotReadyError
from viewfinder.imaging.preprocess import preprocess
from viewfinder.registry.bundle import Bundle
from viewfinder.settings import Limits

THREADS = 3
LEAK_MB = 40  # the graph has 18 MB of weights, and is loaded five times

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorFlow's own

Batch = NDArray[np.uint8]


CONVERTED = [
    pytest.param("litert", marks=pytest.mark.train),
    *(
        pytest.param(name, marks=[pytest.mark.train, getattr(pytest.mark, name)])
        for name in ("onnx", "openvino", "tensorflow")
    ),
]
FEATURED = [pytest.param("fake"), CONVERTED[0]]
EVERY = [pytest.param("builtin"), pytest.param("fake"), pytest.param("colours"), *CONVERTED]
OPTIONAL = [("onnx", "onnxruntime"), ("openvino", "openvino"), ("tensorflow", "tensorflow")]


def _bundle(name: str, request: pytest.FixtureRequest, store: Path) -> Bundle:
    if name == "fake":
        return fake_bundle(store, head=np.eye(16, dtype=np.float32))
    if name == "builtin":
        return builtin()
    if name == "colours":
        return coloured(request.getfixturevalue("site"), store)
    return converted(name, request.getfixturevalue("graphs"), store)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a package with an engine is installed."""
    folder = tmp_path_factory.mktemp("site")
    install_example(folder, "engine")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder


@pytest.fixture(params=EVERY, scope="module")
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return _bundle(request.param, request, tmp_path_factory.mktemp("models"))


@pytest.fixture
def loaded(bundle: Bundle) -> Iterator[LoadedVariant]:
    variant = load_variant(bundle, threads=THREADS)
    yield variant
    variant.engine.close()


@pytest.fixture
def engine(loaded: LoadedVariant) -> Engine:
    return loaded.engine


@pytest.fixture
def batch(loaded: LoadedVariant) -> Batch:
    return _photos(loaded)


def _photos(loaded: LoadedVariant) -> Batch:
    spec = loaded.variant.preprocess
    photos = sorted(PHOTOS.glob("*.jpg"))
    return np.stack([preprocess(photo.read_bytes(), spec, Limits()) for photo in photos])


def test_shapes_and_types(engine: Engine, loaded: LoadedVariant, batch: Batch) -> None:
    spec = loaded.variant.preprocess
    assert engine.input_shape == (spec.height, spec.width, 3)
    assert engine.classes == len(loaded.bundle.manifest.labels)
    scores = engine.predict(batch)
    assert scores.shape == (len(batch), engine.classes)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_photos_get_their_labels(loaded: LoadedVariant, batch: Batch) -> None:
    if loaded.variant.engine == "fake":
        pytest.skip("the fake engine sees brightness alone")
    labels = loaded.bundle.manifest.labels
    best = loaded.engine.predict(batch).argmax(axis=1)
    for path, index in zip(sorted(PHOTOS.glob("*.jpg")), best, strict=True):
        expected = {path.stem} if loaded.variant.engine == "colours" else EXPECTED[path.name]
        assert labels[index].name in expected


@pytest.mark.parametrize("bundle", CONVERTED, indirect=True)
def test_logits_are_those_of_keras(loaded: LoadedVariant, graphs: Path) -> None:
    assert (np.load(graphs / "pixels.npy") == _photos(loaded)).all()
    expected = np.load(graphs / "logits.npy")
    got = loaded.engine.predict(_photos(loaded))
    assert np.abs(got - expected).max() < 1e-3
    assert (got.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.parametrize("bundle", FEATURED, indirect=True)
def test_a_graph_that_gives_its_feature_map_gives_one_for_each_image(
    loaded: LoadedVariant, batch: Batch
) -> None:
    engine: Any = loaded.engine
    assert loaded.head is not None
    maps = loaded.features(batch)
    assert maps.shape == (len(batch), *engine.feature_shape)
    assert maps.dtype == np.float32
    assert loaded.head.shape == (maps.shape[-1], engine.classes)
    alone = np.concatenate([loaded.features(image[np.newaxis]) for image in batch])
    assert (alone == maps).all()
    kept = maps.copy()
    loaded.features(batch[::-1])
    assert (maps == kept).all()


@pytest.mark.parametrize("bundle", CONVERTED[:1], indirect=True)
def test_the_feature_map_is_that_of_keras_and_makes_the_logits(
    loaded: LoadedVariant, graphs: Path, batch: Batch
) -> None:
    maps = loaded.features(batch)
    assert np.abs(maps - np.load(graphs / "features.npy")).max() < 1e-3
    assert loaded.head is not None
    made, given = maps.mean(axis=(1, 2)) @ loaded.head, loaded.engine.predict(batch)
    bias = given - made  # the same for every photo
    assert np.abs(bias - bias[0]).max() < 1e-3


def test_a_batch_answers_as_its_images_do_alone(engine: Engine, batch: Batch) -> None:
    together = engine.predict(batch)
    alone = np.concatenate([engine.predict(image[np.newaxis]) for image in batch])
    assert (together == alone).all()


def test_an_answer_is_the_callers_own(engine: Engine, batch: Batch) -> None:
    first = engine.predict(batch[:1])
    kept = first.copy()
    second = engine.predict(batch[1:2])
    assert (first == kept).all()
    first[:] = 0
    second[:] = 0
    assert (engine.predict(batch[:1]) == kept).all()


def test_more_threads_than_instances_answer_as_one_does(engine: Engine, batch: Batch) -> None:
    expected = engine.predict(batch)
    turns = [number % len(batch) for number in range(60)]
    with ThreadPoolExecutor(2 * THREADS) as pool:
        answers = pool.map(lambda turn: engine.predict(batch[turn : turn + 1])[0], turns)
        for turn, answer in zip(turns, answers, strict=True):
            assert (answer == expected[turn]).all()


def test_closing_lets_calls_end_and_hangs_none(engine: Engine, batch: Batch) -> None:
    expected = engine.predict(batch)

    def ask(turn: int) -> bool:
        if turn == 2 * THREADS:
            engine.close()
        try:
            return bool((engine.predict(batch) == expected).all())
        except NotReadyError:
            return True

    with ThreadPoolExecutor(2 * THREADS) as pool:
        assert all(pool.map(ask, range(6 * THREADS), timeout=60))


def test_traits(engine: Engine) -> None:
    assert engine.traits.instances == THREADS
    assert engine.traits.max_useful_batch == 1
    assert engine.traits.device == "cpu"


def test_a_file_that_is_no_graph_is_refused(
    bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    variant = bundle.manifest.variant()
    module = engine_module(variant.engine)
    path = tmp_path / Path(variant.file.path).name
    for content in (b"", b'{"no": "graph"}', bytes(range(256)) * 8):
        path.write_bytes(content)
        with pytest.raises(BundleError, match="is not a graph"):
            module.load(path, EngineOptions(threads=1))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", CONVERTED)
def test_closing_gives_the_memory_back_and_nothing_is_printed(name: str, graphs: Path) -> None:
    graph = graphs / name / FORMATS[name].file
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.cycles", name, str(graph)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        # Libraries that other tests import make TensorFlow talk by this.
        env={name: value for name, value in os.environ.items() if not name.startswith("TF_")},
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) < LEAK_MB


@pytest.mark.parametrize(("name", "package"), OPTIONAL)
def test_an_engine_that_is_not_installed_says_how_to_get_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = None  # which Python takes for "there is no such module"
    monkeypatch.setitem(sys.modules, package, nothing)
    monkeypatch.delitem(sys.modules, f"viewfinder.engines.{name}", raising=False)
    with pytest.raises(MissingExtraError, match=rf"pip install 'viewfinder\[{name}\]'"):
        engine_module(name)
