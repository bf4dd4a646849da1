"""What is written about a run, also where photos' folder is not called in UTF-8, or they go."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.support import STEPS, grey_photos
from tests.support import fake_bundle

from viewfinder.datasets.photos import Dataset, Photo
from viewfinder.evaluation.document import Evaluation
from viewfinder.evaluation.evaluate import evaluate
from viewfinder.evaluation.ladder import Ladder, VariantRow
from viewfinder.evaluation.scoring import Scored
from viewfinder.modeling.backbones import BACKBONES
from viewfinder.pipelines.material import Material
from viewfinder.pipelines.optimize import Finished
from viewfinder.pipelines.retraining import Retrained
from viewfinder.pipelines.run import Job, publish_run
from viewfinder.pipelines.task import OptimizeOptions, Task
from viewfinder.pipelines.train import _check_conversion
from viewfinder.pipelines.variants.sealing import Sealed
from viewfinder.pipelines.workplace import described_weights, workplace
from viewfinder.registry.bundle import Bundle
from viewfinder.settings import Settings
from viewfinder.training.options import TrainingOptions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = tuple(f"step-{step}" for step in range(STEPS))


@pytest.fixture
def bundle(store: Path) -> Bundle:
    return fake_bundle(store, classes=STEPS)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder = tmp_path / "caf\udce9"
    return Dataset(folder, LABELS, tuple(grey_photos(folder, mistakes=1)))


@pytest.fixture
def material(dataset: Dataset) -> Material:
    photos = tuple(Photo(photo.path, photo.label, "validation") for photo in dataset.photos)
    pixels = np.zeros((len(photos), 8, 8, 3), np.uint8)
    return Material(LABELS, photos, pixels, (), "a" * 64, 0, divided=False)


@pytest.fixture
def sealed(bundle: Bundle, dataset: Dataset) -> Sealed:
    variant = bundle.manifest.variant()
    scores = np.zeros((len(dataset.photos), STEPS), np.float32)
    scored = Scored(dataset.photos, scores, ())
    found = evaluate(variant, LABELS, scored, seed=0, root=dataset.root)
    ladder = Ladder(
        rows=(VariantRow(name=variant.name, bytes=1, accuracy=0.25),),
        reference=variant.name,
        recommended=variant.name,
        max_drop=0.01,
        basis="accuracy",
        photos=len(dataset.photos),
        threads=1,
        machine="some",
    )
    contents = {variant.file.path: bundle.contents()[variant.file.path]}
    return Sealed((variant,), variant, contents, {"validation": found}, {}, ladder)


def test_what_was_trained_is_published(
    tmp_path: Path, dataset: Dataset, material: Material, sealed: Sealed
) -> None:
    place = workplace(Settings(home=tmp_path / "home"))
    job = Job(dataset, "shades", TrainingOptions(), place, material, NOW)
    published, found = publish_run(job, (), sealed, {}, weights=b"", seconds=1)
    assert published.manifest.provenance["dataset"]["name"] == found.data == "caf\\udce9"
    written = (published.folder / "evaluation.json").read_bytes()
    assert Evaluation.model_validate_json(written) == found


def test_what_was_optimised_can_be_published(
    tmp_path: Path, bundle: Bundle, dataset: Dataset, material: Material, sealed: Sealed
) -> None:
    place = workplace(Settings(home=tmp_path / "home"))
    backbone = BACKBONES["mobilenet-v3-small"]
    task = Task(bundle, OptimizeOptions(), place, dataset, material, backbone)
    finished = Finished(task, Retrained(), sealed, b"", NOW, 1)
    published = place.store.add(*finished.of_version(2))
    assert published.manifest.provenance["optimized"]["dataset"]["name"] == "caf\\udce9"
    written = (published.folder / "evaluation.json").read_bytes()
    assert Evaluation.model_validate_json(written).data == "caf\\udce9"


@pytest.mark.train
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_photo_that_vanishes_does_not_keep_what_was_learned_from_being_published(
    tmp_path: Path, dataset: Dataset, material: Material, sealed: Sealed
) -> None:
    import keras

    from viewfinder.training.trainer import Learned

    image = keras.Input((224, 224, 3), dtype="uint8")
    model = keras.Model(image, keras.layers.Dense(STEPS)(keras.ops.mean(image, (1, 2)) / 255))
    scores = np.tile(np.eye(STEPS, dtype=np.float32)[0], (len(dataset.photos), 1))
    sealed = replace(sealed, reference={"validation": Scored(dataset.photos, scores, ())})
    place = workplace(Settings(home=tmp_path / "home"))
    job = Job(dataset, "shades", TrainingOptions(), place, material, NOW)
    dataset.photos[0].path.unlink()
    checked = _check_conversion(job, Learned(model, ()), sealed)
    assert checked["photos"] == len(dataset.photos) - 1
    assert checked["accuracy_of_float32"] == pytest.approx(2 / 11)  # of step-0, one is gone
    for photo in dataset.photos[1:]:
        photo.path.unlink()
    checked = _check_conversion(job, Learned(model, ()), sealed)
    assert checked == {"photos": 0, "split": "validation"}


def test_weights_from_a_file_are_named_in_what_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "caf\udce9.npz"
    file.write_bytes(b"some")
    described = described_weights(str(file))
    assert isinstance(described, dict)
    assert described["file"] == "caf\\udce9.npz"
