"""The services on one machine: that their file fits Compose, the settings, the image and itself."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.deploy.compose import (
    COMPOSE,
    DOCKER,
    MissingError,
    example,
    filled_in,
    healthcheck,
    project,
    seconds,
    services,
    variables,
)
from tests.deploy.composed import migrate, running_redis
from tests.deploy.dockerfile import Dockerfile
from tests.deploy.prometheus import RULES, promtool
from tests.deploy.rules import read_yaml
from tests.postgres import PostgresServer
from tests.support import COMMAND, ROOT, free_port, needs

from viewfinder.access.keys import parse_token
from viewfinder.settings import DrainSettings, Settings, environment_name, load_settings
from viewfinder.shared.trees import flatten

# What each image of others is known to have.
PROGRAMS = {
    "busybox": {"sh"},
    "grafana/grafana": {"wget"},
    "nginx": {"wget"},
    "postgres": {"pg_isready"},
    "prom/prometheus": {"wget"},
    "redis": {"redis-cli"},
    "versity/versitygw": {"wget"},
}
OURS = ("server", "worker", "migrate")
# After the time for what is in hand a server ends within so many seconds, whatever hangs.
CUT_OFF_S = 7


def _settings(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # As in the image.
    given = {"VIEWFINDER_HOST": "0.0.0.0", **services()[name]["environment"]}
    for variable in [*os.environ]:
        if variable.startswith("VIEWFINDER_"):
            monkeypatch.delenv(variable)
    for variable, value in given.items():
        assert isinstance(value, str), variable  # YAML's own booleans are not what programs read
        if variable.startswith("VIEWFINDER_"):
            monkeypatch.setenv(variable, value)
    return load_settings()


def test_it_fits_the_specification_of_compose() -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    needs("check-jsonschema (pip install check-jsonschema)", met=program.exists())
    files = sorted(DOCKER.glob("compose*.yaml"))
    done = subprocess.run(
        [program, "--builtin-schema", "vendor.compose-spec", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert len(files) == 2


def test_nothing_starts_before_every_secret_is_there() -> None:
    whole = filled_in()
    project(whole)
    for name in whole:
        with pytest.raises(MissingError, match=name):
            project({**whole, name: ""})


def test_the_example_names_every_variable_and_no_secret() -> None:
    must, may = example()
    known = variables()
    assert {name for name, (how, _) in known.items() if how == ":?"} == {*must}
    assert {name for name, (how, _) in known.items() if how == ":-"} == {*may} | {"GRAFANA_PORT"}
    assert set(must.values()) == {""}
    for name, default in may.items():
        if name != "VIEWFINDER_IMAGE":
            assert known[name][1] == default


def test_secrets_are_nowhere_but_in_the_example() -> None:
    for line in COMPOSE.read_text().splitlines():
        if re.search("PASSWORD|SECRET|requirepass", line):
            assert ":?fill in .env}" in line, line


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_a_real_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(name, monkeypatch)
    known = {environment_name(one) for one in flatten(settings.model_dump())}
    given = services()[name]["environment"]
    assert {one for one in given if one.startswith("VIEWFINDER_")} <= known
    runtime = Dockerfile(DOCKER / "Dockerfile").stages["built-cpu"].instructions
    extras = next(one.value for one in runtime if one.name == "ARG")
    assert settings.database.url is not None
    # Each password is in its address, whole, and each address leads to a service.
    secrets = filled_in()
    for address, service, secret in (
        (settings.database.url, "postgres", secrets["POSTGRES_PASSWORD"]),
        (settings.redis_url, "redis", secrets["REDIS_PASSWORD"]),
        (settings.cache.redis_url, "cache", secrets["REDIS_PASSWORD"]),
    ):
        assert address is not None
        assert f":{secret}@{service}:" in address
        assert service in services()
    for extra in ("postgres", "redis", "s3"):
        assert re.search(rf"\b{extra}\b", extras)


def test_it_is_the_worker_that_works_on_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert services()["worker"]["command"] == ["worker"]
    assert not _settings("server", monkeypatch).jobs.run


def test_what_they_share_they_name_alike() -> None:
    found = services()
    for variable, value in found["worker"]["environment"].items():
        if variable != "VIEWFINDER_WORKER__PORT":
            assert found["server"]["environment"][variable] == value
            assert found["migrate"]["environment"][variable] == value


def test_every_file_that_is_mounted_exists() -> None:
    volumes = project(filled_in())["volumes"]
    used = set()
    for name, service in services().items():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).exists(), f"{name}: {source}"
                assert mount.endswith(":ro"), mount
            elif source != filled_in()["TLS_FOLDER"]:
                used.add(source)
    assert used == {*volumes}


def test_what_waits_waits_for_something_that_comes() -> None:
    found = services()
    before: dict[str, set[str]] = {}
    for name, service in found.items():
        waits = service.get("depends_on", {})
        before[name] = {*waits}
        for other, how in waits.items():
            if how["condition"] == "service_healthy":
                assert healthcheck(found[other]), other
                assert found[other]["restart"] != "no"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert found[other]["restart"] == "no"
    # `up --wait` takes the end of a service for a failure, unless one that goes on waits for it.
    awaited = {
        other
        for name, others in before.items()
        if found[name]["restart"] != "no"
        for other in others
    }
    assert {name for name, one in found.items() if one["restart"] == "no"} <= awaited
    while before:
        ready = {name for name, others in before.items() if not others & {*before}}
        assert ready, f"each waits for another: {before}"
        before = {name: others for name, others in before.items() if name not in ready}


def test_who_goes_on_is_asked_how_it_is_by_a_program_that_it_has() -> None:
    for name, service in services().items():
        command = healthcheck(service)
        if service["restart"] == "no":
            continue
        assert command[0] == "CMD", name
        if "build" in service:
            assert command[1:5] == ["python", "-I", "-S", "/opt/healthcheck.py"], name
        else:
            image = service["image"].partition(":")[0]
            assert command[1] in PROGRAMS[image], name
    worker = services()["worker"]
    assert healthcheck(worker)[5] == worker["environment"]["VIEWFINDER_WORKER__PORT"]


def test_each_gives_up_what_it_does_not_need() -> None:
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert service["logging"]["options"]["max-size"], name
        limits = service["deploy"]["resources"]["limits"]
        assert {*limits} == {"cpus", "memory", "pids"}, name
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*|viewfinder:cpu", service["image"]), name
        if "build" not in service and name != "bucket":
            assert not service["user"].startswith(("0", "root")), name
        for place in service.get("tmpfs", ()):
            assert re.search("size=", place), name
    assert [name for name, one in services().items() if "cap_add" in one] == ["bucket"]


def test_only_the_gateway_can_be_reached_and_from_here_alone() -> None:
    found = services()
    assert [name for name, service in found.items() if "ports" in service] == ["gateway"]
    for port in found["gateway"]["ports"]:
        assert port.startswith("127.0.0.1:")
    networks = project(filled_in())["networks"]
    ways_out = {name for name, network in networks.items() if not network.get("internal")}
    on = {name: ways_out & {*service.get("networks", ())} for name, service in found.items()}
    assert {name: places for name, places in on.items() if places} == {
        "gateway": {"edge"},
        "server": {"outgoing"},
        "worker": {"outgoing"},
    }
    used = {network for service in found.values() for network in service.get("networks", ())}
    assert used == {*networks}


def test_only_the_gateway_is_believed_about_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = services()
    shared = {*found["gateway"]["networks"]} & {*found["server"]["networks"]}
    assert shared == {"inside"}
    assert [name for name, one in found.items() if "inside" in one.get("networks", ())] == [
        "gateway",
        "server",
    ]
    (config,) = project(filled_in())["networks"]["inside"]["ipam"]["config"]
    trusted = [str(one) for one in _settings("server", monkeypatch).trusted_proxies]
    assert trusted == [config["subnet"]]


def test_each_has_the_time_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    drain = _settings("server", monkeypatch).drain
    assert drain == DrainSettings()
    needed = drain.delay_s + drain.timeout_s + CUT_OFF_S
    for name in ("gateway", "server", "worker"):
        assert seconds(services()[name]["stop_grace_period"]) > needed, name


def test_who_talks_to_whom_is_on_one_network_with_it() -> None:
    found = services()
    for who, whom in (
        *((name, store) for name in ("server", "worker") for store in ("postgres", "s3")),
        *((name, store) for name in ("server", "worker") for store in ("redis", "cache")),
        *(("migrate", "postgres"), ("gateway", "server"), ("grafana", "prometheus")),
        *(("prometheus", "server"), ("prometheus", "worker")),
    ):
        assert {*found[who]["networks"]} & {*found[whom]["networks"]}, (who, whom)


def test_prometheus_finds_servers_and_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(DOCKER / "prometheus.yml", tmp_path)
    shutil.copy(RULES, tmp_path)
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "prometheus.key").write_text("vf_secret")
    assert "SUCCESS" in promtool("check", "config", tmp_path / "prometheus.yml")
    (job,) = read_yaml(DOCKER / "prometheus.yml")["scrape_configs"]
    found = {one["names"][0]: one["port"] for one in job["dns_sd_configs"]}
    worker = services()["worker"]["environment"]["VIEWFINDER_WORKER__PORT"]
    assert found == {"server": _settings("server", monkeypatch).port, "worker": int(worker)}
    mounts = dict(mount.split(":")[:2] for mount in services()["prometheus"]["volumes"])
    assert mounts["prometheus-key"] == "/etc/prometheus/key"


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    grafana = services()["grafana"]
    mounts = dict(mount.split(":")[:2] for mount in grafana["volumes"])
    assert mounts["./grafana"] == "/etc/grafana/provisioning"
    (source,) = read_yaml(DOCKER / "grafana/datasources/prometheus.yaml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert source["isDefault"]
    (provider,) = read_yaml(DOCKER / "grafana/dashboards/viewfinder.yaml")["providers"]
    board = mounts["../grafana/dashboard.json"]
    assert str(Path(board).parent) == provider["options"]["path"]


def test_each_start_brings_the_database_up_and_prometheus_a_new_key(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    database = postgres.new_database()
    tokens = []
    for _ in range(2):
        done = migrate(tmp_path, database)
        assert done.returncode == 0, done.stderr
        file = tmp_path / "prometheus.key"
        tokens.append(file.read_text().strip())
        assert file.stat().st_mode & 0o777 == 0o640
    assert tokens[0] != tokens[1]
    listed = subprocess.run(
        [COMMAND, "keys", "list", "--json"],
        env={**os.environ, "VIEWFINDER_DATABASE__URL": database, "VIEWFINDER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    keys = {one["id"]: one for one in json.loads(listed.stdout)["keys"]}
    first, second = (keys[_id_of(token)] for token in tokens)
    assert (first["state"], second["state"]) == ("revoked", "valid")
    assert second["scopes"] == ["read"]


def _id_of(token: str) -> str:
    read = parse_token(token)
    assert read is not None
    return read.id


def test_a_database_that_is_away_stops_the_start(tmp_path: Path) -> None:
    done = migrate(tmp_path, f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    assert done.returncode != 0
    assert list(tmp_path.glob("*.key")) == []


@pytest.mark.parametrize("name", ["redis", "cache"])
def test_redis_takes_its_command_and_its_check(name: str, tmp_path: Path) -> None:
    with running_redis(name, tmp_path) as redis:
        assert redis.check() == "PONG"
        assert "NOAUTH" in redis.check(REDISCLI_AUTH="")


def test_the_documentation_names_every_service() -> None:
    text = (ROOT / "docs" / "docker.md").read_text()
    for name in services():
        assert f"`{name}`" in text, name
