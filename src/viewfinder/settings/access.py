"""Who may ask."""

from typing import Self

from pydantic import Field, model_validator

from viewfinder.settings.types import Folder, Group


class OidcSettings(Group):
    """Tokens of an OpenID Connect provider, accepted beside keys."""

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


class AuthSettings(Group):
    """Who may ask."""

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
