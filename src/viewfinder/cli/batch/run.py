"""One run: photos, who answers them, and who hears of it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from viewfinder.cli.batch.answers import Answerer, Line, answers
from viewfinder.cli.batch.here import answering_here
from viewfinder.cli.batch.remote import answering_there
from viewfinder.cli.batch.sources import Photo, Sources, opened
from viewfinder.types import ServedModel

if TYPE_CHECKING:
    from viewfinder.settings import Settings


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked for.

    Attributes:
        named: Photos, folders, archives and addresses, as they were typed.
        model: `name`, `name@3` or `name@alias`; None for the default of the server.
        top_k: How many classes to name, 1-100.
        server: The address of a server that is to answer; None for this machine.
        settings: Of this machine.
    """

    named: tuple[str, ...]
    model: str | None
    top_k: int
    server: str | None
    settings: "Settings"

    @property
    def asked(self) -> dict[str, Any]:
        """What makes one run differ from another, by the names of the command line."""
        return {
            "sources": list(self.named),
            "model": self.model,
            "top-k": self.top_k,
            "server": self.server,
        }


async def classify_photos(
    task: Task,
    sources: Sources,
    photos: Sequence[Photo],
    take: Callable[[Photo, Line], None],
    *,
    model: ServedModel | None = None,
    begin: Callable[[ServedModel | None], None] = lambda _: None,
) -> None:
    """Answer photos.

    Args:
        task: What is asked for.
        sources: Where they come from; closed in the end.
        photos: Those to answer.
        take: Gets each with its line, in their order.
        model: Who is to answer, if an earlier run has begun with that.
        begin: Called before the first answer, with who answers if that is known.

    Raises:
        ViewfinderError: Nobody can answer.
    """
    async with opened(sources), _answering(task, model) as answerer:
        begin(answerer.model)
        async with aclosing(answers(photos, answerer)) as lines:
            async for photo, line in lines:
                take(photo, line)


@asynccontextmanager
async def _answering(task: Task, model: ServedModel | None) -> AsyncIterator[Answerer]:
    if task.server is None:
        from viewfinder.registry.store import default_model

        meant = task.model or default_model(task.settings)
        pinned = f"{model.name}@{model.version}" if model is not None else meant
        async with answering_here(task.settings, pinned, task.top_k) as here:
            yield here
        return
    key = task.settings.api_key
    asked = {"top_k": task.top_k} | ({"model": task.model} if task.model else {})
    async with answering_there(
        task.server,
        key.get_secret_value() if key is not None else None,
        task.settings.limits,
        asked,
        model=model,
    ) as there:
        yield there
