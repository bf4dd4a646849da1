"""Where a user's models are kept: published, deleted, and routed; a folder, or S3."""

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from viewfinder.errors import MissingExtraError, StoreError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.catalog import Catalog
from viewfinder.registry.folder import FolderStore
from viewfinder.registry.manifest import Manifest
from viewfinder.registry.routing import Routing
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, open_catalog, scan
from viewfinder.settings import Settings

logger = logging.getLogger(__name__)


class ModelStore(Protocol):
    """A place of `<name>/<version>/`, where a version appears and vanishes whole."""

    @property
    def folder(self) -> Path:
        """Where the versions can be read; it need not exist."""

    def refresh(self) -> None:
        """Bring the folder up to what the store holds.

        Raises:
            StoreError: The store cannot be reached.
        """

    def check_writable(self, name: str) -> None:
        """Find out whether versions of a model can be added, as far as that costs nothing.

        Raises:
            StoreError: They cannot.
        """

    def add(self, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
        """Add a version.

        Raises:
            BundleError: It exists already, or the manifest does not describe these files.
            StoreError: The store cannot be reached or written.
        """

    def remove(self, name: str, version: int) -> None:
        """Take a version away; nothing happens if there is none.

        Raises:
            StoreError: The store cannot be reached or written.
        """

    def route(self, name: str, change: Callable[[Routing], Routing]) -> Routing:
        """Change a model's routing; nobody's change is lost, whoever else is at it.

        Raises:
            StoreError: The store cannot be reached or written.
        """


def open_store(address: str, home: Path) -> ModelStore:
    """The store at an address.

    Args:
        address: A folder, or `s3://bucket/prefix`.
        home: Where a copy of what is not on this machine may be kept.

    Raises:
        StoreError: The address is of another kind.
        MissingExtraError: S3 is asked for and not installed.
    """
    if address.startswith("s3://"):
        try:
            s3 = importlib.import_module("viewfinder.registry.s3.store")
        except ModuleNotFoundError as error:
            raise MissingExtraError("A model store on S3", "s3") from error
        return cast("ModelStore", s3.S3Store(address, home / "stores"))
    if "://" in address or not address:
        raise StoreError(f"{address} is neither a folder nor s3://bucket/prefix")
    return FolderStore(Path(address))


def look(store: ModelStore, previous: Catalog | None = None) -> Catalog:
    """The builtin model and those of a store as it is now.

    Raises:
        StoreError: The store cannot be reached.
    """
    store.refresh()
    return open_catalog(store.folder, previous)


def look_at_start(store: ModelStore) -> Catalog:
    """As `look`; but if the store cannot be reached, what an earlier look has copied will do.

    Raises:
        StoreError: The store cannot be reached, and nothing was ever copied.
    """
    catalog, problem = look_without(store)
    if problem is None:
        return catalog
    if not catalog.is_whole:
        raise problem
    logger.warning("%s; the models are those of the last look at it", problem.detail)
    return catalog


def look_without(store: ModelStore) -> tuple[Catalog, StoreError | None]:
    """As `look_at_start`; but if nothing was ever copied, the builtin model will do, too.

    Returns:
        The catalog, which says that it is not whole where it lacks the store's models, and why the
        store could not be looked at, if so.
    """
    try:
        return look(store), None
    except StoreError as error:
        return _last_seen(store) or replace(scan([BUILTIN_STORE]), is_whole=False), error


def _last_seen(store: ModelStore) -> Catalog | None:
    """What an earlier look has copied, if it has copied anything."""
    try:
        if scan([store.folder]).models:
            return open_catalog(store.folder)
    except StoreError:  # the folder is the store
        pass
    return None


def default_model(settings: Settings) -> str:
    """What is meant where no model is named: `name`, `name@3` or `name@alias`."""
    return settings.default_model or next(iter(settings.models), BUILTIN_MODEL)


def is_builtin(bundle: Bundle) -> bool:
    """Whether a bundle came with the package."""
    return bundle.folder.is_relative_to(BUILTIN_STORE)
