"""A look at the folders of stores: what is there, and what of it is broken."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType

from viewfinder.errors import (
    BundleError,
    StoreError,
)
from viewfinder.registry.bundle import MANIFEST, Bundle
from viewfinder.registry.catalog import Catalog, Entry, Route, Signature, Versions
from viewfinder.registry.routing import ROUTING, read_routing
from viewfinder.types import is_model_name, parse_version

BUILTIN_STORE = Path(__file__).parent / "builtin"
BUILTIN_MODEL = "efficientnet-lite0"


def open_catalog(store: Path, previous: Catalog | None = None) -> Catalog:
    """The builtin model and those of the user's store."""
    return scan((BUILTIN_STORE, store), previous)


def scan(stores: Sequence[Path], previous: Catalog | None = None) -> Catalog:
    """Look at the stores. A broken version is listed with its problem and hides no other.

    Args:
        stores: Folders of `<name>/<version>/`; where two hold the same version, the first counts.
            One that does not exist holds nothing.
        previous: What is unchanged since then is taken from there, with what was found out about
            it; None looks at everything afresh.

    Raises:
        StoreError: A store is there and cannot be read. What cannot be seen has not been deleted.
    """
    before = previous or Catalog({})
    found: dict[str, dict[int, Entry]] = {}
    routes: dict[str, Route] = {}
    for store in stores:
        for model in _listed(store):
            name = model.name
            if not is_model_name(name):
                continue
            for version, entry in _versions(model, before.models.get(name, {})).items():
                found.setdefault(name, {}).setdefault(version, entry)
            if (route := _route(model / ROUTING, before.route(name))) is not None:
                routes[name] = route
    return Catalog(
        MappingProxyType({name: dict(sorted(found[name].items())) for name in sorted(found)}),
        MappingProxyType(routes),
    )


def _listed(store: Path) -> list[Path]:
    try:
        return sorted(store.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"cannot read the model store {store}: {error.strerror}") from error


def _versions(model: Path, known: Versions) -> dict[int, Entry]:
    """The versions of one model; those known before if its folder cannot be read now."""
    try:
        folders = [(parse_version(folder.name), folder) for folder in model.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError:
        return dict(known)
    # The manifest is written last: a folder without one does not exist yet.
    return {
        version: _entry(model.name, version, folder, known.get(version))
        for version, folder in folders
        if version is not None and os.path.lexists(folder / MANIFEST)
    }


def _entry(name: str, version: int, folder: Path, known: Entry | None) -> Entry:
    # A walk minds nothing that goes away meanwhile.
    inside = (Path(where) / file for where, _, files in os.walk(folder) for file in files)
    signature = _signature(inside, folder)
    if known is not None and known.signature == signature:
        return known
    try:
        return Entry(name, version, Bundle.read(folder), signature=signature)
    except BundleError as error:
        return Entry(name, version, None, error.detail, signature)


def _route(path: Path, known: Route) -> Route | None:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return known  # what cannot be seen has not been deleted
    signature = _signature([path], path.parent)
    if known.signature == signature:
        return known
    try:
        return Route(read_routing(path), signature=signature)
    except (OSError, ValueError):
        # What counted until now goes on to count: nobody has asked for anything else.
        return Route(known.routing, f"{ROUTING} is damaged, and what it said before counts")


def _signature(paths: Iterable[Path], root: Path) -> Signature:
    seen = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:  # gone meanwhile, or a link to nowhere
            continue
        seen.append((str(path.relative_to(root)), status.st_size, status.st_mtime_ns))
    return tuple(sorted(seen))
