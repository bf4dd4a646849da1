"""Bars of text: throughput to the right, and how long the slowest wait."""

from collections.abc import Sequence

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, width: int) -> str:
    """A bar for a share, 0-1, of so many letters; to an eighth of one."""
    eighths = round(8 * width * min(1.0, max(0.0, share)))
    whole, part = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[part] if part else "")).ljust(width)


def bars(values: Sequence[float], width: int) -> list[str]:
    """A bar for each number; the largest has the whole width."""
    most = max(values, default=0.0)
    return [bar(value / most if most else 0.0, width) for value in values]
