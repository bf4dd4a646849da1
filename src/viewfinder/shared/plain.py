"""Text from strangers, made fit to be shown and kept."""

import re


def printable(text: str) -> str:
    """Text that moves no cursor and ends no line: what does not print is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def encodable(text: str) -> str:
    """Text that UTF-8 can hold: a file's name may be any bytes, and the others are escaped."""
    return text.encode(errors="backslashreplace").decode()


def shortened(text: str, most: int) -> str:
    """Text of at most so many characters; what is cut off leaves an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def without_password(address: str) -> str:
    """An address that can be shown: rather too much is hidden than too little."""
    hidden = re.sub(r"(://[^:/@?]*):.*@", r"\1:***@", address)
    return re.sub(r"([?&][a-z_]*password=)[^&]*", r"\1***", hidden, flags=re.IGNORECASE)
