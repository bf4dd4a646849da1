"""One image of a job: bring it, have it answered, and write down what came of that."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from viewfinder.blobs.store import Blobs
from viewfinder.errors import (
    DeadlineExceededError,
    ModelNotFoundError,
    NotReadyError,
    RequestError,
    ServiceError,
    UrlFetchDisabledError,
    VersionNotFoundError,
    ViewfinderError,
)
from viewfinder.net.fetch import Fetcher
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.service import ClassifyService
from viewfinder.storage.jobs.places import input_key
from viewfinder.storage.jobs.rows import Job, JobItem
from viewfinder.telemetry.tracing import carried, trace
from viewfinder.types import Prediction

logger = logging.getLogger(__name__)
# Nobody waits for this very answer: it may stand behind whoever is there.
_PATIENCE_S = 600.0
# Of images that were sent; S3 takes a while for each.
_READERS = 16
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
# A thread that does not come back from an image is lost; not many are to follow it.
_MOST_EXPIRED = 2

_GONE = {
    "code": "internal_error",
    "detail": "The image was lost on the server before it was worked on.",
}
_INTERNAL = {
    "code": "internal_error",
    "detail": "Something went wrong on the server. Its log has the details.",
}
FATAL = {
    "code": "internal_error",
    "detail": "The server's process ended several times while it worked on this image.",
}
"""What is wrong with an image that nobody survives."""


class ModelGoneError(Exception):
    """The model of a job is not there any more.

    Args:
        error: How the manager says it.
    """

    def __init__(self, error: RequestError) -> None:
        super().__init__(error.detail)
        self.error = {"code": error.code, "detail": error.detail}


class ImageWork:
    """Answers images of jobs, in the lane that gets what interactive requests leave.

    Args:
        models: Which there are.
        classify: Gives the answers.
        blobs: Where the images lie that were sent.
        fetcher: Brings the others; None where that is switched off.
    """

    def __init__(
        self, models: ModelManager, classify: ClassifyService, blobs: Blobs, fetcher: Fetcher | None
    ) -> None:
        self._models = models
        self._classify = classify
        self._blobs = blobs
        self._fetcher = fetcher
        # Of its own: where S3 hangs, nothing else in the process waits for a thread behind it.
        self._readers = ThreadPoolExecutor(_READERS, "inputs")

    async def read_ahead(self, job: Job, items: Sequence[JobItem]) -> list[bytes | None]:
        """The bytes of images that lie near, all with one change of threads; None for the others.

        `answer` brings what is missing here, each image by itself and at the same time as others.
        """
        if not self._blobs.is_near:
            return [None] * len(items)

        def read() -> list[bytes | None]:
            return [self._read(job, item) for item in items]

        return await asyncio.get_running_loop().run_in_executor(self._readers, read)

    def _read(self, job: Job, item: JobItem) -> bytes | None:
        if item.error is not None or item.url is not None:
            return None
        try:
            return self._blobs.get(input_key(job.id, item.position))
        except OSError:
            return None  # `answer` will meet it again, and knows what to do

    async def answer(self, job: Job, item: JobItem, data: bytes | None = None) -> JobItem:
        """The image with its answer, or with what is wrong with it.

        What only time can mend (an overload, a model that is not ready, a store that is away) is
        waited for, until cancelled.

        Args:
            job: Whose image it is.
            item: The image.
            data: Its bytes, if they have been read.

        Raises:
            ModelGoneError: There is nobody to ask.
        """
        if item.error is not None:
            return item  # it was refused when it came, and not kept
        pause, expired = _FIRST_PAUSE_S, 0
        while True:
            try:
                return await self._try(job, item, data)
            except (ModelNotFoundError, VersionNotFoundError):
                await self._look_again(job)
            except RequestError as error:
                return replace(item, error=_as_json(error))
            except DeadlineExceededError as error:
                expired += 1
                if expired > _MOST_EXPIRED:
                    return replace(item, error=_as_json(error))
            except FileNotFoundError:
                return replace(item, error=_GONE)
            except (ServiceError, OSError) as error:
                logger.debug("an image of the job %s has to wait: %s", job.id, error)
            except Exception:
                logger.exception("an image of the job %s was not answered", job.id)
                return replace(item, error=_INTERNAL)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _try(self, job: Job, item: JobItem, data: bytes | None) -> JobItem:
        deadline = time.monotonic() + _PATIENCE_S
        with trace("job image", {"viewfinder.job": job.id, "viewfinder.image": item.position}):
            if data is not None:
                prediction = await self._predict(job, data, deadline)
            else:
                async with self._bytes(job, item, deadline) as brought:
                    prediction = await self._predict(job, brought, deadline)
        return replace(item, result=prediction.id, answer=to_json(prediction))

    async def _predict(self, job: Job, data: bytes, deadline: float) -> Prediction:
        return await self._classify.classify(
            data,
            deadline=deadline,
            model=f"{job.model}@{job.version}",
            top_k=job.top_k,
            min_confidence=job.min_confidence,
            owner=job.owner,
            job=job.id,
            lane="batch",
        )

    @asynccontextmanager
    async def _bytes(self, job: Job, item: JobItem, deadline: float) -> AsyncGenerator[bytes]:
        if item.url is None:
            key = input_key(job.id, item.position)
            loop = asyncio.get_running_loop()
            yield await loop.run_in_executor(self._readers, carried(self._blobs.get), key)
        elif self._fetcher is None:
            raise UrlFetchDisabledError("Images by URL are switched off on this server.")
        else:
            async with self._fetcher.fetch(item.url, deadline) as data:
                yield data

    async def _look_again(self, job: Job) -> None:
        """Who has accepted the job may have seen a version that this process has not.

        Raises:
            ModelGoneError: It is not there.
        """
        try:
            await self._models.reload()
            self._models.catalog.bundle(job.model, job.version)
        except NotReadyError:
            return  # nobody can tell now
        except (ModelNotFoundError, VersionNotFoundError) as error:
            raise ModelGoneError(error) from error


def _as_json(error: ViewfinderError) -> dict[str, str]:
    return {"code": error.code, "detail": error.detail}


def to_json(prediction: Prediction) -> dict[str, Any]:
    """An answer as the API shows it."""
    timing, model = prediction.timing, prediction.model
    return {
        "id": prediction.id,
        "class": prediction.top.label,
        "confidence": prediction.top.confidence,
        "classes": [
            {"class": score.label, "index": score.index, "confidence": score.confidence}
            for score in prediction.classes
        ],
        "model": {"name": model.name, "version": model.version, "variant": model.variant},
        "abstained": prediction.abstained,
        "cached": prediction.cached,
        "timing_ms": {
            "decode": round(timing.decode, 3),
            "queue": round(timing.queue, 3),
            "infer": round(timing.infer, 3),
            "total": round(timing.total, 3),
        },
    }
