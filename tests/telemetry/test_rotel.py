"""Traces, as Rotel takes them: a collector that others have written (https://rotel.dev)."""

import importlib.util
import subprocess
from pathlib import Path

import httpx2
import pytest
from tests.support import eventually, fake_bundle, free_port, grey, needs, serving_here

from viewfinder.settings import Settings, TracingSettings

FOUND = importlib.util.find_spec("rotel")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.otel
def test_a_collector_of_others_takes_a_whole_trace(store: Path, tmp_path: Path) -> None:
    needs("the package rotel (uv sync --group collector)", met=FOUND is not None)
    assert FOUND is not None
    assert FOUND.origin is not None
    port, said = free_port(), tmp_path / "said"
    command = [
        str(Path(FOUND.origin).with_name("rotel-agent")),
        "start",
        f"--otlp-http-endpoint=127.0.0.1:{port}",
        f"--otlp-grpc-endpoint=127.0.0.1:{free_port()}",
        "--exporter=blackhole",
        "--debug-log=traces",
        "--debug-log-verbosity=detailed",
    ]
    with said.open("wb") as out:
        agent = subprocess.Popen(command, stdout=out, stderr=out, cwd=tmp_path)
    try:
        eventually(lambda: "Starting Rotel" in said.read_text())
        fake_bundle(store)
        settings = Settings(
            model_store=store,
            default_model="fake",
            threads=1,
            tracing=TracingSettings(endpoint=f"http://127.0.0.1:{port}"),
        )
        with serving_here(settings) as server:
            headers = {"Content-Type": "image/png", "traceparent": f"00-{TRACE}-{PARENT}-01"}
            url = f"{server.url}/v1/classify"
            asked = httpx2.post(url, content=grey(0), headers=headers, trust_env=False)
            assert asked.status_code == 200
        names = ("POST /v1/classify", "cache", "queue", "decode", "inference")
        eventually(lambda: all(f"Name           : {name}" in said.read_text() for name in names))
    finally:
        agent.kill()
        agent.wait(30)
    text = said.read_text()
    assert text.count(f"Trace ID       : {TRACE}") == len(names)
    assert f"Parent ID      : {PARENT}" in text
    assert "service.name: Str(viewfinder)" in text
