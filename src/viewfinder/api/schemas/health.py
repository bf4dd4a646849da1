"""Whether the process is alive, and whether it can answer."""

from typing import Literal

from viewfinder.api.schemas.answer import Answer


class Health(Answer):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str


class Readiness(Answer):
    """The default model can answer."""

    status: Literal["ready", "degraded"]
    parts: dict[str, str]
