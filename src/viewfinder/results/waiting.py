"""What waits to be written down."""

from dataclasses import dataclass, replace
from typing import Self

from viewfinder.serving.recording import Answered
from viewfinder.types import Prediction

MOST_CLASSES = 10
"""As many classes of an answer as are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """An answer, without what is not kept of it.

    Attributes:
        prediction: The answer, with its first `MOST_CLASSES` classes.
        sha256: Of the image file, as hexadecimal digits.
        image_bytes: Its size.
        owner: The id of the key that asked.
        job: The id of the job that asked.
        image: The image file, if it is to be stored.
    """

    prediction: Prediction
    sha256: str
    image_bytes: int
    owner: str | None
    job: str | None
    image: bytes | None

    @classmethod
    def of(cls, answered: Answered, *, with_image: bool) -> Self:
        """What is kept of a photo and its answer."""
        prediction = answered.prediction
        if len(prediction.classes) > MOST_CLASSES:
            prediction = replace(prediction, classes=prediction.classes[:MOST_CLASSES])
        data = answered.data
        image = data if with_image else None
        return cls(prediction, answered.sha256, len(data), answered.owner, answered.job, image)
