"""Every option, declared once. The only reader of the environment.

A value comes from, strongest first: a command-line flag, the environment (`VIEWFINDER_PORT`,
nested by two underscores: `VIEWFINDER_LIMITS__SIDE`), the TOML file, the default here.
"""

import contextlib
import functools
import logging
import math
import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import platformdirs
import pydantic_settings
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from viewfinder.errors import SettingsError

logger = logging.getLogger(__name__)

MIB = 1024 * 1024
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_PREFIX = "VIEWFINDER_"
_NESTING = "__"
# What Kubernetes tells every container of each service in its namespace.
_OF_A_SERVICE = re.compile(
    r"_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$"
)
_LINK = re.compile(r"(tcp|udp|sctp)://")
_NO_LINKS = (
    "; Kubernetes sets VIEWFINDER_PORT for a service of that name: set enableServiceLinks: false "
    "in the pod"
)

# Pillow itself warns from here on; a larger limit would have to switch that guard off.
_PILLOW_PIXELS = 89_000_000


def _split(value: object) -> object:
    """`a, b` as the environment has it, to its parts."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _expand(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _check_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not (text.isascii() and text.isprintable() and text and " " not in text):
        raise ValueError("a key is printable ASCII without spaces")
    return key


def _expand_address(address: str) -> str:
    return address if "://" in address else str(_expand(Path(address)))


Folder = Annotated[Path, AfterValidator(_expand)]
Key = Annotated[SecretStr, AfterValidator(_check_key)]
Address = Annotated[str, BeforeValidator(_as_text), AfterValidator(_expand_address)]


class Limits(BaseModel):
    """What one request may ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_bytes: int = Field(10 * MIB, ge=1, description="One image, and a raw body.")
    body_bytes: int = Field(15 * MIB, ge=1, description="A form of one image, and any JSON body.")
    batch_bytes: int = Field(64 * MIB, ge=1, description="The form of a batch.")
    batch_images: int = Field(64, ge=1, le=1000, description="Images in one batch.")
    jpeg_pixels: int = Field(
        50_000_000,
        ge=1,
        le=_PILLOW_PIXELS,
        description="Pixels of a JPEG, which is decoded smaller.",
    )
    pixels: int = Field(
        25_000_000, ge=1, le=_PILLOW_PIXELS, description="Pixels of another format."
    )
    side: int = Field(16_384, ge=1, description="The longer side of any image, in pixels.")
    head_bytes: int = Field(
        32 * 1024, ge=1024, le=MIB, description="The request line and all headers."
    )
    headers: int = Field(100, ge=10, le=10_000, description="Headers of one request.")
    head_s: float = Field(
        5.0, gt=0, le=60, description="Seconds within which all headers must have come."
    )
    stall_s: float = Field(
        10.0,
        gt=0,
        le=20,
        description="Seconds without a byte, in or out, after which a connection is cut.",
    )
    connections: int = Field(
        2000,
        ge=1,
        description="Connections of one process; when there are more, one that asks nothing makes "
        "room, or the new one is closed.",
    )
    bodies_bytes: int = Field(
        512 * MIB,
        ge=1,
        description="All bodies that one process holds at a time; more are refused with 503.",
    )


class CacheSettings(BaseModel):
    """Answers that are kept for the next request with the same photo."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        True,
        description="Keep answers by the photo's bytes; off, the same photo is worked on as often "
        "as it is sent.",
    )
    size: int = Field(10_000, ge=1, description="Answers kept in memory, 1-2 kB each.")
    redis_url: str | None = Field(
        None,
        description="A Redis that replicas share answers through, `redis://host:6379/0` (extra "
        "`redis`).",
    )
    ttl_s: int = Field(24 * 3600, ge=1, description="Seconds that an answer stays in Redis.")


class OidcSettings(BaseModel):
    """Tokens of an OpenID Connect provider, accepted beside keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str | None = Field(
        None,
        description="The provider whose tokens are taken beside keys, as they name it: "
        "`https://login.example.org/` (extra `oidc`).",
    )
    audience: str | None = Field(
        None, description="What the tokens must be meant for; goes with `issuer`."
    )
    jwks_url: str | None = Field(
        None,
        description="Where the provider's keys are; default: what the provider's discovery says.",
    )
    scopes_claim: str = Field("scope", description="The claim that holds the scopes.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.issuer is None) != (self.audience is None):
            raise ValueError("issuer and audience belong together")
        return self


class AuthSettings(BaseModel):
    """Who may ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool | None = Field(
        None, description="Ask for a key; default: on, except at a loopback address."
    )
    bootstrap_key_file: Folder | None = Field(
        None,
        description="A file with a key that may do everything, for containers; 32 characters or "
        "more.",
    )
    refresh_s: float = Field(
        2.0, gt=0, le=300, description="Seconds after which a new, or revoked, key counts."
    )
    oidc: OidcSettings = OidcSettings()


class RateLimitSettings(BaseModel):
    """How much one caller may ask: each key, and each address without one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(False, description="Count requests, and refuse what is over the limit.")
    requests: int = Field(
        600,
        ge=1,
        description="Requests of one key, or of one address without a key, within the window.",
    )
    window_s: int = Field(60, ge=1, le=24 * 3600, description="Length of the window, in seconds.")


class FetchSettings(BaseModel):
    """Images that the server fetches itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(False, description="Take images by URL.")
    allow_private: bool = Field(
        False,
        description="Also from addresses that are not public: this machine's own, the network's, "
        "the cloud's metadata. Know who can ask.",
    )
    timeout_s: float = Field(
        10.0,
        gt=0,
        le=300,
        description="Seconds for one image, in all: names, connections, redirects, body.",
    )
    redirects: int = Field(
        3,
        ge=0,
        le=10,
        description="Redirects that are followed, each checked like the first URL.",
    )
    ports: Annotated[tuple[int, ...], NoDecode, BeforeValidator(_split)] = Field(
        (80, 443), description="Ports that may be asked, with commas between."
    )


class DrainSettings(BaseModel):
    """How the server stops."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delay_s: float = Field(
        2.0,
        ge=0,
        le=60,
        description="Seconds, after SIGTERM, in which readiness says 503 and requests still come.",
    )
    timeout_s: float = Field(
        20.0, gt=0, le=300, description="Seconds after that until what is not answered is cut."
    )


