"""A model, or two, on a data set."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support import encode, fake_bundle, grey

from viewfinder.datasets.photos import Dataset, Photo, Split
from viewfinder.errors import BundleError, DatasetError, InvalidParameterError
from viewfinder.evaluation.document import Evaluation
from viewfinder.pipelines.evaluate import evaluate_model
from viewfinder.pipelines.foreign import ForeignGraph, make_bundle
from viewfinder.pipelines.publish import add_next
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.folder import FolderStore
from viewfinder.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GRAPH = Path(__file__).parents[1] / "data" / "foreign-uint8.tflite"


def _dataset(folder: Path, photos: list[tuple[str, int, Split | None]]) -> Dataset:
    """Grey photos by label, brightness and split."""
    found = []
    for n, (label, brightness, split) in enumerate(photos):
        path = folder / f"{n}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(grey(brightness))
        found.append(Photo(path, label, split))
    return Dataset(folder, tuple(sorted({one.label for one in found})), tuple(found))


def _evaluate(bundle: Bundle, dataset: Dataset, **options: Any) -> Evaluation:
    settings = Settings(home=dataset.source.parent / "home", threads=2)
    progress = options.pop("progress", lambda *_: None)
    return evaluate_model(
        bundle, dataset, settings=settings, created=NOW, progress=progress, **options
    )


@pytest.fixture
def bundle(store: Path) -> Bundle:
    return fake_bundle(store, classes=2)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return _dataset(
        tmp_path / "photos",
        [
            ("step-0", 10, "train"),
            ("step-0", 20, "validation"),
            ("step-1", 200, "validation"),
            ("step-0", 30, "test"),
            ("step-1", 210, "test"),
            ("step-1", 40, "test"),
        ],
    )


def test_the_test_photos_count_if_there_are_any(bundle: Bundle, dataset: Dataset) -> None:
    found = _evaluate(bundle, dataset)
    assert (found.main, found.result.photos) == ("test", 3)
    assert found.result.accuracy.value == pytest.approx(2 / 3)
    assert (found.model, found.variant, found.data, found.created) == (
        "fake@1",
        "only",
        "photos",
        NOW,
    )
    assert found.result.worst[0].path == "5.png"
    assert not found.unseen
    assert found.provenance["bundle"] == bundle.digest


def test_without_them_the_validation_photos_else_all(bundle: Bundle, dataset: Dataset) -> None:
    rest = Dataset(dataset.source, dataset.labels, dataset.photos[:3])
    assert _evaluate(bundle, rest).main == "validation"
    plain = tuple(Photo(one.path, one.label) for one in dataset.photos)
    found = _evaluate(bundle, Dataset(dataset.source, dataset.labels, plain))
    assert (found.main, found.result.photos) == ("all", 6)


def test_any_part_can_be_asked_for(bundle: Bundle, dataset: Dataset) -> None:
    assert _evaluate(bundle, dataset, part="train").result.photos == 1
    assert _evaluate(bundle, dataset, part="all").result.photos == 6
    rest = Dataset(dataset.source, dataset.labels, dataset.photos[:3])
    with pytest.raises(DatasetError, match="no split 'test': it has train, validation"):
        _evaluate(bundle, rest, part="test")


def test_labels_that_the_model_lacks_are_named(bundle: Bundle, tmp_path: Path) -> None:
    mixed = _dataset(tmp_path / "mixed", [("step-0", 10, None), ("hat", 20, None)])
    with pytest.raises(
        DatasetError, match=r"does not know 'hat' \(1 of 2 photos\).*'step-0'.*--known-only"
    ):
        _evaluate(bundle, mixed)
    found = _evaluate(bundle, mixed, known_only=True)
    assert (found.result.photos, found.ignored) == (1, 1)
    strange = _dataset(tmp_path / "strange", [("hat", 20, None)])
    with pytest.raises(DatasetError, match="does not know 'hat'"):
        _evaluate(bundle, strange, known_only=True)


def test_two_models_are_compared_on_the_same_photos(
    bundle: Bundle, store: Path, dataset: Dataset
) -> None:
    # With three steps, 40 is `step-0` too, but 210 is `step-2`.
    other = fake_bundle(store, "other", 7, classes=3)
    told: list[tuple[str, int, int]] = []
    found = _evaluate(
        bundle, dataset, against=other, part="all", progress=lambda *how: told.append(how)
    )
    comparison = found.comparison
    assert comparison is not None
    assert comparison.evaluation.model == "other@7"
    assert (comparison.only_first, comparison.only_second, comparison.photos) == (0, 2, 6)
    assert comparison.difference.value == pytest.approx(2 / 6)
    assert comparison.p_value == 0.5
    assert told[0] == ("fake@1", 1, 6)
    assert told[-1] == ("other@7", 6, 6)


def test_what_only_one_of_two_models_knows_is_left_out_of_both(
    bundle: Bundle, store: Path, dataset: Dataset
) -> None:
    other = fake_bundle(store, "other", classes=1)
    with pytest.raises(DatasetError, match="other@1 does not know 'step-1'"):
        _evaluate(bundle, dataset, against=other)
    found = _evaluate(bundle, dataset, against=other, known_only=True)
    assert found.comparison is not None
    assert found.result.photos == found.comparison.evaluation.result.photos == 1


def test_an_imported_graph_that_ends_in_a_softmax(store: Path, tmp_path: Path) -> None:
    colours = ("red", "green", "blue")
    bundle = add_next(
        FolderStore(store), *make_bundle(ForeignGraph(GRAPH, colours), "colours", NOW)
    )
    assert bundle.manifest.variant().output == "probabilities"
    photos = []
    for colour, pixel in zip(colours, np.eye(3, dtype=int).tolist(), strict=True):
        path = tmp_path / "photos" / f"{colour}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(Image.new("RGB", (40, 30), tuple(255 * one for one in pixel))))
        photos.append(Photo(path, colour))
    found = _evaluate(bundle, Dataset(tmp_path / "photos", colours, tuple(photos)))
    assert found.result.accuracy.value == 1.0
    assert found.result.mean_confidence == pytest.approx(0.999, abs=0.02)


def test_a_variant_that_is_not_there(bundle: Bundle, dataset: Dataset) -> None:
    assert _evaluate(bundle, dataset, variant="only").variant == "only"
    with pytest.raises(InvalidParameterError, match="'int8'; it has only"):
        _evaluate(bundle, dataset, variant="int8")


def test_a_damaged_model_is_refused(bundle: Bundle, dataset: Dataset) -> None:
    (bundle.folder / "graph.json").write_text("{}")
    with pytest.raises(BundleError, match="checksum"):
        _evaluate(bundle, dataset)
