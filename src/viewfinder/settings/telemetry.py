"""What a server says of its work: metrics, logs, traces, drift."""

from typing import Literal

from pydantic import Field

from viewfinder.settings.types import Group


class MetricsSettings(Group):
    """What Prometheus reads."""

    enabled: bool = Field(True, description="Count and time what is done, for `GET /metrics`.")


class LogSettings(Group):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged; `debug` has looks at health, too."
    )
    format: Literal["auto", "text", "json"] = Field(
        "auto",
        description="`text` for people, `json` for machines; `auto` is text on a terminal, and "
        "JSON elsewhere.",
    )
    requests: bool = Field(True, description="A line for each request.")


class TracingSettings(Group):
    """Traces, as OpenTelemetry has them."""

    endpoint: str | None = Field(
        None,
        description="A collector that takes OTLP over HTTP, `http://collector:4318` (extra "
        "`otel`).",
    )
    sample: float = Field(
        0.1,
        ge=0,
        le=1,
        description="The share of requests to trace, where the caller has not decided; 1 to look "
        "at a single one.",
    )


class DriftSettings(Group):
    """Whether photos, and answers, are still like those that a model was measured with."""

    enabled: bool = Field(
        True,
        description="Compare photos and answers with those that the model was measured with.",
    )
    photos: int = Field(
        1000, ge=100, le=1_000_000, description="The most recent photos that are compared."
    )
    per_second: int = Field(
        5,
        ge=1,
        le=100_000,
        description="About so many photos a second each worker looks at, of each version; of more, "
        "at a random part.",
    )
