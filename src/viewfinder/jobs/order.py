"""What is asked for with a new job, apart from its images."""

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """How the images of a job are to be answered, and for whom.

    Attributes:
        asked: The model, as the request names it; None for the default.
        model: The name of the model that is meant.
        version: Its version, which answers all of the job.
        top_k: How many classes an answer names.
        min_confidence: Classes under it are left out of an answer, 0-1.
        callback_url: Whom to tell when it is over.
        owner: The id of the key that asks; None where none is asked for.
        request_key: Digest of owner and Idempotency-Key, if there was one.
    """

    asked: str | None
    model: str
    version: int
    top_k: int
    min_confidence: float
    callback_url: str | None = None
    owner: str | None = None
    request_key: str | None = None


def make_request_key(owner: str | None, key: str) -> str:
    """By what a job is found again: nobody finds that of another owner.

    Args:
        owner: The id of the key for the API; None where none is asked for.
        key: The Idempotency-Key.
    """
    return hashlib.sha256(json.dumps([owner, key]).encode()).hexdigest()
