"""Addresses of photos, pages and jobs: the guards look at them before there is a route."""

ONE_PHOTO = frozenset({"/classify", "/v1/classify"})
"""One photo each."""

MANY_PHOTOS = frozenset({"/batch-classify", "/v1/batch-classify"})
"""Batches."""

PHOTOS = ONE_PHOTO | MANY_PHOTOS
"""Both."""

PAGES = frozenset(
    {"/", "/models", "/review", "/activity", "/live", "/viewer", "/docs", "/openapi.json"}
)
"""What people look at in a browser; so are the files below `/static/`."""

JOBS = "/v1/jobs"
"""Jobs, whose forms go on to the disk while they come."""
