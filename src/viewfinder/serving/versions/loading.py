"""Versions on their way into memory: each once, one at a time, tried before it is trusted."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Literal

from viewfinder.engines.apart.probe import load_probed
from viewfinder.errors import (
    BundleError,
    DeadlineExceededError,
    NotReadyError,
    OperatorError,
    OverloadedError,
)
from viewfinder.registry.bundle import Bundle
from viewfinder.serving.compute import Computation
from viewfinder.serving.drift.sample import Sample
from viewfinder.serving.heatmaps.explainer import Explainer
from viewfinder.serving.versions.following import FollowedStore
from viewfinder.serving.versions.memory import Memory
from viewfinder.serving.versions.slot import Slot
from viewfinder.settings import Settings

logger = logging.getLogger(__name__)

_RETRY_S = 5


class Loading:
    """Brings versions into memory, or finds them broken.

    Args:
        store: Is told what proved broken.
        memory: Where they go.
        settings: How to load them.
        kept: Whose memory is not taken for another.
        ended: Called after each load, however it went.

    Attributes:
        tasks: The loads that are under way, by the digest of the bundle.
        loads: How often each model was brought into memory, and how often it could not be.
    """

    def __init__(
        self,
        store: FollowedStore,
        memory: Memory,
        settings: Settings,
        *,
        kept: Callable[[], AbstractSet[str]],
        ended: Callable[[], None],
    ) -> None:
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.loads: Counter[tuple[str, Literal["ready", "failed"]]] = Counter()
        self._store = store
        self._memory = memory
        self._settings = settings
        self._kept = kept
        self._ended = ended
        self._waiting: dict[asyncio.Future[None], str] = {}
        self._one_load = asyncio.Lock()

    def once(self, bundle: Bundle) -> asyncio.Task[None]:
        """The load of a version, begun unless it is under way."""
        task = self.tasks.get(bundle.digest)
        if task is None or task.done():
            task = asyncio.create_task(self._load(bundle))
            self.tasks[bundle.digest] = task
            task.add_done_callback(partial(self._forget, bundle.digest))
        return task

    def _forget(self, digest: str, task: asyncio.Task[None]) -> None:
        """Also where it was cancelled before it had begun."""
        if self.tasks.get(digest) is task:
            del self.tasks[digest]
        if not task.cancelled():
            task.exception()  # whoever waits has heard of it; there may be nobody

    async def wait(
        self, bundle: Bundle, loading: asyncio.Task[None], deadline: float | None
    ) -> None:
        """Wait for a load; its memory is not taken for another model before it has been used.

        Args:
            bundle: Of which version.
            loading: What `once` gave.
            deadline: On the clock of `time.monotonic`.

        Raises:
            OverloadedError: Too many wait already.
            DeadlineExceededError: The load took longer.
            NotReadyError: The version could not be tried.
        """
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
        try:
            slot = await self._loaded(bundle)
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
            logger.warning("%s@%d cannot be used: %s", name, version, error.detail)
            self._found_broken(bundle, error.detail)
        except Exception:
            logger.exception("%s@%d cannot be used", name, version)
            self._found_broken(bundle, "it cannot be loaded; the log says why")
        else:
            self._memory.slots[bundle.digest] = slot
            self.loads[name, "ready"] += 1
            logger.info(
                "ready: %s@%d %s, %d compute threads",
                name,
                version,
                slot.loaded.variant.name,
                slot.loaded.engine.traits.instances,
            )
        self._ended()

    async def _loaded(self, bundle: Bundle) -> Slot:
        async with self._one_load:
            needed = self._memory.size_of(bundle)
            await self._make_room(bundle, needed)
            loaded = await asyncio.to_thread(load_probed, bundle, self._settings)
        drift, limits = self._settings.drift, self._settings.limits
        looked_at = Sample(drift.per_second) if drift.enabled else None
        computation = Computation(loaded, limits, looked_at=looked_at)
        return Slot(loaded, computation, Explainer(loaded, limits), needed)

    async def _make_room(self, bundle: Bundle, needed: int) -> None:
        if self._memory.budget_mb is None:
            return
        self._memory.check_fits(needed)
        # Those who waited for a model that is here now are about to go on.
        slots = self._memory.slots
        if waiting := [used for used, digest in self._waiting.items() if digest in slots]:
            await asyncio.wait(waiting)
        self._memory.make_room(bundle, needed, self._kept())

    def _found_broken(self, bundle: Bundle, problem: str) -> None:
        self.loads[bundle.manifest.name, "failed"] += 1
        self._store.found_broken(bundle, problem)


def _is_there(bundle: Bundle) -> bool:
    """Whether a version can still be read: else it is not the version that is at fault."""
    try:
        return Bundle.read(bundle.folder).digest == bundle.digest
    except BundleError:
        return False
