"""Which models and versions there are, and which one a request means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

from viewfinder.errors import (
    BundleError,
    ModelNotFoundError,
    NotReadyError,
    VersionNotFoundError,
)
from viewfinder.registry.bundle import MANIFEST, Bundle
from viewfinder.types import ModelRef, is_model_name, parse_version

BUILTIN_STORE = Path(__file__).parent / "builtin"
BUILTIN_MODEL = "efficientnet-lite0"
LATEST = "latest"
_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One version folder of a store.

    Attributes:
        name: The model.
        version: The number.
        bundle: What was read, unless it is broken.
        problem: Why it is broken, for a person.
    """

    name: str
    version: int
    bundle: Bundle | None
    problem: str | None = None


Versions = Mapping[int, Entry]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the stores held when they were last looked at. Immutable: no request touches the disk.

    Attributes:
        models: Every version by model name and number, in ascending order.
    """

    models: Mapping[str, Versions]

    def versions(self, name: str) -> Versions:
        """All versions of a model.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        if name not in self.models:
            called = repr(name) if is_model_name(name) else "of that name"
            known = ", ".join(list(self.models)[:_NAMES_SHOWN])
            raise ModelNotFoundError(f"There is no model {called}. Among those here: {known}.")
        return self.models[name]

    def aliases(self, name: str) -> dict[str, int]:
        """The model's aliases with the version that each means now."""
        ready = [v for v, entry in self.versions(name).items() if entry.bundle is not None]
        return {LATEST: max(ready)} if ready else {}

    def labels_count(self, name: str) -> int | None:
        """How many classes the latest good version has, if there is one."""
        latest = self.aliases(name).get(LATEST)
        bundle = self.versions(name)[latest].bundle if latest is not None else None
        return len(bundle.manifest.labels) if bundle is not None else None

    def entry(self, name: str, version: int) -> Entry:
        """One version, broken or not.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version.
        """
        try:
            return self.versions(name)[version]
        except KeyError:
            raise VersionNotFoundError(f"The model {name!r} has no version {version}.") from None

    def bundle(self, name: str, version: int) -> Bundle:
        """One version, if it is good.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version.
            NotReadyError: That version is broken.
        """
        entry = self.entry(name, version)
        if entry.bundle is None:
            raise NotReadyError(
                f"Version {version} of the model {name!r} cannot be used: {entry.problem}."
            )
        return entry.bundle

    def without(self, bundle: Bundle, problem: str) -> Self:
        """The same catalog, but this version found broken after all."""
        name, version = bundle.manifest.name, bundle.manifest.version
        versions = {**self.models[name], version: Entry(name, version, None, problem)}
        return replace(self, models=MappingProxyType({**self.models, name: versions}))

    def resolve(self, text: str) -> Bundle:
        """The bundle that a caller means by `name`, `name@3` or `name@alias`.

        A bare name means the highest good version.

        Raises:
            ModelNotFoundError: There is no such model, or there can be none of that name.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: That version is broken.
        """
        try:
            ref = ModelRef.parse(text)
        except ValueError:
            ref = ModelRef("")  # which no model is called
        if ref.version is not None:
            return self.bundle(ref.name, ref.version)
        alias, aliases = ref.alias or LATEST, self.aliases(ref.name)
        if alias in aliases:
            return self.bundle(ref.name, aliases[alias])
        if alias == LATEST:
            problems = [f"{e.version}: {e.problem}" for e in self.versions(ref.name).values()]
            raise NotReadyError(
                f"No version of the model {ref.name!r} can be used ({'; '.join(problems)})."
            )
        raise VersionNotFoundError(f"The model {ref.name!r} has no alias {alias!r}.")


def open_catalog(store: Path) -> Catalog:
    """The builtin model and those of the user's store."""
    return scan((BUILTIN_STORE, store))


def scan(stores: Sequence[Path]) -> Catalog:
    """Look at the stores. A broken version is listed with its problem and hides no other.

    Args:
        stores: Folders of `<name>/<version>/`; where two hold the same version, the first counts.
            One that does not exist holds nothing.
    """
    found: dict[str, dict[int, Entry]] = {}
    for store in stores:
        # The manifest is written last: a folder without one does not exist yet.
        for folder in sorted(path.parent for path in store.glob(f"*/*/{MANIFEST}")):
            name, version = folder.parent.name, parse_version(folder.name)
            if version is None or not is_model_name(name):
                continue
            found.setdefault(name, {}).setdefault(version, _entry(name, version, folder))
    return Catalog(
        MappingProxyType({name: dict(sorted(found[name].items())) for name in sorted(found)})
    )


def _entry(name: str, version: int, folder: Path) -> Entry:
    try:
        return Entry(name, version, Bundle.read(folder))
    except BundleError as error:
        return Entry(name, version, None, error.detail)
