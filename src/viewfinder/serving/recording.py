"""What the way of a photo hands to who keeps records of answers."""

from dataclasses import dataclass
from typing import Protocol

from viewfinder.types import Prediction


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """A photo and its answer.

    Attributes:
        prediction: The answer, with its id.
        data: The bytes of the image file, as they were sent.
        sha256: 64 hexadecimal digits of these.
        owner: The id of the key that asked; None where none was asked for.
        job: The id of the job that asked, if one did.
    """

    prediction: Prediction
    data: bytes
    sha256: str
    owner: str | None = None
    job: str | None = None


class Recorder(Protocol):
    """Takes note of answers."""

    def record(self, answered: Answered) -> None:
        """Take note; returns at once and never fails: what there is no room for is counted."""
