"""The receiver in docs/callbacks.md works."""

import re
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from standardwebhooks import Webhook
from tests.jobs.receiver import BODY, put
from tests.support import eventually

from viewfinder.jobs.callbacks.deliverer import Deliverer
from viewfinder.settings import Settings, WebhookSettings
from viewfinder.storage.deliveries import Deliveries
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.secrets import WebhookSecrets

PAGE = Path(__file__).parents[3] / "docs" / "callbacks.md"


@pytest.fixture
async def link(tmp_path: Path) -> Any:
    link = DatabaseLink(Settings(home=tmp_path))
    yield link
    await link.close()


@pytest.fixture
async def example(link: DatabaseLink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """It, on a port of this machine: the URL, and what it has seen."""
    found = await WebhookSecrets(await link.open()).of(None, datetime.now(UTC))
    monkeypatch.setenv("VIEWFINDER_WEBHOOK_SECRET", found.secret)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "receiver_example.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    module = import_module("receiver_example")
    for url in _serving(module.app):
        yield url, module.seen
    del sys.modules["receiver_example"]


def _serving(app: Any) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/viewfinder"
        server.should_exit = True
        thread.join(30)


async def test_it_takes_what_is_genuine_each_once(
    link: DatabaseLink,
    example: tuple[str, set[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, seen = example
    port = int(url.split(":")[2].split("/")[0])
    called = WebhookSettings(allow_private=True, ports=(port,))
    deliverer = Deliverer(link, Settings(home=tmp_path, webhooks=called))
    deliveries = Deliveries(await link.open())
    identifier = await put(await link.open(), url, datetime.now(UTC), job="j")
    for _ in range(2):
        await deliverer.deliver()
        await deliveries.redeliver("j", datetime.now(UTC))
    await deliverer.close()
    ((_, attempts),) = await deliveries.of_job("j")
    assert [attempt.status for attempt in attempts] == [204, 204]
    assert seen == {identifier}
    assert capsys.readouterr().out.count("job.succeeded") == 1


@pytest.mark.parametrize("forged", ["", "v1,AAAA", "nonsense", "v1,a,b", "v1,?", "of another"])
async def test_it_refuses_what_is_not(example: tuple[str, set[str]], forged: str) -> None:
    url, seen = example
    now = datetime.now(UTC)
    if forged == "of another":
        forged = Webhook("whsec_AAAA").sign("msg_1", now, BODY)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": forged,
    }
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(url, content=BODY, headers=headers)
    assert answer.status_code == 401
    assert seen == set()
