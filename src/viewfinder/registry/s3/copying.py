"""Versions and routings copied from S3 to this machine, each whole or not at all."""

import contextlib
import errno
import hashlib
import logging
import os
from pathlib import Path

from pydantic import ValidationError

from viewfinder.blobs.bucket import Bucket
from viewfinder.errors import BundleError
from viewfinder.registry.bundle import (
    MANIFEST,
    MANIFEST_BYTES,
    Bundle,
    file_sha256,
    write_durably,
)
from viewfinder.registry.manifest import File, Manifest
from viewfinder.registry.routing import ROUTING_BYTES
from viewfinder.registry.s3.listing import Listing
from viewfinder.registry.s3.mirror import Mirror

logger = logging.getLogger(__name__)

# What a manifest can get wrong about its own files: the version is broken, the disk is not.
_BAD_NAMES = {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


class Copying:
    """Follows a store on S3 with a copy of it.

    Args:
        bucket: Where the store is.
        mirror: Where the copy is; held while this is at work.
    """

    def __init__(self, bucket: Bucket, mirror: Mirror) -> None:
        self._bucket = bucket
        self._mirror = mirror

    def follow(self, listing: Listing) -> None:
        """Copy what is new, and delete what is gone.

        Raises:
            OSError: The store cannot be reached, or the copy not written.
        """
        for path, mark in listing.versions.items():
            if not self._mirror.has(path, mark):
                self._fetch(path, mark)
        for path, mark in listing.routings.items():
            if not self._mirror.has(path, mark):
                self._fetch_routing(path, mark)
        self._mirror.keep({*listing.versions, *listing.routings})

    def _fetch_routing(self, path: str, mark: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
            content = self._bucket.read(path, ROUTING_BYTES).data
            with self._mirror.replacing(path) as partial:
                write_durably(partial, content)
            self._mirror.mark(path, mark)

    def _fetch(self, path: str, mark: str) -> None:
        """Copy a version. One that is broken is copied as it is: whoever reads it says why."""
        try:
            document = self._bucket.read(f"{path}/{MANIFEST}", MANIFEST_BYTES).data
        except FileNotFoundError:  # deleted since it was listed
            return
        # Published from here: nobody is disturbed.
        if _is_copy(self._mirror.folder / path, document):
            self._mirror.mark(path, mark)
            return
        with self._mirror.replacing(path) as partial:
            partial.mkdir()
            write_durably(partial / MANIFEST, document)
            fetched = [self._fetch_file(path, file, partial) for file in _files(document)]
        if all(fetched):
            self._mirror.mark(path, mark)

    def _fetch_file(self, path: str, file: File, partial: Path) -> bool:
        """Copy a file of a version, or leave it out if that cannot be done.

        Returns:
            False if it may be there the next time.
        """
        target = partial / file.path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not _link(self._mirror.folder / path / file.path, target, file):
                with target.open("xb") as copy:
                    self._bucket.download(f"{path}/{file.path}", copy, file.bytes)
                    copy.flush()
                    os.fsync(copy.fileno())
        except PermissionError as error:
            target.unlink(missing_ok=True)
            logger.warning("%s/%s cannot be copied: %s", path, file.path, error)
            return False
        except FileNotFoundError:
            target.unlink(missing_ok=True)
        except OSError as error:
            if error.errno not in _BAD_NAMES:
                raise
        return True


def _files(document: bytes) -> list[File]:
    """The files that a manifest names, each path once; none if it is not valid."""
    try:
        manifest = Manifest.model_validate_json(document)
    except ValidationError:
        return []
    return [*{file.path: file for file in manifest.files}.values()]


def _is_copy(folder: Path, document: bytes) -> bool:
    try:
        bundle = Bundle.read(folder)
        bundle.verify()
    except BundleError:
        return False
    return bundle.digest == hashlib.sha256(document).hexdigest()


def _link(copy: Path, target: Path, file: File) -> bool:
    """Take a file over from the copy that is there, if it is the one that is meant."""
    try:
        if copy.is_symlink() or file_sha256(copy) != file.sha256:
            return False
    except OSError:
        return False
    os.link(copy, target)
    return True
