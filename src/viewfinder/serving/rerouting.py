"""Changes of who answers, by request: aliases, shares of the traffic, and the way back.

What is to answer is loaded and found good before the store hears of the change.
"""

from viewfinder.errors import InvalidParameterError
from viewfinder.registry.rollback import rollback_target
from viewfinder.registry.routing import Routing, Traffic, check_alias
from viewfinder.serving.manager import ModelManager


async def set_alias(models: ModelManager, name: str, alias: str, version: int) -> Routing:
    """Let an alias mean a version, once that has been loaded and found good.

    Raises:
        RequestError: There is no such version, or the alias cannot be set.
        NotReadyError: The version is broken, or the store cannot be written.
    """
    try:
        check_alias(alias)
    except ValueError as error:
        raise InvalidParameterError(f"{str(error).capitalize()}.") from error
    await models.load(name, version)
    return await models.route(name, lambda routing: routing.with_alias(alias, version))


async def delete_alias(models: ModelManager, name: str, alias: str) -> Routing:
    """Take an alias away; nothing happens if there is none.

    Raises:
        ModelNotFoundError: There is no such model.
        NotReadyError: The store cannot be written.
    """
    models.catalog.versions(name)
    return await models.route(name, lambda routing: routing.without_alias(alias))


async def set_traffic(models: ModelManager, name: str, traffic: Traffic | None) -> Routing:
    """Split the requests that name the model alone, once all versions are found good.

    Raises:
        RequestError: There is no such model or version.
        NotReadyError: A version is broken, or the store cannot be written.
    """
    models.catalog.versions(name)
    for version in sorted(traffic.versions if traffic else ()):
        await models.load(name, version)
    return await models.route(name, lambda routing: routing.with_traffic(traffic))


async def roll_back(models: ModelManager, name: str) -> Routing:
    """Let the version before answer: see `rollback_target`.

    Raises:
        ModelNotFoundError: There is no such model.
        ConflictError: There is nothing to go back to.
        NotReadyError: The version before is broken, or the store cannot be written.
    """
    await models.reload()  # another replica may have changed the routing a moment ago
    version = rollback_target(models.catalog, name)
    await models.load(name, version)
    return await models.route(name, lambda routing: routing.rolled_back(version))
