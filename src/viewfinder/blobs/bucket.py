"""Objects on S3, or on what speaks its language: every wait is bounded, every failure an OSError.

Credentials, region and endpoint come from the usual AWS environment, which obstore reads
(`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, ...), or from the machine's or pod's role.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any

from obstore.exceptions import AlreadyExistsError, BaseError, InvalidPathError, PreconditionError
from obstore.store import S3Store

_ADDRESS = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,62})(/[A-Za-z0-9!_.*'()/-]*)?")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_REFUSED = {"401", "403"}

_RETRIES = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"max_backoff": timedelta(seconds=2)},
}
# Of what somebody waits for, a second try is enough.
_SOON = _RETRIES | {"max_retries": 1, "retry_timeout": timedelta(seconds=10)}
# An endpoint says itself whether it is https; without this, http:// would fail as "builder error".
_CLIENT = {"allow_http": True, "connect_timeout": "5s", "timeout": "15m"}
# Not for uploads: there, it would run from the first byte sent to the answer.
_STALLED = {"read_timeout": "20s"}
# A blob is an image: to upload one takes no half minute.
_BLOB_READS = _CLIENT | {"read_timeout": "5s", "timeout": "30s"}
_BLOB_WRITES = _CLIENT | {"timeout": "30s"}
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing has it.

    Attributes:
        key: Its name below the prefix.
        size: Bytes.
        etag: Changes when the content does.
    """

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Content:
    """An object that was read.

    Attributes:
        data: Its bytes; at most as many as were asked for, and one more.
        etag: Of this content.
        modified: When it was written, by the clock of S3.
        attributes: What was said of it when it was written.
    """

    data: bytes
    etag: str
    modified: datetime
    attributes: Mapping[str, str]


class Bucket:
    """The objects below `s3://bucket/prefix`.

    Every method raises `PermissionError` when S3 refuses, `FileNotFoundError` when there is no such
    object, and another `OSError` with a sentence for a person when S3 cannot be used. None of them
    carries what S3 said in full: it may name keys.

    Args:
        address: `s3://bucket/prefix`.
        of_blobs: Whether its objects are small, and waited for.

    Raises:
        ValueError: The address has another form.
    """

    def __init__(self, address: str, *, of_blobs: bool = False) -> None:
        match = _ADDRESS.fullmatch(address)
        prefix = (match[2] or "").strip("/") if match else ""
        if match is None or (prefix and {"", ".", ".."} & set(prefix.split("/"))):
            # Not repeated: people put keys there.
            raise ValueError("the address is not of the form s3://bucket/prefix")
        common = {"prefix": prefix or None, "retry_config": _SOON if of_blobs else _RETRIES}
        reads = _BLOB_READS if of_blobs else _CLIENT | _STALLED
        writes = _BLOB_WRITES if of_blobs else _CLIENT
        self._reads = S3Store(match[1], client_options=reads, **common)
        self._writes = S3Store(match[1], client_options=writes, **common)

    def list(self, prefix: str | None = None) -> list[Listed]:
        """All objects, or those in a folder."""
        with _told():
            pages = self._reads.list(prefix, chunk_size=_PAGE)
            return [_listed(entry) for page in pages for entry in page]

    def folders(self, prefix: str) -> Sequence[str]:
        """The folders in a folder, by their names."""
        with _told():
            found = self._reads.list_with_delimiter(prefix)["common_prefixes"]
            return [path.rstrip("/").rpartition("/")[2] for path in found]

    def read(self, key: str, limit: int) -> Content:
        """An object's content, and of one that is longer than `limit` no more than a byte."""
        with _told():
            found = self._reads.get(key)
            data = b"".join(_cut(found, limit))
            meta = found.meta
            return Content(data, meta["e_tag"] or "", meta["last_modified"], dict(found.attributes))

    def download(self, key: str, file: IO[bytes], limit: int) -> None:
        """Write an object to a file, piece by piece; the same holds for `limit`."""
        with _told():
            for piece in _cut(self._reads.get(key), limit):
                file.write(piece)

    def create(self, key: str, data: bytes, attributes: Mapping[str, str] | None = None) -> str:
        """Write an object that must not exist yet.

        Returns:
            Its ETag.

        Raises:
            FileExistsError: It does.
        """
        return self._put(key, data, mode="create", attributes=dict(attributes or {}))

    def overwrite(self, key: str, data: bytes) -> str:
        """Write an object, in place of what was there.

        Returns:
            Its ETag.
        """
        return self._put(key, data)

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """Write an object that must be as it was when it had this ETag.

        Returns:
            Its new ETag.

        Raises:
            FileExistsError: It is not.
        """
        return self._put(key, data, mode={"e_tag": etag})

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that do not exist are no error."""
        with _told():
            if listed := [*keys]:
                self._writes.delete(listed)

    def _put(self, key: str, data: bytes, **how: Any) -> str:
        with _told():
            etag: str | None = self._writes.put(key, data, **how)["e_tag"]
            return etag or ""


def _listed(entry: Mapping[str, Any]) -> Listed:
    return Listed(entry["path"], entry["size"], entry["e_tag"] or "")


def _cut(pieces: Iterable[Any], limit: int) -> Iterator[bytes]:
    left = limit + 1
    for piece in pieces:
        yield bytes(piece)[:left]
        left -= len(piece)
        if left <= 0:
            return


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (BaseError, FileNotFoundError, ValueError) as error:
        raise _as_os_error(error) from None  # obstore's text has the whole request


def _as_os_error(error: Exception) -> OSError:
    if isinstance(error, (AlreadyExistsError, PreconditionError)):
        return FileExistsError("somebody else has written it")
    if isinstance(error, InvalidPathError):
        return OSError("the bucket holds an object with a name like a//b or a/../b; delete it")
    if isinstance(error, ValueError):
        return FileNotFoundError("no object can have this name")
    return _as_answered(str(error), missing=isinstance(error, FileNotFoundError))


def _as_answered(text: str, *, missing: bool) -> OSError:
    status = match[1] if (match := _STATUS.search(text)) else ""
    code = match[1] if (match := _CODE.search(text)) else status
    if code == "NoSuchBucket":
        return OSError("there is no such bucket")
    if status in _REFUSED:
        return PermissionError(f"S3 refuses: {code}; check the credentials and the bucket's policy")
    if missing:
        return FileNotFoundError("there is no such object")
    return OSError(f"S3 answers {code}" if status else "S3 cannot be reached")
