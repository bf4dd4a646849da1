"""`viewfinder.AsyncClient`: a server, asked on an event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, overload

from typing_extensions import override

from viewfinder.client import operations
from viewfinder.client.answers.accuracy import LiveAccuracy
from viewfinder.client.answers.health import Health, Readiness
from viewfinder.client.answers.jobs import Job, JobResult, JobState
from viewfinder.client.answers.models import Label, ModelInfo, Models, Routing, Version
from viewfinder.client.answers.results import Result
from viewfinder.client.call import Call, T
from viewfinder.client.core import Core, check_photo, new_id
from viewfinder.client.options import Options
from viewfinder.client.pages import Pages
from viewfinder.client.photos.files import to_bytes
from viewfinder.client.sending.async_wire import AsyncWire
from viewfinder.client.sending.talk import Deadline, Heard, Send, Steps
from viewfinder.errors import Failure, ViewfinderError
from viewfinder.shared.options import OnError, check_on_error, check_options
from viewfinder.types import Explain, Photo, Prediction


class AsyncClient(Core):
    """A Viewfinder server, asked by any number of tasks of one event loop.

    It has the methods of `Client`, which says what they do; those that answer one by one are
    asynchronous generators. Files are read, and photos made smaller, by threads.

    Example:
        >>> async with viewfinder.AsyncClient("http://127.0.0.1:8000") as client:
        ...     (await client.classify("photo.jpg")).top.label
        'sandal'
    """

    _wire: AsyncWire

    @override
    def _connect(self, options: Options) -> None:
        self._wire = AsyncWire(options)

    async def classify(
        self,
        photo: Photo | None = None,
        *,
        url: str | None = None,
        model: str | None = None,
        top_k: int = 5,
        min_confidence: float = 0.0,
        explain: Explain = "none",
        timeout_s: float | None = None,
    ) -> Prediction:
        """Classify one photo.

        Args:
            photo: See `viewfinder.types.Photo`. Files and bytes go as they are, unless the client
                makes photos smaller; an image or an array that somebody has decoded goes as PNG.
            url: In place of a photo: where the server is to fetch it, if it does that.
            model: `name`, `name@3` or `name@alias`; the server's default if not given.
            top_k: How many classes to name, 1-100, at most as many as the model has.
            min_confidence: Classes under it are left out of `classes`, 0-1.
            explain: `heatmap` says in `explanation` where the top class was seen; that takes many
                times as long.
            timeout_s: Seconds for all of it; those of the client if not given.

        Raises:
            OSError: The file cannot be read.
            TypeError: It is none of the kinds of `Photo`.
            ValueError: An array is not uint8 `[H, W, 3]`.
        """
        check_photo(photo, url)
        deadline = self._until(timeout_s)
        data = await self._read(photo)
        call = operations.classify(
            data, url, model=model, top_k=top_k, min_confidence=min_confidence, explain=explain
        )
        return await self._ask(call, deadline)

    @overload
    def classify_many(
        self,
        photos: Iterable[Photo],
        *,
        model: str | None = None,
        top_k: int = 5,
        min_confidence: float = 0.0,
        timeout_s: float | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> AsyncGenerator[Prediction]: ...

    @overload
    def classify_many(
        self,
        photos: Iterable[Photo],
        *,
        model: str | None = None,
        top_k: int = 5,
        min_confidence: float = 0.0,
        timeout_s: float | None = None,
        on_error: Literal["return"],
    ) -> AsyncGenerator[Prediction | Failure]: ...

    def classify_many(
        self,
        photos: Iterable[Photo],
        *,
        model: str | None = None,
        top_k: int = 5,
        min_confidence: float = 0.0,
        timeout_s: float | None = None,
        on_error: OnError = "raise",
    ) -> AsyncGenerator[Prediction | Failure]:
        """Classify photos, several side by side; the answers come in the order of the photos.

        No more photos are taken than are needed ahead, so that there may be any number.

        Args:
            photos: See `viewfinder.types.Photo`.
            model: As for one.
            top_k: As for one.
            min_confidence: As for one.
            timeout_s: Seconds for each.
            on_error: What happens to a photo without an answer: `raise` ends it all there, `return`
                puts the error in the place of the answer.

        Raises:
            InvalidParameterError: An option is out of its range.
        """
        check_options(top_k, min_confidence)
        check_on_error(on_error)
        classify = partial(
            self.classify,
            model=model,
            top_k=top_k,
            min_confidence=min_confidence,
            timeout_s=timeout_s,
        )
        return self._in_order(classify, photos, on_error)

    async def classify_batch(
        self,
        photos: Iterable[Photo],
        *,
        model: str | None = None,
        top_k: int = 5,
        min_confidence: float = 0.0,
        explain: Explain = "none",
        timeout_s: float | None = None,
    ) -> list[Prediction | ViewfinderError]:
        """Classify photos in one request, of as many as the server takes (64, if not told else).

        Args:
            photos: See `viewfinder.types.Photo`.
            model: As for one.
            top_k: As for one.
            min_confidence: As for one.
            explain: As for one; the photos then come one after the other.
            timeout_s: Seconds for all of it.

        Returns:
            In the order of the photos, their answers, or why there is none.
        """
        deadline = self._until(timeout_s)
        form = self._form(photos)
        call = operations.classify_batch(
            form, model=model, top_k=top_k, min_confidence=min_confidence, explain=explain
        )
        return await self._ask(call, deadline)

    async def submit(
        self,
        photos: Iterable[Photo] | None = None,
        *,
        archive: str | Path | bytes | None = None,
        urls: Sequence[str] | None = None,
        model: str | None = None,
        top_k: int = 5,
        min_confidence: float = 0.0,
        callback_url: str | None = None,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> Job:
        """See `Client.submit`."""
        deadline = self._until(timeout_s)
        call = operations.submit(
            self._job_body(photos, archive, urls),
            new_id() if idempotency_key is None else idempotency_key,
            model=model,
            top_k=top_k,
            min_confidence=min_confidence,
            callback_url=callback_url,
        )
        return await self._ask(call, deadline)

    async def job(self, identifier: str) -> Job:
        """See `Client.job`."""
        return await self._ask(operations.job(identifier))

    def jobs(self, state: JobState | None = None) -> AsyncGenerator[Job]:
        """See `Client.jobs`."""
        return self._all(operations.jobs(state))

    def job_results(
        self, identifier: str, *, failed: bool | None = None
    ) -> AsyncGenerator[JobResult]:
        """See `Client.job_results`."""
        return self._all(operations.job_results(identifier, failed))

    async def wait(self, identifier: str, timeout_s: float) -> Job:
        """See `Client.wait`."""
        deadline = self._until(timeout_s)
        job = operations.job(identifier)
        return await self._drive(self._talk.finished(job, deadline, self._options.timeout_s))

    async def cancel(self, identifier: str) -> Job:
        """See `Client.cancel`."""
        return await self._ask(operations.cancel(identifier))

    async def models(self) -> Models:
        """See `Client.models`."""
        return await self._ask(operations.models())

    async def model(self, name: str) -> ModelInfo:
        """See `Client.model`."""
        return await self._ask(operations.model(name))

    async def version(self, name: str, version: int) -> Version:
        """See `Client.version`."""
        return await self._ask(operations.version(name, version))

    async def labels(self, name: str, version: int | None = None) -> tuple[Label, ...]:
        """See `Client.labels`."""
        return await self._ask(operations.labels(name, version))

    async def set_alias(self, name: str, alias: str, version: int) -> Routing:
        """See `Client.set_alias`."""
        return await self._ask(operations.set_alias(name, alias, version))

    async def rollback(self, name: str) -> Routing:
        """See `Client.rollback`."""
        return await self._ask(operations.rollback(name, new_id()))

    async def result(self, identifier: str) -> Result:
        """See `Client.result`."""
        return await self._ask(operations.result(identifier))

    def results(
        self,
        *,
        model: str | None = None,
        label: str | None = None,
        min_confidence: float | None = None,
        max_confidence: float | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        reviewed: bool | None = None,
        order: Literal["newest", "oldest", "uncertain"] = "newest",
    ) -> AsyncGenerator[Result]:
        """Answers that were given: all, or those that all of this is true of.

        Args:
            model: `name` or `name@3`.
            label: What was answered.
            min_confidence: The least, 0-1.
            max_confidence: The most, 0-1.
            since: From this moment on; with a time zone.
            until: Before this moment; with a time zone.
            reviewed: Whether somebody has said what the photo shows.
            order: `uncertain`: the least confident first.

        Raises:
            InvalidParameterError: A moment has no time zone.
        """
        return self._all(
            operations.results(
                model=model,
                label=label,
                min_confidence=min_confidence,
                max_confidence=max_confidence,
                since=since,
                until=until,
                reviewed=reviewed,
                order=order,
            )
        )

    async def feedback(self, identifier: str, label: str, note: str | None = None) -> Result:
        """See `Client.feedback`."""
        return await self._ask(operations.feedback(identifier, label, note))

    async def live_accuracy(
        self, name: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> LiveAccuracy:
        """See `Client.live_accuracy`."""
        return await self._ask(operations.live_accuracy(name, since, until))

    async def live(self) -> Health:
        """See `Client.live`."""
        return await self._ask(operations.live())

    async def ready(self) -> Readiness:
        """See `Client.ready`."""
        return await self._ask(operations.ready())

    async def send(self, call: Call[T], timeout_s: float | None = None) -> T:
        """See `Client.send`."""
        return await self._ask(call, self._until(timeout_s))

    async def close(self) -> None:
        """See `Client.close`."""
        self._is_closed = True
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _read(self, photo: Photo | None) -> bytes | None:
        """What is sent of a photo."""
        if photo is None or (isinstance(photo, bytes) and self._options.resize is None):
            return photo
        return await asyncio.to_thread(to_bytes, photo, self._options.resize)

    async def _in_order(
        self,
        classify: Callable[[Photo], Awaitable[Prediction]],
        photos: Iterable[Photo],
        on_error: OnError,
    ) -> AsyncGenerator[Prediction | Failure]:
        at_once = self._options.at_once
        gate = asyncio.Semaphore(at_once)
        pending: deque[asyncio.Task[Prediction]] = deque()

        async def one(photo: Photo) -> Prediction:
            async with gate:
                return await classify(photo)

        async def next_answer() -> Prediction | Failure:
            try:
                return await pending.popleft()
            except (ViewfinderError, OSError) as error:
                if on_error == "return":
                    return error
                raise

        try:
            for photo in photos:
                pending.append(asyncio.create_task(one(photo)))
                if len(pending) > 2 * at_once:
                    yield await next_answer()
            while pending:
                yield await next_answer()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _all(self, pages: Pages[T]) -> AsyncGenerator[T]:
        cursor, is_last = None, False
        while not is_last:
            page = await self._ask(pages.at(cursor))
            for item in page.items:
                yield item
            cursor, is_last = page.next, page.next is None

    async def _ask(self, call: Call[T], deadline: Deadline | None = None) -> T:
        return await self._drive(self._tries(call, deadline))

    async def _drive(self, steps: Steps[T]) -> T:
        heard: Heard = None
        while True:
            try:
                step = steps.send(heard)
            except StopIteration as ended:
                value: T = ended.value
                return value
            heard = None
            if isinstance(step, Send):
                heard = await self._wire.send(step)
            else:
                await asyncio.sleep(step.seconds)
