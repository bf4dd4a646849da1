"""Every family: its scaling is that of keras.applications, and it can be cut."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra train")

import keras
from keras.src.utils import file_utils
from tests.modeling.graphs import (
    APPLICATIONS,
    CLASSES,
    FAMILIES,
    random_classifier,
    random_pixels,
    small,
    write_published,
)

from viewfinder.modeling.backbones import BACKBONES, Application, Download
from viewfinder.modeling.classifier import build_classifier
from viewfinder.modeling.cutting import below_pool, cut_points, split_at
from viewfinder.modeling.pretrained import load_pretrained

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module", params=FAMILIES)
def case(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """A preset's name and a random classifier of it."""
    return request.param, random_classifier(small(request.param))


def test_uint8_photos_become_float_logits(case: tuple[str, Any]) -> None:
    name, model = case
    logits = model(random_pixels(), training=False)
    assert model.inputs[0].dtype == "uint8"
    assert (logits.shape, logits.dtype) == ((2, CLASSES), "float32")
    assert model.get_layer("pool").output.shape[-1] == BACKBONES[name].features
    assert (
        sum(weight.numpy().size for layer in below_pool(model) for weight in layer.weights)
        == BACKBONES[name].parameters
    )


def test_the_graph_can_be_cut_between_its_blocks(case: tuple[str, Any]) -> None:
    _, model = case
    points = cut_points(model)
    assert len(points) >= 10
    photos = random_pixels()
    expected = model(photos, training=False).numpy()
    lower, upper = split_at(model, points[len(points) // 2])
    assert np.allclose(upper(lower(photos)), expected, atol=1e-5)
    weights = [*lower.weights, *upper.weights]
    assert {id(weight) for weight in weights} == {id(weight) for weight in model.weights}
    assert len(weights) == len(model.weights)
    lowest, _ = split_at(model, points[0])
    _, highest = split_at(model, points[-1])
    assert lowest.weights
    assert len(highest.weights) > 2


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")
@pytest.mark.parametrize("case", APPLICATIONS, indirect=True)
def test_the_scaling_is_that_of_keras_applications(
    case: tuple[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, model = case
    backbone = small(name)
    features = keras.Model(model.input, model.get_layer("pool").output)
    assert isinstance(backbone.weights, Download)
    assert isinstance(backbone.architecture, Application)
    path = write_published(features, tmp_path / backbone.weights.file)

    def get_file(file: str, url: str, *, file_hash: str, **_: Any) -> str:
        assert Download(url, file_hash) == backbone.weights
        return str(tmp_path / file)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    build = getattr(keras.applications, backbone.architecture.name)
    published = build(
        weights="imagenet", include_top=False, pooling="avg", input_shape=model.input_shape[1:]
    )
    module = {
        "efficientnet": keras.applications.efficientnet,
        "efficientnet-v2": keras.applications.efficientnet_v2,
        "mobilenet-v3": keras.applications.mobilenet_v3,
        "resnet": keras.applications.resnet,
        "resnet-v2": keras.applications.resnet_v2,
    }[backbone.family]
    photos = random_pixels()
    expected = published(module.preprocess_input(photos.astype(np.float32))).numpy()

    load_pretrained(model, backbone, path)
    got = features(photos).numpy()
    assert np.abs(expected).max() > 1e-3
    assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_head_can_have_a_hidden_layer() -> None:
    model = build_classifier(small("mobilenet-v3-small"), CLASSES, head="mlp")
    names = [layer.name for layer in model.layers]
    assert names[-4:] == ["pool", "hidden", "dropout", "logits"]
    assert model.get_layer("hidden").output.shape == (None, 1024)
    assert (model.get_layer("hidden")(np.full((1, 576), -1e9, np.float32)).numpy() >= 0).all()


def test_cuts_are_at_the_ends_of_blocks_and_called_the_same_in_every_process() -> None:
    model = build_classifier(small("mobilenet-v3-small"), CLASSES)
    assert cut_points(model) == [
        "expanded_conv_project_bn",
        "expanded_conv_1_project_bn",
        "expanded_conv_2_add",
        "expanded_conv_3_project_bn",
        "expanded_conv_4_add",
        "expanded_conv_5_add",
        "expanded_conv_6_project_bn",
        "expanded_conv_7_add",
        "expanded_conv_8_project_bn",
        "expanded_conv_9_add",
        "expanded_conv_10_add",
    ]
