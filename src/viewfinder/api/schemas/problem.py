"""Errors, as RFC 9457 has them."""

from pydantic import Field

from viewfinder.api.schemas.answer import Answer


class FieldError(Answer):
    """What is wrong with one field."""

    field: str = Field(description="Its name, with dots between what is nested.")
    message: str = Field(description="What it should be.")


class Problem(Answer):
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
