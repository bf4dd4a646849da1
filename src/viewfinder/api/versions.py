"""The version that a path names."""

from viewfinder.errors import VersionNotFoundError
from viewfinder.registry.bundle import Bundle
from viewfinder.serving.manager import ModelManager
from viewfinder.types import parse_version


def number_of(models: ModelManager, name: str, version: str) -> int:
    """The number of a version that there may be.

    Raises:
        ModelNotFoundError: There is no such model.
        VersionNotFoundError: It is no number of a version.
    """
    number = parse_version(version)
    if number is None:
        models.catalog.versions(name)  # an unknown model is the worse news
        raise VersionNotFoundError("A version is a positive number.")
    return number


def bundle_of(models: ModelManager, name: str, version: str) -> Bundle:
    """The bundle that a path names.

    Raises:
        ModelNotFoundError: There is no such model.
        VersionNotFoundError: It has no such version.
        NotReadyError: That version is broken.
    """
    return models.catalog.bundle(name, number_of(models, name, version))
