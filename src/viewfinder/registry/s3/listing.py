"""What a model store on S3 holds, from one listing of its objects."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from viewfinder.blobs.bucket import Listed
from viewfinder.registry.bundle import MANIFEST
from viewfinder.registry.routing import ROUTING
from viewfinder.types import is_model_name, parse_version


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is, with a mark that changes whenever any of its objects does."""

    versions: Mapping[str, str]
    routings: Mapping[str, str]

    @classmethod
    def of(cls, objects: Iterable[Listed]) -> Self:
        """Sort objects by what they belong to; what belongs to nothing is left out."""
        routings: dict[str, str] = {}
        folders: dict[str, list[Listed]] = {}
        for listed in objects:
            name, _, rest = listed.key.partition("/")
            version, _, inner = rest.partition("/")
            if not is_model_name(name):
                continue
            if rest == ROUTING:
                routings[listed.key] = listed.etag
            elif parse_version(version) is not None and inner:
                folders.setdefault(f"{name}/{version}", []).append(listed)
        versions = {path: _digest(found) for path, found in folders.items() if _exists(path, found)}
        return cls(versions, routings)


def _exists(path: str, objects: Iterable[Listed]) -> bool:
    return any(listed.key == f"{path}/{MANIFEST}" for listed in objects)


def _digest(objects: Iterable[Listed]) -> str:
    seen = sorted((listed.key, listed.size, listed.etag) for listed in objects)
    return hashlib.sha256(repr(seen).encode()).hexdigest()
