"""`GET /v1/models` and below: which models there are, and what they say of themselves."""

from fastapi import APIRouter, Request

from viewfinder.api.bodies.json import read_json
from viewfinder.api.openapi import json_body
from viewfinder.api.schemas.drift import DriftAnswer, VersionDrift
from viewfinder.api.schemas.models import (
    AliasBody,
    LabelAnswer,
    LabelList,
    ModelAnswer,
    ModelList,
    ReloadAnswer,
    RoutingAnswer,
    ShadowAnswer,
    VersionState,
    VersionSummary,
)
from viewfinder.api.services import ManagerDep, Services, ServicesDep
from viewfinder.api.versions import bundle_of, number_of
from viewfinder.errors import ConflictError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.rollback import rollback_target
from viewfinder.registry.routing import Traffic
from viewfinder.serving import rerouting
from viewfinder.serving.manager import ModelManager

_PATIENCE_S = 30

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
async def list_models(services: ServicesDep) -> ModelList:
    """Every model, its versions and their states."""
    models = services.models
    names = models.catalog.models
    return ModelList(models=[_model(services, name) for name in names], default=models.default)


@router.get("/{name}")
async def show_model(name: str, services: ServicesDep) -> ModelAnswer:
    """One model, its versions and their states."""
    return _model(services, name)


@router.get("/{name}/labels")
async def list_labels(name: str, services: ServicesDep) -> LabelList:
    """The classes of the version that a bare name means, shares of traffic not looked at."""
    return _labels(services.models.catalog.resolve(name))


@router.get("/{name}/drift")
async def show_drift(name: str, services: ServicesDep) -> DriftAnswer:
    """How recent photos, and answers, compare with those that the model was measured with."""
    services.models.catalog.versions(name)
    drift = services.drift
    return DriftAnswer(
        name=name,
        enabled=drift is not None,
        window=services.settings.drift.photos,
        versions=[VersionDrift.of(one) for one in drift.of(name)] if drift is not None else [],
    )


@router.get("/{name}/versions/{version}")
async def show_version(name: str, version: str, services: ServicesDep) -> VersionSummary:
    """What one version says of itself: input, variants, evaluation, provenance."""
    catalog = services.models.catalog
    return VersionSummary.of(bundle_of(services.models, name, version), catalog.aliases(name))


@router.get("/{name}/versions/{version}/labels")
async def list_version_labels(name: str, version: str, services: ServicesDep) -> LabelList:
    """The classes of one version, in the order of its output."""
    return _labels(bundle_of(services.models, name, version))


@router.post("/reload")
async def reload(models: ManagerDep) -> ReloadAnswer:
    """Look at the store now, and try once more what has failed; then say how everything stands."""
    await models.reload(afresh=True)
    await models.settled(patience=_PATIENCE_S)
    return ReloadAnswer(models={name: _states(models, name) for name in models.catalog.models})


@router.post("/{name}/versions/{version}/load")
async def load(name: str, version: str, models: ManagerDep) -> VersionState:
    """Load a version now, also one that has failed before."""
    number = number_of(models, name, version)
    await models.load(name, number)
    return _state(models, name, number)


@router.post("/{name}/versions/{version}/unload")
async def unload(name: str, version: str, models: ManagerDep) -> VersionState:
    """Give back a version's memory. A request that asks for it loads it again."""
    number = number_of(models, name, version)
    await models.unload(name, number)
    return _state(models, name, number)


@router.put("/{name}/aliases/{alias}", openapi_extra=json_body(AliasBody))
async def set_alias(name: str, alias: str, request: Request, models: ManagerDep) -> RoutingAnswer:
    """Let an alias mean a version, once that is loaded and has proved itself."""
    body = await read_json(AliasBody, request)
    await rerouting.set_alias(models, name, alias, body.version)
    return _routing(models, name)


@router.delete("/{name}/aliases/{alias}")
async def delete_alias(name: str, alias: str, models: ManagerDep) -> RoutingAnswer:
    """Take an alias away."""
    await rerouting.delete_alias(models, name, alias)
    return _routing(models, name)


@router.put("/{name}/traffic", openapi_extra=json_body(Traffic))
async def set_traffic(name: str, request: Request, models: ManagerDep) -> RoutingAnswer:
    """Split the requests that name the model alone; let a shadow see their photos."""
    body = await read_json(Traffic, request)
    await rerouting.set_traffic(models, name, body)
    return _routing(models, name)


@router.delete("/{name}/traffic")
async def delete_traffic(name: str, models: ManagerDep) -> RoutingAnswer:
    """Take the split back: `stable`, or else the latest good version, answers again."""
    await rerouting.set_traffic(models, name, None)
    return _routing(models, name)


@router.post("/{name}/rollback")
async def roll_back(name: str, models: ManagerDep) -> RoutingAnswer:
    """Let the version before answer: `stable` goes back to it, and a split ends."""
    await rerouting.roll_back(models, name)
    return _routing(models, name)


def _state(models: ModelManager, name: str, version: int) -> VersionState:
    status = models.status(name, version)
    return VersionState(version=version, state=status.state, reason=status.reason)


def _states(models: ModelManager, name: str) -> list[VersionState]:
    return [_state(models, name, version) for version in models.catalog.versions(name)]


def _routing(models: ModelManager, name: str) -> RoutingAnswer:
    catalog = models.catalog
    return RoutingAnswer(
        name=name, aliases=catalog.aliases(name), traffic=catalog.route(name).routing.traffic
    )


def _model(services: Services, name: str) -> ModelAnswer:
    catalog = services.models.catalog
    shadow = services.classify.shadows.comparison(name)
    route = catalog.route(name)
    return ModelAnswer(
        name=name,
        versions=_states(services.models, name),
        aliases=catalog.aliases(name),
        traffic=route.routing.traffic,
        shadow=ShadowAnswer.of(shadow) if shadow else None,
        rollback=_rollback(services.models, name),
        problem=route.problem,
        labels_count=catalog.labels_count(name),
    )


def _rollback(models: ModelManager, name: str) -> int | None:
    try:
        return rollback_target(models.catalog, name)
    except ConflictError:
        return None


def _labels(bundle: Bundle) -> LabelList:
    manifest = bundle.manifest
    return LabelList(
        name=manifest.name,
        version=manifest.version,
        labels=[LabelAnswer.of(index, label) for index, label in enumerate(manifest.labels)],
    )
