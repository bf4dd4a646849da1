"""A finished bundle, in a folder or an archive, into the model store."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from viewfinder.engines.probe import probe
from viewfinder.errors import BundleError, ConflictError, InvalidParameterError
from viewfinder.registry.archive import unpack
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Manifest
from viewfinder.registry.registry import BUILTIN_STORE, Catalog
from viewfinder.registry.routing import Routing
from viewfinder.registry.store import ModelStore, is_builtin, look
from viewfinder.types import is_model_name

_TRIES = 10


def publish(store: ModelStore, source: Path, *, name: str | None = None) -> Bundle:
    """Check a bundle, let it prove itself, and add it to the store as the next version.

    Args:
        store: Where to.
        source: A bundle's folder, or an archive that `pack` made.
        name: What the model is called there; as in the bundle if not said.

    Raises:
        BundleError: It is damaged, or does not do what it did when it was sealed.
        InvalidParameterError: No model can have this name.
        StoreError: The store cannot be reached or written.
    """
    if name is not None and not is_model_name(name):
        raise InvalidParameterError(f"{name!r} cannot be a model's name: 1-64 of a-z 0-9 . _ -")
    with ExitStack() as scratch:
        if source.is_dir():
            bundle = Bundle.open(source)
        else:
            folder = scratch.enter_context(tempfile.TemporaryDirectory())
            bundle = unpack(source, Path(folder))
        contents = bundle.contents()
        probe(bundle, threads=1, device="cpu", passed=None)
    manifest = bundle.manifest
    return add_next(store, manifest.model_copy(update={"name": name or manifest.name}), contents)


def add_next(store: ModelStore, manifest: Manifest, contents: Mapping[str, bytes]) -> Bundle:
    """Add a version under the next free number, whatever number the manifest has.

    Raises:
        BundleError: The manifest does not describe these files.
        StoreError: The store cannot be reached or written.
    """
    return add_numbered(
        store,
        manifest.name,
        lambda version: (manifest.model_copy(update={"version": version}), contents),
    )


def add_numbered(
    store: ModelStore, name: str, make: Callable[[int], tuple[Manifest, Mapping[str, bytes]]]
) -> Bundle:
    """Add what `make` makes of the next free number; it is asked again if somebody is quicker.

    Raises:
        BundleError: The manifest does not describe these files.
        StoreError: The store cannot be reached or written.
    """
    for tried in range(1, _TRIES + 1):
        number = max(look(store).models.get(name, {}), default=0) + 1
        manifest, contents = make(number)
        try:
            return store.add(manifest, contents)
        except BundleError:
            # Somebody else was quicker with this number, unless the bundle itself is wrong.
            if number not in look(store).models.get(name, {}) or tried == _TRIES:
                raise
    raise AssertionError


def delete(store: ModelStore, name: str, version: int) -> None:
    """Take a version out of the store, if nothing points to it.

    Raises:
        RequestError: There is no such version, it came with the package, or it is in use.
        StoreError: The store cannot be reached or written.
    """
    catalog = look(store)
    entry = catalog.entry(name, version)
    if (BUILTIN_STORE / name / str(version)).is_dir() or (
        entry.bundle is not None and is_builtin(entry.bundle)
    ):
        raise ConflictError(f"{name}@{version} comes with Viewfinder and cannot be deleted.")
    used = catalog.route(name).routing.versions.get(version)
    if used is not None:
        raise ConflictError(f"{used} points to {name}@{version}; change that first.".capitalize())
    store.remove(name, version)
    if len(catalog.versions(name)) == 1:
        # A model of the same name that comes later is another one.
        store.route(name, lambda _: Routing())


def verify(catalog: Catalog, name: str, version: int) -> str | None:
    """Check every file of a version, and let it prove itself in a process of its own.

    Returns:
        What is wrong with it, if anything is.
    """
    entry = catalog.entry(name, version)
    if entry.bundle is None:
        return entry.problem
    try:
        entry.bundle.verify()
        probe(entry.bundle, threads=1, device="cpu", passed=None)
    except BundleError as error:
        return error.detail
    return None
