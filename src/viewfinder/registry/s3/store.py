"""A model store on S3: see docs/model-store.md and decisions/0007."""

import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from viewfinder.blobs.bucket import Bucket
from viewfinder.errors import BundleError, StoreError
from viewfinder.registry.bundle import (
    MANIFEST,
    MANIFEST_BYTES,
    Bundle,
    check_describes,
    seal,
    write_durably,
)
from viewfinder.registry.manifest import Manifest
from viewfinder.registry.routing import ROUTING, ROUTING_BYTES, Routing
from viewfinder.registry.s3.copying import Copying
from viewfinder.registry.s3.listing import Listing
from viewfinder.registry.s3.mirror import Mirror
from viewfinder.types import is_model_name

_random = secrets.SystemRandom()
_PUBLISHER = "viewfinder-publisher"
_TRIES = 20
_LONGEST_WAIT_S = 1.0


class S3Store:
    """The objects `<name>/<version>/...` and `<name>/routing.json` below an address.

    Args:
        address: `s3://bucket/prefix`.
        home: Where the copy on this machine is kept, in a folder of its own.
        abandoned_after: The age from which the files of an unfinished version are nobody's.

    Attributes:
        folder: The copy: what `refresh` last found, and all that is ever served.

    Raises:
        StoreError: The address has another form.
    """

    def __init__(
        self, address: str, home: Path, *, abandoned_after: timedelta = timedelta(hours=1)
    ) -> None:
        try:
            self._bucket = Bucket(address)
        except ValueError as error:
            raise StoreError(f"the setting model_store: {error}") from error
        self._address = address.rstrip("/")
        self._abandoned_after = abandoned_after
        digest = hashlib.sha256(self._address.encode()).hexdigest()
        self._mirror = Mirror(home / f"s3-{digest[:32]}")
        self.folder = self._mirror.folder
        self._copying = Copying(self._bucket, self._mirror)

    def refresh(self) -> None:
        """Copy what is new, and delete what is gone: see `ModelStore.refresh`."""
        with self._told(), self._mirror.changing():
            # Listed under the lock: an older listing must not undo a newer one.
            self._copying.follow(Listing.of(self._bucket.list()))

    def check_writable(self, name: str) -> None:
        """Nothing is tried: to write and to delete are two rights, and the second may lack."""

    def add(self, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
        """Upload a version, its manifest last: see `ModelStore.add`."""
        check_describes(manifest, files)
        path = f"{manifest.name}/{manifest.version}"
        with self._told():
            if f"{path}/{MANIFEST}" in self._etags(path):
                raise BundleError(f"{path} exists already")
            # In one order for everybody: of two publishers, the one who is first to write the first
            # file in which they differ goes on, and the other has spoilt nothing.
            written = {
                key: self._upload(key, files[inner])
                for inner, key in sorted((inner, f"{path}/{inner}") for inner in files)
            }
            if not written.items() <= self._etags(path).items():
                raise BundleError(f"{path} was changed by somebody else meanwhile")
            self._seal(path, seal(manifest))
            self._keep(path, manifest, files)
        return Bundle.read(self.folder / path)

    def remove(self, name: str, version: int) -> None:
        """Delete a version, its manifest first: see `ModelStore.remove`."""
        if not is_model_name(name):
            return
        path = f"{name}/{version}"
        with self._told():
            keys = set(self._etags(path))
            manifest = {f"{path}/{MANIFEST}"}
            self._bucket.delete(keys & manifest)
            self._bucket.delete(keys - manifest)
            with self._mirror.changing():
                self._mirror.drop(path)

    def route(self, name: str, change: Callable[[Routing], Routing]) -> Routing:
        """Change a model's routing, again if somebody was quicker: see `ModelStore.route`."""
        if not is_model_name(name):
            raise StoreError("no model can have this name")
        key = f"{name}/{ROUTING}"
        with self._told():
            for attempt in range(_TRIES):
                before, etag = self._routing(key)
                changed = change(before)
                with contextlib.suppress(FileExistsError):
                    self._write_routing(key, changed, etag)
                    return changed
                time.sleep(_random.uniform(0, min(_LONGEST_WAIT_S, 0.02 * 2**attempt)))
        raise StoreError(f"{self._address}/{key} changes all the time; try again")

    # -- publishing

    def _etags(self, path: str) -> dict[str, str]:
        return {listed.key: listed.etag for listed in self._bucket.list(path)}

    def _upload(self, key: str, content: bytes) -> str:
        """Write a file of a version, unless it is there already.

        Returns:
            Its ETag.
        """
        with contextlib.suppress(FileExistsError):
            return self._bucket.create(key, content)
        there = self._bucket.read(key, len(content))
        if there.data == content:
            return there.etag
        if datetime.now(UTC) - there.modified < self._abandoned_after:
            raise BundleError(
                f"{key.rpartition('/')[0]} is being published by somebody else, or an upload "
                f"broke off; delete it, or try again in {self._abandoned_after}"
            )
        try:
            return self._bucket.replace(key, content, there.etag)
        except FileExistsError as error:
            raise BundleError(f"{key} is being published by somebody else") from error

    def _seal(self, path: str, document: bytes) -> None:
        """Write the manifest: from now on the version exists."""
        key, publisher = f"{path}/{MANIFEST}", secrets.token_hex(16)
        try:
            self._bucket.create(key, document, {_PUBLISHER: publisher})
        except FileExistsError as error:
            # It may be this very one, whose answer was lost, so that it was sent twice.
            there = self._bucket.read(key, MANIFEST_BYTES)
            if there.attributes.get(_PUBLISHER) != publisher:
                raise BundleError(f"{path} exists already") from error

    def _keep(self, path: str, manifest: Manifest, files: Mapping[str, bytes]) -> None:
        """Copy what was published, without asking for it; `refresh` marks it."""
        with self._mirror.changing(), self._mirror.replacing(path) as partial:
            for inner, content in {**files, MANIFEST: seal(manifest)}.items():
                target = partial / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                write_durably(target, content)

    # -- routing

    def _routing(self, key: str) -> tuple[Routing, str | None]:
        try:
            there = self._bucket.read(key, ROUTING_BYTES)
            return Routing.model_validate_json(there.data), there.etag
        except FileNotFoundError:
            return Routing(), None
        except ValidationError as error:
            raise StoreError(f"{self._address}/{key} is damaged; mend or delete it") from error

    def _write_routing(self, key: str, routing: Routing, etag: str | None) -> None:
        content = (routing.model_dump_json(indent=1) + "\n").encode()
        if etag is None:
            self._bucket.create(key, content)
        else:
            self._bucket.replace(key, content, etag)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.filename is None:
                raise StoreError(f"the model store {self._address}: {error}") from error
            raise StoreError(
                f"cannot write the copy of {self._address}: {error.strerror}: {error.filename}"
            ) from error
