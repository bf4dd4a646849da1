"""What the service counts and times: every metric there is, in the order in which it is shown.

No label comes from a client. Times are in seconds, and the buckets fit milliseconds.
"""

from collections.abc import Iterable

from viewfinder import __version__
from viewfinder.telemetry.cells import Cells, Place, Siblings
from viewfinder.telemetry.exposition import Exposition, total
from viewfinder.telemetry.instruments import Combine, Counter, Family, Gauge, Histogram
from viewfinder.telemetry.processes import PROCESS_FAMILIES, process_totals
from viewfinder.types import Prediction, ServedModel

_REQUEST = ("method", "endpoint", "status")
_MODEL = ("model", "version", "variant")

_REQUEST_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1),
    *(0.2, 0.5, 1, 2, 5, 10, 30),
)
_WORK_S = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05),
    *(0.1, 0.25, 1),
)
_QUEUE_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_BYTES = (4e3, 16e3, 64e3, 256e3, 1e6, 4e6, 16e6)
_PIXELS = (10e3, 50e3, 250e3, 1e6, 4e6, 12e6, 50e6)
_TENTHS = tuple(tenth / 10 for tenth in range(1, 11))
_BATCHES = (1, 2, 4, 8, 16, 32, 64)

_MS_PER_S = 1000


