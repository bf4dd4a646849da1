"""Which models are in memory, and which of them answers a request.

A version on its way into service is tried in a process of its own, loaded, warmed up and held to
its golden photos beside the one that answers until then; only then does it take over, and the old
one is closed when its last request has been answered. One that fails changes nothing but its state.
"""

import asyncio
import contextlib
import ctypes
import logging
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from viewfinder.engines.apart import stop_all
from viewfinder.engines.loader import LoadedVariant
from viewfinder.engines.probe import load_probed
from viewfinder.errors import (
    BundleError,
    ConflictError,
    DeadlineExceededError,
    InvalidParameterError,
    NotReadyError,
    OperatorError,
    OverloadedError,
    RequestError,
    StoreError,
)
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.registry import Catalog
from viewfinder.registry.routing import LATEST, STABLE, Routing, Traffic, check_alias
from viewfinder.registry.store import ModelStore, look, look_at_start, look_without
from viewfinder.serving.compute import Computation
from viewfinder.serving.explain import Explainer
from viewfinder.settings import Settings
from viewfinder.shared.sample import Sample
from viewfinder.shared.seldom import Seldom
from viewfinder.types import ServedModel

State = Literal["loading", "ready", "failed", "unloaded"]

logger = logging.getLogger(__name__)

_random = secrets.SystemRandom()
_EACH_THREAD = {"litert", "fake"}
# Measured with LiteRT: packed weights and tensors take about the graph's bytes each, per thread.
_COPIES = 2
_MB = 1_000_000
_RETRY_S = 5


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a version can answer, and if not, why.

    Attributes:
        state: An `unloaded` version is loaded when a request asks for it.
        reason: Why it failed.
    """

    state: State
    reason: str | None = None


@dataclass(slots=True, eq=False)
class Slot:
    """A model version in memory. Hold it open (`with slot.open():`) for as long as it is needed.

    Attributes:
        loaded: The model.
        computation: The way of a photo through it.
        explainer: The way of a heat map through it.
        bytes: The memory that it counts for.
        users: How many hold it.
        used: When it was last asked for, on the clock of `time.monotonic`.
        on_idle: Called when the last user has gone.
    """

    loaded: LoadedVariant
    computation: Computation
    explainer: Explainer
    bytes: int
    users: int = 0
    used: float = field(default_factory=time.monotonic)
    on_idle: Callable[[], None] | None = None

    @property
    def bundle(self) -> Bundle:
        """The version."""
        return self.loaded.bundle

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Keep it in memory meanwhile."""
        self.users += 1
        self.used = time.monotonic()
        try:
            yield
        finally:
            self.users -= 1
            if not self.users and self.on_idle is not None:
                self.on_idle()


