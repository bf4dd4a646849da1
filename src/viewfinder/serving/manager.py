"""Which models are in memory: each is loaded once, off the event loop, when it is first needed."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Literal

from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.errors import NotReadyError, OperatorError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.registry import Catalog

State = Literal["loading", "ready", "failed", "unloaded"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a version can answer, and if not, why.

    Attributes:
        state: `unloaded` becomes `ready` when a request asks for it.
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
        self._loading: dict[str, asyncio.Task[LoadedVariant]] = {}
        self._failed: dict[str, str] = {}

    async def get(self, text: str | None) -> LoadedVariant:
        """The model that a request means, loaded.

        Args:
            text: `name`, `name@3`, `name@alias`, or None for the default.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: It is broken.
        """
        bundle = self.catalog.resolve(text or self.default)
        loaded = self._loaded.get(bundle.digest)
        return loaded if loaded is not None else await self._load_once(bundle)

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
        if digest in self._failed:
            return Status("failed", self._failed[digest])
        return Status("unloaded")

    def default_status(self) -> Status:
        """The state of the model that answers when a request names none.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: None of its versions can be read.
        """
        manifest = self.catalog.resolve(self.default).manifest
        return self.status(manifest.name, manifest.version)

    def close(self) -> None:
        """Give back the memory of every model. Nothing may be using them any more."""
        for loaded in self._loaded.values():
            loaded.engine.close()
        self._loaded.clear()

    async def _load_once(self, bundle: Bundle) -> LoadedVariant:
        if bundle.digest in self._failed:
            raise _not_ready(bundle)
        task = self._loading.get(bundle.digest)
        if task is None:
            task = asyncio.create_task(self._load(bundle))
            self._loading[bundle.digest] = task
        # Shielded: one impatient caller must not spoil the load for the others.
        return await asyncio.shield(task)

    async def _load(self, bundle: Bundle) -> LoadedVariant:
        manifest = bundle.manifest
        try:
            loaded = await asyncio.to_thread(load_variant, bundle, threads=self._threads)
        except OperatorError as error:
            self._failed[bundle.digest] = error.detail
            logger.warning(
                "%s@%d cannot be used: %s", manifest.name, manifest.version, error.detail
            )
            raise _not_ready(bundle) from error
        else:
            self._loaded[bundle.digest] = loaded
            return loaded
        finally:
            del self._loading[bundle.digest]


def _not_ready(bundle: Bundle) -> NotReadyError:
    name, version = bundle.manifest.name, bundle.manifest.version
    return NotReadyError(
        f"Version {version} of the model {name!r} cannot be used; GET /v1/models/{name} says why."
    )
