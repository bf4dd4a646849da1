"""Whether photos, and the answers to them, are still like those that a model was measured with."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from viewfinder.engines.loader import LoadedVariant
from viewfinder.imaging.statistics import ImageStatistics
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant
from viewfinder.registry.reference import MEASURES, MOST_BINS, bin_of
from viewfinder.serving.compute import Computed, Scores
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.stability import (
    Level,
    bins_for,
    join_classes,
    join_neighbours,
    level_of,
    stability_index,
)
from viewfinder.serving.window import PHOTOS, PIECES, Window
from viewfinder.settings import DriftSettings
from viewfinder.telemetry.tally import SharedTally
from viewfinder.types import ServedModel

CLASSES = "classes"
PARTS = (CLASSES, *MEASURES)

ENOUGH = 100
"""Photos from which on there is a verdict."""
ENOUGH_BEFORE = 50
"""Photos that a reference must be made of."""

_MOST_FOLLOWED = 128
_WEIGHED_AT_ONCE = 5
_TENTHS = tuple(number / MOST_BINS for number in range(1, MOST_BINS))


@dataclass(frozen=True, slots=True)
class Bin:
    """A part of a distribution.

    Attributes:
        label: The class or classes; None for a range of numbers.
        low: Where the range begins; None for classes, and where it is open.
        high: Where it ends, itself not in it; None likewise.
        reference: The share of the reference's photos that are in it, 0-1; None without one.
        recent: The share of the recent photos, 0-1; None where there are none.
    """

    label: str | None
    low: float | None
    high: float | None
    reference: float | None
    recent: float | None


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is compared.

    Attributes:
        psi: The population stability index, 0 or more; None as long as there are too few photos.
        level: What people call it; None likewise.
        bins: What was compared.
    """

    psi: float | None
    level: Level | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """How the recent photos of one version compare.

    Attributes:
        model: Which version, and which of its graphs.
        photos: How many are compared.
        reference: How many photos the reference was made of; None if the bundle has none.
        parts: By `PARTS`.
    """

    model: ServedModel
    photos: int
    reference: int | None
    parts: Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class DriftStanding:
    """The numbers alone.

    Attributes:
        model: Which version, and which of its graphs.
        photos: How many are compared.
        psi: By `PARTS`; empty as long as there is no verdict.
    """

    model: ServedModel
    photos: int
    psi: Mapping[str, float]


