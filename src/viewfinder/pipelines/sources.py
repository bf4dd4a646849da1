"""Where, on this machine, the photos are that a model was trained with.

A bundle tells what they are called and their digest, not where they lie: that is nobody's business.
"""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

_DIGEST = re.compile(r"[0-9a-f]{64}")


def remember_source(home: Path, digest: str, source: Path) -> None:
    """Note where the photos of this digest are; what cannot be noted is asked for later."""
    path = _file(home, digest)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(str(source.resolve())))


def recall_source(home: Path, provenance: dict[str, Any]) -> Path | None:
    """Where the photos of a bundle with this provenance are; None if they are not there now."""
    dataset = provenance.get("dataset")
    digest = dataset.get("digest") if isinstance(dataset, dict) else None
    if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
        return None
    with contextlib.suppress(OSError, ValueError, TypeError):
        source = Path(json.loads(_file(home, digest).read_text()))
        return source if source.exists() else None
    return None


def has_learned_from(home: Path, provenance: dict[str, Any], data: Path) -> bool:
    """Whether these are the photos that a bundle of this provenance was trained with.

    Args:
        home: The data home.
        provenance: The bundle's.
        data: All of a data set, or the part of it that was learned from.
    """
    source = recall_source(home, provenance)
    return source is not None and data.resolve() in {source, source / "train"}


def _file(home: Path, digest: str) -> Path:
    return home / "cache" / "sources" / f"{digest}.json"
