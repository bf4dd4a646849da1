"""What the chart does not take, and what it says to that."""

import json
from typing import Any

import pytest
from tests.deploy.helm import CHART, MINIMAL, helm, refusal, values

from viewfinder.server.drain import CLOSING_S
from viewfinder.settings import DrainSettings

SINGLE = CHART / "ci" / "single-values.yaml"
STATELESS = CHART / "ci" / "stateless-values.yaml"

# Values over the minimal ones, and what the refusal says.
WRONG = [
    # Typing errors, at every level.
    ("replicaCuont=3", "additional properties 'replicaCuont' not allowed"),
    ("image.tga=1", "additional properties 'tga' not allowed"),
    ("autoscaling.targetCPU=70", "additional properties 'targetCPU' not allowed"),
    ("probes.startup.path=/x", "additional properties 'path' not allowed"),
    ("resources.limit.cpu=2", "additional properties 'limit' not allowed"),
    ("modelStore.volume.claim=x", "additional properties 'claim' not allowed"),
    ("metrics.serviceMonitor.keySecret.nme=x", "additional properties 'nme' not allowed"),
    ("env.VIEWFINDER_THREDS=a", "invalid propertyName 'VIEWFINDER_THREDS'"),
    ("worker.env.VIEWFINDER_THREDS=a", "invalid propertyName 'VIEWFINDER_THREDS'"),
    # Values of the wrong kind.
    ("env.VIEWFINDER_THREADS=2", "got number, want string"),
    ("replicaCount=-1", "minimum: got -1, want 0"),
    ("replicaCount=two", "got string, want integer"),
    ("image.repository=", "minLength: got 0, want 1"),
    ("image.digest=abc", "does not match pattern"),
    ("resources.limits.memory=2GB", "does not match pattern"),
    ("database.url=mysql://a/b", "does not match pattern"),
    ("blobs.url=https://bucket", "does not match pattern"),
    ("service.type=Headless", "value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'"),
    ("rollout.maxSurge=0", "minimum: got 0, want 1"),
    # Values that do not go together.
    ("auth.existingSecret=", "nobody could get in: make a key"),
    ("auth.key=0123456789012345678901234567890123", "auth.existingSecret and auth.key: one"),
    ("auth.existingSecret=,auth.key=short", "auth.key must be 32 characters or more"),
    ("auth.insecure=true", "auth.insecure asks nobody for a key, and there is one"),
    ("auth.oidc.issuer=https://a.example.org/", "issuer and auth.oidc.audience belong together"),
    ("database.existingSecret=", "there is no database: put the address of a PostgreSQL"),
    ("database.url=postgresql://a/b", "database.existingSecret and database.url: one of them"),
    ("redis.url=redis://a/0,redis.existingSecret=b", "redis.existingSecret and redis.url: one"),
    ("stateless=true", "stateless means no database"),
    ("home.persistence.enabled=true", "home.persistence is for one server"),
    ("blobs.url=", "a job is accepted by one pod and worked on by another"),
    ("blobs.existingClaim=b", "blobs.url and blobs.existingClaim: one of them"),
    (
        "modelStore.url=s3://a/b,modelStore.volume.enabled=true",
        "modelStore.url and modelStore.volume: one of them",
    ),
    ("autoscaling.minReplicas=9", "autoscaling.minReplicas is more than autoscaling.maxReplicas"),
    ("autoscaling.targetCPUUtilizationPercentage=null", "autoscaling has nothing to go by"),
    ("ingress.enabled=true", "ingress.hosts is empty"),
    ("metrics.serviceMonitor.enabled=true", "set metrics.serviceMonitor.keySecret.name"),
    ("env.VIEWFINDER_PORT=x", "env.VIEWFINDER_PORT is set by the chart: use service.port"),
    (
        "env.VIEWFINDER_DATABASE__URL=postgresql://user:password@host/db",
        "env.VIEWFINDER_DATABASE__URL is set by the chart: use database.existingSecret",
    ),
    ("env.AWS_SECRET_ACCESS_KEY=x", "use s3.existingSecret"),
    ("worker.env.VIEWFINDER_JOBS__RUN=x", "use worker.enabled"),
    ("extraEnv[0].name=VIEWFINDER_HOME,extraEnv[0].value=/x", "use home"),
    ("env.A=b,extraEnv[0].name=A,extraEnv[0].value=b", "A is in env and in extraEnv"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG, ids=[changed for changed, _ in WRONG])
def test_wrong_values_are_refused_with_what_is_wrong(changed: str, said: str) -> None:
    assert said in refusal(changed)


def test_without_values_it_says_at_once_all_that_is_needed() -> None:
    said = refusal(files=())
    for need in ("nobody could get in", "there is no database", "set blobs.url"):
        assert need in said
    assert "kubectl create secret generic viewfinder-key" in said


def test_a_server_of_one_volume_stays_alone() -> None:
    for changed in ("replicaCount=2", "autoscaling.enabled=true", "worker.enabled=true"):
        assert "home.persistence is for one server" in refusal(changed, files=(SINGLE,))
    assert "workers share a PostgreSQL" in refusal("worker.enabled=true", files=(SINGLE,))
    assert "no worker" in refusal("worker.enabled=true", files=(STATELESS,))


def test_a_server_gets_the_time_that_its_drain_takes() -> None:
    drain = DrainSettings()
    default = values()
    assert default["drain"] == {
        "delaySeconds": drain.delay_s,
        "timeoutSeconds": drain.timeout_s,
    }
    takes = int(drain.delay_s + drain.timeout_s + CLOSING_S)
    assert default["terminationGracePeriodSeconds"] >= takes
    assert f"takes {takes}" in refusal(f"terminationGracePeriodSeconds={takes - 1}")
    assert "takes 67" in refusal("drain.timeoutSeconds=58")
    done = helm(
        "template", "x", CHART, "-f", MINIMAL, "--set", f"terminationGracePeriodSeconds={takes}"
    )
    assert done.returncode == 0, done.stderr


def test_an_older_kubernetes_is_refused() -> None:
    assert "incompatible with Kubernetes v1.28.0" in refusal(version="1.28.0")


def test_the_schema_knows_every_value_and_the_values_have_every_default() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def resolved(node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in node:
            return resolved(schema["definitions"][node["$ref"].rpartition("/")[2]])
        return node

    def compare(node: dict[str, Any], given: dict[str, Any], path: str) -> None:
        known = resolved(node).get("properties")
        if known is None or path.endswith(("resources", "requests", "limits")):
            return  # Kubernetes' own
        assert resolved(node)["additionalProperties"] is False, path
        assert set(known) - {"global"} == set(given), path
        for name, value in given.items():
            if isinstance(value, dict):
                compare(known[name], value, f"{path}.{name}".lstrip("."))

    compare(schema, values(), "")
