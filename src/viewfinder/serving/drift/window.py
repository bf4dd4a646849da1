"""The recent part of counts that only rise."""

from collections import deque
from collections.abc import Mapping

PHOTOS = "photos"
"""The cell that every photo is counted in."""

PIECES = 8
"""How many a window is made of."""

# A process that comes late finds counts of long ago, of which nobody can tell what is recent.
_LATE = 1.25


class Window:
    """The most recent photos of one model, told by differences of its counts.

    No clock: however slowly photos come, it is they that make the window. It holds as many as it
    should and a piece more, a piece being an eighth, or what came between two looks if that is
    more; until there are as many, all there are.

    Args:
        photos: How many are recent.
    """

    def __init__(self, photos: int) -> None:
        self._photos = photos
        self._pieces: deque[dict[str, float]] = deque()
        self._seen: Mapping[str, float] | None = None
        # What was counted before the first piece.
        self._before: dict[str, float] = {}

    def follow(self, counts: Mapping[str, float]) -> None:
        """Look at what the counts are now."""
        now = counts.get(PHOTOS, 0)
        if self._seen is None:
            self._begin(counts if now > self._photos * _LATE else {})
        elif now < self._seen.get(PHOTOS, 0):  # they have begun anew
            self._begin({})
        seen = self._seen or {}
        if now - seen.get(PHOTOS, 0) >= self._photos / PIECES:
            self._pieces.append(_difference(counts, seen))
            self._seen = dict(counts)
        while self._pieces and self._after_first(now) >= self._photos:
            for cell, count in self._pieces.popleft().items():
                self._before[cell] = self._before.get(cell, 0) + count

    def recent(self, counts: Mapping[str, float]) -> dict[str, float]:
        """The counts of the recent photos alone; cells with none are left out.

        Args:
            counts: As they are now.
        """
        self.follow(counts)
        return _difference(counts, self._before)

    def _begin(self, counts: Mapping[str, float]) -> None:
        self._seen, self._before = dict(counts), dict(counts)
        self._pieces.clear()

    def _after_first(self, now: float) -> float:
        """Photos that remain when the first piece goes."""
        return now - self._before.get(PHOTOS, 0) - self._pieces[0][PHOTOS]


def _difference(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    rest = {cell: count - before.get(cell, 0) for cell, count in now.items()}
    return {cell: count for cell, count in rest.items() if count > 0}
