"""Work in the background: jobs, their workers, and whom they tell."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from viewfinder.settings.types import MIB, Group, split


class JobSettings(Group):
    """Images by the thousand, in the background."""

    run: bool = Field(
        True, description="Work on jobs in the server too; off, only `viewfinder worker` does."
    )
    images: int = Field(10_000, ge=1, le=1_000_000, description="Images of one job.")
    upload_bytes: int = Field(
        2048 * MIB, ge=1, description="The upload of one job, and all that its archive holds."
    )
    waiting: int = Field(1000, ge=1, description="Jobs that may wait; more are refused with 503.")
    lease_s: float = Field(
        60.0, ge=1, le=3600, description="Seconds after which a job goes on whose worker is gone."
    )
    keep_days: float = Field(
        30.0,
        gt=0,
        le=36_500,
        description="Days that a finished job is kept, with its results and its callback.",
    )


class WorkerSettings(Group):
    """What `viewfinder worker` has and a server has not."""

    port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port at which `viewfinder worker` shows its health and metrics, at `host`; 0 "
        "takes a free one; default: it listens nowhere.",
    )


class WebhookSettings(Group):
    """Calls to those who wait for a job."""

    allow_private: bool = Field(
        False,
        description="Call addresses that are not public too: this machine's own, the network's, "
        "the cloud's metadata. Know who can ask.",
    )
    timeout_s: float = Field(15.0, gt=0, le=60, description="Seconds for one call, in all.")
    ports: Annotated[tuple[int, ...], NoDecode, BeforeValidator(split)] = Field(
        (80, 443), description="Ports that may be called, with commas between."
    )
