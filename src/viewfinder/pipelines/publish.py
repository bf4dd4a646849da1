"""A finished bundle, in a folder or an archive, into the model store."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from viewfinder.engines.apart.probe import probe
from viewfinder.engines.loader import RUNTIMES, check_installed
from viewfinder.errors import (
    BundleError,
    ConflictError,
    EngineError,
    InvalidParameterError,
    MissingEngineError,
    MissingExtraError,
)
from viewfinder.registry.archive import unpack
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.catalog import Catalog
from viewfinder.registry.manifest import Manifest
from viewfinder.registry.routing import Routing
from viewfinder.registry.scanning import BUILTIN_STORE
from viewfinder.registry.store import ModelStore, is_builtin, look
from viewfinder.types import is_model_name

_TRIES = 10


def publish(
    store: ModelStore,
    source: Path,
    *,
    name: str | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Check a bundle, let its variants prove themselves, and add it as the next version.

    Args:
        store: Where to.
        source: A bundle's folder, or an archive that `pack` made.
        name: What the model is called there; as in the bundle if not said.
        note: Is told which variants could not be tried, and why.

    Raises:
        BundleError: It is damaged, or a variant does not do what it did when it was sealed.
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
        prove(bundle, note=note)
    manifest = bundle.manifest
    return add_next(store, manifest.model_copy(update={"name": name or manifest.name}), contents)


def prove(bundle: Bundle, *, note: Callable[[str], None] = lambda _: None) -> None:
    """Let every variant whose engine is installed answer its golden samples, each by itself.

    Args:
        bundle: The model version.
        note: Is told which variants could not be tried, and why.

    Raises:
        BundleError: One of them is not what was sealed, or the recommended one cannot be tried.
    """
    manifest = bundle.manifest
    for variant in sorted(manifest.variants, key=lambda one: one.name != manifest.recommended):
        if variant.name != manifest.recommended and (lacking := _lacking(variant.engine)):
            note(f"{variant.name} was not tried: {lacking}")
            continue
        try:
            probe(bundle, threads=1, device="cpu", passed=None, variant=variant.name)
        except BundleError as error:
            if len(manifest.variants) == 1:
                raise
            raise BundleError(f"the variant {variant.name}: {error.detail}") from error


def _lacking(engine: str) -> str | None:
    """Why an engine cannot be loaded here, if it cannot."""
    try:
        check_installed(engine)
    except MissingExtraError as error:
        title = RUNTIMES[engine].title
        return f"{title} is not installed (pip install 'viewfinder[{error.extra}]')"
    except (MissingEngineError, EngineError) as error:
        return error.detail
    return None


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


def verify(
    catalog: Catalog, name: str, version: int, *, note: Callable[[str], None] = lambda _: None
) -> str | None:
    """Check every file of a version, and let its variants prove themselves.

    Args:
        catalog: All models.
        name: Of the model.
        version: Of the model.
        note: Is told which variants could not be tried, and why.

    Returns:
        What is wrong with it, if anything is.
    """
    entry = catalog.entry(name, version)
    if entry.bundle is None:
        return entry.problem
    try:
        entry.bundle.verify()
        prove(entry.bundle, note=note)
    except BundleError as error:
        return error.detail
    return None
