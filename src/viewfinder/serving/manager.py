"""Which models are in memory, and which of them answers a request.

A version on its way into service is tried in a process of its own, loaded, warmed up and held to
its golden photos beside the one that answers until then; only then does it take over, and the old
one is closed when its last request has been answered. One that fails changes nothing but its state.
"""

import asyncio
import contextlib
import ctypes
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.engines.probe import probe
from viewfinder.errors import (
    BundleError,
    ConflictError,
    InvalidParameterError,
    NotReadyError,
    OperatorError,
    RequestError,
    StoreError,
)
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.registry import Catalog
from viewfinder.registry.routing import LATEST, STABLE, Routing, Traffic, check_alias
from viewfinder.registry.store import ModelStore, is_builtin, look, look_at_start
from viewfinder.serving.compute import Computation
from viewfinder.settings import Settings

State = Literal["loading", "ready", "failed", "unloaded"]

logger = logging.getLogger(__name__)

_random = secrets.SystemRandom()
# Measured with LiteRT: packed weights and tensors take about the graph's bytes each, per thread.
_COPIES = 2
_MB = 1_000_000


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
        bytes: The memory that it counts for.
        users: How many hold it.
        used: When it was last asked for, on the clock of `time.monotonic`.
        on_idle: Called when the last user has gone.
    """

    loaded: LoadedVariant
    computation: Computation
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

    Attributes:
        catalog: What there was when the store was last looked at, without what proved broken.
    """

    def __init__(self, store: ModelStore, settings: Settings, *, default: str) -> None:
        self.catalog = look_at_start(store)
        self.default = default
        self._store = store
        self._settings = settings
        self._pinned = {default, *settings.models}
        self._slots: dict[str, Slot] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Future[None], str] = {}
        # Who answered last, by what was asked for: `shoes`, `shoes@2`, `shoes@stable`, and for a
        # share of the traffic `shoes%2`. It goes on answering until its successor is ready.
        self._answering: dict[str, str] = {}
        self._one_load = asyncio.Lock()
        self._one_look = asyncio.Lock()

    # -- who answers

    async def get(self, text: str | None, caller: str | None = None) -> Slot:
        """The model that a request means, loaded. To be opened before anything else is awaited.

        Args:
            text: `name`, `name@3`, `name@alias`, or None for the default.
            caller: Who asks: the same caller gets the same share of a traffic split.

        Raises:
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
            await self._wait(bundle, loading)

    async def get_share(self, name: str, version: int) -> Slot:
        """A version that takes part in a model's traffic, loaded: as `get`.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version.
            NotReadyError: It is broken.
        """
        while True:
            bundle = self.catalog.bundle(name, version)
            slot = self._slots.get(bundle.digest)
            if slot is not None:
                self._answer(_share(name, version), slot)
                return slot
            await self._wait(bundle, self._load_once(bundle))

    def shadow_of(self, text: str | None) -> int | None:
        """The version that is to see the photos of such a request too, if there is one."""
        traffic = self.catalog.route(text or self.default).routing.traffic
        return traffic.shadow if traffic else None

    def _meant(self, text: str, caller: str | None) -> tuple[str, Bundle]:
        """What is asked for, in the form of `_answering`, and the version that is meant by it."""
        traffic = self.catalog.route(text).routing.traffic  # none for `name@...`
        if traffic is not None and text in self.catalog.models:
            versions = self.catalog.versions(text)
            for version in traffic.order(text, caller, _random.random()):
                entry = versions.get(version)
                if entry is not None and entry.bundle is not None:
                    return _share(text, version), entry.bundle
        return text, self.catalog.resolve(text)

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
        asked, bundle = self._meant(text, None)
        if self._stand_in(asked) is not None:
            return Status("ready")
        return self.status(bundle.manifest.name, bundle.manifest.version)

    # -- changes by request

    async def load(self, name: str, version: int) -> None:
        """Load a version now, also one that has failed before.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version.
            NotReadyError: It is broken.
        """
        self.catalog.entry(name, version)
        if self.status(name, version).state == "failed":
            await self.reload(afresh=True)
        self.catalog.bundle(name, version)  # what goes on from memory alone is not good
        slot = await self.get(f"{name}@{version}")
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
        version = rolled_back(self.catalog, name)
        await self.load(name, version)
        return await self._route(name, lambda routing: routing.rolled_back(version))

    async def _route(self, name: str, change: Callable[[Routing], Routing]) -> Routing:
        try:
            routing = await asyncio.to_thread(self._store.route, name, change)
            await self._look()
        except StoreError as error:
            logger.warning("the routing of %s was not changed: %s", name, error.detail)
            raise NotReadyError(
                "The model store cannot be written now; its log says why."
            ) from error
        return routing

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
            logger.warning("the model store was not read: %s", error.detail)
            raise NotReadyError("The model store cannot be read now; the log says why.") from error

    async def _look(self, *, afresh: bool = False) -> None:
        async with self._one_look:
            previous = None if afresh else self.catalog
            found = await asyncio.to_thread(look, self._store, previous)
            if previous is not None:
                # What failed while the disk was read has been found out since.
                for entry in _failures(self.catalog, previous):
                    found = found.without(*entry)
            self.catalog = found
        self._follow()

    async def watch(self) -> None:
        """Look at the store again and again, and let idle models go, until cancelled."""
        while True:
            await asyncio.sleep(self._settings.store_poll_s)
            try:
                await self._look()
            except StoreError as error:
                logger.warning("the model store was not read: %s", error.detail)
            except Exception:
                logger.exception("the model store was not read")
            self._let_idle_go()

    async def settled(self) -> None:
        """Wait until nothing is being loaded or closed any more."""
        while pending := {*self._loading.values(), *self._closing}:
            await asyncio.wait(pending)
            await asyncio.sleep(0)  # those that are done leave their set in the loop's next turn

    async def close(self) -> None:
        """Give back the memory of every model. Nothing may be using them any more."""
        for task in self._loading.values():
            task.cancel()
        for slot in list(self._slots.values()):
            self._retire(slot)
        await self.settled()

    def _follow(self) -> None:
        """Let everything that was ever asked for be answered as the catalog has it now."""
        self._merge_shares()
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
                self._forget(asked)  # its shares answer

    def _targets(self, asked: str) -> dict[str, Bundle]:
        """What is to answer, by its form in `_answering`: a split name has several."""
        name, is_share, version = asked.partition("%")
        if is_share:
            return {asked: self.catalog.bundle(name, int(version))}
        traffic = self.catalog.route(asked).routing.traffic
        shares = {
            _share(asked, share.version): self.catalog.bundle(asked, share.version)
            for share in (traffic.split if traffic else ())
        }
        return shares or {asked: self.catalog.resolve(asked)}

    def _merge_shares(self) -> None:
        """Where a split has changed, let those who answered go on under the model's own name."""
        for asked, digest in list(self._answering.items()):
            name, is_share, version = asked.partition("%")
            if is_share and int(version) not in self._shares(name):
                self._answering.setdefault(name, digest)
                self._forget(asked)

    def _forget(self, asked: str) -> None:
        self._let_go(self._answering.pop(asked))

    def _shares(self, name: str) -> set[int]:
        traffic = self.catalog.route(name).routing.traffic
        return traffic.versions if traffic else set()

    # -- in and out of memory

    def _load_once(self, bundle: Bundle) -> asyncio.Task[None]:
        task = self._loading.get(bundle.digest)
        if task is None:
            task = asyncio.create_task(self._load(bundle))
            self._loading[bundle.digest] = task
            # Also where it is cancelled before it has begun.
            task.add_done_callback(lambda _: self._loading.pop(bundle.digest))
        return task

    async def _wait(self, bundle: Bundle, loading: asyncio.Task[None]) -> None:
        """Wait for a load; its memory is not taken for another model before it has been used."""
        used = asyncio.get_running_loop().create_future()
        self._waiting[used] = bundle.digest
        try:
            # Shielded: one impatient caller must not spoil the load for the others.
            await asyncio.shield(loading)
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
                await self._make_room(needed)
                loaded = await asyncio.to_thread(self._load_in_thread, bundle)
            slot = Slot(loaded, Computation(loaded, self._settings.limits), needed)
        except OperatorError as error:
            problem = error.detail
            logger.warning("%s@%d cannot be used: %s", name, version, problem)
            self.catalog = self.catalog.without(bundle, problem)
        except Exception:
            logger.exception("%s@%d cannot be used", name, version)
            self.catalog = self.catalog.without(bundle, problem)
        else:
            self._slots[bundle.digest] = slot
            logger.info(
                "ready: %s@%d %s, %d compute threads",
                name,
                version,
                loaded.variant.name,
                loaded.engine.traits.instances,
            )
        self._follow()

    def _load_in_thread(self, bundle: Bundle) -> LoadedVariant:
        settings = self._settings
        threads = settings.compute_threads
        # What comes with the package is trusted as the package is, and runs no native code else.
        if not is_builtin(bundle) and bundle.manifest.variant().engine != "fake":
            probe(bundle, threads=threads, device=settings.device, passed=settings.home / "probed")
        return load_variant(
            bundle,
            threads=threads,
            device=settings.device,
            cache=settings.home / "compiled",
        )

    def _bytes(self, bundle: Bundle) -> int:
        variant = bundle.manifest.variant()
        graph = variant.file.bytes + sum(asset.bytes for asset in variant.assets)
        return graph * _COPIES * self._settings.compute_threads

    async def _make_room(self, needed: int) -> None:
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
        for slot in sorted(self._slots.values(), key=lambda slot: slot.used):
            if sum(slot.bytes for slot in self._slots.values()) + needed <= budget * _MB:
                return
            self._retire(slot)

    def _let_idle_go(self) -> None:
        kept = {self._answering.get(asked) for asked in self._pinned} | {
            self._answering.get(_share(name, version))
            for name in self._pinned
            for version in self._shares(name)
        }
        before = time.monotonic() - self._settings.idle_unload_s
        for digest, slot in list(self._slots.items()):
            if digest not in kept and slot.used < before and not slot.users:
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

    That is what `stable` meant before it was last set, else the highest good version below the one
    that answers now.

    Raises:
        ModelNotFoundError: There is no such model.
        ConflictError: There is none.
    """
    aliases, routing = catalog.aliases(name), catalog.route(name).routing
    now = aliases.get(STABLE, aliases.get(LATEST, 0))
    before = routing.previous.get(STABLE)
    good = {v for v, entry in catalog.versions(name).items() if entry.bundle is not None}
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


def _give_back(loaded: LoadedVariant) -> None:
    """Close an engine, and let the system have the memory that it used.

    Measured: without the trim, the C library keeps half of it.
    """
    loaded.engine.close()
    with contextlib.suppress(AttributeError, OSError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
