"""The shapes of results in the API's JSON. The names are a promise; see docs/results.md."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

from viewfinder.api.schemas.answer import Answer
from viewfinder.api.schemas.classify import Model, Score, TimingMs
from viewfinder.results.labels import tidy_feedback
from viewfinder.results.live import CAUTION, VersionAccuracy, is_correct
from viewfinder.storage.results.wanted import Order
from viewfinder.types import ModelRef

if TYPE_CHECKING:
    from viewfinder.storage.results.rows import Result

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_LONGEST_LABEL, _LONGEST_NOTE = 200, 1000


def _check_moment(given: Any) -> Any:
    if isinstance(given, str) and not _MOMENT.fullmatch(given):
        raise ValueError(
            "give a moment of RFC 3339 as 2026-11-01T00:00:00Z; in an address, a + is written %2B"
        )
    return given


def _check_model(given: str | None) -> str | None:
    if given is not None and ModelRef.parse(given).alias is not None:
        raise ValueError(f"{given!r} is an alias, and what it means may change: name the version")
    return given


def _check_text(given: str | None) -> str | None:
    if given is not None and not given.isprintable():
        raise ValueError("it has characters that cannot be shown")
    return given


def _check_note(given: str | None) -> str | None:
    if given is not None and "\0" in given:
        raise ValueError("it has a NUL character")
    return given


_Moment = Annotated[AwareDatetime, BeforeValidator(_check_moment)]
_Utc = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.isoformat().replace("+00:00", "Z"), return_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]


class SpanQuery(BaseModel):
    """A span of time."""

    since: _Moment | None = Field(
        None, description="Answers from this moment on (RFC 3339, to the millisecond)."
    )
    until: _Moment | None = Field(None, description="Answers from before this moment.")


class ModelQuery(SpanQuery):
    """The answers of a model in a span of time."""

    model: Annotated[str | None, AfterValidator(_check_model)] = Field(
        None, description="`name` or `name@3`.", examples=["efficientnet-lite0"]
    )

    @property
    def ref(self) -> ModelRef | None:
        """The model, if one is named."""
        return None if self.model is None else ModelRef.parse(self.model)


class ResultQuery(ModelQuery):
    """Which results, and in which order."""

    label: Annotated[str | None, AfterValidator(_check_text)] = Field(
        None, alias="class", max_length=_LONGEST_LABEL, description="The class that was answered."
    )
    min_confidence: float = Field(0.0, ge=0, le=1, description="In that class, the least.")
    max_confidence: float = Field(1.0, ge=0, le=1, description="The most.")
    reviewed: bool | None = Field(
        None, description="Whether somebody has said what the photo shows."
    )
    order: Order = Field(
        "newest", description="`uncertain`: the least confident first, to be reviewed."
    )
    cursor: str | None = Field(None, description="`next` of the page before, asked as before.")
    limit: int = Field(50, ge=1, le=1000, description="The most results of a page.")


class FeedbackBody(BaseModel):
    """What a person says that a photo shows."""

    model_config = ConfigDict(extra="forbid")

    label: Annotated[str, AfterValidator(tidy_feedback)] = Field(
        min_length=1,
        max_length=_LONGEST_LABEL,
        description="The right class, also where the answer was right. It becomes the name of a "
        "folder: printable, no / or \\, no dot at the beginning.",
        examples=["running shoe"],
    )
    note: Annotated[str | None, AfterValidator(_check_note)] = Field(
        None, max_length=_LONGEST_NOTE, description="Whatever else there is."
    )


class ImageAnswer(Answer):
    """The image of a result."""

    sha256: str = Field(description="Of the file as it was sent.")
    bytes: int = Field(description="Of the same.")
    stored: bool = Field(description="Whether `/image` has it.")


class FeedbackAnswer(Answer):
    """What a person said of a result."""

    label: str = Field(description="The class that the photo shows.")
    note: str | None
    correct: bool = Field(description="Whether that is what was answered.")
    known: bool | None = Field(
        description="Whether it is a class of the version that answered; null if that is gone."
    )
    created: _Utc
    key_id: str | None = Field(description="Of the key that said so.")


class ResultAnswer(Answer):
    """One answer that was given."""

    id: str = Field(description="UUIDv7, as in the answer itself.")
    created: _Utc
    label: str = Field(serialization_alias="class", description="The most confident class.")
    confidence: float = Field(description="Of that class, 0-1.")
    classes: list[Score] = Field(description="Best first.")
    model: Model
    abstained: bool = Field(description="The model was not sure enough to be relied on.")
    cached: bool = Field(description="It was known, or under way, already.")
    timing_ms: TimingMs
    key_id: str | None = Field(description="Of the key that asked.")
    job_id: str | None = Field(description="Of the job that asked.")
    image: ImageAnswer
    feedback: FeedbackAnswer | None = Field(description="Null until somebody has reviewed it.")

    @classmethod
    def of(cls, result: "Result", *, known: bool | None) -> Self:
        """Render a result.

        Args:
            result: Which.
            known: Whether the model has the class that a person names, if one does.
        """
        return cls(
            id=result.id,
            created=result.created,
            label=result.label,
            confidence=result.confidence,
            classes=[Score.of(score) for score in result.classes],
            model=Model(name=result.model, version=result.version, variant=result.variant),
            abstained=result.abstained,
            cached=result.cached,
            timing_ms=TimingMs(**{name: round(ms, 3) for name, ms in result.timing.items()}),
            key_id=result.owner,
            job_id=result.job,
            image=ImageAnswer(
                sha256=result.image_sha256,
                bytes=result.image_bytes,
                stored=result.stored_bytes is not None,
            ),
            feedback=_feedback(result, known=known),
        )


def _feedback(result: "Result", *, known: bool | None) -> FeedbackAnswer | None:
    if result.feedback is None or result.reviewed is None:
        return None
    return FeedbackAnswer(
        label=result.feedback,
        note=result.note,
        correct=is_correct(result.label, result.feedback),
        known=known,
        created=result.reviewed,
        key_id=result.reviewer,
    )


class ResultPage(Answer):
    """Some results."""

    results: list[ResultAnswer]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class Deleted(Answer):
    """How much was erased."""

    deleted: int = Field(description="Results.")


class LiveAccuracy(Answer):
    """How good a model is on the photos that people have looked at."""

    name: str
    since: _Utc | None
    until: _Utc | None
    versions: list[VersionAccuracy] = Field(description="Those with reviews, the latest first.")
    caution: str = Field(CAUTION, description="What these figures do not say.")
