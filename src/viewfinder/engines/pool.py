"""What a graph runs in, lent to one call at a time, and given up when the engine is closed."""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from viewfinder.errors import NotReadyError

T = TypeVar("T")


class Pool(Generic[T]):
    """As many calls side by side as there are items; the others wait.

    Closing waits for nobody: an item that is lent is dropped when its call ends, and with the last
    reference goes the memory behind it.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._idle = list(items)
        self._closed = False
        self._change = threading.Condition()

    @contextlib.contextmanager
    def borrow(self) -> Iterator[T]:
        """Lend an item, once there is one.

        Raises:
            NotReadyError: The pool is closed.
        """
        with self._change:
            self._change.wait_for(lambda: self._idle or self._closed)
            if self._closed:
                raise NotReadyError("the model has been unloaded")
            item = self._idle.pop()
        try:
            yield item
        finally:
            with self._change:
                if not self._closed:
                    self._idle.append(item)
                    self._change.notify()

    def close(self) -> None:
        """Lend no more, and drop what is idle."""
        with self._change:
            self._closed = True
            self._idle.clear()
            self._change.notify_all()
