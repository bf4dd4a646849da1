"""Stored images: where each lies."""

_FOLDER_DIGITS = 6  # a UUIDv7's first 24 bits: one folder for each four and a half hours


def image_key(result: str) -> str:
    """The key of a result's image among the blobs.

    Args:
        result: Its id.
    """
    return f"results/{result[:_FOLDER_DIGITS]}/{result}.jpg"
