"""Photos and answers, counted and compared with a reference."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.serving.references import with_reference
from tests.support import encode, fake_bundle

from viewfinder.api.services import Services
from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.errors import ModelNotFoundError
from viewfinder.registry.routing import Traffic
from viewfinder.serving.drift.comparison import PARTS, Drift
from viewfinder.serving.drift.monitor import DriftMonitor
from viewfinder.serving.rerouting import set_traffic
from viewfinder.settings import CacheSettings, DriftSettings, Settings
from viewfinder.telemetry.tally import SharedTally

FAR = time.monotonic() + 3600
LIKE_BEFORE, BRIGHTER = (40, 160), (150, 250)


def _photos(count: int, levels: tuple[int, int] = LIKE_BEFORE, seed: int = 0) -> list[bytes]:
    """Files of colour noise about a level, which the fake engine answers by their brightness."""
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        colour = chance.uniform(*levels, 3)
        pixels = chance.normal(colour, chance.uniform(5, 20), (8, 8, 3)).clip(0, 255)
        found.append(encode(Image.fromarray(pixels.astype(np.uint8))))
    return found


@dataclass
class Asked:
    """A running service, without HTTP."""

    services: Services

    @property
    def monitor(self) -> DriftMonitor:
        assert self.services.drift is not None
        return self.services.drift

    async def send(self, photos: Sequence[bytes], model: str = "fake") -> None:
        for data in photos:
            await self.services.classify.classify(data, deadline=FAR, model=model)

    def drift(self, version: int = 1) -> Drift:
        (found,) = [one for one in self.monitor.of("fake") if one.model.version == version]
        return found


@asynccontextmanager
async def _asking(
    store: Path, *, photos: int = 100, per_second: int = 100_000, cache: bool = False
) -> AsyncIterator[Asked]:
    services = build_services(
        Settings(
            model_store=store,
            default_model="fake",
            threads=1,
            cache=CacheSettings(enabled=cache),
            drift=DriftSettings(photos=photos, per_second=per_second),
        ),
        tally=SharedTally(),
    )
    async with running(services):
        yield Asked(services)


@pytest.fixture
def known(store: Path, tmp_path: Path) -> Path:
    """A store with `fake@1`, that knows 400 photos."""
    bundle = fake_bundle(tmp_path / "plain")
    with_reference(bundle, store / "fake" / "1", _photos(400), tmp_path / "photos")
    return store


def _psi(drift: Drift) -> dict[str, float]:
    return {name: part.psi for name, part in drift.parts.items() if part.psi is not None}


async def test_photos_like_those_of_before_are_stable(known: Path) -> None:
    async with _asking(known, photos=400) as asked:
        for seed in range(1, 4):
            await asked.send(_photos(450, seed=seed))
            drift = asked.drift()
            assert {part.level for part in drift.parts.values()} == {"stable"}
            assert max(_psi(drift).values()) < 0.1


async def test_the_very_photos_of_the_reference_lie_in_its_bins(known: Path) -> None:
    async with _asking(known, photos=400) as asked:
        await asked.send(_photos(400))
        drift = asked.drift()
        assert drift.photos == drift.reference == 400
        assert max(_psi(drift).values()) == 0
        for part in drift.parts.values():
            assert [one.recent for one in part.bins] == [one.reference for one in part.bins]


async def test_what_is_brighter_is_seen_and_what_has_passed_is_forgotten(known: Path) -> None:
    async with _asking(known) as asked:
        await asked.send(_photos(130, BRIGHTER, seed=1))
        drift = asked.drift()
        assert drift.parts["brightness"].level == drift.parts["classes"].level == "significant"
        (standing,) = asked.monitor.standings()
        assert standing.psi == _psi(drift)
        assert set(standing.psi) == set(PARTS)
        await asked.send(_photos(130, seed=1))
        assert asked.drift().parts["brightness"].level == "stable"


async def test_there_is_no_verdict_before_there_are_enough_photos(known: Path) -> None:
    async with _asking(known) as asked:
        assert asked.drift().photos == 0  # it is in memory
        await asked.send(_photos(99, BRIGHTER))
        drift = asked.drift()
        assert (drift.photos, drift.reference, _psi(drift)) == (99, 400, {})
        (standing,) = asked.monitor.standings()
        assert (standing.photos, standing.psi) == (99, {})
        await asked.send(_photos(1, BRIGHTER, seed=1))
        assert set(_psi(asked.drift())) == set(PARTS)


async def test_a_small_reference_gives_no_verdict(store: Path, tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "plain")
    with_reference(bundle, store / "fake" / "1", _photos(49), tmp_path / "photos")
    async with _asking(store) as asked:
        await asked.send(_photos(130, BRIGHTER))
        assert (asked.drift().reference, _psi(asked.drift())) == (49, {})


async def test_of_a_rush_a_part_is_looked_at(known: Path) -> None:
    async with _asking(known, photos=1_000_000, per_second=1) as asked:
        await asked.send(_photos(100))
        begun = asked.drift().photos
        assert begun  # all of the first second
        await asyncio.sleep(1)
        await asked.send(_photos(100, seed=1))
        assert asked.drift().photos < begun + 50


async def test_without_a_reference_it_is_told_what_was_seen(store: Path) -> None:
    fake_bundle(store)
    async with _asking(store) as asked:
        await asked.send(_photos(130, (110, 120)))
        drift = asked.drift()
        assert (drift.reference, _psi(drift)) == (None, {})
        bins = drift.parts["brightness"].bins
        assert [(one.low, one.recent) for one in bins if one.recent] == [(0.4, 1.0)]
        assert {one.reference for part in drift.parts.values() for one in part.bins} == {None}
        shares = {one.label: one.recent for one in drift.parts["classes"].bins}
        assert shares["step-7"] == pytest.approx(1, abs=0.2)
        (standing,) = asked.monitor.standings()
        assert standing.psi == {}


async def test_the_shares_are_whole_and_the_bins_lie_side_by_side(known: Path) -> None:
    async with _asking(known, photos=400) as asked:
        await asked.send(_photos(400, seed=5))
        for part in asked.drift().parts.values():
            assert sum(one.reference or 0 for one in part.bins) == pytest.approx(1)
            assert sum(one.recent or 0 for one in part.bins) == pytest.approx(1)
        for name in ("confidence", "brightness"):
            bins = asked.drift().parts[name].bins
            assert [one.high for one in bins[:-1]] == [one.low for one in bins[1:]]
            assert (bins[0].low, bins[-1].high) == (None, None)
        assert len(asked.drift().parts["brightness"].bins) == 10


async def test_answers_from_the_cache_are_no_news(known: Path) -> None:
    async with _asking(known, cache=True) as asked:
        await asked.send(_photos(2) * 10)
        assert asked.drift().photos == 2


async def test_a_shadow_counts_for_nothing(known: Path) -> None:
    fake_bundle(known, version=2)
    async with _asking(known) as asked:
        traffic = Traffic.model_validate({"split": [{"version": 1, "percent": 100}], "shadow": 2})
        await set_traffic(asked.services.models, "fake", traffic)
        await asked.send(_photos(12))
        shadows = asked.services.classify.shadows
        await shadows.settled()
        comparison = shadows.comparison("fake")
        assert comparison is not None
        assert comparison.compared == 12
        assert [asked.drift(version).photos for version in (1, 2)] == [12, 0]


async def test_versions_are_compared_apart(known: Path) -> None:
    fake_bundle(known, version=2)
    async with _asking(known) as asked:
        await asked.send(_photos(100), "fake@1")
        await asked.send(_photos(7), "fake@2")
        assert [one.model.version for one in asked.monitor.of("fake")] == [2, 1]
        assert (asked.drift(1).photos, asked.drift(2).photos) == (100, 7)
        assert (asked.drift(1).reference, asked.drift(2).reference) == (400, None)
        assert [s.model.version for s in asked.monitor.standings()] == [1, 2]


async def test_a_version_that_is_gone_is_forgotten(known: Path) -> None:
    fake_bundle(known, version=2)
    async with _asking(known) as asked:
        await asked.send(_photos(3), "fake@1")
        await asked.send(_photos(3), "fake@2")
        shutil.rmtree(known / "fake" / "2")
        await asked.services.models.reload()
        asked.monitor.look()
        assert [standing.model.version for standing in asked.monitor.standings()] == [1]
        assert [one.model.version for one in asked.monitor.of("fake")] == [1]


async def test_what_another_process_has_counted_is_told_too(known: Path) -> None:
    tally, settings = SharedTally(), DriftSettings(photos=100)
    async with _asking(known) as asked:
        models = asked.services.models
        here, there = (DriftMonitor(settings, tally, models) for _ in range(2))
        asked.services.classify._drift = here
        for number in range(15):
            levels = BRIGHTER if number < 5 else LIKE_BEFORE
            await asked.send(_photos(20, levels, seed=number))
            there.look()
        (one,), (other,) = here.of("fake"), there.of("fake")
        assert 100 <= other.photos <= 140
        assert other.parts["brightness"].level == one.parts["brightness"].level == "stable"


async def test_what_stands_still_is_not_worked_out_again(known: Path) -> None:
    read: list[str] = []

    class Told(SharedTally):
        def counts(self, name: str) -> Mapping[str, float]:
            read.append(name)
            return super().counts(name)

    async with _asking(known) as asked:
        monitor = DriftMonitor(DriftSettings(photos=100), Told(), asked.services.models)
        asked.services.classify._drift = monitor
        await asked.send(_photos(20))
        monitor.look()
        read.clear()
        monitor.look()
        assert len(monitor.standings()) == 1
        assert read == []
        await asked.send(_photos(1))
        monitor.look()
        assert len(read) == 1  # for the standing: what is recent is hardly another
        assert [standing.photos for standing in monitor.standings()] == [21]


async def test_an_unknown_model_is_told(known: Path) -> None:
    async with _asking(known) as asked:
        with pytest.raises(ModelNotFoundError):
            asked.monitor.of("nope")
