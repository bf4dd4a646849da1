"""One graph in service: its recent photos beside those of its reference."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from viewfinder.imaging.statistics import ImageStatistics
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant
from viewfinder.registry.reference import MEASURES, MOST_BINS, bin_of
from viewfinder.serving.compute import Scores
from viewfinder.serving.drift.comparison import CLASSES, PARTS, Drift, DriftStanding, Scheme
from viewfinder.serving.drift.stability import bins_for, join_classes, join_neighbours
from viewfinder.serving.drift.window import PHOTOS, PIECES, Window
from viewfinder.types import ServedModel

ENOUGH = 100
"""Photos from which on there is a verdict."""
ENOUGH_BEFORE = 50
"""Photos that a reference must be made of."""

_TENTHS = tuple(number / MOST_BINS for number in range(1, MOST_BINS))


class Followed:
    """One graph, the bins of its reference, and its recent photos.

    Attributes:
        fresh: Photos that this process has counted since it last looked.
        weighed_at: Photos that had been counted when the standing was worked out; under 0 before.
        standing: What was last worked out.
    """

    def __init__(self, bundle: Bundle, variant: Variant, photos: int) -> None:
        manifest = bundle.manifest
        self.fresh = 0
        self.weighed_at = -1.0
        self._model = ServedModel(manifest.name, manifest.version, variant.name)
        self.standing = DriftStanding(self._model, 0, {})
        self._labels = [label.name for label in manifest.labels]
        self._reference = variant.reference
        self._window = Window(photos)
        # Made once: they are on the way of every photo.
        self._cells = [
            (edges, [_cell(measure, number) for number in range(len(edges) + 1)])
            for measure in MEASURES
            for edges in (self._edges(measure),)
        ]
        self._looked_at = -1.0
        self._piece = photos / PIECES
        self._schemes: dict[int, list[Scheme]] = {}

    def cells(self, scores: Scores, looks: ImageStatistics) -> list[str]:
        """Where one photo is counted."""
        values = (
            float(scores.confidence[0]),
            looks.brightness,
            looks.contrast,
            looks.sharpness,
            looks.saturation,
        )
        found = [PHOTOS, _cell(CLASSES, int(scores.indices[0]))]
        for value, (edges, cells) in zip(values, self._cells, strict=True):
            found.append(cells[bin_of(edges, value)])
        return found

    def follow(self, counts: Mapping[str, float]) -> None:
        """Look at what is counted now."""
        self._window.follow(counts)
        self.fresh = 0
        self._looked_at = counts.get(PHOTOS, 0)

    def is_behind(self, counted: float) -> bool:
        """Whether so many photos are to be looked at: the first ones, a piece, or fewer again."""
        return self._looked_at < 0 or not 0 <= counted - self._looked_at < self._piece

    def weigh(self, counts: Mapping[str, float]) -> None:
        """Work the standing out anew."""
        self.weighed_at = counts.get(PHOTOS, 0)
        recent = self._window.recent(counts)
        photos = int(recent.get(PHOTOS, 0))
        psi = {}
        if self._is_enough(photos):
            schemes = zip(PARTS, self._schemes_for(recent), strict=True)
            psi = {name: scheme.index(scheme.counted(recent)) for name, scheme in schemes}
        self.standing = DriftStanding(self._model, photos, psi)

    def drift(self, counts: Mapping[str, float]) -> Drift:
        """The whole comparison."""
        recent = self._window.recent(counts)
        photos = int(recent.get(PHOTOS, 0))
        is_enough = self._is_enough(photos)
        schemes = zip(PARTS, self._schemes_for(recent), strict=True)
        parts = {name: scheme.part(recent, is_enough=is_enough) for name, scheme in schemes}
        before = self._reference.photos if self._reference is not None else None
        return Drift(self._model, photos, before, parts)

    def _is_enough(self, photos: int) -> bool:
        known = self._reference.photos if self._reference is not None else 0
        return known >= ENOUGH_BEFORE and photos >= ENOUGH

    def _schemes_for(self, recent: Mapping[str, float]) -> Sequence[Scheme]:
        if self._reference is None:
            return self._schemes_of(MOST_BINS, _classes_in(recent))
        photos = int(recent.get(PHOTOS, 0))
        most = bins_for(self._reference.photos, photos) if self._is_enough(photos) else MOST_BINS
        if most not in self._schemes:
            self._schemes[most] = self._schemes_of(most, self._reference.classes)
        return self._schemes[most]

    def _schemes_of(self, most: int, frequency: Mapping[int, float]) -> list[Scheme]:
        groups = join_classes(frequency, len(self._labels), most)
        return [self._of_classes(groups), *(self._of_measure(name, most) for name in MEASURES)]

    def _edges(self, measure: str) -> Sequence[float]:
        return self._reference.measure(measure).edges if self._reference is not None else _TENTHS

    def _of_classes(self, groups: Sequence[Sequence[int]]) -> Scheme:
        before = self._reference.classes if self._reference is not None else None
        return Scheme(
            [(self._called(group), None, None) for group in groups],
            {_cell(CLASSES, index): n for n, group in enumerate(groups) for index in group},
            None if before is None else [sum(before.get(i, 0) for i in group) for group in groups],
        )

    def _of_measure(self, measure: str, most: int) -> Scheme:
        edges = self._edges(measure)
        before = self._reference.measure(measure).counts if self._reference is not None else None
        places = join_neighbours(before or [1] * (len(edges) + 1), most)
        borders = zip(edges, pairwise(places), strict=True)
        kept = [edge for edge, (low, high) in borders if low < high]
        joined = [0] * (len(kept) + 1)
        for place, count in zip(places, before or [], strict=before is not None):
            joined[place] += count
        return Scheme(
            [(None, low, high) for low, high in zip((None, *kept), (*kept, None), strict=True)],
            {_cell(measure, number): place for number, place in enumerate(places)},
            None if before is None else joined,
        )

    def _called(self, group: Sequence[int]) -> str:
        first, last = self._labels[group[0]], self._labels[group[-1]]
        if len(group) == 1:
            return first
        return f"{first} ... {last} ({len(group):,} classes)"


def _classes_in(counts: Mapping[str, float]) -> dict[int, float]:
    """How often each class is in a tally."""
    named = ((cell.partition(":"), count) for cell, count in counts.items())
    return {int(place): count for (part, _, place), count in named if part == CLASSES}


def _cell(part: str, place: int) -> str:
    return f"{part}:{place}"
