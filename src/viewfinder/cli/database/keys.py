"""`viewfinder keys`: who may ask a server, and what."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from viewfinder.cli.console import Json, fail, print_json, print_table, say
from viewfinder.cli.database.asking import with_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from viewfinder.storage.keys import ApiKey, ApiKeys
    from viewfinder.types import AccessScope

app = typer.Typer(help="Make, list and revoke the keys of a server.", no_args_is_help=True)

_T = TypeVar("_T")
_MOST_REQUESTS = 1_000_000_000
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}
_PERIOD = re.compile(r"([1-9][0-9]{0,4})([hdw])")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="classify, read or manage; may be repeated. Default: classify and read."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="After how long it counts no more: 12h, 90d, 8w.")
    ] = None,
    requests: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MOST_REQUESTS,
            help="Requests within the window of the rate limit, if not the usual.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once. A running server knows it within seconds.

    Example:  viewfinder keys create robot --scope classify --expires 90d
    """
    from viewfinder.access.keys import is_key_name, make_key

    if not is_key_name(name):
        fail(f"{name!r} cannot name a key: 1-64 letters, digits and . _ @ -, and no id", code=2)
    now = datetime.now(UTC)
    key, token = make_key(
        name,
        now=now,
        scopes=_known_scopes(scope or ["classify", "read"]),
        expires=None if expires is None else now + _period(expires),
        requests=requests,
    )
    _with_keys(lambda keys: keys.add(key))
    if as_json:
        print_json({"token": token, **_as_json(key, now)})
    else:
        typer.echo(token)
    say(f"the key {name} ({key.id}) may {_scopes(key)}; it is not shown again")


@app.command("list")
def list_keys(*, as_json: Json = False) -> None:
    """List the keys, never their secrets.

    Example:  viewfinder keys list
    """
    now = datetime.now(UTC)
    found = _with_keys(lambda keys: keys.all())
    if as_json:
        print_json({"keys": [_as_json(key, now) for key in found]})
        return
    print_table(
        ("id", "name", "scopes", "created", "last used", "state"),
        (
            (
                key.id,
                key.name,
                _scopes(key),
                _day(key.created),
                _day(key.last_used),
                _state(key, now),
            )
            for key in found
        ),
    )


@app.command("revoke")
def revoke(
    which: Annotated[str, typer.Argument(metavar="ID|NAME", help="Which key.")],
    *,
    as_json: Json = False,
) -> None:
    """Take a key back. A running server refuses it within seconds.

    Example:  viewfinder keys revoke robot
    """
    from viewfinder.access.keys import parse_token

    now = datetime.now(UTC)
    token = parse_token(which)
    named = which if token is None else token.id  # a secret is not repeated
    key = _with_keys(lambda keys: keys.revoke(named, now))
    if key is None:
        fail(f"there is no key {named} in use; `viewfinder keys list` shows what there is")
    if as_json:
        print_json(_as_json(key, now))
    say(f"the key {key.name} ({key.id}) counts no more")


def _with_keys(ask: "Callable[[ApiKeys], Awaitable[_T]]") -> _T:
    from viewfinder.storage.keys import ApiKeys

    return with_database(lambda database: ask(ApiKeys(database)))


def _known_scopes(words: list[str]) -> "list[AccessScope]":
    from viewfinder.access.keys import SCOPES

    unknown = sorted(set(words).difference(SCOPES))
    if unknown:
        fail(f"--scope takes {', '.join(SCOPES)}, and not {', '.join(unknown)}", code=2)
    return [scope for scope in SCOPES if scope in words]


def _period(text: str) -> timedelta:
    found = _PERIOD.fullmatch(text)
    if found is None:
        fail(
            f"--expires takes a number of hours, days or weeks, as 12h, 90d or 8w: {text!r}", code=2
        )
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


def _state(key: "ApiKey", now: datetime) -> str:
    if key.revoked is not None:
        return f"revoked {_day(key.revoked)}"
    if key.expires is None:
        return "valid"
    return f"{'valid until' if key.expires > now else 'expired'} {_day(key.expires)}"


def _scopes(key: "ApiKey") -> str:
    return ", ".join(sorted(key.scopes))


def _day(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _as_json(key: "ApiKey", now: datetime) -> dict[str, Any]:
    moments = ("created", "expires", "revoked", "last_used")
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "requests": key.requests,
        **{name: at.isoformat() if (at := getattr(key, name)) else None for name in moments},
        "state": _state(key, now).split()[0],
    }
