"""Photos from the disk."""

from pathlib import Path

from viewfinder.errors import InvalidImageError
from viewfinder.imaging.length import check_length


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
    check_length(data, most)
    return data
