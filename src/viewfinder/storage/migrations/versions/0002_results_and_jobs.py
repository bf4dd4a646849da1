"""Results with feedback; jobs and their callbacks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIME = sa.DateTime(timezone=True)
_TABLES = ("webhook_secrets", "delivery_attempts", "deliveries", "job_items", "jobs", "results")


def upgrade() -> None:
    """One row for each answer, for each job, for each of its images, for each callback."""
    _make_results()
    _make_jobs()
    _make_callbacks()


def downgrade() -> None:
    """All results, jobs and callbacks are lost; the keys stay."""
    for table in _TABLES:
        op.drop_table(table)


def _make_results() -> None:
    op.create_table(
        "results",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("variant", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("classes", sa.JSON, nullable=False),
        sa.Column("abstained", sa.Boolean, nullable=False),
        sa.Column("cached", sa.Boolean, nullable=False),
        sa.Column("timing", sa.JSON, nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("job", sa.String(36)),
        sa.Column("image_sha256", sa.String(64), nullable=False),
        sa.Column("image_bytes", sa.BigInteger, nullable=False),
        sa.Column("stored_bytes", sa.BigInteger),
        sa.Column("feedback", sa.String(200)),
        sa.Column("note", sa.Text),
        sa.Column("reviewed", _TIME),
        sa.Column("reviewer", sa.String(255)),
    )
    op.create_index("results_by_model", "results", ["model", "id"])
    op.create_index("results_by_version", "results", ["model", "version", "id"])
    op.create_index("results_by_label", "results", ["label", "id"])
    op.create_index(
        "results_by_confidence",
        "results",
        ["confidence", "id", "feedback", "model", "version", "label"],
    )
    op.create_index("results_by_image", "results", ["image_sha256"])
    _make_partial_index("results_reviewed", "results", ["id"], "feedback IS NOT NULL")
    _make_partial_index(
        "results_tallied",
        "results",
        ["model", "id", "version", "label", "feedback", "abstained"],
        "feedback IS NOT NULL",
    )
    _make_partial_index(
        "results_stored", "results", ["id", "stored_bytes"], "stored_bytes IS NOT NULL"
    )


def _make_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("request_key", sa.String(64), unique=True),
        sa.Column("request_digest", sa.String(64)),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("top_k", sa.Integer, nullable=False),
        sa.Column("min_confidence", sa.Float, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("succeeded", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("started", _TIME),
        sa.Column("finished", _TIME),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_detail", sa.Text),
        sa.Column("callback_url", sa.Text),
        sa.Column("lease", sa.String(36)),
        sa.Column("lease_until", _TIME),
        sa.Column("fruitless", sa.Integer, nullable=False),
        sa.Column("turn", _TIME, nullable=False),
        sa.Column("inputs", sa.Boolean, nullable=False),
    )
    _make_partial_index("jobs_open", "jobs", ["turn"], "state IN ('queued', 'running')")
    op.create_index("jobs_by_owner", "jobs", ["owner", "id"])
    op.create_index("jobs_by_end", "jobs", ["finished"])
    _make_partial_index(
        "jobs_leftover", "jobs", ["id"], "inputs AND state NOT IN ('queued', 'running')"
    )
    op.create_table(
        "job_items",
        sa.Column(
            "job", sa.String(36), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("result", sa.String(36)),
        sa.Column("answer", sa.JSON),
        sa.Column("error", sa.JSON),
    )
    op.create_index("job_items_by_result", "job_items", ["result"])


def _make_callbacks() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("job", sa.String(36), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", _TIME),
        sa.Column("lease", sa.String(36)),
        sa.Column("lease_until", _TIME),
        sa.Column("finished", _TIME),
    )
    _make_partial_index("deliveries_due", "deliveries", ["due"], "state = 'waiting'")
    op.create_index("deliveries_by_job", "deliveries", ["job"])
    op.create_table(
        "delivery_attempts",
        sa.Column(
            "delivery",
            sa.String(40),
            sa.ForeignKey("deliveries.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("began", _TIME, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "webhook_secrets",
        sa.Column("owner", sa.String(255), primary_key=True),
        sa.Column("secret", sa.String(128), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("previous", sa.String(128)),
        sa.Column("previous_until", _TIME),
    )


def _make_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    clause = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=clause, postgresql_where=clause)
