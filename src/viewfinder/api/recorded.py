"""Results that are asked for: found, and rendered."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from viewfinder.api.schemas.results import ResultAnswer
from viewfinder.api.services import Services
from viewfinder.errors import NotReadyError, RequestError, ResultNotFoundError, ServiceError
from viewfinder.results.labels import in_one_form
from viewfinder.storage.opening import open_results
from viewfinder.storage.results.wanted import is_result_id

if TYPE_CHECKING:
    from viewfinder.storage.results.rows import Result
    from viewfinder.storage.results.table import Results

_NONE = (
    "There is no such result: it was never recorded, has been erased, or is older than results "
    "are kept."
)
RETRY_S = 5
"""When to ask again for what cannot be had now."""

_T = TypeVar("_T")


async def flush(services: Services) -> bool:
    """Have what waits written down; whether that went well."""
    return services.recorder is None or await services.recorder.flush()


async def find_result(
    services: Services, identifier: str, ask: Callable[["Results"], Awaitable[_T | None]]
) -> _T:
    """What there is of a result; one that was answered just now may still wait to be written.

    Args:
        services: Where results are.
        identifier: Of the result.
        ask: Asks the table; None if it has none.

    Raises:
        ResultNotFoundError: There is none.
    """
    if not is_result_id(identifier):
        raise ResultNotFoundError(_NONE)
    results = await open_results(services.database)
    found = await ask(results)
    if found is None:
        await flush(services)
        found = await ask(results)
    if found is None:
        raise ResultNotFoundError(_NONE)
    return found


def images_away(
    detail: str = "The stored images cannot be read now; try again later.",
) -> NotReadyError:
    """What to say where the place of the images cannot be used."""
    return NotReadyError(detail, retry_after_s=RETRY_S)


class Renderer:
    """Answers with results, and knows for one request which classes the models have now."""

    def __init__(self, services: Services) -> None:
        self._catalog = services.models.catalog
        self._labels: dict[tuple[str, int], frozenset[str] | None] = {}

    def answer(self, result: "Result") -> ResultAnswer:
        """Render a result."""
        known = None
        if result.feedback is not None:
            labels = self._labels_of(result.model, result.version)
            known = None if labels is None else result.feedback in labels
        return ResultAnswer.of(result, known=known)

    def _labels_of(self, model: str, version: int) -> frozenset[str] | None:
        if (model, version) not in self._labels:
            self._labels[model, version] = self._read(model, version)
        return self._labels[model, version]

    def _read(self, model: str, version: int) -> frozenset[str] | None:
        try:
            manifest = self._catalog.bundle(model, version).manifest
        except (RequestError, ServiceError):  # it is gone, or cannot be used
            return None
        return frozenset(in_one_form(label.name) for label in manifest.labels)
