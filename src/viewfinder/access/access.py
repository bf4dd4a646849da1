"""Who asks. Import it only where keys are asked for: it brings the database room along."""

import re
from importlib import import_module
from typing import TYPE_CHECKING

from viewfinder.access.bootstrap import BootstrapKey
from viewfinder.access.keyring import Keyring
from viewfinder.errors import MissingExtraError, UnauthenticatedError
from viewfinder.settings import OidcSettings, Settings
from viewfinder.storage.database import Database
from viewfinder.storage.keys import ApiKeys
from viewfinder.storage.schema import open_database
from viewfinder.types import Principal

if TYPE_CHECKING:
    from viewfinder.access.oidc import Provider

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
# A head has a limit of its own; no token that anybody gives out comes near this.
_LONGEST = 16 * 1024


class Access:
    """Tells who shows a token. Make one with `open_access`.

    Args:
        database: Where the keys are; closed with this.
        keyring: The keys.
        provider: Whose tokens count too.
    """

    def __init__(self, database: Database, keyring: Keyring, provider: "Provider | None") -> None:
        self._database = database
        self._keyring = keyring
        self._provider = provider

    @property
    def keys(self) -> int:
        """How many keys the database has that count, as far as is known."""
        return len(self._keyring)

    async def identify(self, token: str) -> Principal:
        """Who shows this token. A key is found without waiting for anything.

        Raises:
            UnauthenticatedError: It does not count.
        """
        if len(token) <= _LONGEST:
            principal = self._keyring.find(token)
            if principal is not None:
                return principal
            if self._provider is not None and _JWT.fullmatch(token):
                return await self._provider.identify(token)
        raise UnauthenticatedError("This key is not known here, was revoked, or has expired.")

    async def start(self) -> None:
        """Take the first look at the keys, and follow what changes.

        Raises:
            DatabaseError: The database cannot be read.
            SettingsError: The bootstrap key file cannot be read, or holds no key.
        """
        await self._keyring.start()
        if self._provider is not None:
            await self._provider.start()

    async def look(self) -> None:
        """Take one look at the keys; raises as `start`."""
        await self._keyring.load()

    async def close(self) -> None:
        """Write down what was used, and let go of everything."""
        if self._provider is not None:
            await self._provider.close()
        await self._keyring.close()
        await self._database.close()


async def open_access(settings: Settings) -> Access:
    """The access that the settings ask for; nothing is followed yet.

    Raises:
        DatabaseError: The database cannot be used as it is.
        MissingExtraError: Something is asked for that is not installed.
        SettingsError: The address of the database makes no sense.
    """
    auth = settings.auth
    provider = _provider(auth.oidc)
    database = await open_database(settings)
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
