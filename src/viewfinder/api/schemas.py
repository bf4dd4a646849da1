"""The shapes of the API's JSON. The names are a promise; see docs/api.md."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Calibration, Label
from viewfinder.registry.routing import Traffic, VersionNumber
from viewfinder.serving.shadow import Comparison
from viewfinder.types import Box, ClassScore, Explain, Explanation, Method, Prediction


class ClassifyOptions(BaseModel):
    """How to answer: as query parameters, or as fields of a form or a JSON body."""

    model: str | None = Field(
        None,
        description="`name`, `name@3` or `name@alias`; the default model if not given.",
        examples=["efficientnet-lite0", "efficientnet-lite0@1"],
    )
    model_id: str | None = Field(None, description="A synonym of `model`.")
    top_k: int = Field(5, ge=1, le=100, description="How many classes to name.")
    min_confidence: float = Field(
        0.0, ge=0, le=1, description="Leaves less confident classes out of `classes`."
    )
    explain: Explain = Field(
        "none",
        description="`heatmap` says where in the photo the model saw the class; that takes many "
        "times as long.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fold_synonym(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("model") is None and "model_id" in given:
            return {**given, "model": given["model_id"]}
        return given


_URL = (
    "In place of `image`: where to fetch it from, over `http` or `https` from a public address. "
    "Only where the server has `fetch.enabled` on."
)


class PhotoBody(ClassifyOptions):
    """One image as JSON."""

    image: str | None = Field(
        None, description="The image file in base64; a `data:` URL is welcome too."
    )
    url: str | None = Field(None, description=_URL)


class BatchItem(BaseModel):
    """One image of a JSON batch."""

    image: str | None = Field(None, description="The image file in base64.")
    url: str | None = Field(None, description=_URL)


class BatchBody(ClassifyOptions):
    """Many images as JSON."""

    images: list[BatchItem] = Field(
        min_length=1, description="At most as many as `limits.batch_images` says."
    )


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Score(_Answer):
    """One class."""

    label: str = Field(serialization_alias="class", description="Its name.")
    index: int = Field(description="The class's place in the model's output.")
    confidence: float = Field(description="0-1.")

    @classmethod
    def of(cls, score: ClassScore) -> Self:
        """Render a score."""
        return cls(label=score.label, index=score.index, confidence=score.confidence)


class Model(_Answer):
    """Who answered."""

    name: str
    version: int
    variant: str = Field(description="The graph, such as `int8`.")


class TimingMs(_Answer):
    """Where the time went, in milliseconds, to the microsecond."""

    decode: float = Field(description="Decoding and resizing.")
    queue: float = Field(description="Waiting for a compute thread.")
    infer: float = Field(description="The graph.")
    total: float = Field(description="From the image's arrival to its answer.")


class CoveredPart(_Answer):
    """A part of the upright photo, as fractions of its width and height.

    With models that see the photo between bars it reaches beyond it.
    """

    x: float = Field(description="Of the left edge.")
    y: float = Field(description="Of the top edge.")
    width: float = Field(description="Of the part.")
    height: float = Field(description="Of the part.")

    @classmethod
    def of(cls, box: Box) -> Self:
        """Render a box."""
        return cls(x=box.x, y=box.y, width=box.width, height=box.height)


class HeatMap(_Answer):
    """Where the model saw the class."""

    method: Method = Field(description="How it was found out.")
    label: str = Field(serialization_alias="class", description="The class that it is about.")
    index: int = Field(description="The class's place in the model's output.")
    rows: int = Field(description="Of the grid.")
    columns: int = Field(description="Of the grid.")
    values: list[list[float]] = Field(
        description="Row by row, the top one first, 0-1: 1 at what spoke most for the class."
    )
    box: CoveredPart = Field(description="What of the photo the grid covers.")

    @classmethod
    def of(cls, explanation: Explanation) -> Self:
        """Render an explanation."""
        values = explanation.values
        return cls(
            method=explanation.method,
            label=explanation.label,
            index=explanation.index,
            rows=len(values),
            columns=len(values[0]),
            values=[[round(value, 3) for value in row] for row in values],
            box=CoveredPart.of(explanation.box),
        )


class Classification(_Answer):
    """The answer for one image."""

    id: str = Field(description="UUIDv7.")
    label: str = Field(serialization_alias="class", description="The most confident class.")
    confidence: float = Field(description="Of that class, 0-1.")
    classes: list[Score] = Field(description="Best first.")
    model: Model
    abstained: bool = Field(description="The model is not sure enough to be relied on.")
    cached: bool = Field(
        description="The answer to these very bytes was known, or under way, already."
    )
    timing_ms: TimingMs
    explanation: HeatMap | None = Field(
        None,
        description="Only where it was asked for.",
        exclude_if=lambda explanation: explanation is None,
    )

    @classmethod
    def of(cls, prediction: Prediction) -> Self:
        """Render a prediction."""
        model, timing, explanation = prediction.model, prediction.timing, prediction.explanation
        return cls(
            id=prediction.id,
            label=prediction.top.label,
            confidence=prediction.top.confidence,
            classes=[Score.of(score) for score in prediction.classes],
            model=Model(name=model.name, version=model.version, variant=model.variant),
            abstained=prediction.abstained,
            cached=prediction.cached,
            timing_ms=TimingMs(
                decode=round(timing.decode, 3),
                queue=round(timing.queue, 3),
                infer=round(timing.infer, 3),
                total=round(timing.total, 3),
            ),
            explanation=None if explanation is None else HeatMap.of(explanation),
        )


class FieldError(_Answer):
    """What is wrong with one field."""

    field: str = Field(description="Its name, with dots between what is nested.")
    message: str = Field(description="What it should be.")


class Problem(_Answer):
    """An error, as RFC 9457 has it."""

    type: str = Field(
        description="`urn:viewfinder:error:` and the code.",
        examples=["urn:viewfinder:error:invalid_image"],
    )
    title: str = Field(description="The code in words.")
    status: int = Field(description="That of the answer.")
    detail: str = Field(description="What went wrong and what to do, in a sentence.")
    code: str = Field(description="Stable; see docs/errors.md.")
    error: str = Field(description="The same as `detail`.")
    request_id: str | None = Field(None, description="As in the header `X-Request-ID`.")
    errors: list[FieldError] | None = Field(None, description="With `invalid_parameter` only.")


class BatchResult(_Answer):
    """One image's answer, or its error."""

    index: int = Field(description="The image's place in the request, from 0.")
    filename: str | None = Field(None, description="What the form calls it.")
    result: Classification | None = Field(None, description="Left out where there is an error.")
    error: Problem | None = Field(None, description="Left out where there is a result.")


