"""The versions in memory: room is made for them within a budget, and given back."""

import asyncio
import contextlib
import ctypes
import logging
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial

from viewfinder.engines.loader import LoadedVariant
from viewfinder.errors import BundleError
from viewfinder.registry.bundle import Bundle
from viewfinder.serving.versions.slot import Slot
from viewfinder.settings import Settings
from viewfinder.types import ServedModel

logger = logging.getLogger(__name__)

_EACH_THREAD = {"litert", "fake"}
# Measured with LiteRT: packed weights and tensors take about the graph's bytes each, per thread.
_COPIES = 2
_MB = 1_000_000


class Memory:
    """Holds the loaded versions.

    Args:
        settings: How much memory they may take, and how many threads take a copy each.

    Attributes:
        slots: The versions by the digest of their bundle.
        closing: What is being given back now.
        on_retired: Called with the digest of each version that is given up.
        budget_mb: As much as they may take together; None for no limit.
    """

    def __init__(self, settings: Settings) -> None:
        self.slots: dict[str, Slot] = {}
        self.closing: set[asyncio.Task[None]] = set()
        self.on_retired: Callable[[str], None] | None = None
        self.budget_mb = settings.model_memory_mb
        self._threads = settings.compute_threads

    @property
    def served(self) -> list[ServedModel]:
        """What is here, shadows too."""
        return [
            ServedModel(
                slot.bundle.manifest.name, slot.bundle.manifest.version, slot.loaded.variant.name
            )
            for slot in self.slots.values()
        ]

    def size_of(self, bundle: Bundle) -> int:
        """The bytes that a version will count for."""
        variant = bundle.manifest.variant()
        graph = variant.size
        # LiteRT packs the weights anew for each thread; the others share theirs.
        threads = self._threads if variant.engine in _EACH_THREAD else 1
        return graph * _COPIES * threads

    def has_room(self, needed: int) -> bool:
        """Whether so many more bytes fit beside what is here."""
        if self.budget_mb is None:
            return True
        return sum(slot.bytes for slot in self.slots.values()) + needed <= self.budget_mb * _MB

    def check_fits(self, needed: int) -> None:
        """Refuse what would not fit if there were nothing else.

        Raises:
            BundleError: It takes more than the whole budget.
        """
        if self.budget_mb is not None and needed > self.budget_mb * _MB:
            raise BundleError(
                f"it takes about {needed / _MB:.1f} MB, more than the whole of model_memory_mb "
                f"({self.budget_mb})"
            )

    def make_room(self, bundle: Bundle, needed: int, kept: AbstractSet[str]) -> None:
        """Give up what was not used for longest, until so many bytes fit or all else is kept.

        Args:
            bundle: Who needs the room.
            needed: Bytes.
            kept: The digests of those that stay.
        """
        # Who answers for the same model goes on until this one is ready: then both count.
        kept = kept | {
            slot.bundle.digest
            for slot in self.slots.values()
            if slot.bundle.manifest.name == bundle.manifest.name
        }
        for slot in sorted(self.slots.values(), key=lambda slot: slot.used):
            if slot.bundle.digest in kept:
                continue
            if self.has_room(needed):
                return
            self.retire(slot)

    def retire_idle(self, seconds: float, kept: Callable[[], AbstractSet[str]]) -> None:
        """Give up what nobody has used for so long, and is not to be kept."""
        before = time.monotonic() - seconds
        for digest, slot in list(self.slots.items()):
            if digest not in kept() and slot.used < before and not slot.users:
                self.retire(slot)

    def retire(self, slot: Slot) -> None:
        """No more requests for this version; it is closed when the last one has been answered."""
        digest = slot.bundle.digest
        del self.slots[digest]
        if self.on_retired is not None:
            self.on_retired(digest)
        slot.on_idle = partial(self._close, slot)
        if not slot.users:
            self._close(slot)

    def _close(self, slot: Slot) -> None:
        slot.on_idle = None
        task = asyncio.create_task(asyncio.to_thread(_give_back, slot.loaded))
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)


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
