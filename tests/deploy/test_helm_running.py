"""What the chart has Kubernetes start, started here: its commands, in its environment."""

import signal
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.deploy.cluster import Cluster
from tests.deploy.helm import CHART, one_of, render, yaml
from tests.postgres import PostgresServer
from tests.support import eventually, fake_bundle, free_port, grey, needs, read_answer, request_of

from viewfinder.settings import Settings

KEY = "a-key-for-this-test-alone-0123456789"
SLOW_MS = 300
# A stop that a test can wait for, and in which a busy machine finds the time to ask.
CHANGED = {
    "preStopSleepSeconds": 1,
    "drain": {"delaySeconds": 3, "timeoutSeconds": 5},
    "terminationGracePeriodSeconds": 30,
    "worker": {"enabled": True},
    "env": {"VIEWFINDER_THREADS": "1", "VIEWFINDER_MODELS": "fake"},
    "redis": {"url": ""},
}


@pytest.fixture
def cluster(tmp_path: Path, postgres: PostgresServer) -> Cluster:
    """With a PostgreSQL, and with volumes for blobs and models, of which one is slow."""
    url = postgres.new_database()
    changed = tmp_path / "values.yaml"
    changed.write_text(yaml.safe_dump({**CHANGED, "auth": {"key": KEY}, "database": {"url": url}}))
    found = render(CHART / "ci" / "volume-values.yaml", changed)
    for folder in ("var/lib/viewfinder", "tmp", "run/secrets/viewfinder", "blobs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "run/secrets/viewfinder/key").write_text(KEY)
    fake_bundle(tmp_path / "models", milliseconds=SLOW_MS)
    return Cluster(found, tmp_path, free_port())


def _migrate(cluster: Cluster) -> None:
    done = cluster.run(one_of(cluster.manifests, "Job"))
    assert done.returncode == 0, done.stderr


def _ask(cluster: Cluster, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", cluster.port), timeout=30)
    connection.sendall(request)
    return connection


def test_a_server_starts_answers_and_stops_as_the_chart_says(cluster: Cluster) -> None:
    server = one_of(cluster.manifests, "Deployment", "server")
    with cluster.running(server) as process:
        assert process.wait(60) != 0
    assert "viewfinder db upgrade" in cluster.log()
    _migrate(cluster)
    pod = server["spec"]["template"]["spec"]
    wait = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    with cluster.running(server) as process:
        cluster.await_probe(server, "startupProbe")
        cluster.await_probe(server, "readinessProbe")
        cluster.await_probe(server, "livenessProbe")

        test, address = one_of(cluster.manifests, "Pod"), f"127.0.0.1:{cluster.port}"
        asked = cluster.run(test, SERVER=address)
        assert asked.returncode == 0, asked.stdout + asked.stderr
        assert "POST /v1/classify 200" in asked.stdout
        assert cluster.run(test, SERVER=address, KEY="another-key" * 5).returncode != 0

        began = time.monotonic()
        time.sleep(wait)  # what the kubelet does before SIGTERM
        assert cluster.probe(server, "readinessProbe") == 200
        photo = request_of(grey(80), f"X-API-Key: {KEY}", path="/v1/classify?model=fake")
        with (
            closing(_ask(cluster, photo)) as early,
            closing(_ask(cluster, photo[:-20])),  # an upload that never ends
        ):
            process.send_signal(signal.SIGTERM)
            eventually(lambda: cluster.probe(server, "readinessProbe") == 503)
            with closing(_ask(cluster, photo)) as late:  # from who has not heard of it yet
                assert read_answer(early).status == 200
                assert read_answer(late).status == 200
            left = pod["terminationGracePeriodSeconds"] - (time.monotonic() - began)
            assert process.wait(left) == 0, cluster.log()


def test_a_worker_starts_and_stops_as_the_chart_says(cluster: Cluster) -> None:
    needs("the setting worker.port", met="worker" in Settings.model_fields)
    _migrate(cluster)
    worker = one_of(cluster.manifests, "Deployment", "worker")
    with cluster.running(worker) as process:
        cluster.await_probe(worker, "startupProbe")
        cluster.await_probe(worker, "readinessProbe")
        request = f"GET /metrics HTTP/1.1\r\nHost: pod\r\nX-API-Key: {KEY}\r\n\r\n"
        with closing(_ask(cluster, request.encode())) as connection:
            answer = read_answer(connection)
        assert answer.status == 200
        assert b"viewfinder_build_info" in answer.body
        process.send_signal(signal.SIGTERM)
        grace = worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert process.wait(grace) == 0, cluster.log()
