"""Figures that are read off from time to time, rather than counted where they come about."""

import asyncio
import contextlib
import logging

from viewfinder.api.health import READY, parts_of
from viewfinder.api.services import Services
from viewfinder.shared.seldom import Seldom
from viewfinder.telemetry.metrics import Metrics, labels_of

logger = logging.getLogger(__name__)

_PAUSE_S = 1.0


class Sampler:
    """Reads the parts of a process into its metrics, once a second and whenever asked.

    Args:
        services: The parts.
        metrics: Where the figures go.

    Attributes:
        metrics: As given.
    """

    def __init__(self, services: Services, metrics: Metrics) -> None:
        self._services = services
        self.metrics = metrics
        self._log = Seldom()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self.sample()
        self._task = asyncio.create_task(self._repeat())

    async def close(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(Exception):
            self.sample()

    def sample(self) -> None:
        """Read them now."""
        self._sample_queues()
        self._sample_models()
        self._sample_results()
        self._sample_outgoing()
        self._sample_drift()
        parts = parts_of(self._services)
        self.metrics.part_ready.replace(
            {(part,): float(state == READY) for part, state in parts.items()}
        )

    async def _repeat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _PAUSE_S
            await asyncio.sleep(_PAUSE_S)
            self.metrics.loop_lag.set(max(0.0, loop.time() - due))
            try:
                self.sample()
            except Exception:  # a fault of ours: the next look may be better
                if self._log.may_speak():
                    logger.exception("some metrics could not be read off")

    def _sample_queues(self) -> None:
        metrics = self.metrics
        for device, queue in self._services.devices.queues.items():
            metrics.queue_capacity.set(queue.capacity, device)
            metrics.compute_threads.set(queue.threads, device)
            for lane, depth in queue.depths.items():
                metrics.queue_depth.set(depth, device, lane)

    def _sample_models(self) -> None:
        metrics, models = self.metrics, self._services.models
        for load, count in models.loads.items():
            metrics.model_loads.follow(count, *load)
        for look, count in models.looks.items():
            metrics.store_looks.follow(count, look)
        metrics.model_loaded.replace({labels_of(model): 1.0 for model in models.in_memory})
        for name, shadow in self._services.classify.shadows.comparisons.items():
            for outcome, count in shadow.outcomes.items():
                metrics.shadow_comparisons.follow(count, name, str(shadow.version), outcome)

    def _sample_drift(self) -> None:
        metrics, drift = self.metrics, self._services.drift
        if drift is None:
            return
        drift.look()
        standings = drift.standings()
        metrics.drift_photos.replace({labels_of(s.model): float(s.photos) for s in standings})
        metrics.drift_psi.replace(
            {
                (*labels_of(standing.model), of): value
                for standing in standings
                for of, value in standing.psi.items()
            }
        )

    def _sample_results(self) -> None:
        metrics, recorder = self.metrics, self._services.recorder
        if recorder is None:
            return
        metrics.results_recorded.follow(recorder.recorded)
        metrics.results_written.follow(recorder.written)
        metrics.results_lost.follow(recorder.losses.count)
        metrics.results_waiting.set(recorder.waiting)
        metrics.result_write_failures.follow(recorder.failures)
        if recorder.images is not None:
            metrics.result_images_lost.follow(recorder.images.losses.count)

    def _sample_outgoing(self) -> None:
        metrics, services = self.metrics, self._services
        for plugin, (dropped, failed) in services.classify.callbacks.standing.items():
            metrics.plugin_dropped.follow(dropped, plugin)
            metrics.plugin_failures.follow(failed, plugin)
        if services.webhooks is not None:
            for outcome, count in services.webhooks.attempts.items():
                metrics.callback_attempts.follow(count, outcome)
        if services.jobs is not None:
            for outcome, count in services.jobs.counts.images.items():
                metrics.job_images.follow(count, outcome)
            for state, count in services.jobs.counts.finished.items():
                metrics.jobs_finished.follow(count, state)
