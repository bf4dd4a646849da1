"""The way back: which version answers after a step back from the one that answers now."""

from viewfinder.errors import ConflictError
from viewfinder.registry.catalog import Catalog
from viewfinder.registry.routing import LATEST, STABLE


def rollback_target(catalog: Catalog, name: str) -> int:
    """The version that answers after a step back.

    Where a split gives others a share beside `stable`, that is `stable` alone. Else it is what
    `stable` meant before it was last set, else the highest good version below the one that answers
    now.

    Raises:
        ModelNotFoundError: There is no such model.
        ConflictError: There is none.
    """
    aliases, routing = catalog.aliases(name), catalog.route(name).routing
    now = aliases.get(STABLE, aliases.get(LATEST, 0))
    before = routing.previous.get(STABLE)
    good = {v for v, entry in catalog.versions(name).items() if entry.bundle is not None}
    shares = {share.version for share in (routing.traffic.split if routing.traffic else ())}
    if STABLE in aliases and now in good and shares - {now}:
        return now
    if before in good and before != now:
        return before
    lower = {version for version in good if version < now}
    if not lower:
        raise ConflictError(f"The model {name!r} has no version to go back to.")
    return max(lower)
