"""Counts what the models in service see and say, and compares it now and then."""

from collections import deque
from collections.abc import Iterator, Sequence

from viewfinder.engines.loader import LoadedVariant
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant
from viewfinder.serving.compute import Computed
from viewfinder.serving.drift.comparison import Drift, DriftStanding
from viewfinder.serving.drift.followed import Followed
from viewfinder.serving.drift.window import PHOTOS, PIECES
from viewfinder.serving.manager import ModelManager
from viewfinder.settings import DriftSettings
from viewfinder.telemetry.tally import SharedTally

_MOST_FOLLOWED = 128
_WEIGHED_AT_ONCE = 5


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
        self._followed: dict[str, Followed] = {}
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
            followed = Followed(bundle, variant, self.photos)
        yield followed.drift(self._tally.counts(name))

    def _follow(self, name: str, bundle: Bundle, variant: Variant) -> Followed:
        found = self._followed[name] = Followed(bundle, variant, self.photos)
        self._turns.append(name)
        return found

    def _look_at(self, name: str, followed: Followed) -> None:
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
