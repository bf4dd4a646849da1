"""Photos worked on by several threads, and answered in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, TypeAlias, TypeVar

from viewfinder.errors import Failure, InvalidParameterError, ViewfinderError

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

OnError: TypeAlias = Literal["raise", "return"]
"""What happens to a photo without an answer: `raise` ends it all there, `return` puts the error in
the place of the answer."""


def check_on_error(on_error: str) -> None:
    """Refuse what is no `OnError`.

    Raises:
        InvalidParameterError: It is another word.
    """
    if on_error not in {"raise", "return"}:
        raise InvalidParameterError("on_error: Input should be 'raise' or 'return'")


def in_order(
    work: Callable[[_Item], _Answer], items: Iterable[_Item], *, at_once: int, on_error: OnError
) -> Iterator[_Answer | Failure]:
    """The answers, in the order of the items; no more of these are taken than are needed ahead.

    Args:
        work: Done by a thread for each.
        items: Any number.
        at_once: How many threads there are.
        on_error: What becomes of a `Failure`; anything else is raised.
    """
    pending: deque[Future[_Answer]] = deque()

    def next_answer() -> _Answer | Failure:
        try:
            return pending.popleft().result()
        except (ViewfinderError, OSError) as error:
            if on_error == "return":
                return error
            raise

    pool = ThreadPoolExecutor(at_once)
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > 2 * at_once:
                yield next_answer()
        while pending:
            yield next_answer()
    finally:
        pool.shutdown(cancel_futures=True)
