"""Advice: within what settings take, whatever was measured, and right where that can be told."""

import json
import math
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.capacity.cases import PICTURES, STEPS, computed, elsewhere, measured, process

from viewfinder.capacity.advice import TARGET, Advice, advise
from viewfinder.capacity.files import as_json, settings_toml, values_yaml
from viewfinder.capacity.measured import Measured, Process, Served, Step
from viewfinder.settings import MIB, Limits, Settings, load_settings

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SETTINGS = Settings()

positive = st.floats(1e-3, 1e6)


@st.composite
def measurements(draw: st.DrawFn) -> Measured:
    """What a machine could say, likely or not."""
    cores = draw(st.integers(1, 256))
    workers = draw(st.integers(1, min(cores, 64)))
    steps = tuple(
        Step(
            2**number,
            rate=draw(positive),
            p50_ms=draw(positive),
            p99_ms=draw(positive),
            answered=draw(st.integers(1, 10**6)),
            refused=draw(st.integers(0, 100)),
            client_cores=draw(st.floats(0, cores)),
            server_cores=draw(st.just(0.0) | st.floats(0.001, cores)),
            loop_share=draw(st.floats(0, 1)),
        )
        for number in range(draw(st.integers(1, 4)))
    )
    compute = replace(computed(draw(positive), cores), share=draw(st.floats(0, 1)))
    largest = draw(st.integers(1, 1 << 30))
    found = Process(
        workers,
        max(1, cores // workers),
        draw(st.floats(0, 3600)),
        draw(st.integers(0, 1 << 40)),
        draw(st.integers(0, 1 << 40)),
    )
    served = Served(steps, found)
    return measured(
        cores=cores,
        compute=compute,
        served=served,
        split=served if workers > 1 else None,
        pictures=replace(PICTURES, bytes=(1, 1, largest)),
    )


def _loaded(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a file, as a server reads it."""
    path = folder / "viewfinder.toml"
    path.write_text(text)
    monkeypatch.setenv("VIEWFINDER_CONFIG", str(path))
    return load_settings()


@settings(deadline=None, max_examples=60)
@given(found=measurements(), wanted=st.none() | positive)
def test_advice_is_always_what_a_server_and_a_cluster_take(
    found: Measured, wanted: float | None
) -> None:
    advice = advise(found, wanted, SETTINGS)
    server = Settings(**tomllib.loads(settings_toml(found, advice, NOW)))
    # A full queue is answered before the last one in it gives up.
    rate = found.capacity / server.workers
    assert server.queue_size <= max(1.0, rate * server.request_timeout_s)
    assert server.limits.connections >= 500
    assert server.limits.bodies_bytes >= server.limits.batch_bytes
    low, high = advice.of("autoscaling.minReplicas"), advice.of("autoscaling.maxReplicas")
    assert isinstance(low, int)
    assert isinstance(high, int)
    assert 2 <= low <= int(advice.of("replicaCount")) < high
    assert 10 <= int(advice.of("autoscaling.targetCPUUtilizationPercentage")) <= 90
    assert int(advice.of("autoscaling.targetQueueDepth")) >= 1
    assert _mib(advice, "requests") <= _mib(advice, "limits")
    json.dumps(as_json(found, advice, NOW), allow_nan=False)


def _mib(advice: Advice, kind: str) -> int:
    return int(str(advice.of(f"resources.{kind}.memory")).removesuffix("Mi"))


def test_a_machine_that_is_saturated_by_one_process_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured()
    advice = advise(found, None, SETTINGS)
    server = _loaded(settings_toml(found, advice, NOW), tmp_path, monkeypatch)
    assert (server.workers, server.threads) == (1, 2)
    # Two seconds of work, where ten may pass.
    assert server.queue_size == int(2 * 240 * 2 / 1.8)
    assert server.request_timeout_s == 10


def test_a_machine_whose_event_loop_is_busy_gets_several_with_their_share() -> None:
    split = Served((replace(STEPS[1], rate=480.0, server_cores=1.4),), process(2, 1))
    advice = advise(measured(split=split, compute=computed(700.0)), None, SETTINGS)
    assert advice.of("workers") == 2
    assert advice.of("threads") == 1
    assert advice.of("queue_size") == 480  # each has half of the work


def test_a_slow_model_gets_a_longer_deadline_and_a_short_queue() -> None:
    slow = Step(1, 0.5, 2000.0, 2100.0, 3, server_cores=1.0, client_cores=0.0, loop_share=0.0)
    found = measured(cores=1, served=Served((slow,), process(1, 1)), compute=computed(0.5, 1))
    advice = advise(found, None, SETTINGS)
    assert advice.of("request_timeout_s") == 40.0
    assert advice.of("queue_size") == 16  # 32 s of work


def test_replicas_are_those_that_serve_the_rate_at_seventy_percent() -> None:
    found = measured()
    advice = advise(found, 1000.0, SETTINGS)
    assert advice.per_replica == pytest.approx(TARGET * found.capacity)
    needed = math.ceil(1000 / (0.7 * found.capacity))
    assert advice.of("replicaCount") == needed == 6
    assert advice.of("autoscaling.minReplicas") == 3
    assert advice.of("autoscaling.maxReplicas") == 9
    # One may go, however little is wanted.
    assert advise(found, 1.0, SETTINGS).of("replicaCount") == 2


def test_memory_has_room_for_bodies_and_the_largest_photo_of_each_thread() -> None:
    advice = advise(measured(), None, SETTINGS)
    assert _mib(advice, "requests") == 256  # a quarter more than 200, in steps of 64
    worst = int(advice.of("limits.bodies_bytes")) + 2 * 6 * SETTINGS.limits.jpeg_pixels
    assert _mib(advice, "limits") == 256 + 64 * math.ceil(worst / MIB / 64)
    smaller = SETTINGS.model_copy(update={"limits": Limits(jpeg_pixels=10**7, pixels=10**7)})
    assert _mib(advise(measured(), None, smaller), "limits") < _mib(advice, "limits")


def test_another_replica_is_due_before_the_cores_are_full() -> None:
    # At its most the server has taken both cores, the clients' share given back.
    assert advise(measured(), None, SETTINGS).of("autoscaling.targetCPUUtilizationPercentage") == 70
    # Where another bottleneck leaves cores idle, 70% of what it does take.
    half = Served((replace(STEPS[1], server_cores=1.0),), process())
    advice = advise(measured(served=half), None, SETTINGS)
    assert advice.of("autoscaling.targetCPUUtilizationPercentage") == 35


def test_probes_are_as_patient_as_the_start_took() -> None:
    slow = Served(STEPS, replace(process(), start_s=20.0))
    assert advise(measured(), None, SETTINGS).of("probes.startup.failureThreshold") == 15
    advice = advise(measured(served=slow), None, SETTINGS)
    assert advice.of("probes.startup.failureThreshold") == 50
    assert advice.of("terminationGracePeriodSeconds") == 32


def test_of_a_server_elsewhere_only_replicas_are_known() -> None:
    advice = advise(elsewhere(), 500.0, SETTINGS)
    assert advice.settings == ()
    assert {one.name.partition(".")[0] for one in advice.deployment} == {
        "replicaCount",
        "autoscaling",
    }
    assert advice.of("replicaCount") == 3


def test_values_are_yaml_of_which_a_chart_is_made() -> None:
    yaml: Any = pytest.importorskip("yaml")
    found = measured(model="a: b # c\n- d@1", machine='"quoted": {x}')
    advice = advise(found, 500.0, SETTINGS)
    values = yaml.safe_load(values_yaml(found, advice, NOW))
    assert values["resources"]["requests"] == {"cpu": "2", "memory": "256Mi"}
    assert values["autoscaling"].keys() == {
        "enabled",
        "minReplicas",
        "maxReplicas",
        "targetCPUUtilizationPercentage",
        "targetQueueDepth",
    }
    assert values["probes"]["startup"]["failureThreshold"] == 15
    # A container's environment takes text only, and a server takes all of it.
    assert all(isinstance(value, str) for value in values["env"].values())
    assert values["env"]["VIEWFINDER_LIMITS__CONNECTIONS"] == str(advice.of("limits.connections"))


def test_the_environment_of_the_values_is_what_a_server_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    yaml: Any = pytest.importorskip("yaml")
    found = measured()
    advice = advise(found, None, SETTINGS)
    for name, value in yaml.safe_load(values_yaml(found, advice, NOW))["env"].items():
        monkeypatch.setenv(name, value)
    server = load_settings()
    assert server.queue_size == advice.of("queue_size")
    assert server.limits.bodies_bytes == advice.of("limits.bodies_bytes")


def test_a_file_says_when_the_machine_was_not_quiet() -> None:
    robbed = measured(compute=replace(computed(300.0), share=0.5))
    for found, told in ((measured(), False), (robbed, True)):
        advice = advise(found, None, SETTINGS)
        for text in (settings_toml(found, advice, NOW), values_yaml(found, advice, NOW)):
            assert ("measure again" in text) == told
