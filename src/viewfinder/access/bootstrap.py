"""The key in a file, for containers: everything may be done with it, and no database knows it."""

import logging
from pathlib import Path

from viewfinder.access.keys import SCOPES, digest_of, same
from viewfinder.errors import SettingsError
from viewfinder.types import Principal

logger = logging.getLogger(__name__)

BOOTSTRAP = "bootstrap"
"""Who shows it, as records name them."""

_SHORTEST = 32
_LONGEST = 4096
_HOLDER = Principal(BOOTSTRAP, frozenset(SCOPES))


class BootstrapKey:
    """Follows the content of a file.

    A file that is gone is a key taken back. One that cannot be read, or holds too little (it may
    be in the middle of being written), changes nothing yet.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest: str | None = None
        self._problem: str | None = None

    def read(self) -> None:
        """Read it for the first time.

        Raises:
            SettingsError: It cannot be read, or holds no key.
        """
        try:
            self._digest = digest_of(_secret(self._path))
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"the setting auth.bootstrap_key_file is not valid: {self._path} {_reason(error)}"
            ) from error

    def refresh(self) -> None:
        """Read it again. What is wrong is logged once."""
        problem = None
        try:
            self._digest = digest_of(_secret(self._path))
        except FileNotFoundError:
            self._digest, problem = None, "is gone, and its key counts no more"
        except (OSError, ValueError) as error:
            problem = f"{_reason(error)}; the key that it held goes on to count"
        if problem is not None and problem != self._problem:
            logger.warning("the bootstrap key file %s", problem)
        self._problem = problem

    def find(self, token: str) -> Principal | None:
        """Who shows this token, if it is the one in the file."""
        if self._digest is None or not same(self._digest, digest_of(token)):
            return None
        return _HOLDER


def _secret(path: Path) -> str:
    with path.open("rb") as file:
        text = file.read(_LONGEST + 1).strip().decode("ascii", errors="replace")
    if not _SHORTEST <= len(text) <= _LONGEST or not text.isascii() or not text.isprintable():
        raise ValueError(f"holds no key: it must be {_SHORTEST} characters or more, in ASCII")
    if " " in text:
        raise ValueError("holds more than one word")
    return text


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error)
