"""What those who wait for a job are told once it is over."""

import json
from datetime import UTC, datetime
from typing import Any

import uuid_utils

from viewfinder.storage.jobs.rows import Job


def delivery_of(job: Job, now: datetime) -> dict[str, Any]:
    """The row of a callback that is due at once: the message is written down as it will be sent."""
    kind = f"job.{job.state}"
    body = {"type": kind, "timestamp": _rfc3339(now), "data": describe(job)}
    return {
        "id": f"msg_{uuid_utils.uuid7().hex}",
        "job": job.id,
        "created": now,
        "owner": job.owner,
        "type": kind,
        "url": job.callback_url,
        "body": json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        "state": "waiting",
        "attempts": 0,
        "due": now,
    }


def describe(job: Job) -> dict[str, Any]:
    """A job as the API shows it."""
    error = None
    if job.error_code is not None:
        error = {"code": job.error_code, "detail": job.error_detail}
    return {
        "id": job.id,
        "state": job.state,
        "model": {"name": job.model, "version": job.version},
        "counts": {
            "total": job.total,
            "succeeded": job.succeeded,
            "failed": job.failed,
            "waiting": job.waiting,
        },
        "created": _rfc3339(job.created),
        "started": _rfc3339(job.started),
        "finished": _rfc3339(job.finished),
        "error": error,
    }


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
