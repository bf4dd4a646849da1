"""What both clients are made of."""

import random
import ssl
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

from viewfinder.client.call import Call, T
from viewfinder.client.options import DEFAULT_URL, Options, check_timeout
from viewfinder.client.photos.files import to_archive, to_parts
from viewfinder.client.photos.forms import Form
from viewfinder.client.sending.retrying import USUAL, Budget, Retries
from viewfinder.client.sending.talk import Deadline, Steps, Talk
from viewfinder.errors import NotReadyError
from viewfinder.types import Photo


class Core(ABC):
    """A client but for its way to send.

    Args:
        url: Where the server is; with a path, if it is below one.
        key: Shown to it as `X-API-Key`. Nothing is read from the environment.
        timeout_s: Seconds for a call that says nothing of it, with all its tries and waits.
        retries: When to try again what failed in passing; `Retries(attempts=1)` never does.
        resize: Pixels of the shorter side beyond which a photo is made smaller before it is sent;
            None sends files as they are.
        verify: Whose word counts for the server's certificate: the public authorities (True), those
            of a file of PEM, or of a context; with False anybody can pass for the server.
        at_once: Photos that `classify_many` sends side by side.

    Raises:
        ValueError: One of them makes no sense.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        retries: Retries = USUAL,
        resize: int | None = None,
        verify: bool | str | ssl.SSLContext = True,
        at_once: int = 8,
    ) -> None:
        self._options = Options(url, key, timeout_s, retries, resize, verify, at_once)
        self._is_closed = False
        self._connect(self._options)
        self._talk = Talk(url, retries, Budget(retries), time.monotonic, random.random)

    @abstractmethod
    def _connect(self, options: Options) -> None:
        """Make what calls are sent with; nothing is sent."""

    def _until(self, timeout_s: float | None) -> Deadline:
        """When a call that begins now is to be done.

        Raises:
            NotReadyError: The client is closed.
        """
        if self._is_closed:
            raise NotReadyError("The client is closed.")
        seconds = self._options.timeout_s if timeout_s is None else check_timeout(timeout_s)
        return self._talk.until(seconds)

    def _tries(self, call: Call[T], deadline: Deadline | None = None) -> Steps[T]:
        return self._talk.tries(call, self._until(None) if deadline is None else deadline)

    def _job_body(
        self,
        photos: Iterable[Photo] | None,
        archive: str | Path | bytes | None,
        urls: Sequence[str] | None,
    ) -> Form | Sequence[str]:
        """What a job is made of.

        Raises:
            TypeError: Not one of the three is given.
        """
        match photos, archive, urls:
            case (_, None, None) if photos is not None:
                return self._form(photos)
            case (None, _, None) if archive is not None:
                return Form(new_id(), to_archive(archive))
            case (None, None, _) if urls is not None:
                return urls
        raise TypeError("give photos, an archive or urls, and one of them only")

    def _form(self, photos: Iterable[Photo]) -> Form:
        return Form(new_id(), to_parts(photos, self._options.resize))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._options.url}>"


def new_id() -> str:
    """What nobody else has: a key for a call, or the boundary of a form."""
    return str(uuid.uuid4())


def check_photo(photo: Photo | None, url: str | None) -> None:
    """There is one photo to classify.

    Raises:
        TypeError: There is none, or there are two.
    """
    if (photo is None) == (url is None):
        raise TypeError("give a photo, or its url, and not both")
