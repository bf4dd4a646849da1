"""A server under test, and what callers, probes and Prometheus see of it."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from tests.support import LocalServer, Server, eventually, fake_bundle, grey, serving

# So many one after the other would take minutes if each waited for what hangs.
MANY = 30
PATIENCE_S = 40.0
BOOTSTRAP = "everything-may-be-done-with-this-key"


class Asked:
    """Asks a server.

    Args:
        server: The server.
        key: What it asks for, if it does.

    Attributes:
        shown: How many photos it was shown, whatever it answered.
    """

    def __init__(self, server: Server | LocalServer, key: str | None = None) -> None:
        headers = {} if key is None else {"X-API-Key": key}
        self._client = httpx2.Client(
            base_url=server.url, headers=headers, timeout=PATIENCE_S, trust_env=False
        )
        self.shown = 0

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, path: str, **given: Any) -> httpx2.Response:
        return self._client.request(method, path, **given)

    def classify(
        self, photo: bytes | None = None, path: str = "/v1/classify", **headers: str
    ) -> httpx2.Response:
        """Post a photo; unless it is given, one that was not shown before."""
        if photo is None:
            self.shown += 1
            photo = grey(self.shown % 256, (32, 32 + self.shown))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", path, content=photo, headers={"Content-Type": "image/png", **named})

    def classify_many(self) -> None:
        """Photos are answered, as if nothing were away."""
        for _ in range(MANY):
            answer = self.classify()
            assert answer.status_code == 200, answer.text

    def parts(self) -> dict[str, str]:
        """The parts of a server that is ready, or degraded; those that are as they should be are
        left out.
        """
        answer = self.ask("GET", "/health/ready")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        wrong = {part: state for part, state in body["parts"].items() if state != "ready"}
        assert body["status"] == ("degraded" if wrong else "ready")
        return wrong

    def gauges(self, name: str = "viewfinder_part_ready") -> dict[str, float]:
        """The values of a metric, by all its labels as they are written."""
        text = self.ask("GET", "/metrics").text
        found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
        return {labels: float(value) for labels, value in found}

    def until_wrong(self, *parts: str) -> dict[str, str]:
        """Wait until these parts, and no others, are wrong: for probes and for Prometheus."""
        eventually(lambda: self.parts().keys() == set(parts))
        wrong = self.parts()
        gauges = self.gauges()
        assert {labels for labels, value in gauges.items() if not value} == {
            f'part="{part}"' for part in parts
        }
        return wrong

    def until_ready(self) -> None:
        """Wait until all is well again."""
        self.until_wrong()


def is_refused(answer: httpx2.Response, code: str = "not_ready") -> bool:
    """Whether an answer is a documented refusal that says when to ask again."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    return bool(answer.json()["code"] == code)


def why_not_ready(asked: Asked) -> str:
    """What a server that is not ready says of that."""
    answer = asked.ask("GET", "/health/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    return str(answer.json()["detail"])


@contextlib.contextmanager
def asking_one(
    home: Path, *, key: str | None = None, until: str = "ready: ", **settings: object
) -> Iterator[Asked]:
    """A real server with the fake model, in a store of its own."""
    store = home.parent / "store"
    if not os.path.lexists(store):
        fake_bundle(store)
    given = {"MODEL_STORE": store, "THREADS": 1, "STORE_POLL_S": 0.2, **settings}
    with serving(home, "--model", "fake", until=until, **given) as server:
        asked = Asked(server, key)
        try:
            yield asked
        finally:
            asked.close()
