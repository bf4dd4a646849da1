"""Keras, or one clear line on how to get it: the other modules of this room import it from here."""

import os
import re
from typing import Any

from viewfinder.errors import MissingExtraError

# TensorFlow's start-up prints a page of hints. Errors are still shown.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# On, as it comes on processors with AVX-512 VNNI, it says so at each start, whatever the level, and
# rounds otherwise than on all others.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

try:
    import keras
except ImportError as error:
    raise MissingExtraError("building a Keras model", "train") from error

__all__ = ["keras", "kind_of"]


def kind_of(layer: Any) -> str:
    """The class of a layer as Keras writes it when it numbers layers: `conv2d` of `conv2d_7`."""
    name = type(layer).__name__
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()
