"""The secrets of callbacks, on both databases."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from viewfinder.storage.database import Database
from viewfinder.storage.secrets import NOBODY, WebhookSecrets

NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(hours=24)


async def test_a_secret_is_made_when_it_is_first_asked_for_and_stays(database: Database) -> None:
    secrets = WebhookSecrets(database)
    found = await secrets.of("key:1", NOW)
    assert found.secret.startswith("whsec_")
    assert len(base64.b64decode(found.secret.removeprefix("whsec_"), validate=True)) == 32
    assert Webhook(found.secret).sign("msg_1", NOW, "{}").startswith("v1,")
    assert found.at(NOW) == (found.secret,)
    assert await secrets.of("key:1", NOW + DAY) == found


async def test_everybody_has_another_and_those_without_a_key_one_in_common(
    database: Database,
) -> None:
    secrets = WebhookSecrets(database)
    found = [await secrets.of(owner, NOW) for owner in ("key:1", "key:2", None, NOBODY)]
    assert found[2] == found[3]
    assert len({one.secret for one in found}) == 3


@pytest.mark.parametrize("rotating", [False, True])
async def test_of_many_who_ask_first_at_once_one_makes_it(
    database: Database, *, rotating: bool
) -> None:
    secrets = WebhookSecrets(database)
    asked = [secrets.of("key:1", NOW) for _ in range(12)]
    if rotating:
        asked.append(secrets.rotate("key:1", NOW))
    found = await asyncio.gather(*asked)
    now = await secrets.of("key:1", NOW)
    assert {one.secret for one in found} <= {now.secret, now.previous}
    assert len({one.secret for one in found}) <= 1 + rotating


async def test_a_secret_that_was_replaced_counts_for_a_day(database: Database) -> None:
    secrets = WebhookSecrets(database)
    first = await secrets.of("key:1", NOW)
    await secrets.of("key:2", NOW)
    second = await secrets.rotate("key:1", NOW)
    assert second.secret != first.secret
    assert (second.created, second.previous_until) == (NOW, NOW + DAY)
    found = await secrets.of("key:1", NOW)
    assert found == second
    assert found.at(NOW + DAY - timedelta(seconds=1)) == (second.secret, first.secret)
    assert found.at(NOW + DAY) == (second.secret,)
    assert (await secrets.of("key:2", NOW)).previous is None
    third = await secrets.rotate("key:1", NOW)
    assert third.at(NOW) == (third.secret, second.secret)


async def test_a_rotation_before_anybody_has_a_secret_makes_the_first(database: Database) -> None:
    made = await WebhookSecrets(database).rotate("key:1", NOW)
    assert made.previous is None
    assert made.at(NOW) == (made.secret,)
