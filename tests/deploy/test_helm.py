"""The chart: what it makes is what Kubernetes and Viewfinder take, and fits together."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.capacity.cases import elsewhere, measured
from tests.deploy.helm import (
    CASES,
    CHART,
    MINIMAL,
    NEWEST,
    OLDEST,
    RELEASE,
    Manifest,
    component_of,
    environment_of,
    helm,
    manifests,
    of_kind,
    one_of,
    pods,
    render,
    values,
    yaml,
)
from tests.deploy.kubernetes import check
from tests.deploy.prometheus import RULES, promtool
from tests.support import ROOT, needs

from viewfinder import __version__
from viewfinder.app import create_app
from viewfinder.capacity.advice import Advice, advise
from viewfinder.capacity.files import values_yaml
from viewfinder.server.drain import CLOSING_S
from viewfinder.settings import Settings, environment_name, load_settings
from viewfinder.shared.trees import flatten

__all__ = ["manifests"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = {environment_name(name) for name in flatten(Settings().model_dump())}
WORKER_PORT = "VIEWFINDER_WORKER__PORT"
PATHS = ("HOME", "VIEWFINDER_HOME", "VIEWFINDER_MODEL_STORE", "VIEWFINDER_BLOBS__URL")
# What a Secret may say in place of what is not known here.
SECRETS = {
    "VIEWFINDER_DATABASE__URL": "postgresql://viewfinder:password@postgres/viewfinder",
    "VIEWFINDER_REDIS_URL": "redis://redis:6379/0",
    "VIEWFINDER_CACHE__REDIS_URL": "redis://redis:6379/0",
}


@pytest.fixture
def everything() -> list[Manifest]:
    return render(CHART / "ci" / "everything-values.yaml")


def test_helm_has_nothing_against_the_chart() -> None:
    for more in ((), *(("--values", path) for path in CASES)):
        done = helm("lint", "--strict", CHART, *more)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "WARNING" not in done.stdout


def test_the_chart_is_of_this_release() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    container = one_of(render(MINIMAL), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].endswith(f"/viewfinder:{__version__}")


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_kubernetes_takes_every_manifest(path: Path, version: str) -> None:
    for one in render(path, version=version):
        check(one, version)


def test_no_two_manifests_have_one_name(manifests: list[Manifest]) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in manifests]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for _, name in names)


def test_long_names_stay_within_what_kubernetes_takes() -> None:
    done = helm("template", "r" * 53, CHART, "--values", MINIMAL)
    assert done.returncode == 0, done.stderr
    for one in yaml.safe_load_all(done.stdout):
        assert len(one["metadata"]["name"]) <= 63
        assert all(len(label) <= 63 for label in one["metadata"]["labels"].values())


# -- The environment is made of settings


def test_what_containers_are_told_are_settings(
    manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    for one, _, pod in pods(manifests):
        (container,) = pod["containers"]
        with monkeypatch.context() as patch:
            for name, entry in environment_of(one).items():
                assert ("value" in entry) != ("valueFrom" in entry), name
                if name == WORKER_PORT:
                    continue  # see below
                if name.startswith("VIEWFINDER_"):
                    assert name in SETTINGS, name
                    patch.setenv(name, entry["value"] if "value" in entry else SECRETS[name])
            settings = load_settings()
        if component_of(one) == "server":
            assert [port["containerPort"] for port in container["ports"]] == [settings.port]
            assert settings.host == "0.0.0.0"
            assert settings.auth.enabled is ("--insecure" not in container["args"])
            worker = any(component_of(other) == "worker" for other in manifests)
            assert settings.jobs.run is not worker
            grace, stop = pod["terminationGracePeriodSeconds"], container["lifecycle"]["preStop"]
            drain = settings.drain.delay_s + settings.drain.timeout_s + CLOSING_S
            assert grace >= stop["sleep"]["seconds"] + drain


def test_workers_listen_at_the_port_that_is_looked_at(everything: list[Manifest]) -> None:
    needs("the setting worker.port", met=WORKER_PORT in SETTINGS)
    worker = one_of(everything, "Deployment", "worker")
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    said = environment_of(worker)[WORKER_PORT]["value"]
    assert [str(port["containerPort"]) for port in container["ports"]] == [said]


def test_only_settings_can_be_set() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    taken = set(schema["definitions"]["setting"]["enum"])
    assert sorted(taken - SETTINGS - {WORKER_PORT}) == [], "in values.schema.json, and no settings"
    assert sorted(SETTINGS - taken) == [], "settings that lack in values.schema.json"


def test_a_service_does_not_set_the_port(manifests: list[Manifest]) -> None:
    """With service links, a Service called viewfinder sets VIEWFINDER_PORT in every pod."""
    for one, _, pod in pods(manifests):
        assert pod["enableServiceLinks"] is False, component_of(one)


def test_env_is_stronger_than_what_the_chart_says() -> None:
    found = render(MINIMAL, changed=("env.VIEWFINDER_LOG__FORMAT=text", "env.OTEL_X=y"))
    environment = environment_of(one_of(found, "Deployment"))
    assert environment["VIEWFINDER_LOG__FORMAT"]["value"] == "text"
    assert environment["OTEL_X"]["value"] == "y"


# -- Pods


def test_pods_keep_to_the_restricted_standard(manifests: list[Manifest]) -> None:
    for one, _, pod in pods(manifests):
        who = component_of(one)
        assert pod["automountServiceAccountToken"] is False, who
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, who
        assert (security["runAsUser"], security["fsGroup"]) == (10001, 10001), who
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, who
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            }, who
            assert container["resources"]["requests"]["memory"], who
        kinds = {kind for volume in pod.get("volumes", []) for kind in volume} - {"name"}
        assert kinds <= {"emptyDir", "secret", "persistentVolumeClaim"}, who


def test_what_is_mounted_is_there_and_what_is_there_is_mounted(manifests: list[Manifest]) -> None:
    made = {one["metadata"]["name"] for one in of_kind(manifests, "PersistentVolumeClaim")}
    for one, _, pod in pods(manifests):
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            mounts = container.get("volumeMounts", [])
            assert {mount["name"] for mount in mounts} == volumes.keys()
        if component_of(one) in {"server", "worker"}:
            paths = {mount["mountPath"] for mount in mounts}
            environment = environment_of(one)
            for name in (
                "HOME",
                "VIEWFINDER_HOME",
                "VIEWFINDER_MODEL_STORE",
                "VIEWFINDER_BLOBS__URL",
            ):
                path = environment.get(name, {}).get("value", "s3://")
                assert path.startswith("s3://") or path in paths, name
            file = environment.get("VIEWFINDER_AUTH__BOOTSTRAP_KEY_FILE")
            if file is not None:
                assert str(Path(file["value"]).parent) in paths
                assert volumes["key"]["secret"]["items"][0]["path"] == Path(file["value"]).name
        claims = [
            volume["persistentVolumeClaim"]
            for volume in volumes.values()
            if "persistentVolumeClaim" in volume
        ]
        for claim in claims:
            given = {"models", "viewfinder-blobs"}
            assert claim["claimName"] in made | given


def test_models_on_a_volume_are_only_read(everything: list[Manifest]) -> None:
    for component in ("server", "worker"):
        pod = one_of(everything, "Deployment", component)["spec"]["template"]["spec"]
        (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "models")
        (volume,) = (v for v in pod["volumes"] if v["name"] == "models")
        assert mount["readOnly"] is True
        assert volume["persistentVolumeClaim"]["readOnly"] is True


def test_a_rollout_takes_no_server_away_before_another_is_ready() -> None:
    found = one_of(render(MINIMAL), "Deployment")["spec"]
    assert found["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    for spread in found["template"]["spec"]["topologySpreadConstraints"]:
        assert spread["labelSelector"] == found["selector"]


def test_a_server_with_a_volume_of_its_own_ends_before_the_next_begins() -> None:
    found = render(CHART / "ci" / "single-values.yaml")
    assert one_of(found, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert not of_kind(found, "Job")  # SQLite is upgraded by the server
    assert one_of(found, "PersistentVolumeClaim")["metadata"]["annotations"] == {
        "helm.sh/resource-policy": "keep"
    }


def test_before_kubernetes_1_30_a_program_waits() -> None:
    def stop(version: str) -> Any:
        pod = one_of(render(MINIMAL, version=version), "Deployment")["spec"]["template"]["spec"]
        return pod["containers"][0]["lifecycle"]["preStop"]

    assert stop("1.29.4") == {"exec": {"command": ["sleep", "5"]}}
    assert stop("1.30.0") == {"sleep": {"seconds": 5}}


def test_probes_ask_for_what_there_is(manifests: list[Manifest]) -> None:
    routes = create_app(Settings()).openapi()["paths"]
    looked = 0
    for one, _, pod in pods(manifests):
        (container,) = pod["containers"]
        ports = {port["name"] for port in container.get("ports", [])}
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if component_of(one) in {"server", "worker"}:
                asked = container[name]["httpGet"]
                assert "get" in routes[asked["path"]], name
                assert asked["port"] in ports, name
                assert asked["path"].endswith("ready" if name == "readinessProbe" else "live")
                looked += 1
    assert looked >= 3
    assert "get" in routes["/metrics"]


def test_a_new_password_starts_new_pods() -> None:
    def checksum(*changed: str) -> str:
        found = one_of(render(CHART / "ci" / "volume-values.yaml", changed=changed), "Deployment")
        said: str = found["spec"]["template"]["metadata"]["annotations"]["checksum/secret"]
        return said

    assert checksum() == checksum("replicaCount=5")
    assert checksum() != checksum("database.url=postgresql://other@postgres/viewfinder")


# -- Who finds whom


def _matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert selector["matchLabels"]
    wanted: dict[str, str] = selector["matchLabels"]
    return wanted.items() <= labels.items()


def _selected(selector: dict[str, Any], found: list[Manifest]) -> set[str]:
    return {component_of(one) for one, labels, _ in pods(found) if _matches(selector, labels)}


def test_everything_finds_its_pods_and_no_others(manifests: list[Manifest]) -> None:
    for one in manifests:
        spec = one.get("spec", {})
        component = component_of(one)
        if one["kind"] == "Deployment":
            assert _matches(spec["selector"], spec["template"]["metadata"]["labels"])
            assert _selected(spec["selector"], manifests) == {component}
        elif one["kind"] in {"PodDisruptionBudget", "PodMonitor"}:
            assert _selected(spec["selector"], manifests) == {component}
        elif one["kind"] == "Service":
            assert _selected({"matchLabels": spec["selector"]}, manifests) == {"server"}
        elif one["kind"] == "HorizontalPodAutoscaler":
            target = spec["scaleTargetRef"]
            scaled = one_of(manifests, "Deployment", "server")
            assert target["name"] == scaled["metadata"]["name"]
            assert (target["apiVersion"], target["kind"]) == ("apps/v1", "Deployment")
            assert "replicas" not in scaled["spec"], "both would decide"


def _ports(found: list[Manifest], component: str) -> set[Any]:
    (pod,) = (pod for one, _, pod in pods(found) if component_of(one) == component)
    entries = [port for container in pod["containers"] for port in container["ports"]]
    return {entry["name"] for entry in entries} | {entry["containerPort"] for entry in entries}


def test_ports_lead_to_ports(manifests: list[Manifest]) -> None:
    service = one_of(manifests, "Service")
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in _ports(manifests, "server")
    for ingress in of_kind(manifests, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            backend = rule["http"]["paths"][0]["backend"]["service"]
            assert backend["name"] == service["metadata"]["name"]
            assert backend["port"]["name"] == port["name"]
    for monitor in of_kind(manifests, "ServiceMonitor"):
        assert _matches(monitor["spec"]["selector"], service["metadata"]["labels"])
        assert monitor["spec"]["endpoints"][0]["port"] == port["name"]
    for monitor in of_kind(manifests, "PodMonitor"):
        assert monitor["spec"]["podMetricsEndpoints"][0]["port"] in _ports(manifests, "worker")


def test_the_network_lets_in_what_is_needed(manifests: list[Manifest]) -> None:
    there = {component_of(one) for one, _, _ in pods(manifests)}
    for policy in of_kind(manifests, "NetworkPolicy"):
        selected = _selected(policy["spec"]["podSelector"], manifests)
        if policy["spec"]["policyTypes"] == ["Egress"]:
            assert selected == there
            continue
        assert selected == {component_of(policy)} & there
        (rule,) = policy["spec"]["ingress"]
        for component in selected:
            assert rule["ports"][0]["port"] in _ports(manifests, component)


def test_the_test_may_ask_servers_that_few_may_ask(everything: list[Manifest]) -> None:
    allowed, asked = (
        next(
            policy["spec"]
            for policy in of_kind(everything, "NetworkPolicy")
            if policy["spec"]["policyTypes"] == [direction]
        )
        for direction in ("Ingress", "Egress")
    )
    incoming = [one["podSelector"] for one in allowed["ingress"][0]["from"] if "podSelector" in one]
    assert [_selected(one, everything) for one in incoming] == [{"test"}]
    outgoing = asked["egress"][1]
    assert _selected(outgoing["to"][0]["podSelector"], everything) == {"server"}
    assert outgoing["ports"][0]["port"] in _ports(everything, "server")


# -- Secrets


def test_secrets_are_in_secrets_alone(manifests: list[Manifest]) -> None:
    assert not of_kind(manifests, "ConfigMap")
    text = json.dumps([one for one in manifests if one["kind"] != "Secret"])
    assert "password" not in text
    assert "a-key-that-is-not" not in text
    for one, _, _ in pods(manifests):
        for name in (*SECRETS, "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "KEY"):
            assert "value" not in environment_of(one).get(name, {}), name


def _asked_for(one: Manifest, pod: dict[str, Any]) -> set[tuple[str, str]]:
    """The entries of Secrets that a pod needs."""
    found = {
        (entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
        for entry in environment_of(one).values()
        if "valueFrom" in entry
    }
    for volume in pod.get("volumes", []):
        if "secret" in volume:
            secret = volume["secret"]
            found |= {(secret["secretName"], item["key"]) for item in secret["items"]}
    return found


def test_secrets_that_are_asked_for_are_made_or_named() -> None:
    found = render(CHART / "ci" / "volume-values.yaml")
    made = {
        (one["metadata"]["name"], key)
        for one in of_kind(found, "Secret")
        for key in one["stringData"]
    }
    for one, _, pod in pods(found):
        assert _asked_for(one, pod) <= made, component_of(one)

    found = render(CHART / "ci" / "everything-values.yaml")
    assert not of_kind(found, "Secret")
    (server,) = ((one, pod) for one, _, pod in pods(found) if component_of(one) == "server")
    assert _asked_for(*server) == {
        ("viewfinder-key", "bootstrap"),
        ("viewfinder-database", "address"),
        ("viewfinder-redis", "url"),
        ("collector", "headers"),
    }


def _hook(one: Manifest) -> str:
    found: str = one["metadata"].get("annotations", {}).get("helm.sh/hook", "")
    return found


def test_the_migration_needs_nothing_that_comes_after_it() -> None:
    before = "pre-install,pre-upgrade,pre-rollback"
    for path in CASES:
        found = render(path)
        late = {one["metadata"]["name"] for one in of_kind(found, "Secret") if not _hook(one)}
        for job in of_kind(found, "Job"):
            assert _hook(job) == before
            ((one, _, pod),) = pods([job])
            assert {name for name, _ in _asked_for(one, pod)} & late == set()
            assert "serviceAccountName" not in pod
    own = [
        one for one in of_kind(render(CHART / "ci" / "volume-values.yaml"), "Secret") if _hook(one)
    ]
    assert [_hook(one) for one in own] == [before]
    assert of_kind(render(MINIMAL), "Job")


# -- Scaling and monitoring


def test_the_autoscaler_goes_by_what_it_is_told(everything: list[Manifest]) -> None:
    metrics = one_of(everything, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [metric["type"] for metric in metrics] == ["Resource", "Resource", "Pods"]
    assert metrics[2]["pods"] == {
        "metric": {"name": "viewfinder_queue_depth"},
        "target": {"type": "AverageValue", "averageValue": "10"},
    }
    still = render(MINIMAL, changed=("autoscaling.enabled=false", "replicaCount=4"))
    assert not of_kind(still, "HorizontalPodAutoscaler")
    assert one_of(still, "Deployment")["spec"]["replicas"] == 4


def test_the_adapter_gives_each_pod_the_photos_that_people_wait_for(tmp_path: Path) -> None:
    adapter = yaml.safe_load((CHART.parent / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert rule["name"]["as"] == "viewfinder_queue_depth"
    query = rule["metricsQuery"]
    for placeholder, put in (
        ("<<.GroupBy>>", "pod"),
        ("<<.Series>>", "viewfinder_queue_depth"),
        ("<<.LabelMatchers>>", 'namespace="photos",pod=~"a|b"'),
    ):
        assert placeholder in query
        query = query.replace(placeholder, put)
    lanes = [
        ("a", "interactive", 12),
        ("a", "batch", 500),
        ("b", "interactive", 4),
        ("c", "interactive", 9),
    ]
    test = {
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {
                        "series": f'viewfinder_queue_depth{{namespace="photos",pod="{pod}",'
                        f'device="cpu",lane="{lane}"}}',
                        "values": f"{depth}x10",
                    }
                    for pod, lane, depth in lanes
                ],
                "promql_expr_test": [
                    {
                        "expr": query,
                        "eval_time": "1m",
                        "exp_samples": [
                            {"labels": '{pod="a"}', "value": 12},
                            {"labels": '{pod="b"}', "value": 4},
                        ],
                    }
                ],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    assert "SUCCESS" in promtool("test", "rules", path)


def test_the_rules_are_those_of_grafana(everything: list[Manifest]) -> None:
    assert (CHART / "files" / RULES.name).read_bytes() == RULES.read_bytes(), (
        f"cp {RULES.relative_to(ROOT)} {CHART.relative_to(ROOT)}/files/"
    )
    assert one_of(everything, "PrometheusRule")["spec"] == yaml.safe_load(RULES.read_text())


def test_what_is_read_is_called_as_the_rules_have_it(everything: list[Manifest]) -> None:
    for kind, where in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        (endpoint,) = one_of(everything, kind)["spec"][where]
        assert {"targetLabel": "job", "replacement": "viewfinder"} in endpoint["relabelings"]
        assert endpoint["authorization"]["credentials"]["name"] == "viewfinder-prometheus"
    assert 'job="viewfinder"' in RULES.read_text()


# -- What `viewfinder bench` writes


def _advised(tmp_path: Path, what: Any, rate: float | None) -> tuple[Advice, list[Manifest]]:
    advice = advise(what, rate, Settings())
    path = tmp_path / "values.yaml"
    path.write_text(values_yaml(what, advice, NOW))
    return advice, render(MINIMAL, path)


def test_the_chart_takes_what_bench_writes(tmp_path: Path) -> None:
    advice, found = _advised(tmp_path, measured(), 2000)
    server = one_of(found, "Deployment")
    pod = server["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    limits = container["resources"]["limits"]
    assert limits["cpu"] == advice.of("resources.limits.cpu")
    assert limits["memory"] == advice.of("resources.limits.memory")
    requests = container["resources"]["requests"]
    assert requests["memory"] == advice.of("resources.requests.memory")

    scaler = one_of(found, "HorizontalPodAutoscaler")["spec"]
    assert scaler["minReplicas"] == advice.of("autoscaling.minReplicas")
    assert scaler["maxReplicas"] == advice.of("autoscaling.maxReplicas")
    cpu, queue = scaler["metrics"]
    assert cpu["resource"]["target"]["averageUtilization"] == advice.of(
        "autoscaling.targetCPUUtilizationPercentage"
    )
    assert queue["pods"]["target"]["averageValue"] == str(advice.of("autoscaling.targetQueueDepth"))

    for name in ("startup", "readiness", "liveness"):
        asked = container[f"{name}Probe"]
        assert asked["periodSeconds"] == advice.of(f"probes.{name}.periodSeconds")
    assert container["startupProbe"]["failureThreshold"] == advice.of(
        "probes.startup.failureThreshold"
    )
    assert container["livenessProbe"]["timeoutSeconds"] == advice.of(
        "probes.liveness.timeoutSeconds"
    )
    grace = advice.of("terminationGracePeriodSeconds")
    assert isinstance(grace, int)
    assert pod["terminationGracePeriodSeconds"] == grace + values()["preStopSleepSeconds"]

    environment = environment_of(server)
    for item in advice.settings:
        assert environment[environment_name(item.name)]["value"] == str(item.value)
    assert len(advice.settings) >= 6


def test_the_chart_takes_the_advice_for_a_server_elsewhere(tmp_path: Path) -> None:
    advice, found = _advised(tmp_path, elsewhere(), None)
    scaler = one_of(found, "HorizontalPodAutoscaler")["spec"]
    assert scaler["maxReplicas"] == advice.of("autoscaling.maxReplicas")
    fixed = render(MINIMAL, tmp_path / "values.yaml", changed=("autoscaling.enabled=false",))
    assert one_of(fixed, "Deployment")["spec"]["replicas"] == advice.of("replicaCount")


def test_the_release_is_in_every_name(manifests: list[Manifest]) -> None:
    for one in manifests:
        assert RELEASE in one["metadata"]["name"]
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == RELEASE
