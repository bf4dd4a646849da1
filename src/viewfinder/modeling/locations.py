"""Where weights lie on this machine, found without Keras."""

import importlib.util
import os
from pathlib import Path

from viewfinder.modeling.backbones import Backbone, Wheel


def keras_models_folder() -> Path:
    """Where Keras keeps downloaded weights: `models` in `KERAS_HOME`, else in `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models"


def are_here(backbone: Backbone, models_folder: Path) -> bool:
    """Whether the ImageNet weights are on this machine, in a wheel or in that folder."""
    if isinstance(backbone.weights, Wheel):
        return importlib.util.find_spec(backbone.weights.package) is not None
    return (models_folder / backbone.weights.file).is_file()
