"""`viewfinder keys`, `viewfinder db`, and what `serve` and `doctor` make of keys."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support import fake_bundle, run_command, serving

from viewfinder.access.keys import parse_token
from viewfinder.storage.schema import REVISION


def _run(*arguments: str | Path, home: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, home=home, timeout=300, **settings)


def _failed(result: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """What a command that failed says: one line, and the ways on below it if there are several."""
    assert result.returncode == code, result
    assert result.stdout == ""
    assert result.stderr.startswith("viewfinder: ")
    assert all(line.startswith("  ") for line in result.stderr.splitlines()[1:])
    return result.stderr


def _keys(home: Path) -> list[dict[str, object]]:
    result = _run("keys", "list", "--json", home=home)
    assert result.returncode == 0
    found: list[dict[str, object]] = json.loads(result.stdout)["keys"]
    return found


def test_a_key_is_made_shown_once_listed_and_revoked(tmp_path: Path) -> None:
    made = _run("keys", "create", "robot", home=tmp_path)
    token = parse_token(made.stdout.rstrip("\n"))  # and nothing else is on stdout
    assert token is not None
    assert "not shown again" in made.stderr
    assert token.secret not in made.stderr

    (key,) = _keys(tmp_path)
    assert (key["id"], key["name"], key["state"]) == (token.id, "robot", "valid")
    assert (key["scopes"], key["last_used"]) == (["classify", "read"], None)
    shown = _run("keys", "list", home=tmp_path)
    assert "robot" in shown.stdout
    assert token.secret not in shown.stdout + json.dumps(key)

    assert "a key robot already" in _failed(_run("keys", "create", "robot", home=tmp_path))
    assert _run("keys", "revoke", token.id, home=tmp_path).returncode == 0
    assert [key["state"] for key in _keys(tmp_path)] == ["revoked"]
    assert "no key robot" in _failed(_run("keys", "revoke", "robot", home=tmp_path))


def test_a_key_is_made_as_it_is_asked_for(tmp_path: Path) -> None:
    options = ("--scope", "manage", "--scope", "read", "--expires", "8w", "--requests", "9")
    result = _run("keys", "create", "admin", *options, "--json", home=tmp_path)
    made = json.loads(result.stdout)
    token = parse_token(made.pop("token"))
    assert token is not None
    assert _keys(tmp_path) == [made]
    assert (made["scopes"], made["requests"]) == (["manage", "read"], 9)
    assert made["expires"] > made["created"]


@pytest.mark.parametrize(
    "options", [("a b",), ("x", "--expires", "90"), ("x", "--scope", "admin"), ("0123456789ab",)]
)
def test_a_key_that_makes_no_sense_is_not_made(tmp_path: Path, options: tuple[str, ...]) -> None:
    _failed(_run("keys", "create", *options, home=tmp_path), code=2)
    assert not (tmp_path / "viewfinder.db").exists()


def test_keys_made_by_several_processes_at_once_are_all_kept(tmp_path: Path) -> None:
    def make(number: int) -> subprocess.CompletedProcess[str]:
        return _run("keys", "create", f"robot-{number}", home=tmp_path)

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(make, range(6)))
    assert [result.returncode for result in made] == [0] * 6, made
    assert {key["name"] for key in _keys(tmp_path)} == {f"robot-{n}" for n in range(6)}


def test_the_database_is_upgraded_by_command(tmp_path: Path) -> None:
    first, second = (
        json.loads(_run("db", "upgrade", "--json", home=tmp_path).stdout) for _ in range(2)
    )
    assert (first, second) == (
        {"from": None, "to": REVISION},
        {"from": REVISION, "to": REVISION},
    )


def test_a_public_address_without_a_key_is_not_served(tmp_path: Path) -> None:
    result = _run("serve", "--host", "192.0.2.1", home=tmp_path)
    assert "viewfinder keys create" in _failed(result)


def test_a_public_address_asks_for_keys_once_there_is_one(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    _run("keys", "create", "robot", home=tmp_path)
    assert "cannot listen" in _failed(_run("serve", "--host", "192.0.2.1", home=tmp_path))
    _run("keys", "revoke", "robot", home=tmp_path)
    result = _run("serve", "--host", "192.0.2.1", home=tmp_path)
    assert "viewfinder keys create" in _failed(result)


def test_a_public_server_asks_for_keys_unless_it_is_told_not_to(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    (tmp_path / "key").write_text("bootstrap" * 4)
    flags = ("--model", "fake", "--host", "0.0.0.0")
    file: dict[str, Any] = {"AUTH__BOOTSTRAP_KEY_FILE": tmp_path / "key"}
    for given, more, status in (
        (file, (), 401),
        ({}, ("--insecure",), 200),
        ({"AUTH__ENABLED": "false"}, ("--insecure",), 200),
        ({"AUTH__ENABLED": "true", **file}, ("--insecure",), 401),
    ):
        with serving(tmp_path, *flags, *more, **given) as server:
            answer = httpx2.get(f"{server.url}/v1/models", trust_env=False)
            assert answer.status_code == status
            assert httpx2.get(f"{server.url}/health", trust_env=False).status_code == 200


def test_keys_switched_off_at_a_public_address_take_a_word_more(tmp_path: Path) -> None:
    result = _run("serve", "--host", "192.0.2.1", home=tmp_path, AUTH__ENABLED="false")
    assert "--insecure" in _failed(result)


def test_a_loopback_server_may_ask_for_keys_before_there_are_any(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with serving(tmp_path, "--model", "fake", AUTH__ENABLED="true") as server:
        assert server.stop() == 0


def test_a_database_that_cannot_be_read_stops_the_start_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "viewfinder.db").write_bytes(b"no database " * 1000)
    for command in (("serve", "--port", "0"), ("keys", "list"), ("keys", "create", "x")):
        result = _run(*command, home=tmp_path, AUTH__ENABLED="true")
        assert "viewfinder.db cannot be used" in _failed(result)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"AUTH__BOOTSTRAP_KEY_FILE": "/nowhere/key"}, "/nowhere/key cannot be read"),
        ({"DATABASE__URL": "mysql://u:hunter2@h/n"}, "database.url is not valid: mysql://u:***@h"),
    ],
)
def test_a_setting_that_leads_nowhere_stops_the_start(
    tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    result = _run("serve", "--port", "0", home=tmp_path, AUTH__ENABLED="true", **given)
    assert says in _failed(result, code=2)


@pytest.mark.parametrize(
    ("package", "extra", "given"),
    [
        ("jwt", "oidc", {"AUTH__OIDC__ISSUER": "http://h", "AUTH__OIDC__AUDIENCE": "a"}),
        ("psycopg", "postgres", {"DATABASE__URL": "postgresql://h/n"}),
    ],
)
def test_without_a_package_the_command_that_installs_it_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    extra: str,
    given: dict[str, Any],
) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / f"{package}.py").write_text(
        f"raise ModuleNotFoundError(name='{package}')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "absent"))
    result = _run("serve", "--port", "0", home=tmp_path, AUTH__ENABLED="true", **given)
    assert f"pip install 'viewfinder[{extra}]'" in _failed(result)


def test_doctor_says_whether_keys_guard_the_server(tmp_path: Path) -> None:
    def finding(**settings: Any) -> tuple[str, str]:
        result = _run("doctor", "--json", home=tmp_path, **settings)
        (found,) = (f for f in json.loads(result.stdout)["findings"] if f["part"] == "keys")
        return found["state"], found["detail"]

    assert finding() == ("ok", "not asked for at 127.0.0.1")
    asked: dict[str, Any] = {"AUTH__ENABLED": "true"}
    assert "viewfinder keys create" in finding(**asked)[1]
    assert not (tmp_path / "viewfinder.db").exists()
    _run("keys", "create", "robot", home=tmp_path)
    assert finding(**asked) == ("ok", "asked for at 127.0.0.1: 1 valid key")
    (tmp_path / "viewfinder.db").write_bytes(b"no database " * 1000)
    assert finding(**asked)[0] == "broken"


def test_doctor_shows_no_password(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "DATABASE__URL": "postgresql://somebody:hunter2@db.example/name?sslpassword=hunter2",
        "REDIS_URL": "redis://:hunter2@redis.example/0",
        "CACHE__REDIS_URL": "redis://user:hunter2@redis.example/1",
    }
    for options in ((), ("--json",)):
        result = _run("doctor", "--settings", *options, home=tmp_path, **given)
        assert result.returncode == 0
        assert "example" in result.stdout
        assert "hunter2" not in result.stdout
