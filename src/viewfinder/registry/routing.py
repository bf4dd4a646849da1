"""`routing.json`, beside a model's versions: what its aliases mean, and who gets which share."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from viewfinder.types import is_model_name, parse_version

ROUTING = "routing.json"
ROUTING_BYTES = 1024 * 1024
LATEST = "latest"
STABLE = "stable"
_PERCENT = 100
_MOST_SHARES = 10

VersionNumber = Annotated[int, Field(ge=1, le=999_999_999)]


def check_alias(alias: str) -> str:
    """An alias that may be set.

    Raises:
        ValueError: It has another form than a model's name, is a number, or is computed.
    """
    if not is_model_name(alias) or parse_version(alias) is not None or alias.isdecimal():
        raise ValueError("an alias is 1-64 of a-z 0-9 . _ - and not a number")
    if alias == LATEST:
        raise ValueError("the alias latest is computed and cannot be set")
    return alias


Alias = Annotated[str, AfterValidator(check_alias)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(_Part):
    """The part of the requests that one version answers, in percent."""

    version: VersionNumber
    percent: float = Field(ge=0, le=_PERCENT)


class Traffic(_Part):
    """Who answers a request that names the model alone.

    Attributes:
        split: Versions and their shares, together 100 percent; empty leaves it to `stable`.
        shadow: A version that is given the same photos, and whose answers are only compared.
    """

    split: tuple[Share, ...] = Field((), max_length=_MOST_SHARES)
    shadow: VersionNumber | None = None

    @model_validator(mode="after")
    def _check(self) -> "Traffic":
        versions = [share.version for share in self.split]
        if len(set(versions)) != len(versions):
            raise ValueError("a version has two shares")
        if self.split and not math.isclose(
            sum(share.percent for share in self.split), _PERCENT, abs_tol=1e-6
        ):
            raise ValueError("the shares do not add up to 100 percent")
        if not self.split and self.shadow is None:
            raise ValueError("give a split, a shadow, or both")
        return self

    @property
    def versions(self) -> set[int]:
        """Every version that takes part."""
        versions = {share.version for share in self.split}
        return versions | ({self.shadow} if self.shadow is not None else set())

    def order(self, name: str, caller: str | None, chance: float) -> Sequence[int]:
        """The versions of the split, first the one that this request falls to.

        Args:
            name: The model: a caller is not the canary's guinea pig for every model alike.
            caller: Whoever asks always gets the same version, as long as the shares stay, and as
                far as they can when those change; None leaves it to chance.
            chance: 0-1, for requests without a caller.
        """
        if caller is not None:
            digest = hashlib.sha256(f"{name}\0{caller}".encode()).digest()
            chance = int.from_bytes(digest[:8]) / 2**64
        # In the order of the versions: how somebody wrote the split down moves nobody.
        split, reached = sorted(self.split, key=lambda share: share.version), 0.0
        for place, share in enumerate(split):
            reached += share.percent
            if chance * _PERCENT < reached:
                return [s.version for s in (share, *split[:place], *split[place + 1 :])]
        return [share.version for share in split]


class Routing(_Part):
    """The whole of `routing.json`.

    Attributes:
        aliases: The version that each alias means.
        previous: What each meant before, for the way back.
        traffic: The split, if there is one.
    """

    schema_version: Literal[1] = 1
    aliases: Mapping[Alias, VersionNumber] = {}
    previous: Mapping[Alias, VersionNumber] = {}
    traffic: Traffic | None = None

    @property
    def versions(self) -> dict[int, str]:
        """Every version that something points to, with what points to it."""
        traffic = self.traffic.versions if self.traffic else ()
        return {
            **dict.fromkeys(traffic, "the traffic split"),
            **{version: f"the alias {alias}" for alias, version in self.aliases.items()},
        }

    def with_alias(self, alias: str, version: int) -> "Routing":
        """The same, with an alias set."""
        previous = dict(self.previous)
        if self.aliases.get(alias, version) != version:
            previous[alias] = self.aliases[alias]
        return self.model_copy(
            update={"aliases": {**self.aliases, alias: version}, "previous": previous}
        )

    def rolled_back(self, version: int) -> "Routing":
        """The same, with `stable` back at an earlier version and no split."""
        if self.aliases.get(STABLE) == version:
            return self.with_traffic(None)
        back = self.with_alias(STABLE, version).with_traffic(None)
        previous = {a: v for a, v in back.previous.items() if a != STABLE}
        return back.model_copy(update={"previous": previous})

    def without_alias(self, alias: str) -> "Routing":
        """The same, without an alias."""
        return self.model_copy(
            update={
                "aliases": {a: v for a, v in self.aliases.items() if a != alias},
                "previous": {a: v for a, v in self.previous.items() if a != alias},
            }
        )

    def with_traffic(self, traffic: Traffic | None) -> "Routing":
        """The same, with another split, or none."""
        return self.model_copy(update={"traffic": traffic})


def read_routing(path: Path) -> Routing:
    """What a `routing.json` says.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be read.
        ValueError: It is damaged.
    """
    if path.exists() and not path.is_file():  # whoever opens a pipe waits for ever
        raise ValueError("not a file")
    with path.open("rb") as file:
        text = file.read(ROUTING_BYTES + 1)
    if len(text) > ROUTING_BYTES:
        raise ValueError("too large")
    return Routing.model_validate_json(text)
