"""What is kept, where, and how long."""

from pydantic import Field

from viewfinder.settings.types import Address, Group


class DatabaseSettings(Group):
    """Where keys, results, jobs and callbacks are kept."""

    url: str | None = Field(
        None,
        description="`postgresql://user@host/name` (extra `postgres`), or "
        "`sqlite:////path/of/a.db`; default: `viewfinder.db` in the home.",
    )


class BlobSettings(Group):
    """Where stored images, and the images of jobs, are kept."""

    url: Address | None = Field(
        None,
        description="An absolute path, or `s3://bucket/prefix` (extra `s3`); default: `blobs` in "
        "the home.",
    )


class ResultSettings(Group):
    """How long results are kept, and how their images look."""

    keep_days: float = Field(90.0, gt=0, le=36_500, description="Days that a result is kept.")
    keep_rows: int = Field(
        5_000_000, ge=1, description="Results that are kept; the oldest make room."
    )
    keep_mb: int = Field(
        10_000,
        ge=1,
        description="MB of stored images that are kept; the oldest make room, their results stay.",
    )
    image_side: int = Field(
        1024,
        ge=64,
        le=8192,
        description="The longer side that a stored image has at most, in pixels.",
    )
    buffer: int = Field(
        10_000,
        ge=1,
        description="Results that wait in memory to be written; further ones are lost, and "
        "counted.",
    )
