"""One model version on disk: written once with its manifest last, read with its checksums."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from viewfinder.errors import BundleError
from viewfinder.registry.manifest import File, Manifest

MANIFEST = "bundle.json"
MANIFEST_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder whose manifest has been read.

    Attributes:
        folder: Where it lies.
        manifest: What it says.
        digest: SHA-256 of the manifest, and so, through the checksums in it, of everything.
    """

    folder: Path
    manifest: Manifest
    digest: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of `models/<name>/<version>/`; the files are checked by `verified`.

        Raises:
            BundleError: There is no valid manifest, or it belongs to another folder.
        """
        bundle = cls.open(folder)
        manifest = bundle.manifest
        if (manifest.name, str(manifest.version)) != (folder.parent.name, folder.name):
            raise BundleError(
                f"bundle.json says {manifest.name}/{manifest.version}, "
                f"the folder {folder.parent.name}/{folder.name}"
            )
        return bundle

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The same for a folder of any name, outside a store.

        Raises:
            BundleError: There is no valid manifest.
        """
        path = folder / MANIFEST
        try:
            if not path.is_file() and path.exists():
                raise BundleError("bundle.json is not a file")
            if path.stat().st_size > MANIFEST_BYTES:
                raise BundleError("bundle.json is too large")
            text = path.read_bytes()
            manifest = Manifest.model_validate_json(text)
        except FileNotFoundError as error:
            raise BundleError("the folder has no bundle.json") from error
        except OSError as error:
            raise BundleError(f"bundle.json cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise BundleError(f"bundle.json is not valid: {_first(error)}") from error
        return cls(folder, manifest, hashlib.sha256(text).hexdigest())

    def verified(self, file: File) -> Path:
        """The path of a file of the bundle, once its size and SHA-256 are found right.

        Raises:
            BundleError: It is missing, outside the folder, or not what was sealed.
        """
        path = self.folder / file.path
        try:
            # `Path.resolve` would raise something else than OSError for links in a circle.
            if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder)):
                raise BundleError(f"{file.path} leads out of the bundle")
            if not path.is_file() and path.exists():
                raise BundleError(f"{file.path} is not a file")
            if path.stat().st_size != file.bytes or file_sha256(path) != file.sha256:
                raise BundleError(f"{file.path} is not what bundle.json says: its checksum differs")
        except OSError as error:
            raise BundleError(f"{file.path} cannot be read: {error.strerror}") from error
        return path

    def verify(self) -> None:
        """Check every file that the manifest names.

        Raises:
            BundleError: One of them is not what was sealed.
        """
        for file in self.manifest.files:
            self.verified(file)

    def contents(self) -> dict[str, bytes]:
        """Every file that the manifest names, checked, by its path in the bundle.

        Raises:
            BundleError: One of them is not what was sealed.
        """
        return {file.path: self.verified(file).read_bytes() for file in self.manifest.files}


def write_bundle(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a new version, which appears whole or not at all.

    Args:
        folder: `models/<name>/<version>`, which must not exist yet.
        manifest: Names exactly these files.
        files: Content by path inside the bundle.

    Raises:
        BundleError: The folder exists, or the manifest does not describe these files.
    """
    check_describes(manifest, files)
    if folder.exists():
        raise BundleError(f"{folder.parent.name}/{folder.name} exists already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Readers see no folder until it is whole; what a crash leaves behind is not a version.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as scratch:
        partial = Path(scratch) / folder.name
        for inner, content in files.items():
            path = partial / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(path, content)
        write_durably(partial / MANIFEST, seal(manifest))
        try:
            partial.rename(folder)
        except OSError as error:
            raise BundleError(f"{folder.parent.name}/{folder.name} exists already") from error
    return Bundle.read(folder)


def check_describes(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Check that the manifest names exactly these files.

    Raises:
        BundleError: It does not.
    """
    described = {file.path: file for file in manifest.files}
    if described != {path: describe(path, content) for path, content in files.items()}:
        raise BundleError("the manifest does not describe exactly these files")


def seal(manifest: Manifest) -> bytes:
    """The content of `bundle.json`."""
    document = manifest.model_dump(mode="json", exclude_none=True)
    # Indented by one, as people do read it.
    return (json.dumps(document, indent=1) + "\n").encode()


def describe(path: str, content: bytes) -> File:
    """The manifest's entry for a file with this content."""
    return File(path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file, and wait until it is on the disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "it"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
