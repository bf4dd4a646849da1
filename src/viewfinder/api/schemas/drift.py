"""The shape of `GET /v1/models/{name}/drift`."""

from typing import Literal, Self, get_args

from pydantic import Field

from viewfinder.api.schemas.answer import Answer
from viewfinder.serving.drift.comparison import Bin, Drift, Part
from viewfinder.serving.drift.stability import Level

PartName = Literal["classes", "confidence", "brightness", "contrast", "sharpness", "saturation"]

_DIGITS = 4
_LEVELS = get_args(Level)


class BinAnswer(Answer):
    """A bin, and how many photos are in it."""

    label: str | None = Field(description="The class or classes; null for a range of numbers.")
    low: float | None = Field(description="Where the range begins; null where it is open.")
    high: float | None = Field(
        description="Where it ends, itself not in it; null where it is open."
    )
    reference: float | None = Field(description="The share of the reference's photos, 0-1.")
    recent: float | None = Field(description="The share of the recent photos, 0-1.")

    @classmethod
    def of(cls, found: Bin) -> Self:
        """Render a bin."""
        return cls(
            label=found.label,
            low=found.low,
            high=found.high,
            reference=_rounded(found.reference),
            recent=_rounded(found.recent),
        )


class PartAnswer(Answer):
    """One thing that is compared."""

    psi: float | None = Field(
        description="Population stability index, less what chance alone gives: 0 or more. Null "
        "without a reference, and as long as there are too few photos."
    )
    level: Level | None = Field(description="Under 0.1, up to 0.25, and over it.")
    bins: list[BinAnswer] = Field(description="Both distributions.")

    @classmethod
    def of(cls, part: Part) -> Self:
        """Render a part."""
        return cls(
            psi=_rounded(part.psi), level=part.level, bins=[BinAnswer.of(one) for one in part.bins]
        )


class ReferenceAnswer(Answer):
    """What photos are compared with: the validation photos of the training."""

    photos: int = Field(description="How many.")


class VersionDrift(Answer):
    """How the recent photos of one version compare with its reference."""

    version: int
    variant: str
    photos: int = Field(description="Recent photos that were worked out; not answers from a cache.")
    reference: ReferenceAnswer | None = Field(description="Null if the bundle has none.")
    level: Level | None = Field(description="The worst of the parts.")
    parts: dict[PartName, PartAnswer] = Field(description="By what is compared.")

    @classmethod
    def of(cls, drift: Drift) -> Self:
        """Render a comparison."""
        levels = [part.level for part in drift.parts.values() if part.level is not None]
        return cls(
            version=drift.model.version,
            variant=drift.model.variant,
            photos=drift.photos,
            reference=None if drift.reference is None else ReferenceAnswer(photos=drift.reference),
            level=max(levels, key=_LEVELS.index, default=None),
            parts={name: PartAnswer.of(part) for name, part in drift.parts.items()},
        )


class DriftAnswer(Answer):
    """Whether photos, and answers, are still like those that a model was measured with."""

    name: str
    enabled: bool = Field(description="Where `drift.enabled` is off, nothing is compared.")
    window: int = Field(description="So many of the most recent photos are compared.")
    versions: list[VersionDrift] = Field(
        description="Those in memory, or asked since the server began; the latest first."
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
