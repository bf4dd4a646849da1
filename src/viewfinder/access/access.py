"""Who asks. Import it only where keys are asked for: it brings the database room along."""

import re
from importlib import import_module
from typing import TYPE_CHECKING

from viewfinder.access.bootstrap import BootstrapKey
from viewfinder.access.keyring import Keyring
from viewfinder.access.keys import parse_token
from viewfinder.errors import MissingExtraError, NotReadyError, UnauthenticatedError
from viewfinder.settings import OidcSettings, Settings
from viewfinder.storage.keys import ApiKeys
from viewfinder.storage.link import DatabaseLink
from viewfinder.types import Principal

if TYPE_CHECKING:
    from viewfinder.access.oidc import Provider

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
# A head has a limit of its own; no token that anybody gives out comes near this.
_LONGEST = 16 * 1024
_RETRY_S = 5


class Access:
    """Tells who shows a token. Make one with `open_access`.

    Args:
        database: Leads to where the keys are; closed with this.
        keyring: The keys.
        provider: Whose tokens count too.
    """

    def __init__(
        self, database: DatabaseLink, keyring: Keyring, provider: "Provider | None"
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._provider = provider

    @property
    def keys(self) -> int:
        """How many keys the database has that count, as far as is known."""
        return len(self._keyring)

    @property
    def problem(self) -> str | None:
        """What is wrong with the keys, for people; None where they can be looked at."""
        if not self._keyring.is_away:
            return None
        if self._keyring.is_known:
            return "the database cannot be used; the keys known so far go on to count"
        return "the database cannot be used; no key of it counts before it is back"

    async def identify(self, token: str) -> Principal:
        """Who shows this token. A key is found without waiting for anything.

        Raises:
            UnauthenticatedError: It does not count.
            NotReadyError: It is a key, and nobody has been able to look at the keys yet.
        """
        if len(token) <= _LONGEST:
            principal = self._keyring.find(token)
            if principal is not None:
                return principal
            if self._provider is not None and _JWT.fullmatch(token):
                return await self._provider.identify(token)
            if not self._keyring.is_known and parse_token(token) is not None:
                raise NotReadyError(
                    "The keys cannot be looked at now; try again later.", retry_after_s=_RETRY_S
                )
        raise UnauthenticatedError("This key is not known here, was revoked, or has expired.")

    async def start(self) -> None:
        """Take the first look at the keys, and follow what changes.

        Raises:
            DatabaseError: The database cannot be read, and that will not pass by itself.
            SettingsError: The bootstrap key file cannot be read, or holds no key.
        """
        await self._keyring.start()
        if self._provider is not None:
            await self._provider.start()

    async def look(self) -> None:
        """Take one look at the keys.

        Raises:
            DatabaseError: The database cannot be read.
            SettingsError: The bootstrap key file cannot be read, or holds no key.
        """
        await self._keyring.load()

    async def close(self) -> None:
        """Write down what was used, and let go of everything."""
        if self._provider is not None:
            await self._provider.close()
        await self._keyring.close()
        await self._database.close()


def open_access(settings: Settings) -> Access:
    """The access that the settings ask for; nothing is opened or followed yet.

    Raises:
        MissingExtraError: Something is asked for that is not installed.
    """
    auth = settings.auth
    provider = _provider(auth.oidc)
    database = DatabaseLink(settings)
    bootstrap = BootstrapKey(auth.bootstrap_key_file) if auth.bootstrap_key_file else None
    keyring = Keyring(ApiKeys(database), bootstrap=bootstrap, refresh_s=auth.refresh_s)
    return Access(database, keyring, provider)


def _provider(settings: OidcSettings) -> "Provider | None":
    if settings.issuer is None:
        return None
    try:
        oidc = import_module("viewfinder.access.oidc")
    except ModuleNotFoundError as error:
        raise MissingExtraError("OpenID Connect", "oidc") from error
    provider: Provider = oidc.Provider(settings)
    return provider
