"""A call: everything about a request but its sending."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from viewfinder.client.photos.forms import Form
from viewfinder.client.problems import Problem, to_error
from viewfinder.errors import RemoteError, ViewfinderError

T = TypeVar("T")
_Model = TypeVar("_Model", bound=BaseModel)
_Param: TypeAlias = str | int | float | bool

KEY_HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: Of HTTP.
        headers: By their names, in lower case.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> int | None:
        """Seconds after which the server wants to be asked again; None if it does not say."""
        text = self.headers.get("retry-after", "")
        return int(text) if text.isascii() and text.isdecimal() else None

    @property
    def problem(self) -> Problem | None:
        """The problem that it tells; None if it is none."""
        try:
            return Problem.model_validate_json(self.body)
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One operation of the API.

    Attributes:
        method: Of HTTP.
        path: Below the server's address, quoted.
        parse: What an answer means; raises what is no success.
        params: Of the query; what is None is left out.
        headers: Beside those of every call.
        body: What is sent.
        repeatable: Whether it may be sent again though it may have been carried out.
        waits: Whether an answer that says "not now" is one to wait for.
    """

    method: str
    path: str
    parse: Callable[[Answer], T]
    params: Mapping[str, _Param | None] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Form = b""
    repeatable: bool = True
    waits: bool = True

    @property
    def query(self) -> dict[str, str]:
        """The parameters, as they travel."""
        return {name: _text(given) for name, given in self.params.items() if given is not None}


def _text(given: _Param) -> str:
    return str(given).lower() if isinstance(given, bool) else str(given)


def success(kind: type[_Model]) -> Callable[[Answer], _Model]:
    """How to read an answer of a kind."""

    def parse(answer: Answer) -> _Model:
        if answer.status not in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
            raise failure(answer)
        try:
            return kind.model_validate_json(answer.body)
        except ValidationError:
            # What is wrong with the answer is not shown: it is a stranger's.
            raise strange(answer) from None

    return parse


def failure(answer: Answer) -> ViewfinderError:
    """The exception that an answer means which is no success."""
    problem = answer.problem
    return strange(answer) if problem is None else to_error(problem, answer.retry_after_s)


def strange(answer: Answer) -> RemoteError:
    """What to say of an answer that is none of Viewfinder's."""
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        error = RemoteError(
            "the server redirects to another address, which is not followed, for the key would go "
            "along; give the address where Viewfinder itself answers"
        )
    else:
        error = RemoteError(
            f"what answers is no Viewfinder (status {answer.status}); check the address, and what "
            "stands before the server"
        )
    error.status = answer.status
    return error


def as_json(**fields: Any) -> bytes:
    """A body of JSON; what is None is left out."""
    return json.dumps({name: given for name, given in fields.items() if given is not None}).encode()
