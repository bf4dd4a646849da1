"""Which request the code that runs belongs to: for the log, wherever a line of it is written."""

from contextvars import ContextVar

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Its id; tasks and threads that a request starts in the usual ways have it too."""
