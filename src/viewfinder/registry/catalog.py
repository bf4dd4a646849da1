"""Which models and versions there are, and which one a request means."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from types import MappingProxyType
from typing import Self

from viewfinder.errors import (
    ModelNotFoundError,
    NotReadyError,
    VersionNotFoundError,
)
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.routing import LATEST, STABLE, Routing
from viewfinder.types import ModelRef, is_model_name

_NAMES_SHOWN = 10
_NAMES_COMPARED = 100  # a stranger's request may be the reason to
_RETRY_S = 5
Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One version folder of a store.

    Attributes:
        name: The model.
        version: The number.
        bundle: What was read, unless it is broken.
        problem: Why it is broken, for a person.
        signature: Path, size and time of each of its files: what changed is read again.
    """

    name: str
    version: int
    bundle: Bundle | None
    problem: str | None = None
    signature: Signature = ()


@dataclass(frozen=True, slots=True)
class Route:
    """The routing of a model, as last read.

    Attributes:
        routing: What counts.
        problem: Why the file that is there now does not count, for a person.
        signature: Of the file.
    """

    routing: Routing = field(default_factory=Routing)
    problem: str | None = None
    signature: Signature = ()


# Made once: a model of pydantic takes a tenth of a millisecond, and every request asks.
_NO_ROUTE = Route()
Versions = Mapping[int, Entry]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the stores held when they were last looked at. Immutable: no request touches the disk.

    Attributes:
        models: Every version by model name and number, in ascending order.
        routes: Where requests go, for models that have a say in it.
        is_whole: Whether all stores could be looked at. What is not here may be there, if not.
    """

    models: Mapping[str, Versions]
    routes: Mapping[str, Route] = field(default_factory=dict)
    is_whole: bool = True

    def versions(self, name: str) -> Versions:
        """All versions of a model.

        Raises:
            ModelNotFoundError: There is no such model.
            NotReadyError: There may be one, in a store that could not be looked at.
        """
        if name not in self.models:
            if is_model_name(name):
                self._check_whole(f"the model {name!r}")
            called = repr(name) if is_model_name(name) else "of that name"
            known = ", ".join(list(self.models)[:_NAMES_SHOWN])
            meant = self._meant(name)
            raise ModelNotFoundError(
                f"There is no model {called}.{meant} Among those here: {known}."
            )
        return self.models[name]

    def _meant(self, name: str) -> str:
        if not is_model_name(name):
            return ""
        near = get_close_matches(name, islice(self.models, _NAMES_COMPARED), n=1)
        return f" Did you mean {near[0]!r}?" if near else ""

    def route(self, name: str) -> Route:
        """The model's routing; an empty one if nobody has set any."""
        return self.routes.get(name, _NO_ROUTE)

    def aliases(self, name: str) -> dict[str, int]:
        """The model's aliases with the version that each means now."""
        ready = [v for v, entry in self.versions(name).items() if entry.bundle is not None]
        latest = {LATEST: max(ready)} if ready else {}
        return {**self.route(name).routing.aliases, **latest}

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
            self._check_whole(f"version {version} of the model {name!r}")
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
        entry = self.models.get(name, {}).get(version)
        if entry is None or entry.bundle is None or entry.bundle.digest != bundle.digest:
            return self  # it has been replaced or deleted meanwhile
        broken = replace(entry, bundle=None, problem=problem)
        return replace(
            self,
            models=MappingProxyType({**self.models, name: {**self.models[name], version: broken}}),
        )

    def forgiving(self) -> Self:
        """The same catalog without what is broken, which is then looked at once more."""
        return replace(
            self,
            models={
                name: {v: entry for v, entry in versions.items() if entry.bundle is not None}
                for name, versions in self.models.items()
            },
            routes={name: replace(route, signature=()) for name, route in self.routes.items()},
        )

    def rerouted(self, name: str, routing: Routing) -> Self:
        """The same catalog, but with another routing of a model."""
        route = replace(self.route(name), routing=routing)
        return replace(self, routes=MappingProxyType({**self.routes, name: route}))

    def resolve(self, text: str) -> Bundle:
        """The bundle that a caller means by `name`, `name@3` or `name@alias`.

        A bare name means the alias `stable` if that is set, else the highest good version. Shares
        of traffic are not looked at here.

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
        aliases = self.aliases(ref.name)
        alias = ref.alias or (STABLE if STABLE in aliases else LATEST)
        if alias in aliases:
            return self.bundle(ref.name, aliases[alias])
        if alias == LATEST:
            problems = [f"{e.version}: {e.problem}" for e in self.versions(ref.name).values()]
            raise NotReadyError(
                f"No version of the model {ref.name!r} can be used ({'; '.join(problems)})."
            )
        self._check_whole(f"the alias {alias!r} of the model {ref.name!r}")
        raise VersionNotFoundError(f"The model {ref.name!r} has no alias {alias!r}.")

    def _check_whole(self, what: str) -> None:
        """Say of what is not here that it may be there, where that is so."""
        if not self.is_whole:
            raise NotReadyError(
                f"The model store cannot be read now, and {what} is not known without it. "
                "Try again later.",
                retry_after_s=_RETRY_S,
            )