class ModelManager:
    """Holds the loaded models of one process. To be used from one event loop.

    Args:
        store: The user's models.
        settings: How to load them, and how long to keep them.
        default: What a request without a model means, as `name[@version|@alias]`.
        patient: Whether a store that cannot be read is waited for, with the builtin model where
            there is no copy of it; it is an error else.

    Attributes:
        catalog: What there was when the store was last looked at, without what proved broken.
        loads: How often each model was brought into memory, and how often it could not be.
        looks: How often the store was looked at, and how often it could not be.
        store_is_away: Whether the last look has failed.

    Raises:
        StoreError: The store cannot be read, there is no copy, and nobody is patient.
    """

    def __init__(
        self, store: ModelStore, settings: Settings, *, default: str, patient: bool = False
    ) -> None:
        self._log = Seldom()
        self.store_is_away = False
        if patient:
            self.catalog, problem = look_without(store)
            if problem is not None:
                self._note_absence(problem)
        else:
            self.catalog = look_at_start(store)
        self.default = default
        self.loads: Counter[tuple[str, Literal["ready", "failed"]]] = Counter()
        self.looks: Counter[Literal["ok", "failed"]] = Counter()
        self._store = store
        self._settings = settings
        self._pinned = {default, *settings.models}
        self._slots: dict[str, Slot] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Future[None], str] = {}
        # Who answered last, by what was asked for: `shoes`, `shoes@2`, `shoes@stable`, and for a
        # share of the traffic `shoes%2`; a shadow, which answers nobody, is `shoes!3`. Who answers
        # goes on until the successor is ready.
        self._answering: dict[str, str] = {}
        self._started = False
        self._one_load = asyncio.Lock()
        self._one_look = asyncio.Lock()

    # -- who answers

    async def get(
        self, text: str | None, caller: str | None = None, *, deadline: float | None = None
    ) -> Slot:
        """The model that a request means, loaded. To be opened before anything else is awaited.

        Args:
            text: `name`, `name@3`, `name@alias`, or None for the default.
            caller: Who asks: the same caller gets the same share of a traffic split.
            deadline: On the clock of `time.monotonic`, until when to wait for a load.

        Raises:
            DeadlineExceededError: The load took longer.
            OverloadedError: Too many wait for a load already.
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: It is broken, and no other version was meant as well.
        """
        text = text or self.default
        while True:
            asked = text
            try:
                # A version that fails leaves the catalog: then the next best is meant, or none is.
                asked, bundle = self._meant(text, caller)
            except NotReadyError:
                if (stand_in := self._stand_in(text)) is not None:
                    return stand_in
                raise
            slot = self._slots.get(bundle.digest)
            if slot is not None:
                self._answer(asked, slot)
                return slot
            loading = self._load_once(bundle)
            if (stand_in := self._stand_in(asked) or self._stand_in(text)) is not None:
                return stand_in
            await self._wait(bundle, loading, deadline)

    async def get_shadow(self, name: str, version: int) -> Slot:
        """A shadow, loaded: as `get`. It takes no memory that somebody who answers has.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version.
            NotReadyError: It is broken.
            OverloadedError: There is no room for it.
        """
        bundle = self.catalog.bundle(name, version)
        budget = self._settings.model_memory_mb
        if bundle.digest not in self._slots and budget is not None:
            taken = sum(slot.bytes for slot in self._slots.values())
            if taken + self._bytes(bundle) > budget * _MB:
                raise OverloadedError("There is no room for the shadow.", retry_after_s=1)
        slot = await self._loaded(name, version)
        self._answer(f"{name}!{version}", slot)
        return slot

    async def _loaded(self, name: str, version: int) -> Slot:
        while True:
            bundle = self.catalog.bundle(name, version)
            slot = self._slots.get(bundle.digest)
            if slot is not None:
                return slot
            await self._wait(bundle, self._load_once(bundle), None)

    def shadow_of(self, text: str | None) -> int | None:
        """The version that is to see the photos of such a request too, if there is one."""
        traffic = self.catalog.route(text or self.default).routing.traffic
        return traffic.shadow if traffic else None

    def _meant(self, text: str, caller: str | None) -> tuple[str, Bundle]:
        """What is asked for, in the form of `_answering`, and the version that is meant by it."""
        traffic, shares = self.catalog.route(text).routing.traffic, self._shares(text)
        if traffic is not None and shares:
            order = traffic.order(text, caller, _random.random())
            asked = next(a for a in (_share(text, version) for version in order) if a in shares)
            return asked, shares[asked]
        return text, self.catalog.resolve(text)

    def _shares(self, name: str) -> dict[str, Bundle]:
        """The versions of a split that can be used, by their form in `_answering`."""
        traffic = self.catalog.route(name).routing.traffic  # none for `name@...`
        if traffic is None or name not in self.catalog.models:
            return {}
        entries = {s.version: self.catalog.versions(name).get(s.version) for s in traffic.split}
        return {
            _share(name, version): entry.bundle
            for version, entry in entries.items()
            if entry is not None and entry.bundle is not None
        }

    def _targets(self, asked: str) -> dict[str, Bundle]:
        """What is to answer, by its form in `_answering`: a split name has several."""
        if (place := asked.find("!")) > 0:
            return {asked: self.catalog.bundle(asked[:place], int(asked[place + 1 :]))}
        name, is_share, _ = asked.partition("%")
        shares = self._shares(name)
        if is_share:
            return {asked: shares[asked]} if asked in shares else {}
        return shares or {asked: self.catalog.resolve(asked)}

    def _stand_in(self, asked: str) -> Slot | None:
        return self._slots.get(self._answering.get(asked, ""))

    def _answer(self, asked: str, slot: Slot) -> None:
        """Let a loaded version answer from now on; whom it follows may go."""
        before = self._answering.get(asked)
        if before == slot.bundle.digest:
            return
        self._answering[asked] = slot.bundle.digest
        if before is not None:
            self._let_go(before)

    # -- what is known

    def status(self, name: str, version: int) -> Status:
        """The state of a version.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version.
        """
        entry = self.catalog.entry(name, version)
        if entry.bundle is None:
            return Status("failed", entry.problem)
        digest = entry.bundle.digest
        if digest in self._slots:
            return Status("ready")
        if digest in self._loading:
            return Status("loading")
        return Status("unloaded")

    def status_of(self, text: str) -> Status:
        """The state of what answers a caller who says `name`, `name@3` or `name@alias`.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: It is broken.
        """
        if self._stand_in(text) is not None:
            return Status("ready")
        targets = self._targets(text)
        if any(self._stand_in(asked) is not None for asked in targets):
            return Status("ready")
        manifest = next(iter(targets.values())).manifest
        return self.status(manifest.name, manifest.version)

    @property
    def in_memory(self) -> list[ServedModel]:
        """What is loaded, shadows too."""
        return [
            ServedModel(
                slot.bundle.manifest.name, slot.bundle.manifest.version, slot.loaded.variant.name
            )
            for slot in self._slots.values()
        ]

    # -- changes by request

    async def load(self, name: str, version: int) -> None:
        """Load a version now, also one that has failed before.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version.
            NotReadyError: It is broken.
        """
        if version not in self.catalog.models.get(name, {}):
            await self.reload()  # it may have been published a moment ago
        if self.status(name, version).state == "failed":
            await self.reload(afresh=True)
        slot = await self._loaded(name, version)
        slot.used = time.monotonic()

    async def unload(self, name: str, version: int) -> None:
        """Give back the memory of a version; a request that asks for it loads it again.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version.
        """
        entry = self.catalog.entry(name, version)
        if entry.bundle is not None and (slot := self._slots.get(entry.bundle.digest)):
            self._retire(slot)

    async def set_alias(self, name: str, alias: str, version: int) -> Routing:
        """Let an alias mean a version, once that has been loaded and found good.

        Raises:
            RequestError: There is no such version, or the alias cannot be set.
            NotReadyError: The version is broken, or the store cannot be written.
        """
        try:
            check_alias(alias)
        except ValueError as error:
            raise InvalidParameterError(f"{str(error).capitalize()}.") from error
        await self.load(name, version)
        return await self._route(name, lambda routing: routing.with_alias(alias, version))

    async def delete_alias(self, name: str, alias: str) -> Routing:
        """Take an alias away; nothing happens if there is none.

        Raises:
            ModelNotFoundError: There is no such model.
            NotReadyError: The store cannot be written.
        """
        self.catalog.versions(name)
        return await self._route(name, lambda routing: routing.without_alias(alias))

    async def set_traffic(self, name: str, traffic: Traffic | None) -> Routing:
        """Split the requests that name the model alone, once all versions are found good.

        Raises:
            RequestError: There is no such model or version.
            NotReadyError: A version is broken, or the store cannot be written.
        """
        self.catalog.versions(name)
        for version in sorted(traffic.versions if traffic else ()):
            await self.load(name, version)
        return await self._route(name, lambda routing: routing.with_traffic(traffic))

    async def roll_back(self, name: str) -> Routing:
        """Let the version before answer: see `rolled_back`.

        Raises:
            ModelNotFoundError: There is no such model.
            ConflictError: There is nothing to go back to.
            NotReadyError: The version before is broken, or the store cannot be written.
        """
        await self.reload()  # another replica may have changed the routing a moment ago
        version = rolled_back(self.catalog, name)
        await self.load(name, version)
        return await self._route(name, lambda routing: routing.rolled_back(version))

    async def _route(self, name: str, change: Callable[[Routing], Routing]) -> Routing:
        await self._load_successor(name, change)
        try:
            routing = await asyncio.to_thread(self._store.route, name, change)
            await self._look()
        except StoreError as error:
            logger.warning("the routing of %s was not changed: %s", name, error.detail)
            raise NotReadyError(
                "The model store cannot be written now; the log says why.",
                retry_after_s=_RETRY_S,
            ) from error
        return routing

    async def _load_successor(self, name: str, change: Callable[[Routing], Routing]) -> None:
        """Load what the bare name will mean, if the model is in use: nobody is to wait for it."""
        if not any(slot.bundle.manifest.name == name for slot in self._slots.values()):
            return
        after = self.catalog.rerouted(name, change(self.catalog.route(name).routing))
        with contextlib.suppress(RequestError, NotReadyError):  # then whoever asks is told
            await self.load(name, after.resolve(name).manifest.version)

    # -- following the store

    async def reload(self, *, afresh: bool = False) -> None:
        """Look at the store now, and bring into service what is new there.

        Args:
            afresh: Try what has failed once more.

        Raises:
            NotReadyError: The store cannot be reached; all stays as it is.
        """
        try:
            await self._look(afresh=afresh)
        except StoreError as error:
            raise NotReadyError(
                "The model store cannot be read now; the log says why.", retry_after_s=_RETRY_S
            ) from error

    async def _look(self, *, afresh: bool = False) -> None:
        async with self._one_look:
            previous = self.catalog
            known = previous.forgiving() if afresh else previous
            try:
                found = await asyncio.to_thread(look, self._store, known)
            except Exception as error:
                self.looks["failed"] += 1
                self._note_absence(error)
                raise
            self.looks["ok"] += 1
            if self.store_is_away:
                logger.info("the model store can be read again")
            self.store_is_away = False
            if not afresh:
                # What failed while the disk was read has been found out since.
                for entry in _failures(self.catalog, previous):
                    found = found.without(*entry)
            self.catalog = found
        self._follow()

    async def watch(self) -> None:
        """Look at the store again and again, and let idle models go, until cancelled."""
        self._started = True
        while True:
            await asyncio.sleep(self._settings.store_poll_s)
            failed = self.looks["failed"]
            try:
                await self._look()
            except Exception:
                if self.looks["failed"] == failed:  # else it has been told
                    logger.exception("what is in the model store was not followed")
            self._let_idle_go()

    def _note_absence(self, error: Exception) -> None:
        self.store_is_away = True
        self.catalog = replace(self.catalog, is_whole=False)  # until a look that succeeds
        if self._log.may_speak():
            if isinstance(error, StoreError):
                logger.warning("the model store was not read: %s", error.detail)
            else:  # a fault of ours
                logger.error("the model store was not read", exc_info=error)

    async def settled(self, *, patience: float = math.inf) -> None:
        """Wait until nothing is being loaded or closed any more, for some seconds at most."""
        last = time.monotonic() + patience
        while pending := {*self._loading.values(), *self._closing}:
            left = last - time.monotonic()
            if left <= 0:
                return
            await asyncio.wait(pending, timeout=None if math.isinf(left) else left)
            await asyncio.sleep(0)  # those that are done leave their set in the loop's next turn

    async def close(self) -> None:
        """Give back the memory of every model. Nothing may be using them any more."""
        for task in self._loading.values():
            task.cancel()
        stop_all()
        for slot in list(self._slots.values()):
            self._retire(slot)
        await self.settled()

    def _follow(self) -> None:
        """Let everything that was ever asked for be answered as the catalog has it now."""
        self._hand_over_splits()
        for asked, digest in list(self._answering.items()):
            try:
                targets = self._targets(asked)
            except NotReadyError:
                continue  # who answers goes on
            except RequestError:  # the model, version or alias has been taken away
                self._forget(asked)
                continue
            for key, bundle in targets.items():
                slot = self._slots.get(bundle.digest)
                if slot is not None:
                    self._answer(key, slot)
                elif digest in self._slots:
                    self._load_once(bundle)
            if asked not in targets and all(b.digest in self._slots for b in targets.values()):
                self._forget(asked)  # its shares answer, or it is none any more
        self._keep_pinned()

    def _hand_over_splits(self) -> None:
        """Where a split has changed, let one who answered go on under the model's own name."""
        for name in {asked.partition("%")[0] for asked in self._answering if "%" in asked}:
            shares = self._shares(name)
            answering = [a for a in self._answering if a.startswith(f"{name}%")]
            if name in self._answering or all(asked in shares for asked in answering):
                continue
            self._answering[name] = self._answering[answering[0]]
            with contextlib.suppress(RequestError, NotReadyError):
                if (meant := self.catalog.resolve(name).digest) in self._slots:
                    self._answering[name] = meant
        for asked in list(self._answering):
            name, is_shadow, version = asked.partition("!")
            if is_shadow and self.shadow_of(name) != int(version):
                self._forget(asked)

    def _keep_pinned(self) -> None:
        """Load what is to be in memory always, and could not be until now."""
        for text in self._pinned:
            with contextlib.suppress(RequestError, NotReadyError):
                targets = self._targets(text)
                if self._started and self._stand_in(text) is None:
                    for bundle in targets.values():
                        if bundle.digest not in self._slots:
                            self._load_once(bundle)

    def _forget(self, asked: str) -> None:
        digest = self._answering.pop(asked, None)
        if digest is not None:
            self._let_go(digest)

    # -- in and out of memory

    def _load_once(self, bundle: Bundle) -> asyncio.Task[None]:
        task = self._loading.get(bundle.digest)
        if task is None or task.done():
            task = asyncio.create_task(self._load(bundle))
            self._loading[bundle.digest] = task
            task.add_done_callback(partial(self._loading_ended, bundle.digest))
        return task

    def _loading_ended(self, digest: str, task: asyncio.Task[None]) -> None:
        """Also where it was cancelled before it had begun."""
        if self._loading.get(digest) is task:
            del self._loading[digest]
        if not task.cancelled():
            task.exception()  # whoever waits has heard of it; there may be nobody

    async def _wait(
        self, bundle: Bundle, loading: asyncio.Task[None], deadline: float | None
    ) -> None:
        """Wait for a load; its memory is not taken for another model before it has been used."""
        if len(self._waiting) >= self._settings.queue_size:
            raise OverloadedError(
                "Too many requests wait for a model to be loaded; try again later.",
                retry_after_s=1,
            )
        used = asyncio.get_running_loop().create_future()
        self._waiting[used] = bundle.digest
        try:
            # Shielded: one impatient caller must not spoil the load for the others.
            async with asyncio.timeout_at(deadline):
                await asyncio.shield(loading)
        except TimeoutError as error:
            raise DeadlineExceededError("The deadline passed while the model loaded.") from error
        finally:
            del self._waiting[used]
            used.set_result(None)

    async def _load(self, bundle: Bundle) -> None:
        """Load a version, or find it broken."""
        name, version = bundle.manifest.name, bundle.manifest.version
        problem = "it cannot be loaded; the log says why"
        try:
            async with self._one_load:
                needed = self._bytes(bundle)
                await self._make_room(bundle, needed)
                loaded = await asyncio.to_thread(load_probed, bundle, self._settings)
            drift = self._settings.drift
            looked_at = Sample(drift.per_second) if drift.enabled else None
            limits = self._settings.limits
            computation = Computation(loaded, limits, looked_at=looked_at)
            slot = Slot(loaded, computation, Explainer(loaded, limits), needed)
        except NotReadyError as error:
            logger.warning("%s@%d could not be tried: %s", name, version, error.detail)
            raise
        except OperatorError as error:
            if not await asyncio.to_thread(_is_there, bundle):
                logger.warning("%s@%d cannot be read now: %s", name, version, error.detail)
                raise NotReadyError(
                    f"The files of the model {name!r} cannot be read now; try again later.",
                    retry_after_s=_RETRY_S,
                ) from error
            problem = error.detail
            logger.warning("%s@%d cannot be used: %s", name, version, problem)
            self.loads[name, "failed"] += 1
            self.catalog = self.catalog.without(bundle, problem)
        except Exception:
            logger.exception("%s@%d cannot be used", name, version)
            self.loads[name, "failed"] += 1
            self.catalog = self.catalog.without(bundle, problem)
        else:
            self._slots[bundle.digest] = slot
            self.loads[name, "ready"] += 1
            logger.info(
                "ready: %s@%d %s, %d compute threads",
                name,
                version,
                loaded.variant.name,
                loaded.engine.traits.instances,
            )
        self._follow()

    def _bytes(self, bundle: Bundle) -> int:
        variant = bundle.manifest.variant()
        graph = variant.size
        # LiteRT packs the weights anew for each thread; the others share theirs.
        threads = self._settings.compute_threads if variant.engine in _EACH_THREAD else 1
        return graph * _COPIES * threads

    async def _make_room(self, bundle: Bundle, needed: int) -> None:
        budget = self._settings.model_memory_mb
        if budget is None:
            return
        if needed > budget * _MB:
            raise BundleError(
                f"it takes about {needed / _MB:.1f} MB, more than the whole of model_memory_mb "
                f"({budget})"
            )
        # Those who waited for a model that is here now are about to go on.
        if waiting := [used for used, digest in self._waiting.items() if digest in self._slots]:
            await asyncio.wait(waiting)
        # Who answers for the same model goes on until this one is ready: then both count.
        kept = self._kept | {
            slot.bundle.digest
            for slot in self._slots.values()
            if slot.bundle.manifest.name == bundle.manifest.name
        }
        for slot in sorted(self._slots.values(), key=lambda slot: slot.used):
            if slot.bundle.digest in kept:
                continue
            if sum(slot.bytes for slot in self._slots.values()) + needed <= budget * _MB:
                return
            self._retire(slot)

    @property
    def _kept(self) -> set[str]:
        """The versions that stay in memory: what answers for what was named at the start."""
        return {
            self._answering[asked]
            for text in self._pinned
            for asked in (text, *self._shares(text))
            if asked in self._answering
        }

    def _let_idle_go(self) -> None:
        before = time.monotonic() - self._settings.idle_unload_s
        for digest, slot in list(self._slots.items()):
            if digest not in self._kept and slot.used < before and not slot.users:
                self._retire(slot)

    def _let_go(self, digest: str) -> None:
        """Retire a version unless somebody who asks still gets it."""
        slot = self._slots.get(digest)
        if slot is not None and digest not in self._answering.values():
            self._retire(slot)

    def _retire(self, slot: Slot) -> None:
        """No more requests for this version; it is closed when the last one has been answered."""
        digest = slot.bundle.digest
        del self._slots[digest]
        self._answering = {a: d for a, d in self._answering.items() if d != digest}
        slot.on_idle = partial(self._close, slot)
        if not slot.users:
            self._close(slot)

    def _close(self, slot: Slot) -> None:
        slot.on_idle = None
        task = asyncio.create_task(asyncio.to_thread(_give_back, slot.loaded))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def rolled_back(catalog: Catalog, name: str) -> int:
    """The version that answers after a step back.

    Where a split gives others a share beside `stable`, that is `stable` alone. Else it is what
    `stable` meant before it was last set, else the highest good version below the one that answers
    now.

    Raises:
        ModelNotFoundError: There is no such model.
        ConflictError: There is none.
    """
    aliases, routing = catalog.aliases(name), catalog.route(name).routing
    now = aliases.get(STABLE, aliases.get(LATEST, 0))
    before = routing.previous.get(STABLE)
    good = {v for v, entry in catalog.versions(name).items() if entry.bundle is not None}
    shares = {share.version for share in (routing.traffic.split if routing.traffic else ())}
    if STABLE in aliases and now in good and shares - {now}:
        return now
    if before in good and before != now:
        return before
    lower = {version for version in good if version < now}
    if not lower:
        raise ConflictError(f"The model {name!r} has no version to go back to.")
    return max(lower)


def _share(name: str, version: int) -> str:
    return f"{name}%{version}"


def _failures(now: Catalog, before: Catalog) -> Iterator[tuple[Bundle, str]]:
    """What has been found broken between two states of a catalog."""
    for name, versions in before.models.items():
        for version, entry in versions.items():
            found = now.models[name][version]
            if entry.bundle is not None and found.bundle is None:
                yield entry.bundle, str(found.problem)


def _is_there(bundle: Bundle) -> bool:
    """Whether a version can still be read: else it is not the version that is at fault."""
    try:
        return Bundle.read(bundle.folder).digest == bundle.digest
    except BundleError:
        return False


def _give_back(loaded: LoadedVariant) -> None:
    """Close an engine, and let the system have the memory that it used.

    Measured: without the trim, the C library keeps half of it.
    """
    try:
        loaded.engine.close()
    except (Exception, SystemExit):  # a plug-in does not end the server
        logger.exception("an engine could not be closed")
    with contextlib.suppress(AttributeError, OSError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