class DriftMonitor:
    """Counts what models see and say. To be used from one event loop.

    Every version, and every graph of it, is compared by itself: in bins of its own reference.

    Args:
        settings: How many photos are recent.
        tally: Where it is counted, by all processes of the server.
        models: Say which versions there are.
    """

    def __init__(self, settings: DriftSettings, tally: SharedTally, models: ModelManager) -> None:
        self.photos = settings.photos
        self._tally = tally
        self._models = models
        # The last one is the one that was counted last.
        self._followed: dict[str, _Followed] = {}
        self._turns: deque[str] = deque()
        self._names: dict[tuple[str, str], str] = {}

    def observe(self, loaded: LoadedVariant, computed: Computed) -> None:
        """Count a photo that was worked out.

        Args:
            loaded: Who answered.
            computed: What was found; without statistics it is passed over.
        """
        if computed.statistics is None:
            return
        key = (loaded.bundle.digest, loaded.variant.name)
        if (name := self._names.get(key)) is None:
            name = self._names[key] = _name(loaded.bundle, loaded.variant)
        followed = self._followed.get(name) or self._follow(name, loaded.bundle, loaded.variant)
        self._tally.add(name, followed.cells(computed.scores, computed.statistics))
        followed.fresh += 1
        if followed.fresh >= self.photos / PIECES:
            self._look_at(name, followed)

    def look(self) -> None:
        """Follow what all processes have counted, and let go of what is no more.

        To be called now and then, about once a second: what is recent is told by it.
        """
        for name in set(self._tally.names()) - self._followed.keys():
            if (bundle := self._bundle(name)) is not None:
                self._follow(name, bundle, bundle.manifest.variant())
        for name, followed in list(self._followed.items()):
            if self._bundle(name) is None:
                self._let_go(name)
            elif followed.is_behind(self._tally.count(name, PHOTOS)):
                self._look_at(name, followed)
        for name in list(self._followed)[:-_MOST_FOLLOWED]:
            self._let_go(name)
        self._weigh()

    def standings(self) -> Sequence[DriftStanding]:
        """The numbers of every version that has been counted, as they were at the last `look`.

        With many models, some are as old as a few looks: working them all out would hold up
        everything else.
        """
        return [followed.standing for _, followed in sorted(self._followed.items())]

    def _weigh(self) -> None:
        """Work out anew what has changed, a few at a time, in turns."""
        weighed = 0
        for _ in range(len(self._turns)):
            name = self._turns[0]
            self._turns.rotate(-1)
            followed = self._followed[name]
            if followed.weighed_at == self._tally.count(name, PHOTOS):
                continue
            followed.weigh(self._tally.counts(name))
            weighed += 1
            if weighed == _WEIGHED_AT_ONCE:
                return

    def of(self, model: str) -> list[Drift]:
        """How the versions of a model compare that have been counted or are in memory.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        entries = self._models.catalog.versions(model)
        self.look()
        return [
            drift
            for version, entry in sorted(entries.items(), reverse=True)
            if entry.bundle is not None
            for drift in self._of_version(entry.bundle, version)
        ]

    def _of_version(self, bundle: Bundle, version: int) -> Iterator[Drift]:
        variant = bundle.manifest.variant()
        name = _name(bundle, variant)
        followed = self._followed.get(name)
        if followed is None:
            if self._models.status(bundle.manifest.name, version).state != "ready":
                return
            followed = _Followed(bundle, variant, self.photos)
        yield followed.drift(self._tally.counts(name))

    def _follow(self, name: str, bundle: Bundle, variant: Variant) -> "_Followed":
        found = self._followed[name] = _Followed(bundle, variant, self.photos)
        self._turns.append(name)
        return found

    def _look_at(self, name: str, followed: "_Followed") -> None:
        followed.follow(self._tally.counts(name))
        self._followed[name] = self._followed.pop(name, followed)

    def _let_go(self, name: str) -> None:
        del self._followed[name]
        self._turns.remove(name)
        self._names = {key: known for key, known in self._names.items() if known != name}
        self._tally.forget(name)

    def _bundle(self, name: str) -> Bundle | None:
        """The version that is counted under a name, if it is still there."""
        model, _, version = name.partition("/")[0].partition("@")
        entry = self._models.catalog.models.get(model, {}).get(int(version))
        bundle = entry.bundle if entry is not None else None
        if bundle is None or _name(bundle, bundle.manifest.variant()) != name:
            return None
        return bundle


def _name(bundle: Bundle, variant: Variant) -> str:
    """What a version is counted under; another bundle of the same number has another name."""
    manifest = bundle.manifest
    return f"{manifest.name}@{manifest.version}/{variant.name}/{bundle.digest[:16]}"


class _Followed:
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
        self._schemes: dict[int, list[_Scheme]] = {}

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

    def _schemes_for(self, recent: Mapping[str, float]) -> Sequence["_Scheme"]:
        if self._reference is None:
            return self._schemes_of(MOST_BINS, _classes_in(recent))
        photos = int(recent.get(PHOTOS, 0))
        most = bins_for(self._reference.photos, photos) if self._is_enough(photos) else MOST_BINS
        if most not in self._schemes:
            self._schemes[most] = self._schemes_of(most, self._reference.classes)
        return self._schemes[most]

    def _schemes_of(self, most: int, frequency: Mapping[int, float]) -> list["_Scheme"]:
        groups = join_classes(frequency, len(self._labels), most)
        return [self._of_classes(groups), *(self._of_measure(name, most) for name in MEASURES)]

    def _edges(self, measure: str) -> Sequence[float]:
        return self._reference.measure(measure).edges if self._reference is not None else _TENTHS

    def _of_classes(self, groups: Sequence[Sequence[int]]) -> "_Scheme":
        before = self._reference.classes if self._reference is not None else None
        return _Scheme(
            [(self._called(group), None, None) for group in groups],
            {_cell(CLASSES, index): n for n, group in enumerate(groups) for index in group},
            None if before is None else [sum(before.get(i, 0) for i in group) for group in groups],
        )

    def _of_measure(self, measure: str, most: int) -> "_Scheme":
        edges = self._edges(measure)
        before = self._reference.measure(measure).counts if self._reference is not None else None
        places = join_neighbours(before or [1] * (len(edges) + 1), most)
        borders = zip(edges, pairwise(places), strict=True)
        kept = [edge for edge, (low, high) in borders if low < high]
        joined = [0] * (len(kept) + 1)
        for place, count in zip(places, before or [], strict=before is not None):
            joined[place] += count
        return _Scheme(
            [(None, low, high) for low, high in zip((None, *kept), (*kept, None), strict=True)],
            {_cell(measure, number): place for number, place in enumerate(places)},
            None if before is None else joined,
        )

    def _called(self, group: Sequence[int]) -> str:
        first, last = self._labels[group[0]], self._labels[group[-1]]
        if len(group) == 1:
            return first
        return f"{first} ... {last} ({len(group):,} classes)"


_Frame = tuple[str | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How one part is put into bins.

    Attributes:
        frames: Label, low and high of each bin.
        places: The bin of each cell of the tally.
        before: How many photos of the reference are in each bin.
    """

    frames: Sequence[_Frame]
    places: Mapping[str, int]
    before: Sequence[float] | None

    def counted(self, recent: Mapping[str, float]) -> list[float]:
        """How many recent photos are in each bin."""
        now = [0.0] * len(self.frames)
        for cell in recent.keys() & self.places.keys():
            now[self.places[cell]] += recent[cell]
        return now

    def index(self, now: Sequence[float]) -> float:
        """How far they are from the reference's."""
        return stability_index(self.before or (), now)

    def part(self, recent: Mapping[str, float], *, is_enough: bool) -> Part:
        """The whole comparison; without a verdict where there are not enough photos."""
        now = self.counted(recent)
        index = self.index(now) if is_enough else None
        before = [None] * len(now) if self.before is None else _shares(self.before)
        bins = zip(self.frames, before, _shares(now), strict=True)
        return Part(
            index,
            None if index is None else level_of(index),
            tuple(Bin(*frame, reference, share) for frame, reference, share in bins),
        )


def _shares(counts: Sequence[float]) -> Sequence[float | None]:
    total = sum(counts)
    return [count / total if total else None for count in counts]


def _classes_in(counts: Mapping[str, float]) -> dict[int, float]:
    """How often each class is in a tally."""
    named = ((cell.partition(":"), count) for cell, count in counts.items())
    return {int(place): count for (part, _, place), count in named if part == CLASSES}


def _cell(part: str, place: int) -> str:
    return f"{part}:{place}"
