"""What a class and a split may be called, and which names mean the same."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from viewfinder.datasets.photos import Split
from viewfinder.errors import DatasetError

SPLIT_NAMES: Final[Mapping[str, Split]] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
_LONGEST = 200


def tidy_label(text: str) -> str:
    """A label as it will be kept: without spaces around it, its accents in one form (NFC).

    Raises:
        ValueError: Nothing can have this label; says why.
    """
    label = unicodedata.normalize("NFC", text).strip()
    if not label:
        raise ValueError("the label is empty")
    if len(label) > _LONGEST:
        raise ValueError(f"the label {label[:20]}... is longer than {_LONGEST} characters")
    if not label.isprintable():  # also what is left of a name that is not UTF-8
        raise ValueError(f"the label {label!r} has characters that cannot be shown")
    return label


def split_named(text: str) -> Split | None:
    """The split that people call `text`, in any case; None if there is none."""
    return SPLIT_NAMES.get(text.strip().lower())


def check_distinct(labels: Iterable[str]) -> None:
    """Refuse labels that are meant to be the same, as far as anyone can see.

    Raises:
        DatasetError: Two differ only in case or spaces.
    """
    seen: dict[str, str] = {}
    for label in sorted(labels):
        other = seen.setdefault("".join(label.casefold().split()), label)
        if other != label:
            raise DatasetError(
                f"the labels {other!r} and {label!r} differ only in case or spaces; "
                "make them one, or tell them apart"
            )
