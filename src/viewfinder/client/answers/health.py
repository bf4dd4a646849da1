"""How a server is."""

from typing import Literal

from pydantic import Field

from viewfinder.client.answers.shape import Shape


class Health(Shape):
    """The process is alive."""

    status: str
    version: str


class Readiness(Shape):
    """Whether the default model can answer.

    Attributes:
        status: `degraded` where it can, and another part cannot work.
        parts: How each part is: `ready`, or what is wrong with it; empty where it is not ready.
        detail: Why it is not ready, in a sentence.
    """

    status: Literal["ready", "degraded", "not_ready"]
    parts: dict[str, str] = Field(default_factory=dict)
    detail: str | None = None

    @property
    def can_answer(self) -> bool:
        """Whether photos are answered."""
        return self.status != "not_ready"