class Metrics:
    """The metrics of one process, and of all workers of the server that it belongs to.

    Args:
        place: Where this worker counts; None if it is alone.
    """

    def __init__(self, place: Place | None = None) -> None:
        self._families: list[Family] = []
        self._cells = Cells(place)
        self._siblings = Siblings(self._cells, place)
        counter, gauge, histogram = self._counter, self._gauge, self._histogram

        self.requests = counter(
            "requests_total",
            "Requests that are over; status 499: the client did not wait.",
            _REQUEST,
        )
        self.request_seconds = histogram(
            "request_latency_seconds",
            "From the first byte of a request until the last of its answer was handed on.",
            _REQUEST_S,
            _REQUEST,
        )
        self.refusals = counter(
            "viewfinder_refusals_total",
            "Requests, and images of batches, that were answered with an error: its code.",
            ("reason",),
        )
        self.in_progress = gauge("viewfinder_requests_in_progress", "Requests in hand.")
        self.connections = gauge("viewfinder_connections", "Open connections.")

        self._image_bytes = histogram(
            "viewfinder_image_bytes", "Size of a classified image's file.", _BYTES
        )
        self._image_pixels = histogram(
            "viewfinder_image_pixels",
            "Pixels of an image that was worked out, as it was sent.",
            _PIXELS,
        )
        self._decode = histogram(
            "viewfinder_decode_seconds", "Decoding and resizing one image.", _WORK_S
        )
        self._queue = histogram(
            "viewfinder_queue_seconds",
            "From an image's arrival until a thread took it up.",
            _QUEUE_S,
        )
        self._inference = histogram(
            "viewfinder_inference_seconds", "The graph, for one image.", _WORK_S, _MODEL
        )

        self.queue_depth = gauge(
            "viewfinder_queue_depth", "Images that wait, in each lane.", ("device", "lane")
        )
        self.queue_capacity = gauge(
            "viewfinder_queue_capacity", "Images that may wait in each lane.", ("device",)
        )
        self._batch_size = histogram(
            "viewfinder_batch_size",
            "Images in one call of a compute thread.",
            _BATCHES,
            ("device",),
        )
        self.compute_threads = gauge(
            "viewfinder_compute_threads", "Compute threads that are alive.", ("device",)
        )
        self._busy = counter(
            "viewfinder_compute_busy_seconds_total",
            "Seconds of work of all compute threads together.",
            ("device",),
        )

        self._predictions = counter(
            "viewfinder_predictions_total", "Answers, those from the cache too.", _MODEL
        )
        self._confidence = histogram(
            "viewfinder_confidence", "Confidence of the first class, 0-1.", _TENTHS, _MODEL
        )
        self._abstentions = counter(
            "viewfinder_abstentions_total", "Answers with `abstained`.", _MODEL
        )
        self._cache_hits = counter(
            "viewfinder_cache_hits_total",
            "Answers for which nothing was worked out; where there is a cache.",
        )
        self._cache_misses = counter(
            "viewfinder_cache_misses_total", "Answers that were worked out beside a cache."
        )
        self.shadow_comparisons = counter(
            "viewfinder_shadow_comparisons_total",
            "Images shown to a shadow (`version`): it `agreed`, `disagreed` or `failed`, or was "
            "`skipped` for want of time.",
            ("model", "version", "outcome"),
        )
        self.model_loads = counter(
            "viewfinder_model_loads_total",
            "Versions brought into memory (`ready`), or not (`failed`); a reload is a load of "
            "another version.",
            ("model", "outcome"),
        )
        self.model_loaded = gauge(
            "viewfinder_model_loaded", "Workers that have a version in memory.", _MODEL
        )
        self.store_looks = counter(
            "viewfinder_store_looks_total",
            "Looks at the model store: `ok`, `failed`.",
            ("outcome",),
        )

        self.results_recorded = counter(
            "viewfinder_results_recorded_total", "Answers taken note of."
        )
        self.results_written = counter(
            "viewfinder_results_written_total", "Answers taken note of that are in the database."
        )
        self.results_lost = counter(
            "viewfinder_results_lost_total", "Answers taken note of that were lost."
        )
        self.results_waiting = gauge(
            "viewfinder_results_waiting", "Answers that wait to be written."
        )
        self.result_write_failures = counter(
            "viewfinder_result_write_failures_total", "Tries to write answers that have failed."
        )
        self.result_images_lost = counter(
            "viewfinder_result_images_lost_total", "Images that were to be stored, and were not."
        )
        self.callback_attempts = counter(
            "viewfinder_callback_attempts_total",
            "Calls to those who wait for a job, by what the callback is afterwards: `delivered`, "
            "`waiting` (to be tried again), `refused`, `expired`.",
            ("outcome",),
        )
        self.plugin_dropped = counter(
            "viewfinder_plugin_dropped_total",
            "Predictions that a plug-in missed, being too slow.",
            ("plugin",),
        )
        self.plugin_failures = counter(
            "viewfinder_plugin_failures_total",
            "Predictions that a plug-in failed at.",
            ("plugin",),
        )
        self.job_images = counter(
            "viewfinder_job_images_total",
            "Images of jobs that are done: `succeeded`, `failed`.",
            ("outcome",),
        )
        self.jobs_finished = counter(
            "viewfinder_jobs_finished_total",
            "Jobs that this server, or this worker, finished.",
            ("state",),
        )

        self.drift_psi = gauge(
            "viewfinder_drift_psi",
            "How far recent images are from those that the model was measured with, as population "
            "stability index; absent until there are enough.",
            (*_MODEL, "of"),
            combine="max",
        )
        self.drift_photos = gauge(
            "viewfinder_drift_photos", "Images that are compared.", _MODEL, combine="max"
        )

        self.part_ready = gauge(
            "viewfinder_part_ready",
            "1 where a part is ready in all workers, else 0, as `/health/ready` has it.",
            ("part",),
            combine="min",
        )
        self.loop_lag = gauge(
            "viewfinder_event_loop_lag_seconds",
            "How late the event loop was at its last look, in the worst worker.",
            combine="max",
        )
        self._workers = gauge("viewfinder_workers", "Server processes that are alive.")
        self._build = gauge(
            "viewfinder_build_info",
            "1; the label says which version runs.",
            ("version",),
            combine="max",
        )
        self._exposition = Exposition(self.families)
        self._workers.set(1)
        self._build.set(1, __version__)

    @property
    def families(self) -> tuple[Family, ...]:
        """What each metric is, in the order in which they are shown."""
        return (*self._families, *PROCESS_FAMILIES)

    def predicted(
        self, prediction: Prediction, size: int, *, pixels: int | None = None, cache: bool
    ) -> None:
        """Take an answer in.

        Args:
            prediction: The answer.
            size: Bytes of the image's file.
            pixels: Of the image, as it was sent; None where nothing was worked out.
            cache: Whether there is one.
        """
        model, timing = labels_of(prediction.model), prediction.timing
        self._predictions.add(*model)
        self._confidence.observe(prediction.top.confidence, *model)
        if prediction.abstained:
            self._abstentions.add(*model)
        self._image_bytes.observe(size)
        if prediction.cached:
            self._cache_hits.add()
            return
        if cache:
            self._cache_misses.add()
        if pixels is not None:
            self._image_pixels.observe(pixels)
        self._decode.observe(timing.decode / _MS_PER_S)
        self._queue.observe(timing.queue / _MS_PER_S)
        self._inference.observe(timing.infer / _MS_PER_S, *model)

    def worked(self, device: str, items: int, seconds: float) -> None:
        """Take a call of a compute thread in; from any thread."""
        self._batch_size.observe(items, device)
        self._busy.add(device, by=seconds)

    def refused(self, reason: str) -> None:
        """Count an error that was answered, by its code."""
        self.refusals.add(reason)

    def render(self) -> bytes:
        """All metrics of all workers, as text for Prometheus."""
        workers = list(self._siblings.read())
        totals = total(self._families, workers)
        alive = [worker.pid for worker in workers if worker.pid is not None]
        return self._exposition.render(totals | process_totals(alive))

    def _counter(self, name: str, description: str, labels: Iterable[str] = ()) -> Counter:
        family = self._add(Family(name, "counter", description, tuple(labels)))
        return Counter(family, self._cells)

    def _gauge(
        self, name: str, description: str, labels: Iterable[str] = (), *, combine: Combine = "sum"
    ) -> Gauge:
        family = self._add(Family(name, "gauge", description, tuple(labels), combine=combine))
        return Gauge(family, self._cells)

    def _histogram(
        self,
        name: str,
        description: str,
        buckets: tuple[float, ...],
        labels: Iterable[str] = (),
    ) -> Histogram:
        family = self._add(Family(name, "histogram", description, tuple(labels), buckets))
        return Histogram(family, self._cells)

    def _add(self, family: Family) -> Family:
        self._families.append(family)
        return family


def labels_of(model: ServedModel) -> tuple[str, str, str]:
    """The values of the labels `model`, `version` and `variant`."""
    return model.name, str(model.version), model.variant
