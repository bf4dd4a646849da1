"""A real Prometheus reads a real server's metrics, and every question to it has an answer."""

import asyncio
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.deploy.dashboard import expressions, filled_in, legends
from tests.deploy.prometheus import (
    GRAFANA,
    RULES,
    Prometheus,
    needs_prometheus,
    promtool,
    running_prometheus,
)
from tests.deploy.rules import examples, rule_expressions
from tests.serving.references import with_reference
from tests.support import Server, eventually, fake_bundle, grey, serving

from viewfinder.access.keys import make_key
from viewfinder.registry.folder import FolderStore
from viewfinder.registry.routing import Routing, Traffic
from viewfinder.settings import Settings
from viewfinder.storage.keys import ApiKeys
from viewfinder.storage.schema import open_database

KEY = "prometheus-asks-" * 3
# What an expression asks for that did not happen in the run, and why.
MAY_BE_EMPTY = {
    "viewfinder_abstentions_total": "the model never abstains",
    "viewfinder_plugin_": "there is no plug-in",
    "viewfinder_callback_attempts_total": "no job asked for a call",
    'viewfinder_store_looks_total{job=~"$job", instance=~"$instance", outcome="failed"}': (
        "the store can be read"
    ),
    "viewfinder_result_images_lost_total": "no image is stored",
    "(increase(viewfinder_model_loads_total": "nothing is loaded at this moment",
}
NOT_RECORDED = {
    "instance:viewfinder_overload:ratio_rate5m",
    "instance:viewfinder_store_look_failures:ratio_rate5m",
    "job_model:viewfinder_abstentions:ratio_rate1h",
}
MARKER = "zq7marker"
JOB_IMAGES = 'viewfinder_job_images_total{job="viewfinder"}'
# In place of what Kubernetes says: one pod to read, one that is not marked, one that is over.
PODS = """static_configs:
      - targets: [a]
        labels:
          __meta_kubernetes_pod_annotation_prometheus_io_scrape: "true"
          __meta_kubernetes_pod_annotation_prometheus_io_job: viewfinder
          __meta_kubernetes_pod_annotation_prometheus_io_port: "PORT"
          __meta_kubernetes_pod_phase: Running
          __meta_kubernetes_pod_ip: 127.0.0.1
          __meta_kubernetes_pod_name: viewfinder-0
          __meta_kubernetes_namespace: shop
      - targets: [b]
        labels: {__meta_kubernetes_pod_ip: 127.0.0.1, __meta_kubernetes_pod_phase: Running}
      - targets: [c]
        labels:
          __meta_kubernetes_pod_annotation_prometheus_io_scrape: "true"
          __meta_kubernetes_pod_annotation_prometheus_io_job: viewfinder
          __meta_kubernetes_pod_phase: Succeeded
          __meta_kubernetes_pod_ip: 127.0.0.1
"""


@dataclass(frozen=True)
class Run:
    """A server that has been used, and the Prometheus that has read its metrics meanwhile.

    Attributes:
        prometheus: Prometheus.
        text: What `/metrics` says at the end.
        port: Of the server.
    """

    prometheus: Prometheus
    text: str
    port: int


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    needs_prometheus()
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("prometheus")
    store = home / "models"
    known = [grey(brightness) for brightness in range(60)]
    with_reference(fake_bundle(home / "plain"), store / "fake" / "1", known, home / "photos")
    fake_bundle(store, version=2, classes=8)
    (fake_bundle(store, "broken").folder / "graph.json").write_text("{}")
    shadowed = Routing().with_alias("stable", 1).with_traffic(Traffic(shadow=2))
    FolderStore(store).route("fake", lambda _: shadowed)
    (folder / "viewfinder.key").write_text(asyncio.run(_make_key(home)))
    (home / "key").write_text(KEY)
    given: dict[str, Any] = {
        "AUTH__ENABLED": "true",
        "AUTH__BOOTSTRAP_KEY_FILE": home / "key",
        "DEFAULT_MODEL": "fake",
        "WORKERS": 2,
        "DRIFT__PER_SECOND": 10_000,
    }
    with (
        serving(home, **given) as server,
        running_prometheus(_configuration(folder, server)) as prometheus,
        httpx2.Client(
            base_url=server.url, headers={"X-API-Key": KEY}, timeout=60, trust_env=False
        ) as http,
    ):
        # Twice: by how much a count has grown is known from its second sample on. The images of
        # a job are the last thing that shows.
        for brightness, images in ((0, 2), (3, 4)):
            _use(http, brightness)
            prometheus.stop_at(f"sum({JOB_IMAGES}) >= {images}")
        prometheus.stop_at(
            f"{JOB_IMAGES} and on (job, instance) up == 1",
            "job:viewfinder_request_errors:ratio_rate5m",
            "job_model:viewfinder_drift_psi:avg",
            "job_model:viewfinder_shadow_disagreements:ratio_rate1h",
            "count(instance:viewfinder_queue_fill:ratio) == 2 * 2",  # jobs of Prometheus, lanes
            'ALERTS{alertname="ViewfinderModelNotLoading", job="viewfinder"}',
        )
        eventually(lambda: all(rule["health"] == "ok" for rule in _rules(prometheus)))
        yield Run(prometheus, http.get("/metrics").text, server.address[1])


