"""The data every room speaks. Leaf module: it imports nothing of Viewfinder's."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from typing_extensions import TypeAliasType

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

Photo = TypeAliasType("Photo", "str | Path | bytes | Image.Image | NDArray[np.uint8]")
"""A photo: the path of a file, the bytes of one, or what somebody has decoded.

Files and bytes are decoded as the server decodes them, and get the answer that it gives, to the
last bit. A Pillow image of any mode becomes RGB, transparency on white, turned as its EXIF block
says; its pixels need not be quite those that the server finds in a large JPEG. An array is uint8
`[H, W, 3]`, red first, 0-255, upright.
"""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def is_model_name(text: str) -> bool:
    """Whether `text` may name a model: 1-64 of `a-z 0-9 . _ -`, starting with a letter or digit.

    `reload` is what the API calls something else.
    """
    return _NAME.fullmatch(text) is not None and text != "reload"


def parse_version(text: str) -> int | None:
    """`text` as a version number (1 to 999,999,999, no leading zero), else None."""
    return int(text) if _VERSION.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class ModelRef:
    """What a request asks for: `name`, `name@3` or `name@alias`.

    Attributes:
        name: The model's name.
        version: The version asked for, if a number was given.
        alias: The alias asked for, if a word was given.
    """

    name: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelRef":
        """Read `name[@version|@alias]`.

        Raises:
            ValueError: `text` has another form.
        """
        name, at, selector = text.partition("@")
        if not is_model_name(name) or (at and not is_model_name(selector)):
            raise ValueError(f"{text!r} is not name, name@3 or name@alias")
        if not at:
            return cls(name)
        version = parse_version(selector)
        return cls(name, version=version, alias=selector if version is None else None)


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class of an answer: its label, its place in the model's output, and 0-1 confidence."""

    label: str
    index: int
    confidence: float


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The model version and variant that answered."""

    name: str
    version: int
    variant: str


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of one prediction went, in milliseconds.

    `total` runs from the moment the service took the bytes to the finished prediction.
    """

    decode: float
    queue: float
    infer: float
    total: float


@dataclass(frozen=True, slots=True)
class Box:
    """A part of an upright photo, as fractions of its width and height; `x`, `y` is its top left.

    It may reach beyond the photo: then `x` or `y` is negative, or `width` or `height` above 1.
    """

    x: float
    y: float
    width: float
    height: float


Explain = Literal["none", "heatmap"]
Method = Literal["class-activation", "occlusion"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a model saw a class.

    Attributes:
        method: How that was found out.
        label: The class.
        index: Its place in the model's output.
        values: Rows of a grid, the top one first, each from the left: 0-1, 1 at what spoke most for
            the class. All are 0 where nothing did.
        box: The part of the photo that the grid covers.
    """

    method: Method
    label: str
    index: int
    values: tuple[tuple[float, ...], ...]
    box: Box


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image.

    Attributes:
        id: UUIDv7.
        top: The most confident class. An abstained answer keeps it.
        classes: The most confident classes, best first, as many as were asked for.
        model: Who answered.
        abstained: The model's calibrated confidence was under its threshold: "I don't know".
        cached: Nothing was worked out for this very answer.
        timing: Milliseconds spent.
        explanation: Where the model saw the top class, if that was asked for.
    """

    id: str
    top: ClassScore
    classes: tuple[ClassScore, ...]
    model: ServedModel
    abstained: bool
    cached: bool
    timing: Timing
    explanation: Explanation | None = None


AccessScope = Literal["classify", "read", "manage"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, once that has been checked.

    Attributes:
        id: Stable name of the key, or of the person, for logs, limits and sharing out of traffic;
            no secret.
        scopes: What they may do.
        requests: Requests within the window of the rate limit; None for what the settings say.
    """

    id: str
    scopes: frozenset[AccessScope]
    requests: int | None = None
