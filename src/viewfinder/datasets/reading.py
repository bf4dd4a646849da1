"""Photos from the disk."""

from pathlib import Path

from viewfinder.errors import InvalidImageError, MalformedRequestError, PayloadTooLargeError


def read_photo(path: Path, most: int) -> bytes:
    """The bytes of a photo.

    Args:
        path: The file.
        most: Bytes that a photo may have.

    Raises:
        InvalidImageError: It cannot be read.
        MalformedRequestError: It is empty.
        PayloadTooLargeError: It has more bytes.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise InvalidImageError("It is not a file.")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InvalidImageError("The file cannot be read.") from error
    if not data:
        raise MalformedRequestError("The image is empty.")
    if len(data) > most:
        raise PayloadTooLargeError(f"The image is over the limit of {most:,} bytes.")
    return data
