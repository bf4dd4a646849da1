"""Models, their versions, and who answers for them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from viewfinder.api.schemas.answer import Answer
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Calibration, Label
from viewfinder.registry.routing import Traffic, VersionNumber
from viewfinder.serving.shadow import Comparison


class VersionState(Answer):
    """One version of a model and whether it can answer."""

    version: int
    state: Literal["loading", "ready", "failed", "unloaded"] = Field(
        description="`unloaded`: it is loaded when it is asked for."
    )
    reason: str | None = Field(None, description="Why it failed.")


class ShadowAnswer(Answer):
    """How a shadow has done beside the version that answered, since this process has compared."""

    version: int
    compared: int = Field(description="Photos that both answered.")
    agreement: float | None = Field(description="The part of these with the same class, 0-1.")
    confidence_difference: float | None = Field(
        description="Mean distance of their confidence in the answered class, 0-1."
    )
    failed: int = Field(description="Photos that the shadow could not answer.")
    skipped: int = Field(description="Photos it was not shown: the machine was busy.")

    @classmethod
    def of(cls, comparison: Comparison) -> Self:
        """Render the counts."""
        compared = comparison.compared
        return cls(
            version=comparison.version,
            compared=compared,
            agreement=comparison.agreed / compared if compared else None,
            confidence_difference=comparison.difference / compared if compared else None,
            failed=comparison.failed,
            skipped=comparison.skipped,
        )


class ModelAnswer(Answer):
    """A model with its versions."""

    name: str
    versions: list[VersionState]
    aliases: dict[str, int] = Field(description="The version that each means.")
    traffic: Traffic | None = Field(description="Who answers when the model alone is named.")
    shadow: ShadowAnswer | None = Field(description="How the shadow of the traffic has done.")
    rollback: int | None = Field(description="The version that a rollback would let answer.")
    problem: str | None = Field(description="What is wrong with the routing in the store.")
    labels_count: int | None = Field(description="Of the latest good version.")


class AliasBody(BaseModel):
    """What an alias is to mean."""

    model_config = ConfigDict(extra="forbid")

    version: VersionNumber


class RoutingAnswer(Answer):
    """Where a model's requests go now."""

    name: str
    aliases: dict[str, int] = Field(description="The version that each means.")
    traffic: Traffic | None = Field(description="Null where it is not split.")


class ModelList(Answer):
    """Every model."""

    models: list[ModelAnswer]
    default: str = Field(description="Answers when a request names no model.")


class ReloadAnswer(Answer):
    """Every version and its state after a look at the store."""

    models: dict[str, list[VersionState]] = Field(description="By the name of the model.")


class VariantSummary(Answer):
    """One graph of a version."""

    name: str = Field(description="Such as `float32` or `int8`.")
    format: str = Field(description="Of the graph's file.")
    bytes: int = Field(description="Of the graph, with what it needs beside it.")
    accuracy: float | None = Field(description="Top-1 on the validation photos, 0-1, if measured.")
    p50_ms: float | None = Field(
        description="Milliseconds of one image on one core, where it was made, if measured."
    )
    recommended: bool = Field(description="Whether it is the one that answers.")


class VersionSummary(Answer):
    """What a bundle says of itself."""

    name: str
    version: int
    created: datetime
    labels_count: int = Field(description="How many classes it has.")
    input: PreprocessSpec
    variants: list[VariantSummary]
    evaluation: dict[str, Any] | None = Field(description="In short; null if there was none.")
    calibration: Calibration
    provenance: dict[str, Any] = Field(description="What it was made from, and how.")
    aliases: list[str] = Field(description="Those that mean this version.")

    @classmethod
    def of(cls, bundle: Bundle, aliases: dict[str, int]) -> Self:
        """Render a manifest; `input` and `calibration` are the recommended variant's."""
        manifest = bundle.manifest
        recommended = manifest.variant()
        return cls(
            name=manifest.name,
            version=manifest.version,
            created=manifest.created,
            labels_count=len(manifest.labels),
            input=recommended.preprocess,
            variants=[
                VariantSummary(
                    name=variant.name,
                    format=variant.format,
                    bytes=variant.size,
                    accuracy=variant.accuracy,
                    p50_ms=variant.latency.p50_ms if variant.latency else None,
                    recommended=variant.name == manifest.recommended,
                )
                for variant in manifest.variants
            ],
            evaluation=manifest.evaluation,
            calibration=recommended.calibration,
            provenance=manifest.provenance,
            aliases=[alias for alias, version in aliases.items() if version == manifest.version],
        )


class LabelAnswer(Answer):
    """One class of a model."""

    index: int = Field(description="Its place in the model's output.")
    label: Annotated[str, Field(serialization_alias="class", description="Its name.")]
    id: str | None = Field(description="A name from outside, such as a WordNet synset.")
    description: str | None = Field(description="What it means.")

    @classmethod
    def of(cls, index: int, label: Label) -> Self:
        """Render a label."""
        return cls(index=index, label=label.name, id=label.id, description=label.description)


class LabelList(Answer):
    """The classes of a model version, in the order of its output."""

    name: str
    version: int
    labels: list[LabelAnswer]
