"""Models: their versions, who answers, and what a version says of itself."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from viewfinder.client.answers.shape import Shape


class VersionState(Shape):
    """One version of a model and whether it can answer; `reason` says why it failed."""

    version: int
    state: Literal["loading", "ready", "failed", "unloaded"]
    reason: str | None = None


class Share(Shape):
    """The part of the requests that one version answers, in percent."""

    version: int
    percent: float


class Traffic(Shape):
    """Who answers a request that names the model alone, and who is compared with that."""

    split: tuple[Share, ...] = ()
    shadow: int | None = None


class Shadow(Shape):
    """How a shadow has done beside the version that answered; shares are 0-1."""

    version: int
    compared: int
    agreement: float | None
    confidence_difference: float | None
    failed: int
    skipped: int


class ModelInfo(Shape):
    """A model with its versions."""

    name: str
    versions: tuple[VersionState, ...]
    aliases: dict[str, int]
    traffic: Traffic | None
    shadow: Shadow | None
    rollback: int | None
    problem: str | None
    labels_count: int | None


class Models(Shape):
    """Every model, and which one answers when a request names none."""

    models: tuple[ModelInfo, ...]
    default: str


class Routing(Shape):
    """Where a model's requests go now."""

    name: str
    aliases: dict[str, int]
    traffic: Traffic | None


class Variant(Shape):
    """One graph of a version; `accuracy` is 0-1, `p50_ms` the median of one photo."""

    name: str
    format: str
    bytes: int
    accuracy: float | None
    p50_ms: float | None
    recommended: bool


class Input(Shape):
    """What a model sees of a photo."""

    width: int
    height: int
    resize: Literal["crop", "stretch", "pad"] = "crop"
    crop_fraction: float = 1.0
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    channels: Literal["rgb", "bgr"] = "rgb"


class Calibration(Shape):
    """How scores become confidence, and under which an answer is "I don't know"."""

    temperature: float = 1.0
    abstain_below: float | None = None


class Version(Shape):
    """What a version of a model says of itself."""

    name: str
    version: int
    created: datetime
    labels_count: int
    input: Input
    variants: tuple[Variant, ...]
    evaluation: dict[str, Any] | None
    calibration: Calibration
    provenance: dict[str, Any]
    aliases: tuple[str, ...]


class Label(Shape):
    """One class of a model."""

    index: int
    label: str = Field(alias="class")
    id: str | None
    description: str | None


class Labels(Shape):
    """The classes of a model version, in the order of its output."""

    name: str
    version: int
    labels: tuple[Label, ...]
