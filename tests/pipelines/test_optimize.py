"""What cannot be optimised: one clear sentence, and the store as it was."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import fake_bundle, grey

from viewfinder.datasets.photos import Dataset
from viewfinder.errors import ConversionError, DatasetError, InvalidParameterError, WeightsError
from viewfinder.modeling.backbones import BACKBONES
from viewfinder.pipelines.material import Material
from viewfinder.pipelines.optimize import optimize
from viewfinder.pipelines.original import original_model
from viewfinder.pipelines.task import OptimizeOptions, Task
from viewfinder.pipelines.workplace import workplace
from viewfinder.registry.bundle import Bundle, describe, write_bundle
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE
from viewfinder.settings import Settings
from viewfinder.training.progress import Logged

pytestmark = pytest.mark.train

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for split in ("train", "validation"):
        for label in ("step-0", "step-1"):
            folder = tmp_path / "photos" / split / label
            folder.mkdir(parents=True)
            for number in range(3):
                shade = 20 * number + (100 if label == "step-1" else 0)
                (folder / f"{number}.png").write_bytes(grey(shade + (split == "train")))
    return tmp_path / "photos"


def _optimize(bundle: Bundle, home: Path, data: Path | None, **options: Any) -> None:
    optimize(
        bundle,
        OptimizeOptions(**options),
        workplace(Settings(home=home)),
        data=data,
        listener=Logged(),
        now=lambda: NOW,
    )


def _trained(store: Path, **provenance: object) -> Bundle:
    """A version that says where it came from."""
    made = fake_bundle(store, classes=2)
    manifest = made.manifest.model_copy(update={"version": 2, "provenance": provenance})
    return write_bundle(store / manifest.name / "2", manifest, made.contents())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_drop": -0.01}, "0 to 100 points"),
        ({"max_drop": math.nan}, "0 to 100 points"),
        ({"prune": 0.0}, "between 0 and 1"),
        ({"prune": 1.0}, "between 0 and 1"),
        ({"distill": "alexnet"}, "no backbone 'alexnet'"),
        ({"epochs": 0}, "at least 1"),
        ({"seed": -1}, "a seed"),
    ],
)
def test_options_that_make_no_sense_are_named(
    store: Path, photos: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        _optimize(fake_bundle(store, classes=2), store.parent, photos, **options)


def test_a_model_from_elsewhere_cannot_be_made_into_others(store: Path, photos: Path) -> None:
    with pytest.raises(ConversionError, match="fake@1 was not trained by Viewfinder"):
        _optimize(fake_bundle(store, classes=2), store.parent, photos)


def test_a_model_without_its_weights_is_to_be_trained_again(store: Path, photos: Path) -> None:
    bundle = _trained(store, backbone="mobilenet-v3-small")
    with pytest.raises(ConversionError, match=r"holds no weights.*train it again"):
        _optimize(bundle, store.parent, photos)


def test_without_photos_there_is_nothing_to_calibrate_with(store: Path) -> None:
    bundle = _trained(store, backbone="mobilenet-v3-small", dataset={"digest": "a" * 64})
    with pytest.raises(DatasetError, match="give some with --data"):
        _optimize(bundle, store.parent, None)


def test_a_folder_without_photos_is_named(store: Path, tmp_path: Path) -> None:
    bundle = _trained(store, backbone="mobilenet-v3-small")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="has no photos"):
        _optimize(bundle, store.parent, tmp_path / "empty")


@pytest.mark.parametrize("option", [{"prune": 0.7}, {"distill": "mobilenet-v3-small"}])
def test_nothing_is_learned_from_labels_that_the_model_lacks(
    photos: Path, tmp_path: Path, option: dict[str, Any]
) -> None:
    shipped = Bundle.read(BUILTIN_STORE / BUILTIN_MODEL / "1")
    with pytest.raises(DatasetError, match="leave out --prune and --distill"):
        _optimize(shipped, tmp_path, photos, **option)
    assert not list((tmp_path / "models").rglob("bundle.json"))


def _with_weights(store: Path, *, classes: int, of: int) -> Bundle:
    """A version of so many classes, with the weights of a model of others."""
    from viewfinder.modeling.classifier import build_classifier
    from viewfinder.modeling.saving import pack_weights

    weights = pack_weights(build_classifier(BACKBONES["mobilenet-v3-small"], of))
    made = fake_bundle(store, classes=classes)
    manifest = made.manifest.model_copy(
        update={
            "version": 2,
            "provenance": {"backbone": "mobilenet-v3-small"},
            "documents": (describe("weights.npz", weights),),
        }
    )
    contents = {**made.contents(), "weights.npz": weights}
    return write_bundle(store / manifest.name / "2", manifest, contents)


def test_weights_of_another_architecture_are_refused(store: Path) -> None:
    with pytest.raises(WeightsError, match="another architecture"):
        original_model(_with_weights(store, classes=2, of=3))


@pytest.mark.parametrize("option", [{"prune": 0.7}, {"distill": "mobilenet-v3-small"}])
def test_classes_without_photos_are_not_forgotten(
    store: Path, photos: Path, option: dict[str, Any]
) -> None:
    with pytest.raises(DatasetError, match=r"no photos of 'step-2'.*leave out --prune"):
        _optimize(_with_weights(store, classes=3, of=3), store.parent, photos, **option)


def test_other_weights_of_the_same_name_begin_another_run(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "student.npz"
    pixels = np.zeros((0, 8, 8, 3), np.uint8)
    task = Task(
        fake_bundle(store, classes=2),
        OptimizeOptions(distill="mobilenet-v3-small", student_weights=str(file)),
        workplace(Settings(home=store.parent)),
        Dataset(tmp_path, (), (), ()),
        Material((), (), pixels, (), "a" * 64, 0, divided=False),
        BACKBONES["mobilenet-v3-small"],
    )
    file.write_bytes(b"some")
    first = task.key
    assert replace(task, options=replace(task.options, rounds=9, max_drop=0.5)).key == first
    file.write_bytes(b"others")
    assert task.key != first
