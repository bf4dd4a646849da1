"""How slowly the upload of a job may come."""

SLOWEST = 32 * 1024
"""Bytes in a second, on the average. A quarter of what the slowest lines carry."""


def longest_s(upload_bytes: int) -> float:
    """Seconds that an upload may take at the most, but for those that every body may.

    Args:
        upload_bytes: How many it may have.
    """
    return upload_bytes / SLOWEST
