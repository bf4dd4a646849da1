"""What a setting is called in the environment, and where the file of settings is."""

import os
from pathlib import Path

import platformdirs

from viewfinder.errors import SettingsError

PREFIX = "VIEWFINDER_"
NESTING = "__"


def environment_name(name: str) -> str:
    """What a setting, by its dotted name, is called in the environment."""
    return PREFIX + name.upper().replace(".", NESTING)


def config_file() -> Path:
    """The TOML file that is read if it exists: `VIEWFINDER_CONFIG`, else in the user's config."""
    given = os.environ.get(f"{PREFIX}CONFIG")
    if not given:
        return platformdirs.user_config_path("viewfinder") / "viewfinder.toml"
    path = Path(given).expanduser()
    if not path.is_file():
        raise SettingsError(f"VIEWFINDER_CONFIG names {path}, which is not a file")
    return path
