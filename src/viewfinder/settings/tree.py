"""The whole tree: what is in no group, and the groups."""

import functools
from typing import Annotated, Literal

import platformdirs
from pydantic import BeforeValidator, Field, IPvAnyNetwork
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from viewfinder.settings.access import AuthSettings
from viewfinder.settings.jobs import JobSettings, WebhookSettings, WorkerSettings
from viewfinder.settings.keeping import BlobSettings, DatabaseSettings, ResultSettings
from viewfinder.settings.naming import NESTING, PREFIX, config_file
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
from viewfinder.settings.types import Address, Folder, Key, split
from viewfinder.shared.machine import available_cores
from viewfinder.shared.trees import flatten


class Settings(BaseSettings):
    """The whole tree of options."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=NESTING,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
    )

    home: Folder = Field(
        default_factory=lambda: platformdirs.user_data_path("viewfinder"),
        description="Where Viewfinder keeps its data; default: the user's data folder.",
    )
    host: str = Field("127.0.0.1", description="Address to listen at.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=64, description="Server processes.")
    threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Compute threads of each process; default: one per core (a container's quota "
        "counted), shared by the workers.",
    )
    default_model: str | None = Field(
        None,
        description="The model that answers when a request names none; default: the first of "
        "`models`, else the builtin.",
    )
    models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)] = Field(
        (),
        description="Models to load at start, with commas between (`--model` of `serve`); others "
        "load when asked for.",
    )
    model_store: Address | None = Field(
        None,
        description="A folder of `<name>/<version>/`, or `s3://bucket/prefix`; default: `models` "
        "in the home.",
    )
    store_poll_s: float = Field(
        5.0, gt=0, le=3600, description="Seconds between two looks at the model store."
    )
    device: Literal["cpu", "cuda", "tensorrt"] = Field(
        "cpu", description="Where engines run that have the choice."
    )
    idle_unload_s: float = Field(
        1800.0,
        gt=0,
        description="Seconds after which a model nobody asked for leaves the memory; those loaded "
        "at start stay.",
    )
    model_memory_mb: int | None = Field(
        None,
        ge=1,
        description="Memory for models, in MB: the least recently used make room, those loaded at "
        "start excepted. A model counts as twice its graph's bytes, with LiteRT for each compute "
        "thread. While one version takes over from another, both count; default: as much as they "
        "take.",
    )
    queue_size: int = Field(
        256, ge=1, description="Images that may wait in each lane; more are refused."
    )
    request_timeout_s: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="Seconds within which work on an image must begin, and within which a whole "
        "body must have come.",
    )
    redis_url: str | None = Field(
        None,
        description="A Redis that workers and replicas share rate limits and idempotency keys "
        "through, `redis://host:6379/0` (extra `redis`); default: each process has its own.",
    )
    record: Literal["none", "results", "images"] = Field(
        "results",
        description="What is kept of each answer: `none`, `results` (the answer), `images` (the "
        "image too, re-encoded without its metadata).",
    )
    api_key: Key | None = Field(
        None,
        description="The key that `viewfinder classify --server` and `viewfinder bench --url` "
        "show, in the environment rather than in a file; never printed.",
    )
    idempotency_s: int = Field(
        24 * 3600, ge=1, description="Seconds that an answer is kept for its `Idempotency-Key`."
    )
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(split)] = Field(
        (),
        description="Addresses or networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are "
        "believed, with commas between: `10.0.0.0/8,192.0.2.7`.",
    )
    limits: Limits = Limits()
    auth: AuthSettings = AuthSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()
    fetch: FetchSettings = FetchSettings()
    drain: DrainSettings = DrainSettings()
    database: DatabaseSettings = DatabaseSettings()
    blobs: BlobSettings = BlobSettings()
    results: ResultSettings = ResultSettings()
    jobs: JobSettings = JobSettings()
    worker: WorkerSettings = WorkerSettings()
    webhooks: WebhookSettings = WebhookSettings()
    cache: CacheSettings = CacheSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    drift: DriftSettings = DriftSettings()
    explain: ExplainSettings = ExplainSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the TOML file."""
        toml = TomlConfigSettingsSource(settings_cls, config_file())
        # The last two read nothing unless a subclass names files for them.
        return init_settings, env_settings, toml, dotenv_settings, file_secret_settings

    @property
    def store(self) -> str:
        """Where the user's models are: a folder, which need not exist, or an `s3://` address."""
        return self.model_store if self.model_store is not None else str(self.home / "models")

    @property
    def compute_threads(self) -> int:
        """Compute threads of one server process: at least one, all processes share the cores."""
        return self.threads or max(1, available_cores() // self.workers)


@functools.cache
def all_names() -> tuple[str, ...]:
    """Every setting, by its dotted name."""
    return tuple(flatten(Settings.model_construct().model_dump()))
