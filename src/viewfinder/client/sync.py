"""`viewfinder.Client`: a server, asked by threads."""

import time
from collections.abc import Iterable, Iterator, Sequence
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
from viewfinder.client.sending.talk import Deadline, Heard, Send, Steps
from viewfinder.client.sending.wire import Wire
from viewfinder.errors import Failure, ViewfinderError
from viewfinder.shared.options import OnError, check_on_error, check_options
from viewfinder.shared.side_by_side import side_by_side
from viewfinder.types import Explain, Photo, Prediction


class Client(Core):
    """A Viewfinder server, that any number of threads may ask at once.

    Every call raises, beside what its own docstring says: the errors of the server (docs/errors.md)
    as exceptions of `viewfinder.errors`, `RemoteError` where there is no server or it is none of
    Viewfinder's, `DeadlineExceededError` when the time is over, `NotReadyError` when the client is
    closed.

    Calls are tried again as `Retries` says, except for `cancel`, which a second time would be
    refused: it is tried again only where no connection came to be. `submit` and `rollback` carry a
    key, by which the server knows them again. A photo whose answer was lost on the way is
    classified, and recorded, once more.

    Example:
        >>> with viewfinder.Client("http://127.0.0.1:8000") as client:
        ...     client.classify("photo.jpg").top.label
        'sandal'
    """

    _wire: Wire

    @override
    def _connect(self, options: Options) -> None:
        self._wire = Wire(options)

    def classify(
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
        data = None if photo is None else to_bytes(photo, self._options.resize)
        call = operations.classify(
            data, url, model=model, top_k=top_k, min_confidence=min_confidence, explain=explain
        )
        return self._ask(call, deadline)

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
    ) -> Iterator[Prediction]: ...

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
    ) -> Iterator[Prediction | Failure]: ...

    def classify_many(
        self,
        photos: Iterable[Photo],
        *,
        model: str | None = None,
        top_k: int = 5,
        min_confidence: float = 0.0,
        timeout_s: float | None = None,
        on_error: OnError = "raise",
    ) -> Iterator[Prediction | Failure]:
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
        threads = self._options.at_once
        return side_by_side(classify, photos, threads=threads, on_error=on_error)

    def classify_batch(
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
        return self._ask(call, deadline)

    def submit(
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
        """Send many photos to be answered in the background.

        Files are read while they are sent.

        Args:
            photos: See `viewfinder.types.Photo`; or,
            archive: in their place, a zip: its path, or its bytes; or,
            urls: in their place, where the server is to fetch them, if it does that.
            model: As for one photo.
            top_k: As for one photo.
            min_confidence: Classes under it are left out, 0-1.
            callback_url: Who is to be told when it is over.
            idempotency_key: By which the server knows this job again; a new one if not given.
            timeout_s: Seconds for all of it; gigabytes need more than the usual ones.

        Returns:
            The job as it was accepted.

        Raises:
            OSError: A file cannot be read.
            TypeError: Not one of `photos`, `archive` and `urls` is given.
        """
        deadline = self._until(timeout_s)
        call = operations.submit(
            self._job_body(photos, archive, urls),
            new_id() if idempotency_key is None else idempotency_key,
            model=model,
            top_k=top_k,
            min_confidence=min_confidence,
            callback_url=callback_url,
        )
        return self._ask(call, deadline)

    def job(self, identifier: str) -> Job:
        """How a job stands."""
        return self._ask(operations.job(identifier))

    def jobs(self, state: JobState | None = None) -> Iterator[Job]:
        """All jobs, or those in a state, newest first."""
        return self._all(operations.jobs(state))

    def job_results(self, identifier: str, *, failed: bool | None = None) -> Iterator[JobResult]:
        """What has come of the images of a job so far, in their order.

        Args:
            identifier: Of the job.
            failed: Only those without an answer (True), or with one (False).
        """
        return self._all(operations.job_results(identifier, failed))

    def wait(self, identifier: str, timeout_s: float) -> Job:
        """Wait until a job is over, however it ends.

        A server that goes away meanwhile is waited for too.

        Args:
            identifier: Of the job.
            timeout_s: Seconds after which to give up; the job goes on.

        Raises:
            DeadlineExceededError: It is not over.
        """
        deadline = self._until(timeout_s)
        job = operations.job(identifier)
        return self._drive(self._talk.finished(job, deadline, self._options.timeout_s))

    def cancel(self, identifier: str) -> Job:
        """Call a job off; what has been answered stays.

        Raises:
            ConflictError: It is over.
        """
        return self._ask(operations.cancel(identifier))

    def models(self) -> Models:
        """Every model, and which one is the default."""
        return self._ask(operations.models())

    def model(self, name: str) -> ModelInfo:
        """A model, its versions and their states, aliases and traffic."""
        return self._ask(operations.model(name))

    def version(self, name: str, version: int) -> Version:
        """What a version of a model says of itself."""
        return self._ask(operations.version(name, version))

    def labels(self, name: str, version: int | None = None) -> tuple[Label, ...]:
        """The classes of a model, in the order of its output.

        Args:
            name: Of the model.
            version: Which one's; if not given, that which the bare name means.
        """
        return self._ask(operations.labels(name, version))

    def set_alias(self, name: str, alias: str, version: int) -> Routing:
        """Let an alias mean a version, once that is loaded and has proved itself."""
        return self._ask(operations.set_alias(name, alias, version))

    def rollback(self, name: str) -> Routing:
        """Let the version before answer.

        Raises:
            ConflictError: There is none.
        """
        return self._ask(operations.rollback(name, new_id()))

    def result(self, identifier: str) -> Result:
        """An answer that was given; its id is that of the prediction."""
        return self._ask(operations.result(identifier))

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
    ) -> Iterator[Result]:
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

    def feedback(self, identifier: str, label: str, note: str | None = None) -> Result:
        """Say what the photo of a result shows, in place of what was said before.

        Args:
            identifier: Of the result.
            label: The right class, also where the answer was right.
            note: Whatever else there is.
        """
        return self._ask(operations.feedback(identifier, label, note))

    def live_accuracy(
        self, name: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> LiveAccuracy:
        """How good a model's answers were, by what people said of them.

        Args:
            name: Of the model.
            since: Answers from this moment on; with a time zone.
            until: Answers from before this moment; with a time zone.

        Raises:
            InvalidParameterError: A moment has no time zone.
        """
        return self._ask(operations.live_accuracy(name, since, until))

    def live(self) -> Health:
        """That the process is alive, and its version."""
        return self._ask(operations.live())

    def ready(self) -> Readiness:
        """Whether photos are answered, and how each part is; that they are not is no error."""
        return self._ask(operations.ready())

    def send(self, call: Call[T], timeout_s: float | None = None) -> T:
        """Send a call that has no method of its own.

        Args:
            call: See `viewfinder.client.call`.
            timeout_s: Seconds for all of it.
        """
        return self._ask(call, self._until(timeout_s))

    def close(self) -> None:
        """Close every connection; whoever asks after that gets `NotReadyError`."""
        self._is_closed = True
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _all(self, pages: Pages[T]) -> Iterator[T]:
        cursor, is_last = None, False
        while not is_last:
            page = self._ask(pages.at(cursor))
            yield from page.items
            cursor, is_last = page.next, page.next is None

    def _ask(self, call: Call[T], deadline: Deadline | None = None) -> T:
        return self._drive(self._tries(call, deadline))

    def _drive(self, steps: Steps[T]) -> T:
        heard: Heard = None
        while True:
            try:
                step = steps.send(heard)
            except StopIteration as ended:
                value: T = ended.value
                return value
            heard = None
            if isinstance(step, Send):
                heard = self._wire.send(step)
            else:
                time.sleep(step.seconds)