class BatchSummary(_Answer):
    """How the batch went."""

    total: int = Field(description="Images.")
    succeeded: int = Field(description="Images with a result.")
    failed: int = Field(description="Images with an error.")


class BatchAnswer(_Answer):
    """The answers of a batch, in the order of the images."""

    results: list[BatchResult] = Field(description="One for each image.")
    summary: BatchSummary


class VersionState(_Answer):
    """One version of a model and whether it can answer."""

    version: int
    state: Literal["loading", "ready", "failed", "unloaded"] = Field(
        description="`unloaded`: it is loaded when it is asked for."
    )
    reason: str | None = Field(None, description="Why it failed.")


class ShadowAnswer(_Answer):
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


class ModelAnswer(_Answer):
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


class RoutingAnswer(_Answer):
    """Where a model's requests go now."""

    name: str
    aliases: dict[str, int] = Field(description="The version that each means.")
    traffic: Traffic | None = Field(description="Null where it is not split.")


class ModelList(_Answer):
    """Every model."""

    models: list[ModelAnswer]
    default: str = Field(description="Answers when a request names no model.")


class ReloadAnswer(_Answer):
    """Every version and its state after a look at the store."""

    models: dict[str, list[VersionState]] = Field(description="By the name of the model.")


class VariantSummary(_Answer):
    """One graph of a version."""

    name: str = Field(description="Such as `float32` or `int8`.")
    format: str = Field(description="Of the graph's file.")
    bytes: int = Field(description="Of the graph, with what it needs beside it.")
    accuracy: float | None = Field(description="Top-1 on the validation photos, 0-1, if measured.")
    p50_ms: float | None = Field(
        description="Milliseconds of one image on one core, where it was made, if measured."
    )
    recommended: bool = Field(description="Whether it is the one that answers.")


class VersionSummary(_Answer):
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


class DocumentAnswer(_Answer):
    """A file of a bundle that is for people and tools; serving reads none of them."""

    path: str = Field(description="In the bundle; below `documents/`, its address.")
    bytes: int
    sha256: str
    type: str = Field(description="As which it is sent.")


class DocumentList(_Answer):
    """The documents of a model version."""

    name: str
    version: int
    documents: list[DocumentAnswer]


class LabelAnswer(_Answer):
    """One class of a model."""

    index: int = Field(description="Its place in the model's output.")
    label: Annotated[str, Field(serialization_alias="class", description="Its name.")]
    id: str | None = Field(description="A name from outside, such as a WordNet synset.")
    description: str | None = Field(description="What it means.")

    @classmethod
    def of(cls, index: int, label: Label) -> Self:
        """Render a label."""
        return cls(index=index, label=label.name, id=label.id, description=label.description)


class LabelList(_Answer):
    """The classes of a model version, in the order of its output."""

    name: str
    version: int
    labels: list[LabelAnswer]


class Health(_Answer):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str = Field(description="Of Viewfinder.")


class Readiness(_Answer):
    """The default model can answer."""

    status: Literal["ready", "degraded"] = Field(
        description="`degraded`: photos are answered, and something else is not as it should be."
    )
    parts: dict[str, str] = Field(description="How each part is, by its name.")
