"""Settings as they are read, and where each came from."""

import os
import tomllib
from typing import Any

import pydantic_settings
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, InitSettingsSource, TomlConfigSettingsSource

from viewfinder.errors import SettingsError
from viewfinder.settings.mistakes import explain, strangers_of, tell_of_strangers
from viewfinder.settings.naming import config_file
from viewfinder.settings.tree import Settings
from viewfinder.shared.trees import flatten


def load_settings(**flags: Any) -> Settings:
    """Settings with those flags on top that were given (are not None).

    Raises:
        SettingsError: A value is outside its range, a name in the file or in a group is unknown, or
            the file is not TOML. Other unknown names in the environment are a warning in the log.
    """
    tell_of_strangers(strangers_of(os.environ))
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(explain(error.errors(include_url=False)[0])) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{config_file()} is not valid TOML: {error}") from error
    except pydantic_settings.SettingsError as error:
        raise SettingsError(f"{error}; the environment has a group of settings as JSON") from error


def origins(settings: Settings, flags: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    """Each option by its dotted name, with its value and where it came from.

    Args:
        settings: The settings to explain.
        flags: What the command line gave.
    """
    sources = (
        ("flag", flatten(InitSettingsSource(Settings, flags)())),
        ("environment", flatten(EnvSettingsSource(Settings)())),
        (str(config_file()), flatten(TomlConfigSettingsSource(Settings, config_file())())),
    )

    def origin(name: str) -> str:
        return next((source for source, given in sources if name in given), "default")

    return {name: (value, origin(name)) for name, value in flatten(settings.model_dump()).items()}
