"""A ladder as a picture: what each variant is worth against how long it takes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from viewfinder.evaluation.frame import Frame
from viewfinder.evaluation.ladder import Ladder, VariantRow, front
from viewfinder.evaluation.report.ladder_words import verdicts

_LEFT, _TOP, _WIDTH, _HEIGHT = 48, 14, 560, 270
_LETTER, _LINE = 6.2, 13  # of 11 px type, in the picture's units
_GAP = 9
# What has collapsed would press all others into one line.
_DEEPEST = 0.1
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Dot:
    """A variant in the picture.

    Attributes:
        name: Of the variant; with its worth, if that lies under the picture.
        x: Of its dot.
        y: Likewise.
        text_x: Of its name.
        text_y: Likewise, its base line.
        anchor: Which end of the name that is: `start` or `end`.
        led: Whether a line must lead from one to the other.
        best: Whether it is the recommended one.
        words: All about it.
    """

    name: str
    x: float
    y: float
    text_x: float
    text_y: float
    anchor: str
    led: bool
    best: bool
    words: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What a template draws.

    Attributes:
        ladder: The numbers.
        said: The same in words.
        frame: Of the plot; None where there is nothing to draw.
        dots: The variants.
        front: The points of the Pareto front.
        budget: The height of the least that may be chosen.
        ticks: Round times along the lower edge.
    """

    ladder: Ladder
    said: tuple[str, ...]
    frame: Frame | None
    dots: tuple[Dot, ...] = ()
    front: str = ""
    budget: float = 0.0
    ticks: tuple[float, ...] = ()


def picture(ladder: Ladder) -> Picture:
    """Lay a ladder out."""
    said = tuple(verdicts(ladder))
    points = list(_points(ladder))
    if not points:
        return Picture(ladder, said, None)
    base = next((worth for row, _, worth in points if row.name == ladder.reference), 1.0)
    worths = [worth for _, _, worth in points]
    least = max(min(*worths, base - ladder.max_drop), base - _DEEPEST)
    slowest = max(time for _, time, _ in points)
    low, high = _around(least, max(worths))
    frame = Frame(
        _LEFT, _TOP, _WIDTH, _HEIGHT, x_high=1.1 * slowest, y_low=low, y_high=min(1.0, high)
    )
    edge = front((time, worth) for _, time, worth in points)
    return Picture(
        ladder,
        said,
        frame,
        dots=tuple(_dots(ladder, frame, points)),
        front=frame.line([(time, max(worth, frame.y_low)) for time, worth in edge]),
        budget=frame.y(max(frame.y_low, base - ladder.max_drop)),
        ticks=tuple(_ticks(frame.x_high)),
    )


def _around(least: float, most: float) -> tuple[float, float]:
    """Whole percents about two shares, four equal parts of which are whole percents too."""
    low = math.floor(100 * least - 0.5)
    parts = max(1, math.ceil((100 * most + 0.5 - low) / 4))
    return max(0, low) / 100, (low + 4 * parts) / 100


def _ticks(most: float) -> Iterator[float]:
    """Round numbers from 0 on, a few of them."""
    size = 10.0 ** math.floor(math.log10(most / _TICKS))
    step = next(size * times for times in (1, 2, 5, 10) if size * times * _TICKS >= most)
    for number in range(int(most / step) + 1):
        yield number * step


def _points(ladder: Ladder) -> Iterator[tuple[VariantRow, float, float]]:
    """What can be drawn: the time and the worth of a variant."""
    for row in ladder.rows:
        worth = row.accuracy if ladder.basis == "accuracy" else row.agreement
        if row.p50_ms is not None and worth is not None:
            yield row, row.p50_ms, worth


def _dots(
    ladder: Ladder, frame: Frame, points: list[tuple[VariantRow, float, float]]
) -> Iterator[Dot]:
    """Names stand beside their dots, and move up or down where others stand already."""
    taken = [
        (frame.x(time) - _GAP / 2, frame.y(max(worth, frame.y_low)), frame.x(time) + _GAP / 2)
        for _, time, worth in points
    ]
    for row, time, worth in sorted(points, key=lambda point: (-point[2], point[1])):
        x, y = frame.x(time), frame.y(max(worth, frame.y_low))
        name = row.name if worth >= frame.y_low else f"{row.name} ({100 * worth:.0f}%)"
        wide = _LETTER * len(name)
        after = x + _GAP + wide <= frame.right
        left = x + _GAP if after else x - _GAP - wide
        place = _free(left, y, left + wide, taken, frame)
        taken.append((left, place, left + wide))
        yield Dot(
            name=name,
            x=x,
            y=y,
            text_x=left if after else left + wide,
            text_y=place + 4,
            anchor="start" if after else "end",
            led=abs(place - y) > _LINE,
            best=row.name == ladder.recommended,
            words=f"{row.name}: {100 * worth:.1f}% in {time:.2f} ms",
        )


def _free(
    left: float, y: float, right: float, taken: list[tuple[float, float, float]], frame: Frame
) -> float:
    """The height nearest to `y` at which nothing else stands between left and right."""
    steps = int(frame.height / _LINE)
    for offset in sorted(range(-steps, steps + 1), key=abs):
        height = y + offset * _LINE
        inside = frame.top <= height <= frame.bottom
        if inside and all(
            right < start or left > end or abs(height - other) >= _LINE - 1
            for start, other, end in taken
        ):
            return height
    return y