async def _make_key(home: Path) -> str:
    """A key that may read, where the server looks."""
    key, token = make_key("prometheus", now=datetime.now(UTC), scopes=("read",))
    database = await open_database(Settings(home=home))
    try:
        await ApiKeys(database).add(key)
    finally:
        await database.close()
    return token


def _configuration(folder: Path, server: Server) -> Path:
    """The examples of `deploy/grafana`, for this server and in more of a hurry."""
    shutil.copy(RULES, folder)
    host, port = server.address
    config = _with(
        (GRAFANA / "prometheus.yml").read_text(),
        {
            "scrape_interval: 15s": "scrape_interval: 1s",
            "evaluation_interval: 15s": "evaluation_interval: 1s",
            '["localhost:8000"]': "[]",
            '["viewfinder-1:8000", "viewfinder-2:8000"]': f'["{host}:{port}"]',
        },
    )
    kubernetes = _with(
        (GRAFANA / "prometheus-kubernetes.yml").read_text().partition("scrape_configs:\n")[2],
        {
            "job_name: viewfinder\n": "job_name: viewfinder-kubernetes\n",
            # Debian builds Prometheus without it.
            "kubernetes_sd_configs:\n      - role: pod\n": PODS.replace("PORT", str(port)),
        },
    )
    path = folder / "prometheus.yml"
    path.write_text(config + kubernetes)
    return path


def _with(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def _use(http: httpx2.Client, brightness: int) -> None:
    """Ask what people ask, well and badly."""
    png = {"Content-Type": "image/png"}
    for photo, status in (
        (grey(brightness), 200),
        (grey(brightness), 200),  # from the cache
        (grey(brightness + 150), 200),  # of which the shadow thinks otherwise
        (b"no image", 415),
        (grey(0)[:45], 422),
    ):
        assert http.post("/v1/classify", content=photo, headers=png).status_code == status
    files = [("files", (MARKER, grey(brightness + 2))), ("files", ("b", b"no image"))]
    # As many, in two rounds, as it takes to be compared with those that the model knows.
    others = [("files", ("c", grey(4 * step, (40, 40 + brightness)))) for step in range(60)]
    assert http.post("/v1/batch-classify", files=[*files, *others]).status_code == 200
    for path in (f"/v1/{MARKER}", f"/v1/jobs/{MARKER}?{MARKER}", f"/v1/models/{MARKER}/labels"):
        assert http.get(path, headers={"X-Request-ID": MARKER}).status_code == 404
    unknown = http.request(MARKER, f"/v1/classify?model={MARKER}", headers={MARKER: MARKER})
    assert unknown.status_code == 400
    broken = http.post("/v1/classify?model=broken", content=grey(0), headers=png)
    assert broken.status_code == 503
    job = http.post("/v1/jobs", files=files).headers["Location"]
    eventually(lambda: http.get(job).json()["state"] == "succeeded")


def _rules(prometheus: Prometheus) -> list[dict[str, Any]]:
    return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]


def _target(run: Run, pool: str) -> dict[str, Any]:
    """The one target of a job."""
    targets = run.prometheus.ask("targets")["activeTargets"]
    (found,) = (target for target in targets if target["scrapePool"] == pool)
    assert isinstance(found, dict)
    return found


