"""Whether the process is alive, and whether it can answer."""

from typing import Literal

from pydantic import Field

from viewfinder.api.schemas.answer import Answer


class Health(Answer):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str = Field(description="Of Viewfinder.")


class Readiness(Answer):
    """The default model can answer."""

    status: Literal["ready", "degraded"] = Field(
        description="`degraded`: photos are answered, and something else is not as it should be."
    )
    parts: dict[str, str] = Field(description="How each part is, by its name.")
