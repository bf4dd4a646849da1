"""Callbacks at the command line: what they are signed with, and those that did not arrive."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, fail, print_json, print_table, say
from viewfinder.cli.database.asking import with_database

if TYPE_CHECKING:
    from viewfinder.storage.database import Database

_JobId = Annotated[str, typer.Argument(metavar="JOB_ID", help="Which job.")]


def webhook_secret(
    name: Annotated[
        str | None,
        typer.Argument(metavar="ID|NAME", help="Of which key; none on a server without keys."),
    ] = None,
    *,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make another; the one before counts for 24 hours.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print what callbacks are signed with. It is made when it is first asked for.

    Example:  viewfinder keys webhook-secret robot --rotate
    """
    from viewfinder.storage.secrets import WebhookSecrets

    now = datetime.now(UTC)

    async def ask(database: "Database") -> "tuple[str, datetime, datetime | None]":
        owner = None if name is None else await _owner(database, name, now)
        secrets = WebhookSecrets(database)
        found = await (secrets.rotate(owner, now) if rotate else secrets.of(owner, now))
        is_over = len(found.at(now)) == 1
        return found.secret, found.created, None if is_over else found.previous_until

    secret, created, until = with_database(ask)
    if as_json:
        times = {"created": created, "previous_until": until}
        print_json({"secret": secret} | {name: at and at.isoformat() for name, at in times.items()})
        return
    typer.echo(secret)
    if until is not None:
        say(f"until {until:%Y-%m-%d %H:%M} UTC callbacks are signed with the one before too")


def redeliver(job: _JobId, *, as_json: Json = False) -> None:
    """Send the callback of a job again, whatever became of it. Its id stays.

    Example:  viewfinder jobs redeliver 0198f5a2-6c1e-7d30-8f10-5b7a9a0c4e11
    """
    from viewfinder.storage.deliveries import Deliveries

    now = datetime.now(UTC)
    found = with_database(lambda database: Deliveries(database).redeliver(job, now))
    if not found:
        fail(_NONE.format(job))
    if as_json:
        print_json({"callbacks": found})
    else:
        say(f"{', '.join(found)} is sent again as soon as a server or worker runs")


def list_deliveries(job: _JobId, *, as_json: Json = False) -> None:
    """List how often the callback of a job was tried, and what came of it.

    Example:  viewfinder jobs deliveries 0198f5a2-6c1e-7d30-8f10-5b7a9a0c4e11
    """
    from viewfinder.api.webhooks import answer_of
    from viewfinder.storage.deliveries import Deliveries

    found = with_database(lambda database: Deliveries(database).of_job(job))
    if not found:
        fail(_NONE.format(job))
    callbacks = [answer_of(delivery, attempts) for delivery, attempts in found]
    if as_json:
        print_json({"callbacks": [callback.model_dump(mode="json") for callback in callbacks]})
        return
    for callback in callbacks:
        following = (
            "" if callback.next_attempt is None else f", next {_time(callback.next_attempt)}"
        )
        say(f"{callback.id} to {callback.url}: {callback.state}{following}")
        print_table(
            ("at", "seconds", "status", "error"),
            (
                (
                    _time(attempt.at),
                    f"{attempt.seconds:.2f}",
                    "-" if attempt.status is None else attempt.status,
                    attempt.error or "",
                )
                for attempt in callback.attempts
            ),
        )


def add_to(app: typer.Typer) -> None:
    """Add these commands to `viewfinder jobs`."""
    app.command("deliveries")(list_deliveries)
    app.command("redeliver")(redeliver)


def add_to_keys(app: typer.Typer) -> None:
    """Add these commands to `viewfinder keys`."""
    app.command("webhook-secret")(webhook_secret)


_NONE = "there is no callback of a job {}: it asked for none, has not finished, or is forgotten"


async def _owner(database: "Database", name: str, now: datetime) -> str:
    """Who somebody is that a server knows by that name."""
    from viewfinder.access.bootstrap import BOOTSTRAP
    from viewfinder.access.keys import holder_of, parse_token
    from viewfinder.storage.keys import ApiKeys

    token = parse_token(name)
    name = name if token is None else token.id  # a secret is not repeated
    for key in await ApiKeys(database).valid(now):
        if name in {key.id, key.name}:
            return holder_of(key)
    if name != BOOTSTRAP and not name.startswith("oidc:"):
        fail(f"there is no key {name} in use; `viewfinder keys list` shows what there is")
    return name


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
