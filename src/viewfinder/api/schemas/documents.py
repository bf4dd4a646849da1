"""The documents of a model version."""

from pydantic import Field

from viewfinder.api.schemas.answer import Answer


class DocumentAnswer(Answer):
    """A file of a bundle that is for people and tools; serving reads none of them."""

    path: str = Field(description="In the bundle; below `documents/`, its address.")
    bytes: int
    sha256: str
    type: str = Field(description="As which it is sent.")


class DocumentList(Answer):
    """The documents of a model version."""

    name: str
    version: int
    documents: list[DocumentAnswer]
