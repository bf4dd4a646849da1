"""What a request may ask for, how it is answered, and how the last ones end."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from viewfinder.settings.types import MIB, Group, split

# Pillow itself warns from here on; a larger limit would have to switch that guard off.
_PILLOW_PIXELS = 89_000_000


class Limits(Group):
    """What one request may ask for."""

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


class RateLimitSettings(Group):
    """How much one caller may ask: each key, and each address without one."""

    enabled: bool = Field(False, description="Count requests, and refuse what is over the limit.")
    requests: int = Field(
        600,
        ge=1,
        description="Requests of one key, or of one address without a key, within the window.",
    )
    window_s: int = Field(60, ge=1, le=24 * 3600, description="Length of the window, in seconds.")


class FetchSettings(Group):
    """Images that the server fetches itself."""

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
    ports: Annotated[tuple[int, ...], NoDecode, BeforeValidator(split)] = Field(
        (80, 443), description="Ports that may be asked, with commas between."
    )


class CacheSettings(Group):
    """Answers that are kept for the next request with the same photo."""

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


class ExplainSettings(Group):
    """Heat maps over photos."""

    enabled: bool = Field(
        True,
        description="Answer `explain=heatmap`: by occlusion each is the work of about 66 photos; "
        "off, it is 422.",
    )


class DrainSettings(Group):
    """How the server stops."""

    delay_s: float = Field(
        2.0,
        ge=0,
        le=60,
        description="Seconds, after SIGTERM, in which readiness says 503 and requests still come.",
    )
    timeout_s: float = Field(
        20.0, gt=0, le=300, description="Seconds after that until what is not answered is cut."
    )
