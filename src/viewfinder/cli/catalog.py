"""The models that the settings name, for the commands that need them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from viewfinder.registry.catalog import Catalog
    from viewfinder.registry.store import ModelStore


def model_store() -> "ModelStore":
    """The store that the settings name."""
    from viewfinder.registry.store import open_store
    from viewfinder.settings import load_settings

    settings = load_settings()
    return open_store(settings.store, settings.home)


def read_catalog() -> "Catalog":
    """All models there are."""
    from viewfinder.registry.store import look

    return look(model_store())
