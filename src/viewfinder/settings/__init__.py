"""Every option, declared once. The only reader of the environment.

A value comes from, strongest first: a command-line flag, the environment (`VIEWFINDER_PORT`,
nested by two underscores: `VIEWFINDER_LIMITS__SIDE`), the TOML file, the default here.

Unlike other rooms it names its parts here, for every room takes some of them.
"""

from viewfinder.settings.access import AuthSettings, OidcSettings
from viewfinder.settings.jobs import JobSettings, WebhookSettings, WorkerSettings
from viewfinder.settings.keeping import BlobSettings, DatabaseSettings, ResultSettings
from viewfinder.settings.naming import config_file, environment_name
from viewfinder.settings.reading import load_settings, origins
from viewfinder.settings.requests import (
    CacheSettings,
    DrainSettings,
    ExplainSettings,
    FetchSettings,
    Limits,
    RateLimitSettings,
)
from viewfinder.settings.telemetry import (
    DriftSettings,
    LogSettings,
    MetricsSettings,
    TracingSettings,
)
from viewfinder.settings.tree import Settings
from viewfinder.settings.types import MIB

__all__ = [
    "MIB",
    "AuthSettings",
    "BlobSettings",
    "CacheSettings",
    "DatabaseSettings",
    "DrainSettings",
    "DriftSettings",
    "ExplainSettings",
    "FetchSettings",
    "JobSettings",
    "Limits",
    "LogSettings",
    "MetricsSettings",
    "OidcSettings",
    "RateLimitSettings",
    "ResultSettings",
    "Settings",
    "TracingSettings",
    "WebhookSettings",
    "WorkerSettings",
    "config_file",
    "environment_name",
    "load_settings",
    "origins",
]
