"""Errors, as RFC 9457 has them."""

from pydantic import Field

from viewfinder.api.schemas.answer import Answer


class FieldError(Answer):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(Answer):
    """An error, as RFC 9457 has it."""

    type: str = Field(examples=["urn:viewfinder:error:invalid_image"])
    title: str
    status: int
    detail: str = Field(description="What went wrong and what to do, in a sentence.")
    code: str = Field(description="Stable; see docs/errors.md.")
    error: str = Field(description="The same as `detail`.")
    request_id: str | None = None
    errors: list[FieldError] | None = None