class DatabaseSettings(BaseModel):
    """Where keys, results, jobs and callbacks are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str | None = Field(
        None,
        description="`postgresql://user@host/name` (extra `postgres`), or "
        "`sqlite:////path/of/a.db`; default: `viewfinder.db` in the home.",
    )


class BlobSettings(BaseModel):
    """Where stored images, and the images of jobs, are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Address | None = Field(
        None,
        description="An absolute path, or `s3://bucket/prefix` (extra `s3`); default: `blobs` in "
        "the home.",
    )


class ResultSettings(BaseModel):
    """How long results are kept, and how their images look."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_days: float = Field(90.0, gt=0, le=36_500, description="Days that a result is kept.")
    keep_rows: int = Field(
        5_000_000, ge=1, description="Results that are kept; the oldest make room."
    )
    keep_mb: int = Field(
        10_000,
        ge=1,
        description="MB of stored images that are kept; the oldest make room, their results stay.",
    )
    image_side: int = Field(
        1024,
        ge=64,
        le=8192,
        description="The longer side that a stored image has at most, in pixels.",
    )
    buffer: int = Field(
        10_000,
        ge=1,
        description="Results that wait in memory to be written; further ones are lost, and "
        "counted.",
    )


class JobSettings(BaseModel):
    """Images by the thousand, in the background."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: bool = Field(
        True, description="Work on jobs in the server too; off, only `viewfinder worker` does."
    )
    images: int = Field(10_000, ge=1, le=1_000_000, description="Images of one job.")
    upload_bytes: int = Field(
        2048 * MIB, ge=1, description="The upload of one job, and all that its archive holds."
    )
    waiting: int = Field(1000, ge=1, description="Jobs that may wait; more are refused with 503.")
    lease_s: float = Field(
        60.0, ge=1, le=3600, description="Seconds after which a job goes on whose worker is gone."
    )
    keep_days: float = Field(
        30.0,
        gt=0,
        le=36_500,
        description="Days that a finished job is kept, with its results and its callback.",
    )


class WorkerSettings(BaseModel):
    """What `viewfinder worker` has and a server has not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port at which `viewfinder worker` shows its health and metrics, at `host`; 0 "
        "takes a free one; default: it listens nowhere.",
    )


class WebhookSettings(BaseModel):
    """Calls to those who wait for a job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_private: bool = Field(
        False,
        description="Call addresses that are not public too: this machine's own, the network's, "
        "the cloud's metadata. Know who can ask.",
    )
    timeout_s: float = Field(15.0, gt=0, le=60, description="Seconds for one call, in all.")
    ports: Annotated[tuple[int, ...], NoDecode, BeforeValidator(_split)] = Field(
        (80, 443), description="Ports that may be called, with commas between."
    )


class MetricsSettings(BaseModel):
    """What Prometheus reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="Count and time what is done, for `GET /metrics`.")


class LogSettings(BaseModel):
    """What is logged, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged; `debug` has looks at health, too."
    )
    format: Literal["auto", "text", "json"] = Field(
        "auto",
        description="`text` for people, `json` for machines; `auto` is text on a terminal, and "
        "JSON elsewhere.",
    )
    requests: bool = Field(True, description="A line for each request.")


