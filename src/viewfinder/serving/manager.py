"""Which models are in memory, and which of them answers a request.

A version on its way into service is tried in a process of its own, loaded, warmed up and held to
its golden photos beside the one that answers until then; only then does it take over, and the old
one is closed when its last request has been answered. One that fails changes nothing but its state.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

from viewfinder.engines.apart.process import stop_all
from viewfinder.errors import NotReadyError, OverloadedError, RequestError, StoreError
from viewfinder.registry.catalog import Catalog
from viewfinder.registry.routing import Routing
from viewfinder.registry.store import ModelStore
from viewfinder.serving.versions.answering import Answering
from viewfinder.serving.versions.following import FollowedStore
from viewfinder.serving.versions.loading import Loading
from viewfinder.serving.versions.memory import Memory
from viewfinder.serving.versions.slot import Slot, Status
from viewfinder.settings import Settings
from viewfinder.types import ServedModel

logger = logging.getLogger(__name__)

_RETRY_S = 5


class ModelManager:
    """Holds the loaded models of one process. To be used from one event loop.

    Args:
        store: The user's models.
        settings: How to load them, and how long to keep them.
        default: What a request without a model means, as `name[@version|@alias]`.
        patient: Whether a store that cannot be read is waited for, with the builtin model where
            there is no copy of it; it is an error else.

    Attributes:
        default: As given.

    Raises:
        StoreError: The store cannot be read, there is no copy, and nobody is patient.
    """

    def __init__(
        self, store: ModelStore, settings: Settings, *, default: str, patient: bool = False
    ) -> None:
        self.default = default
        self._settings = settings
        self._started = False
        self._store = FollowedStore(store, patient=patient)
        self._memory = Memory(settings)
        pinned = {default, *settings.models}
        self._answering = Answering(self._store, self._memory, pinned)
        kept, ended = self._answering.kept, self._follow
        self._loading = Loading(self._store, self._memory, settings, kept=kept, ended=ended)

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
        stand_in = self._answering.stand_in
        while True:
            asked = text
            try:
                # A version that fails leaves the catalog: then the next best is meant, or none is.
                asked, bundle = self._answering.meant(text, caller)
            except NotReadyError:
                if (other := stand_in(text)) is not None:
                    return other
                raise
            slot = self._memory.slots.get(bundle.digest)
            if slot is not None:
                self._answering.let_answer(asked, slot)
                return slot
            loading = self._loading.once(bundle)
            if (other := stand_in(asked) or stand_in(text)) is not None:
                return other
            await self._loading.wait(bundle, loading, deadline)

    async def get_shadow(self, name: str, version: int) -> Slot:
        """A shadow, loaded: as `get`. It takes no memory that somebody who answers has.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version.
            NotReadyError: It is broken.
            OverloadedError: There is no room for it.
        """
        bundle, memory = self.catalog.bundle(name, version), self._memory
        if bundle.digest not in memory.slots and not memory.has_room(memory.size_of(bundle)):
            raise OverloadedError("There is no room for the shadow.", retry_after_s=1)
        slot = await self._loaded(name, version)
        self._answering.let_shadow(name, version, slot)
        return slot

    async def _loaded(self, name: str, version: int) -> Slot:
        while True:
            bundle = self.catalog.bundle(name, version)
            slot = self._memory.slots.get(bundle.digest)
            if slot is not None:
                return slot
            await self._loading.wait(bundle, self._loading.once(bundle), None)

    def shadow_of(self, text: str | None) -> int | None:
        """The version that is to see the photos of such a request too, if there is one."""
        return self._answering.shadow_of(text or self.default)

    # -- what is known

    @property
    def catalog(self) -> Catalog:
        """What there was when the store was last looked at, without what proved broken."""
        return self._store.catalog

    @property
    def loads(self) -> Counter[tuple[str, Literal["ready", "failed"]]]:
        """How often each model was brought into memory, and how often it could not be."""
        return self._loading.loads

    @property
    def looks(self) -> Counter[Literal["ok", "failed"]]:
        """How often the store was looked at, and how often it could not be."""
        return self._store.looks

    @property
    def store_is_away(self) -> bool:
        """Whether the last look has failed."""
        return self._store.is_away

    @property
    def in_memory(self) -> list[ServedModel]:
        """What is loaded, shadows too."""
        return self._memory.served

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
        if digest in self._memory.slots:
            return Status("ready")
        if digest in self._loading.tasks:
            return Status("loading")
        return Status("unloaded")

    def status_of(self, text: str) -> Status:
        """The state of what answers a caller who says `name`, `name@3` or `name@alias`.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: It is broken.
        """
        if self._answering.stand_in(text) is not None:
            return Status("ready")
        targets = self._answering.targets(text)
        if any(self._answering.stand_in(asked) is not None for asked in targets):
            return Status("ready")
        manifest = next(iter(targets.values())).manifest
        return self.status(manifest.name, manifest.version)

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
        if entry.bundle is not None and (slot := self._memory.slots.get(entry.bundle.digest)):
            self._memory.retire(slot)

    async def route(self, name: str, change: Callable[[Routing], Routing]) -> Routing:
        """Change a model's routing, with what will answer then loaded before.

        Raises:
            NotReadyError: The store cannot be written.
        """
        await self._load_successor(name, change)
        try:
            routing = await self._store.route(name, change)
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
        if not any(slot.bundle.manifest.name == name for slot in self._memory.slots.values()):
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
            self._memory.retire_idle(self._settings.idle_unload_s, self._answering.kept)

    async def _look(self, *, afresh: bool = False) -> None:
        await self._store.look(afresh=afresh)
        self._follow()

    def _follow(self) -> None:
        for bundle in self._answering.follow():
            self._loading.once(bundle)
        if self._started:
            for bundle in self._answering.missing():
                self._loading.once(bundle)

    # -- the end

    async def settled(self, *, patience: float = math.inf) -> None:
        """Wait until nothing is being loaded or closed any more, for some seconds at most."""
        last = time.monotonic() + patience
        while pending := {*self._loading.tasks.values(), *self._memory.closing}:
            left = last - time.monotonic()
            if left <= 0:
                return
            await asyncio.wait(pending, timeout=None if math.isinf(left) else left)
            await asyncio.sleep(0)  # those that are done leave their set in the loop's next turn

    async def close(self) -> None:
        """Give back the memory of every model. Nothing may be using them any more."""
        for task in self._loading.tasks.values():
            task.cancel()
        stop_all()
        for slot in list(self._memory.slots.values()):
            self._memory.retire(slot)
        await self.settled()
