"""Text from strangers, made fit to be shown."""


def printable(text: str) -> str:
    """Text that moves no cursor and ends no line: what does not print is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shortened(text: str, most: int) -> str:
    """Text of at most so many characters; what is cut off leaves an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
