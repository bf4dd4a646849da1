"""How many bytes the file of a photo may have."""

from viewfinder.errors import MalformedRequestError, PayloadTooLargeError


def check_length(data: bytes, most: int) -> None:
    """Refuse what need not be looked at.

    Args:
        data: The file.
        most: Bytes that it may have.

    Raises:
        MalformedRequestError: There are no bytes.
        PayloadTooLargeError: There are more.
    """
    if not data:
        raise MalformedRequestError("The image is empty.")
    if len(data) > most:
        raise PayloadTooLargeError(f"The image is over the limit of {most:,} bytes.")
