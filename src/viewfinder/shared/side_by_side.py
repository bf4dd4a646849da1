"""Things worked on by several threads, and answered in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, overload

from viewfinder.errors import Failure, ViewfinderError
from viewfinder.shared.options import OnError

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


@overload
def side_by_side(
    work: Callable[[_Item], _Answer], items: Iterable[_Item], *, threads: int
) -> Iterator[_Answer]: ...


@overload
def side_by_side(
    work: Callable[[_Item], _Answer], items: Iterable[_Item], *, threads: int, on_error: OnError
) -> Iterator[_Answer | Failure]: ...


def side_by_side(
    work: Callable[[_Item], _Answer],
    items: Iterable[_Item],
    *,
    threads: int,
    on_error: OnError = "raise",
) -> Iterator[_Answer | Failure]:
    """What `work` makes of each item, in their order.

    At most two items a thread are in hand, so that there may be any number of them.

    Args:
        work: Done by a thread for each.
        items: Taken only as they are needed.
        threads: How many work at once.
        on_error: What becomes of a `Failure`; any other exception is raised, and ends it.
    """
    pending: deque[Future[_Answer]] = deque()

    def next_answer() -> _Answer | Failure:
        try:
            return pending.popleft().result()
        except (ViewfinderError, OSError) as error:
            if on_error == "return":
                return error
            raise

    pool = ThreadPoolExecutor(threads, "side-by-side")
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= 2 * threads:
                yield next_answer()
        while pending:
            yield next_answer()
    finally:
        pool.shutdown(cancel_futures=True)
