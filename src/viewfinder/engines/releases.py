"""Which releases of a runtime are installed: another one may read the same graph otherwise."""

import contextlib
from collections.abc import Iterable
from importlib import metadata


def releases(distributions: Iterable[str]) -> tuple[str, ...]:
    """Those of the packages that are installed, as `name==release`."""
    found = []
    for name in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name}=={metadata.version(name)}")
    return tuple(found)
