"""Answers of this machine, by the service that serves."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from viewfinder.cli.batch.answers import ANSWERED, Line
from viewfinder.types import ServedModel

if TYPE_CHECKING:
    from viewfinder.serving.service import ClassifyService
    from viewfinder.settings import Settings

_PATIENCE_S = 3600


@dataclass(frozen=True, slots=True)
class Here:
    """The service of this process, with one version of one model."""

    at_once: int
    model: ServedModel
    top_k: int
    service: "ClassifyService"

    async def answer(self, data: bytes) -> Line:
        """See `Answerer.answer`."""
        from viewfinder.api.schemas.classify import Classification

        prediction = await self.service.classify(
            data,
            deadline=time.monotonic() + _PATIENCE_S,
            model=f"{self.model.name}@{self.model.version}",
            top_k=self.top_k,
        )
        body = Classification.of(prediction)
        return body.model_dump(by_alias=True, include=ANSWERED)


@asynccontextmanager
async def answering_here(settings: "Settings", model: str, top_k: int) -> AsyncIterator[Here]:
    """Load a model, and answer with all cores. Nothing is recorded.

    Whatever happens to the model meanwhile, the version that answers first answers all.

    Args:
        settings: Of this machine.
        model: `name`, `name@3` or `name@alias`.
        top_k: How many classes to name.

    Raises:
        RequestError: There is no such model.
        ServiceError: It is broken.
        OperatorError: The store cannot be read, or something is not installed.
    """
    from viewfinder.app.running import running
    from viewfinder.app.services import build_services

    drift = settings.drift.model_copy(update={"enabled": False})
    alone = {"default_model": model, "models": (), "record": "none", "drift": drift}
    services = build_services(settings.model_copy(update=alone))
    models = services.models
    models.status_of(model)  # one that is unknown ends the command here,
    async with running(services):
        await models.get(model)  # and one that is broken here
        meant = models.catalog.resolve(model).manifest  # shares of traffic are a server's
        slot = await models.get(f"{meant.name}@{meant.version}")
        yield Here(
            min(2 * settings.compute_threads, settings.queue_size),
            ServedModel(meant.name, meant.version, slot.loaded.variant.name),
            top_k,
            services.classify,
        )
