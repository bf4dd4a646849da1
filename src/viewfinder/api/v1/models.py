"""`GET /v1/models` and below: which models there are, and what they say of themselves."""

from fastapi import APIRouter

from viewfinder.api.dependencies import ServicesDep
from viewfinder.api.schemas import (
    LabelAnswer,
    LabelList,
    ModelAnswer,
    ModelList,
    VersionState,
    VersionSummary,
)
from viewfinder.errors import VersionNotFoundError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.routing import LATEST
from viewfinder.serving.manager import ModelManager
from viewfinder.types import parse_version

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
async def list_models(services: ServicesDep) -> ModelList:
    """Every model, its versions and their states."""
    models = services.models
    return ModelList(
        models=[_model(models, name) for name in models.catalog.models], default=models.default
    )


@router.get("/{name}")
async def show_model(name: str, services: ServicesDep) -> ModelAnswer:
    """One model, its versions and their states."""
    return _model(services.models, name)


@router.get("/{name}/labels")
async def list_labels(name: str, services: ServicesDep) -> LabelList:
    """The classes of the model's current version."""
    return _labels(services.models.catalog.resolve(f"{name}@{LATEST}"))


@router.get("/{name}/versions/{version}")
async def show_version(name: str, version: str, services: ServicesDep) -> VersionSummary:
    """What one version says of itself: input, variants, evaluation, provenance."""
    catalog = services.models.catalog
    return VersionSummary.of(_bundle(services.models, name, version), catalog.aliases(name))


@router.get("/{name}/versions/{version}/labels")
async def list_version_labels(name: str, version: str, services: ServicesDep) -> LabelList:
    """The classes of one version, in the order of its output."""
    return _labels(_bundle(services.models, name, version))


def _bundle(models: ModelManager, name: str, version: str) -> Bundle:
    number = parse_version(version)
    if number is None:
        models.catalog.versions(name)  # an unknown model is the worse news
        raise VersionNotFoundError("A version is a positive number.")
    return models.catalog.bundle(name, number)


def _model(models: ModelManager, name: str) -> ModelAnswer:
    catalog = models.catalog
    versions = catalog.versions(name)
    statuses = {version: models.status(name, version) for version in versions}
    return ModelAnswer(
        name=name,
        versions=[
            VersionState(version=version, state=status.state, reason=status.reason)
            for version, status in statuses.items()
        ],
        aliases=catalog.aliases(name),
        labels_count=catalog.labels_count(name),
    )


def _labels(bundle: Bundle) -> LabelList:
    manifest = bundle.manifest
    return LabelList(
        name=manifest.name,
        version=manifest.version,
        labels=[LabelAnswer.of(index, label) for index, label in enumerate(manifest.labels)],
    )