class TracingSettings(BaseModel):
    """Traces, as OpenTelemetry has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str | None = Field(
        None,
        description="A collector that takes OTLP over HTTP, `http://collector:4318` (extra "
        "`otel`).",
    )
    sample: float = Field(
        0.1,
        ge=0,
        le=1,
        description="The share of requests to trace, where the caller has not decided; 1 to look "
        "at a single one.",
    )


class DriftSettings(BaseModel):
    """Whether photos, and answers, are still like those that a model was measured with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        True,
        description="Compare photos and answers with those that the model was measured with.",
    )
    photos: int = Field(
        1000, ge=100, le=1_000_000, description="The most recent photos that are compared."
    )
    per_second: int = Field(
        5,
        ge=1,
        le=100_000,
        description="About so many photos a second each worker looks at, of each version; of more, "
        "at a random part.",
    )


class ExplainSettings(BaseModel):
    """Heat maps over photos."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        True,
        description="Answer `explain=heatmap`: by occlusion each is the work of about 66 photos; "
        "off, it is 422.",
    )


class Settings(BaseSettings):
    """The whole tree of options."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter=_NESTING,
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
    models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
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
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_split)] = (
        Field(
            (),
            description="Addresses or networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are "
            "believed, with commas between: `10.0.0.0/8,192.0.2.7`.",
        )
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


def available_cores() -> int:
    """Cores this process may use: in a container, often fewer than the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(OSError, ValueError):  # no cgroup v2, or no quota ("max")
        quota, period = _CPU_QUOTA.read_text().split()
        return max(1, min(cores or 1, math.ceil(int(quota) / int(period))))
    return cores or 1


def config_file() -> Path:
    """The TOML file that is read if it exists: `VIEWFINDER_CONFIG`, else in the user's config."""
    given = os.environ.get(f"{_PREFIX}CONFIG")
    if not given:
        return platformdirs.user_config_path("viewfinder") / "viewfinder.toml"
    path = Path(given).expanduser()
    if not path.is_file():
        raise SettingsError(f"VIEWFINDER_CONFIG names {path}, which is not a file")
    return path


def load_settings(**flags: Any) -> Settings:
    """Settings with those flags on top that were given (are not None).

    Raises:
        SettingsError: A value is outside its range, a name in the file or in a group is unknown, or
            the file is not TOML. Other unknown names in the environment are a warning in the log.
    """
    _tell_of_strangers(strangers_of(os.environ))
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_explain(error.errors(include_url=False)[0])) from error
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


def strangers_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The names that look like settings, are none, and would be passed over without a word.

    What Kubernetes sets for services whose names begin with `viewfinder` is left out. What stands
    in a group of settings is, too: that is refused.

    Args:
        environment: All variables.
    """
    names = _names()
    groups = tuple(f"{environment_name(name.partition('.')[0])}{_NESTING}" for name in names)
    known = {environment_name(part) for name in names for part in (name, name.partition(".")[0])}
    return tuple(
        name
        for name, value in sorted(environment.items())
        if (called := name.upper()).startswith(_PREFIX)
        and called not in {*known, f"{_PREFIX}CONFIG"}
        and not called.startswith(groups)
        and not (_OF_A_SERVICE.search(called) or _LINK.match(value))
    )


@functools.cache
def _tell_of_strangers(names: tuple[str, ...]) -> None:
    """Warn, once."""
    known = [environment_name(name) for name in _names()]
    for name in names:
        near = get_close_matches(name.upper(), known, n=1)
        meant = f"did you mean {near[0]}?" if near else "docs/settings.md has them all"
        logger.warning("%s in the environment is no setting and does nothing; %s", name, meant)


@functools.cache
def _names() -> tuple[str, ...]:
    """Every setting, by its dotted name."""
    return tuple(flatten(Settings.model_construct().model_dump()))


def _explain(error: ErrorDetails) -> str:
    """What is wrong with a setting, and what may be meant."""
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        near = get_close_matches(name, _names(), n=1)
        meant = f"did you mean {near[0]}?" if near else "docs/settings.md has them all"
        return f"the setting {name} is not valid: there is none of that name; {meant}"
    is_link = name in {"port", "host"} and _LINK.match(str(error["input"]))
    return f"the setting {name} is not valid: {error['msg']}{_NO_LINKS if is_link else ''}"


def environment_name(name: str) -> str:
    """What a setting, by its dotted name, is called in the environment."""
    return _PREFIX + name.upper().replace(".", _NESTING)


def without_password(address: str) -> str:
    """An address that can be shown: rather too much is hidden than too little."""
    hidden = re.sub(r"(://[^:/@?]*):.*@", r"\1:***@", address)
    return re.sub(r"([?&][a-z_]*password=)[^&]*", r"\1***", hidden, flags=re.IGNORECASE)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of dictionaries as one, its names joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
