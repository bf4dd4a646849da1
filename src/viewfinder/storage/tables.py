"""The tables as they are now; `migrations` has how they came to be, and a test compares the two."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

metadata = MetaData()


class Time(TypeDecorator[datetime]):
    """A moment. SQLite knows no time zones: there it is kept, and given back, as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """To the database."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("scopes", String(64), nullable=False),
    Column("requests", Integer),
    Column("created", Time, nullable=False),
    Column("expires", Time),
    Column("revoked", Time),
    Column("last_used", Time),
)
# A name is free again once its key is revoked: a key is replaced under the same name.
Index(
    "api_keys_name_in_use",
    api_keys.c.name,
    unique=True,
    sqlite_where=text("revoked IS NULL"),
    postgresql_where=text("revoked IS NULL"),
)

# The ids are UUIDv7: in their order, the rows are in the order of time.
results = Table(
    "results",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("created", Time, nullable=False),
    Column("model", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("variant", String(64), nullable=False),
    Column("label", String(200), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("cached", Boolean, nullable=False),
    Column("timing", JSON, nullable=False),
    Column("owner", String(255)),
    Column("job", String(36)),
    Column("image_sha256", String(64), nullable=False),
    Column("image_bytes", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger),
    Column("feedback", String(200)),
    Column("note", Text),
    Column("reviewed", Time),
    Column("reviewer", String(255)),
)
# Each order of a page is that of an index; `storage/results/paging.py` says which serves what.
Index("results_by_model", results.c.model, results.c.id)
Index("results_by_version", results.c.model, results.c.version, results.c.id)
Index("results_by_label", results.c.label, results.c.id)
# Whatever else is asked for is in it, so that rows that are passed over are not read.
Index(
    "results_by_confidence",
    results.c.confidence,
    results.c.id,
    results.c.feedback,
    results.c.model,
    results.c.version,
    results.c.label,
)
Index("results_by_image", results.c.image_sha256)
_REVIEWED, _STORED = text("feedback IS NOT NULL"), text("stored_bytes IS NOT NULL")
Index("results_reviewed", results.c.id, sqlite_where=_REVIEWED, postgresql_where=_REVIEWED)
# Holds all that is counted of reviewed results.
Index(
    "results_tallied",
    results.c.model,
    results.c.id,
    results.c.version,
    results.c.label,
    results.c.feedback,
    results.c.abstained,
    sqlite_where=_REVIEWED,
    postgresql_where=_REVIEWED,
)
Index(
    "results_stored",
    results.c.id,
    results.c.stored_bytes,
    sqlite_where=_STORED,
    postgresql_where=_STORED,
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("created", Time, nullable=False),
    Column("owner", String(255)),
    # Of the request that made it, if that had an Idempotency-Key: a digest of owner and key, which
    # can be there once, and one of what was asked.
    Column("request_key", String(64), unique=True),
    Column("request_digest", String(64)),
    Column("model", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("top_k", Integer, nullable=False),
    Column("min_confidence", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("total", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("started", Time),
    Column("finished", Time),
    Column("error_code", String(64)),
    Column("error_detail", Text),
    Column("callback_url", Text),
    # The lease: who works on it, until when, how often somebody began without getting on, and when
    # it last had its turn.
    Column("lease", String(36)),
    Column("lease_until", Time),
    Column("fruitless", Integer, nullable=False),
    Column("turn", Time, nullable=False),
    # Whether images of it may still lie among the blobs.
    Column("inputs", Boolean, nullable=False),
)
# As text: a database uses a partial index only where the query says its condition literally.
JOB_OPEN = text("state IN ('queued', 'running')")
Index("jobs_open", jobs.c.turn, sqlite_where=JOB_OPEN, postgresql_where=JOB_OPEN)
Index("jobs_by_owner", jobs.c.owner, jobs.c.id)
Index("jobs_by_end", jobs.c.finished)
JOB_LEFTOVER = text("inputs AND state NOT IN ('queued', 'running')")
Index("jobs_leftover", jobs.c.id, sqlite_where=JOB_LEFTOVER, postgresql_where=JOB_LEFTOVER)

job_items = Table(
    "job_items",
    metadata,
    Column("job", String(36), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("url", Text),
    # Of the result, so that erasing it finds the copy of it that is here.
    Column("result", String(36)),
    Column("answer", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
)
Index("job_items_by_result", job_items.c.result)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("job", String(36), nullable=False),
    Column("created", Time, nullable=False),
    Column("owner", String(255)),
    Column("type", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Time),
    Column("lease", String(36)),
    Column("lease_until", Time),
    Column("finished", Time),
)
_WAITING = text("state = 'waiting'")
Index("deliveries_due", deliveries.c.due, sqlite_where=_WAITING, postgresql_where=_WAITING)
Index("deliveries_by_job", deliveries.c.job)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column(
        "delivery", String(40), ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("number", Integer, primary_key=True),
    Column("began", Time, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("status", Integer),
    Column("error", Text),
)

# What callbacks are signed with; an empty owner stands for all who need no key.
webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("owner", String(255), primary_key=True),
    Column("secret", String(128), nullable=False),
    Column("created", Time, nullable=False),
    Column("previous", String(128)),
    Column("previous_until", Time),
)