def test_promtool_has_nothing_against_the_metrics(run: Run) -> None:
    assert promtool("check", "metrics", text=run.text) == ""


def test_it_reads_them_with_a_key_from_a_file(run: Run) -> None:
    target = _target(run, "viewfinder-with-key")
    assert target["labels"] == {"job": "viewfinder", "instance": f"127.0.0.1:{run.port}"}
    assert run.prometheus.value('up{job="viewfinder"}') == 1
    assert httpx2.get(target["scrapeUrl"], trust_env=False).status_code == 401


def test_it_finds_the_pods_that_are_annotated(run: Run) -> None:
    target = _target(run, "viewfinder-kubernetes")
    assert target["scrapeUrl"] == f"http://127.0.0.1:{run.port}/metrics"
    pod = {"instance": "viewfinder-0", "pod": "viewfinder-0", "namespace": "shop"}
    assert target["labels"] == {"job": "viewfinder-kubernetes", **pod}
    assert run.prometheus.value('up{job="viewfinder-kubernetes"}') == 1


def test_no_word_of_a_client_is_a_label(run: Run) -> None:
    assert "viewfinder_predictions_total" in run.text
    assert MARKER not in run.text.lower()


def test_it_takes_all_rules_and_tells_what_is_wrong_and_nothing_else(run: Run) -> None:
    rules = _rules(run.prometheus)
    assert {rule["name"] for rule in rules} == {*rule_expressions()}
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []
    firing = run.prometheus.query('ALERTS{alertstate="firing", job="viewfinder"}')
    assert [series["metric"] for series in firing] == [
        {
            "__name__": "ALERTS",
            "alertname": "ViewfinderModelNotLoading",
            "alertstate": "firing",
            "job": "viewfinder",
            "instance": f"127.0.0.1:{run.port}",
            "model": "broken",
            "severity": "warning",
        }
    ]


def test_what_is_recorded_has_values(run: Run) -> None:
    recorded = {rule["name"] for rule in _rules(run.prometheus) if rule["type"] == "recording"}
    empty = {name for name in recorded if not run.prometheus.values(name)}
    assert empty <= NOT_RECORDED
    assert run.prometheus.value("job:viewfinder_requests:rate5m") > 0


def test_every_panel_of_the_dashboard_has_values(run: Run) -> None:
    empty = {
        who: expression
        for who, expression in expressions().items()
        if not run.prometheus.values(filled_in(expression))
    }
    for who, expression in empty.items():
        assert any(part in expression for part in MAY_BE_EMPTY), (who, expression)


def test_every_line_of_the_dashboard_has_a_name_of_its_own(run: Run) -> None:
    for title, targets in legends():
        names = []
        for expression, legend in targets:
            for series in run.prometheus.query(filled_in(expression)):
                labels = series["metric"]
                parts = re.split(r"{{(\w+)}}", legend)
                parts[1::2] = [labels[label] for label in parts[1::2]]
                names.append("".join(parts))
        assert title == "In memory" or len(set(names)) == len(names), (title, names)


def test_every_example_of_the_documentation_is_understood(run: Run) -> None:
    for query in examples():
        run.prometheus.query(query)


def test_what_it_read_is_what_happened(run: Run) -> None:
    def value(expression: str) -> float:
        return run.prometheus.value(f"sum({expression})")

    of = 'job="viewfinder"'
    assert value(f'requests_total{{{of}, endpoint="/v1/classify", status="200"}}') == 6
    assert value(f'requests_total{{{of}, endpoint="/v1/classify", status="415"}}') == 2
    assert value(f'requests_total{{{of}, endpoint="unmatched"}}') == 4
    assert value(f'request_latency_seconds_count{{{of}, endpoint="/v1/batch-classify"}}') == 2
    # A batch's image that is none counts with the others, one of a job does not.
    assert value(f'viewfinder_refusals_total{{{of}, reason="unsupported_media_type"}}') == 4
    assert value(f'viewfinder_job_images_total{{{of}, outcome="failed"}}') == 2
    assert value(f"viewfinder_workers{{{of}}}") == 2
    assert value(f"count(process_start_time_seconds{{{of}}})") == 2
    assert value(f"viewfinder_cache_hits_total{{{of}}}") >= 2
