"""Blobs, with spans for what moves their bytes."""

from collections.abc import Iterable, Sequence

from viewfinder.blobs.store import Blobs
from viewfinder.telemetry.tracing import Block, span


class TracedBlobs:
    """The same blobs. See `Blobs`.

    Args:
        blobs: Where they are.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    @property
    def is_near(self) -> bool:
        """See `Blobs.is_near`."""
        return self._blobs.is_near

    def put(self, key: str, data: bytes) -> None:
        """See `Blobs.put`."""
        with _span("put") as noted:
            noted.set("viewfinder.bytes", len(data))
            self._blobs.put(key, data)

    def get(self, key: str) -> bytes:
        """See `Blobs.get`."""
        with _span("get") as noted:
            data = self._blobs.get(key)
            noted.set("viewfinder.bytes", len(data))
            return data

    def delete(self, keys: Iterable[str]) -> None:
        """See `Blobs.delete`."""
        with _span("delete"):
            self._blobs.delete(keys)

    def folders(self, prefix: str) -> Sequence[str]:
        """See `Blobs.folders`."""
        return self._blobs.folders(prefix)

    def clear(self, prefix: str) -> None:
        """See `Blobs.clear`."""
        with _span("clear"):
            self._blobs.clear(prefix)


def _span(what: str) -> Block:
    return span("storage", {"viewfinder.blobs": what}, "client")
