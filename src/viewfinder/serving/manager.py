"""Which models are in memory: each is loaded once, off the event loop, when it is first needed."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Literal

from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.errors import OperatorError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.registry import Catalog

State = Literal["loading", "ready", "failed", "unloaded"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a version can answer, and if not, why.

    Attributes:
        state: An `unloaded` version is loaded when a request asks for it.
        reason: Why it failed.
    """

    state: State
    reason: str | None = None


class ModelManager:
    """Holds the loaded models of one process. To be used from one event loop.

    Args:
        catalog: The models there are.
        threads: Compute threads that will call each model.
        default: What a request without a model means, as `name[@version|@alias]`.
    """

    def __init__(self, catalog: Catalog, *, threads: int, default: str) -> None:
        self.catalog = catalog
        self.default = default
        self._threads = threads
        self._loaded: dict[str, LoadedVariant] = {}
        self._loading: dict[str, asyncio.Task[LoadedVariant | None]] = {}

    async def get(self, text: str | None) -> LoadedVariant:
        """The model that a request means, loaded.

        Args:
            text: `name`, `name@3`, `name@alias`, or None for the default.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: It is broken, and no other version was meant as well.
        """
        while True:
            # A version that fails leaves the catalog: then the next best is meant, or none is.
            bundle = self.catalog.resolve(text or self.default)
            loaded = self._loaded.get(bundle.digest) or await self._load_once(bundle)
            if loaded is not None:
                return loaded

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
        if digest in self._loaded:
            return Status("ready")
        if digest in self._loading:
            return Status("loading")
        return Status("unloaded")

    def status_of(self, text: str) -> Status:
        """The state of the version that a caller means by `name`, `name@3` or `name@alias`.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: It is broken.
        """
        manifest = self.catalog.resolve(text).manifest
        return self.status(manifest.name, manifest.version)

    def close(self) -> None:
        """Give back the memory of every model. Nothing may be using them any more."""
        for loaded in self._loaded.values():
            loaded.engine.close()
        self._loaded.clear()

    async def _load_once(self, bundle: Bundle) -> LoadedVariant | None:
        task = self._loading.get(bundle.digest)
        if task is None:
            task = asyncio.create_task(self._load(bundle))
            self._loading[bundle.digest] = task
        # Shielded: one impatient caller must not spoil the load for the others.
        return await asyncio.shield(task)

    async def _load(self, bundle: Bundle) -> LoadedVariant | None:
        """Load a version, or find it broken."""
        name, version = bundle.manifest.name, bundle.manifest.version
        problem = "it cannot be loaded; the log says why"
        try:
            loaded = await asyncio.to_thread(load_variant, bundle, threads=self._threads)
        except OperatorError as error:
            problem = error.detail
            logger.warning("%s@%d cannot be used: %s", name, version, problem)
        except Exception:
            logger.exception("%s@%d cannot be used", name, version)
        else:
            self._loaded[bundle.digest] = loaded
            return loaded
        finally:
            del self._loading[bundle.digest]
        self.catalog = self.catalog.without(bundle, problem)
        return None
