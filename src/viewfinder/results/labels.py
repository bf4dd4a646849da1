"""What a person may say that a photo shows: it becomes a class, and the name of a folder."""

import os
import unicodedata

from viewfinder.datasets.labels import tidy_label

_LONGEST_NAME = 255


def tidy_feedback(text: str) -> str:
    """A label as it will be kept: without blanks around it, its accents in one form (NFC).

    Raises:
        ValueError: It cannot be a label, or not the name of a folder; says why.
    """
    label = tidy_label(text)
    if label.startswith("."):  # also `.` and `..`
        raise ValueError("a label does not begin with a dot")
    if "/" in label or "\\" in label:
        raise ValueError("a label has no / and no \\ in it")
    if len(os.fsencode(label)) > _LONGEST_NAME:
        raise ValueError(f"the label takes more than {_LONGEST_NAME} bytes in UTF-8")
    return label


def in_one_form(label: str) -> str:
    """A class of a model as `tidy_feedback` would write it: a foreign model's may be in another."""
    return unicodedata.normalize("NFC", label)
