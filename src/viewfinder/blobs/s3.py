"""Blobs on S3; for a bucket that hangs, one waits at a time."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from viewfinder.blobs.bucket import Bucket
from viewfinder.shared.breaker import Breaker, LeftAloneError

# Longer than a try that S3 refuses, and one more.
_HANGS_S = 4.0
# Nothing larger is ever put there.
_LARGEST = 1 << 30


class S3Blobs:
    """Blobs as objects: see `viewfinder.blobs.store.Blobs`.

    Of those who need a bucket that hangs, one waits at a time: the others are refused at once.

    Args:
        address: `s3://bucket/prefix`.

    Raises:
        ValueError: The address has another form.
    """

    def __init__(self, address: str) -> None:
        self._bucket = Bucket(address, of_blobs=True)
        self._breaker = Breaker(OSError, but=(FileNotFoundError, PermissionError), slow_s=_HANGS_S)

    @property
    def is_near(self) -> bool:
        """See `Blobs.is_near`."""
        return False

    def put(self, key: str, data: bytes) -> None:
        """See `Blobs.put`."""
        with self._guarded():
            self._bucket.overwrite(key, data)

    def get(self, key: str) -> bytes:
        """See `Blobs.get`."""
        with self._guarded():
            return self._bucket.read(key, _LARGEST).data

    def delete(self, keys: Iterable[str]) -> None:
        """See `Blobs.delete`."""
        with self._guarded():
            self._bucket.delete(keys)

    def folders(self, prefix: str) -> Sequence[str]:
        """See `Blobs.folders`."""
        with self._guarded():
            return self._bucket.folders(prefix)

    def clear(self, prefix: str) -> None:
        """See `Blobs.clear`."""
        with self._guarded():
            self._bucket.delete(listed.key for listed in self._bucket.list(prefix))

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with self._breaker.guarding():
                yield
        except LeftAloneError as error:
            raise OSError("S3 does not answer") from error
