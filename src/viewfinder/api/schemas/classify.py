"""Photos as they are asked about, and the answers."""

from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from viewfinder.api.schemas.answer import Answer
from viewfinder.api.schemas.heatmap import HeatMap
from viewfinder.api.schemas.problem import Problem
from viewfinder.shared.options import MOST_CLASSES
from viewfinder.types import ClassScore, Explain, Prediction


class ClassifyOptions(BaseModel):
    """How to answer: as query parameters, or as fields of a form or a JSON body."""

    model: str | None = Field(
        None,
        description="`name`, `name@3` or `name@alias`; the default model if not given.",
        examples=["efficientnet-lite0", "efficientnet-lite0@1"],
    )
    model_id: str | None = Field(None, description="A synonym of `model`.")
    top_k: int = Field(5, ge=1, le=MOST_CLASSES, description="How many classes to name.")
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


class Score(Answer):
    """One class."""

    label: str = Field(serialization_alias="class", description="Its name.")
    index: int = Field(description="The class's place in the model's output.")
    confidence: float = Field(description="0-1.")

    @classmethod
    def of(cls, score: ClassScore) -> Self:
        """Render a score."""
        return cls(label=score.label, index=score.index, confidence=score.confidence)


class Model(Answer):
    """Who answered."""

    name: str
    version: int
    variant: str = Field(description="The graph, such as `int8`.")


class TimingMs(Answer):
    """Where the time went, in milliseconds, to the microsecond."""

    decode: float = Field(description="Decoding and resizing.")
    queue: float = Field(description="Waiting for a compute thread.")
    infer: float = Field(description="The graph.")
    total: float = Field(description="From the image's arrival to its answer.")


class Classification(Answer):
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


class BatchResult(Answer):
    """One image's answer, or its error."""

    index: int = Field(description="The image's place in the request, from 0.")
    filename: str | None = Field(None, description="What the form calls it.")
    result: Classification | None = Field(None, description="Left out where there is an error.")
    error: Problem | None = Field(None, description="Left out where there is a result.")


class BatchSummary(Answer):
    """How the batch went."""

    total: int = Field(description="Images.")
    succeeded: int = Field(description="Images with a result.")
    failed: int = Field(description="Images with an error.")


class BatchAnswer(Answer):
    """The answers of a batch, in the order of the images."""

    results: list[BatchResult] = Field(description="One for each image.")
    summary: BatchSummary
