"""Where among the blobs the images lie that were sent with jobs; it does not need SQLAlchemy."""

FOLDER = "jobs"
"""Of all jobs."""


def folder_of(job: str) -> str:
    """What the keys of a job's images begin with."""
    return f"{FOLDER}/{job}"


def input_key(job: str, position: int) -> str:
    """Where an image lies that was sent with a job."""
    return f"{folder_of(job)}/{position}"
