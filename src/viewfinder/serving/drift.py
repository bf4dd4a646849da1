"""Whether photos, and the answers to them, are still like those that a model was measured with."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from viewfinder.engines.loader import LoadedVariant
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant
from viewfinder.registry.reference import MEASURES, MOST_BINS, STATISTICS, bin_of
from viewfinder.serving.compute import Computed
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.stability import (
    Level,
    bins_for,
    join_classes,
    join_neighbours,
    level_of,
    stability_index,
)
from viewfinder.serving.tally import PHOTOS, PIECES, Tally, Window
from viewfinder.settings import DriftSettings
from viewfinder.types import ServedModel

CLASSES = "classes"
PARTS = (CLASSES, *MEASURES)

ENOUGH = 100
"""Photos from which on there is a verdict."""
ENOUGH_BEFORE = 50
"""Photos that a reference must be made of."""

_MOST_FOLLOWED = 128
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

    def __init__(self, settings: DriftSettings, tally: Tally, models: ModelManager) -> None:
        self.photos = settings.photos
        self._tally = tally
        self._models = models
        # The last one is the one that was counted last.
        self._followed: dict[str, _Followed] = {}
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
        name = self._names.get(key)
        followed = self._followed.get(name) if name is not None else None
        if name is None or followed is None:
            name = self._names[key] = _name(loaded.bundle, loaded.variant)
            followed = self._follow(name, loaded.bundle, loaded.variant)
        self._tally.add(name, followed.cells(computed))
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
            elif self._tally.counts(name).get(PHOTOS, 0) != followed.looked_at:
                self._look_at(name, followed)
        for name in list(self._followed)[:-_MOST_FOLLOWED]:
            self._let_go(name)

    def standings(self) -> Sequence[DriftStanding]:
        """The numbers of every version that has been counted."""
        return [
            followed.standing(self._tally.counts(name))
            for name, followed in sorted(self._followed.items())
        ]

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
        return found

    def _look_at(self, name: str, followed: "_Followed") -> None:
        followed.follow(self._tally.counts(name))
        self._followed[name] = self._followed.pop(name, followed)

    def _let_go(self, name: str) -> None:
        del self._followed[name]
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
        looked_at: Photos that had been counted by then.
    """

    def __init__(self, bundle: Bundle, variant: Variant, photos: int) -> None:
        manifest = bundle.manifest
        self.fresh = 0
        self.looked_at = 0.0
        self._model = ServedModel(manifest.name, manifest.version, variant.name)
        self._labels = [label.name for label in manifest.labels]
        self._reference = variant.reference
        self._window = Window(photos)
        self._edges = {
            measure: self._reference.measure(measure).edges if self._reference else _TENTHS
            for measure in MEASURES
        }
        # Made once: this is on the way of every photo.
        self._cells = {
            measure: [_cell(measure, number) for number in range(len(edges) + 1)]
            for measure, edges in self._edges.items()
        }
        self._known: tuple[float, DriftStanding] | None = None

    def cells(self, computed: Computed) -> list[str]:
        """Where one photo is counted."""
        scores, statistics = computed.scores, computed.statistics
        values = [float(scores.confidence[0])]
        values += (getattr(statistics, name) for name in STATISTICS)
        found = [PHOTOS, _cell(CLASSES, int(scores.indices[0]))]
        for measure, value in zip(MEASURES, values, strict=True):
            found.append(self._cells[measure][bin_of(self._edges[measure], value)])
        return found

    def follow(self, counts: Mapping[str, float]) -> None:
        """Look at what is counted now."""
        self._window.follow(counts)
        self.fresh = 0
        self.looked_at = counts.get(PHOTOS, 0)

    def standing(self, counts: Mapping[str, float]) -> DriftStanding:
        """The numbers; worked out anew when there has been another photo."""
        counted = counts.get(PHOTOS, 0)
        if self._known is None or self._known[0] != counted:
            drift = self.drift(counts)
            psi = {name: part.psi for name, part in drift.parts.items() if part.psi is not None}
            self._known = counted, DriftStanding(self._model, drift.photos, psi)
        return self._known[1]

    def drift(self, counts: Mapping[str, float]) -> Drift:
        """The whole comparison."""
        recent = self._window.recent(counts)
        photos = int(recent.get(PHOTOS, 0))
        before = self._reference.photos if self._reference is not None else None
        is_enough = before is not None and before >= ENOUGH_BEFORE and photos >= ENOUGH
        most = bins_for(before, photos) if before is not None and is_enough else MOST_BINS
        parts = {CLASSES: self._classes(recent, most, is_enough=is_enough)}
        for measure in MEASURES:
            parts[measure] = self._measure(measure, recent, most, is_enough=is_enough)
        return Drift(self._model, photos, before, parts)

    def _classes(self, recent: Mapping[str, float], most: int, *, is_enough: bool) -> Part:
        start = len(_cell(CLASSES, ""))
        seen = {int(c[start:]): n for c, n in recent.items() if c.startswith(_cell(CLASSES, ""))}
        before = self._reference.classes if self._reference is not None else None
        groups = join_classes(seen if before is None else before, len(self._labels), most)
        return _compared(
            [(self._called(group), None, None) for group in groups],
            None if before is None else [_sum(before, group) for group in groups],
            [_sum(seen, group) for group in groups],
            is_enough=is_enough,
        )

    def _measure(
        self, measure: str, recent: Mapping[str, float], most: int, *, is_enough: bool
    ) -> Part:
        edges = self._edges[measure]
        counts = [recent.get(cell, 0) for cell in self._cells[measure]]
        if self._reference is None:
            return _compared(_ranges(edges), None, counts, is_enough=False)
        before = self._reference.measure(measure).counts
        places = join_neighbours(before, most)
        borders = zip(edges, pairwise(places), strict=True)
        kept = [edge for edge, (low, high) in borders if low < high]
        joined: list[list[int]] = [[] for _ in range(places[-1] + 1)]
        for number, place in enumerate(places):
            joined[place].append(number)
        return _compared(
            _ranges(kept),
            [sum(before[number] for number in group) for group in joined],
            [sum(counts[number] for number in group) for group in joined],
            is_enough=is_enough,
        )

    def _called(self, group: Sequence[int]) -> str:
        first, last = self._labels[group[0]], self._labels[group[-1]]
        if len(group) == 1:
            return first
        return f"{first} ... {last} ({len(group):,} classes)"


_Frame = tuple[str | None, float | None, float | None]


def _compared(
    frames: Sequence[_Frame],
    before: Sequence[float] | None,
    now: Sequence[float],
    *,
    is_enough: bool,
) -> Part:
    index = stability_index(before, now) if before is not None and is_enough else None
    shares_before = _shares(before) if before is not None else [None] * len(now)
    bins = zip(frames, shares_before, _shares(now), strict=True)
    return Part(
        index,
        None if index is None else level_of(index),
        tuple(Bin(*frame, reference, recent) for frame, reference, recent in bins),
    )


def _ranges(edges: Sequence[float]) -> list[_Frame]:
    return [(None, low, high) for low, high in zip((None, *edges), (*edges, None), strict=True)]


def _shares(counts: Sequence[float]) -> Sequence[float | None]:
    total = sum(counts)
    return [count / total if total else None for count in counts]


def _sum(counts: Mapping[int, float], group: Iterable[int]) -> float:
    return sum(counts.get(index, 0) for index in group)


def _cell(part: str, place: int | str) -> str:
    return f"{part}:{place}"
