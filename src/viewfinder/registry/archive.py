"""A model version as one file, to be carried from one store to another."""

import json
import zipfile
import zlib
from pathlib import Path

from pydantic import ValidationError

from viewfinder.errors import BundleError
from viewfinder.registry.bundle import MANIFEST, MANIFEST_BYTES, Bundle
from viewfinder.registry.manifest import Manifest

# The same version gives the same archive, byte for byte.
_MOST_BYTES = 4 * 1024**3
# What zipfile says of damaged, cut off and encrypted archives.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(bundle: Bundle, path: Path) -> None:
    """Write a version into a zip file, which takes its name only when it is whole.

    Raises:
        BundleError: A file of the bundle is not what was sealed.
        OSError: The zip file cannot be written.
    """
    files = {MANIFEST: (bundle.folder / MANIFEST).read_bytes(), **bundle.contents()}
    partial = path.with_name(f"{path.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for inner, content in files.items():
                member = zipfile.ZipInfo(inner, _EPOCH)
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def unpack(path: Path, folder: Path) -> Bundle:
    """Take a version out of a zip file. Nothing is written that its manifest does not name.

    Args:
        path: The zip file.
        folder: An empty folder.

    Raises:
        BundleError: It holds no valid bundle.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = _read(archive, MANIFEST, MANIFEST_BYTES)
            manifest = Manifest.model_validate(json.loads(text))
            _check_size(manifest)
            (folder / MANIFEST).write_bytes(text)
            for file in manifest.files:
                target = folder / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(_read(archive, file.path, file.bytes))
    except (*_DAMAGE, KeyError, ValueError, ValidationError) as error:
        raise BundleError(f"{path.name} does not hold a whole model version") from error
    bundle = Bundle.open(folder)
    bundle.verify()
    return bundle


def _check_size(manifest: Manifest) -> None:
    if sum(file.bytes for file in manifest.files) > _MOST_BYTES:
        raise ValueError("it is too large")


def _read(archive: zipfile.ZipFile, member: str, most: int) -> bytes:
    """A member, unless it is longer than it may be: a few bytes can unfold into terabytes."""
    with archive.open(member) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{member} is longer than the manifest says")
    return content
