"""The commands, run as a person runs them."""

import contextlib
import json
import os
import pty
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support import (
    COMMAND,
    DATA,
    EXPECTED,
    PHOTOS,
    environment,
    fake_bundle,
    run_command,
    settings_file,
)

from viewfinder import __version__
from viewfinder.errors import how_to_install

COMMANDS = [
    [],
    ["serve"],
    ["classify"],
    ["evaluate"],
    ["bench"],
    ["models"],
    ["models", "list"],
    ["models", "show"],
    ["doctor"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(tmp_path: Path, command: list[str]) -> None:
    result = run_command(*command, "--help", home=tmp_path)
    assert result.returncode == 0
    assert result.stderr == ""
    if command != ["models"]:
        assert "Example:" in result.stdout


def test_version(tmp_path: Path) -> None:
    assert run_command("--version", home=tmp_path).stdout == f"viewfinder {__version__}\n"


@pytest.mark.parametrize("command", [["nope"], ["classify"], ["classify", "x", "--top-k", "0"]])
def test_wrong_usage_exits_with_2(tmp_path: Path, command: list[str]) -> None:
    result = run_command(*command, home=tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def _failed(result: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """The one line on stderr of a command that failed."""
    assert result.returncode == code, result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("viewfinder: ")
    return result.stderr


# classify


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_classify_a_photo(tmp_path: Path, name: str) -> None:
    result = run_command("classify", PHOTOS / name, "--json", home=tmp_path)
    assert result.returncode == 0
    assert result.stderr == ""
    answer = json.loads(result.stdout)
    assert answer["class"] in EXPECTED[name]
    assert answer["path"] == str(PHOTOS / name)
    assert len(answer["classes"]) == 5
    assert answer["classes"][0]["class"] == answer["class"]
    assert answer["model"] == {"name": "efficientnet-lite0", "version": 1, "variant": "int8"}


def test_classify_for_people_shows_bars(tmp_path: Path) -> None:
    result = run_command("classify", PHOTOS / "espresso.jpg", "--top-k", "2", home=tmp_path)
    first, second = result.stdout.splitlines()
    assert first.startswith("espresso")
    assert "95." in first
    assert "██" in first
    assert "█" not in second


def test_classify_a_folder_and_what_is_below_it(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(PHOTOS, folder / "below")
    shutil.copy(PHOTOS / "cat.jpg", folder / "UPPER.JPG")
    (folder / "notes.txt").write_text("not a photo")
    (folder / "broken.png").write_bytes(b"not a photo either")
    out = tmp_path / "out.jsonl"
    result = run_command("classify", folder, "--out", out, home=tmp_path)
    assert result.returncode == 0
    assert "7 images, 1 failed" in result.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [Path(line["path"]).name for line in lines] == [
        "UPPER.JPG",
        *sorted(EXPECTED),
        "broken.png",
    ]
    assert lines[-1]["error"]["code"] == "unsupported_media_type"
    for line in lines[1:-1]:
        assert line["class"] in EXPECTED[Path(line["path"]).name]


def test_classify_with_another_model(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", "shoes", 3)
    result = run_command(
        "classify", PHOTOS / "cat.jpg", "--model", "shoes@3", "--json", home=tmp_path
    )
    assert json.loads(result.stdout)["model"]["version"] == 3


def test_classify_fails_when_nothing_could_be_classified(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"no")
    result = run_command("classify", path, "--json", home=tmp_path)
    assert result.returncode == 1
    assert json.loads(result.stdout)["error"]["code"] == "unsupported_media_type"


def test_classify_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run_command("classify", tmp_path / "none.jpg", home=tmp_path)
    assert "does not exist" in _failed(result, 2)
    assert "no photos found" in _failed(run_command("classify", tmp_path / "empty", home=tmp_path))
    result = run_command("classify", PHOTOS / "cat.jpg", "--model", "nope", home=tmp_path)
    assert "efficientnet-lite0" in _failed(result)


def test_classify_to_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    out = tmp_path / "none" / "x.jsonl"
    result = run_command("classify", PHOTOS, "--out", out, home=tmp_path)
    assert "cannot write" in _failed(result)
    result = run_command("classify", PHOTOS, "--out", tmp_path / "x.doc", home=tmp_path)
    assert ".jsonl" in _failed(result, code=2)


def _can_leave_the_network() -> bool:
    unshare = shutil.which("unshare")
    return (
        unshare is not None
        and subprocess.run([unshare, "-rn", "true"], check=False).returncode == 0
    )


@pytest.mark.skipif(
    not _can_leave_the_network(), reason="needs unshare and user namespaces, to leave the network"
)
def test_classify_needs_no_network(tmp_path: Path) -> None:
    result = subprocess.run(
        ["unshare", "-rn", COMMAND, "classify", str(PHOTOS / "cat.jpg"), "--json"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(result.stdout)["class"] in EXPECTED["cat.jpg"]


def _hear(terminal: int, heard: list[bytes]) -> None:
    with contextlib.suppress(OSError):  # so it says that nobody writes any more
        while data := os.read(terminal, 65536):
            heard.append(data)


def test_answers_to_a_pipe_are_whole_while_the_terminal_shows_a_bar(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    heard: list[bytes] = []
    # A terminal is read all the time: it holds 4 kB, and a bar that is full blocks the command.
    reader = threading.Thread(target=_hear, args=(leader, heard))
    reader.start()
    result = subprocess.run(
        [COMMAND, "classify", str(PHOTOS), "--json"],
        env={**environment(tmp_path), "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=follower,
        check=True,
    )
    os.close(follower)
    reader.join(30)
    os.close(leader)
    shown = b"".join(heard).decode()
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(line["path"]).name for line in lines] == sorted(EXPECTED)
    assert "classifying" in shown
    assert "5/5" in shown
    assert "{" not in shown


def test_a_failure_keeps_what_was_there_before(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("precious\n")
    run_command("classify", PHOTOS, "--model", "nope", "--out", out, home=tmp_path)
    assert out.read_text() == "precious\n"


def test_a_file_name_need_not_be_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(PHOTOS / "espresso.jpg", folder / os.fsdecode(b"caf\xe9.jpg"))
    out = tmp_path / "out.jsonl"
    result = run_command("classify", tmp_path / "photos", "--out", out, home=tmp_path)
    assert result.returncode == 0
    line = json.loads(out.read_text())
    assert line["class"] == "espresso"
    assert os.fsencode(line["path"]).endswith(b"caf\xe9.jpg")
    for arguments in ([], ["--json"]):
        assert (
            "espresso"
            in run_command("classify", tmp_path / "photos", *arguments, home=tmp_path).stdout
        )


def test_a_short_queue_delays_and_refuses_nothing(tmp_path: Path) -> None:
    result = run_command("classify", PHOTOS, "--json", home=tmp_path, QUEUE_SIZE=1)
    assert result.returncode == 0
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == len(EXPECTED)


def test_a_broken_model_is_one_line(tmp_path: Path) -> None:
    (fake_bundle(tmp_path / "models", "shoes").folder / "graph.json").write_text("{}")
    photo = PHOTOS / "cat.jpg"
    result = run_command("classify", photo, "--model", "shoes", home=tmp_path)
    assert "checksum" in _failed(result)


def test_a_file_name_cannot_move_the_cursor(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J\nb.jpg"
    shutil.copy(PHOTOS / "espresso.jpg", path)
    shown = run_command("classify", path, PHOTOS / "cat.jpg", home=tmp_path).stdout
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 2


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [COMMAND, "models", "list"],
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert "No space left" in result.stderr
    assert "Traceback" not in result.stderr


# models


def test_models_list(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", "shoes", 1)
    broken = fake_bundle(tmp_path / "models", "shoes", 2)
    (broken.folder / "bundle.json").write_text("{}")
    result = run_command("models", "list", "--json", home=tmp_path)
    builtin, shoes = json.loads(result.stdout)["models"]
    assert builtin["name"] == "efficientnet-lite0"
    assert shoes["aliases"] == {"latest": 1}
    assert [version["problem"] is None for version in shoes["versions"]] == [True, False]
    shown = run_command("models", "list", home=tmp_path).stdout
    assert "shoes" in shown
    assert "1000" in shown


def test_models_show_prints_what_the_api_answers(tmp_path: Path, client: httpx2.Client) -> None:
    result = run_command("models", "show", "efficientnet-lite0", "--json", home=tmp_path)
    assert (
        json.loads(result.stdout) == client.get("/v1/models/efficientnet-lite0/versions/1").json()
    )
    shown = run_command("models", "show", "efficientnet-lite0@1", home=tmp_path).stdout
    assert "Apache-2.0" in shown
    assert "recommended" in shown


def test_models_show_what_is_not_there_or_broken(tmp_path: Path) -> None:
    (fake_bundle(tmp_path / "models", "shoes").folder / "bundle.json").write_text("{")
    assert "no model" in _failed(run_command("models", "show", "nope", home=tmp_path))
    assert "no version 7" in _failed(
        run_command("models", "show", "efficientnet-lite0@7", home=tmp_path)
    )
    assert "not valid" in _failed(run_command("models", "show", "shoes", home=tmp_path))


# doctor


def test_doctor_finds_everything_in_order(tmp_path: Path) -> None:
    result = run_command("doctor", "--json", home=tmp_path)
    assert result.returncode == 0
    findings = {finding["part"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert findings["model efficientnet-lite0@1"]["state"] == "ok"
    assert "3 golden samples" in findings["model efficientnet-lite0@1"]["detail"]
    assert findings["model store"]["state"] == "ok"
    extra = findings["extra train"]
    assert extra["state"] == "ok" or "pip install 'viewfinder[train]'" in extra["detail"]
    shown = run_command("doctor", home=tmp_path).stdout
    assert "ok" in shown
    assert extra["state"] == "ok" or "[train]" in shown


def test_doctor_finds_a_broken_model(tmp_path: Path) -> None:
    (fake_bundle(tmp_path / "models", "shoes").folder / "graph.json").write_text("{}")
    result = run_command("doctor", "--json", home=tmp_path)
    assert result.returncode == 1
    broken = [f for f in json.loads(result.stdout)["findings"] if f["state"] == "broken"]
    assert [finding["part"] for finding in broken] == ["model shoes@1"]
    assert "checksum" in broken[0]["detail"]


def test_doctor_says_where_each_setting_comes_from(tmp_path: Path) -> None:
    path = settings_file(tmp_path, "workers = 3\n")
    result = run_command("doctor", "--settings", "--json", home=tmp_path, PORT=9)
    table = json.loads(result.stdout)
    assert table["port"] == {"value": "9", "from": "environment"}
    assert table["workers"] == {"value": "3", "from": str(path)}
    assert table["host"]["from"] == "default"


# serve, before it serves


def test_serve_refuses_a_public_address(tmp_path: Path) -> None:
    result = run_command("serve", "--host", "0.0.0.0", home=tmp_path)
    assert result.returncode == 1
    assert "--insecure" in result.stderr


def test_insecure_lets_a_public_address_pass(tmp_path: Path) -> None:
    # An address of nobody's (RFC 5737), so that nothing really listens in public.
    result = run_command("serve", "--host", "192.0.2.1", "--insecure", home=tmp_path)
    assert "cannot listen on 192.0.2.1" in _failed(result)


def test_serve_refuses_a_model_that_is_not_there(tmp_path: Path) -> None:
    result = run_command("serve", "--model", "nope", home=tmp_path)
    assert "no model 'nope'" in _failed(result)
    assert "no model 'nope'" in _failed(run_command("serve", home=tmp_path, DEFAULT_MODEL="nope"))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"PORT": "abc"}, "port"),
        ({"LIMITS__SIDE": "0"}, "limits.side"),
        ({"MODEL_STORE": "~nosuchuser/x"}, "model_store"),
    ],
)
def test_a_setting_that_is_wrong_is_named(
    tmp_path: Path, settings: dict[str, Any], name: str
) -> None:
    result = run_command("serve", home=tmp_path, **settings)
    assert f"the setting {name} is not valid" in _failed(result, code=2)


def test_a_settings_file_that_is_broken_is_named(tmp_path: Path) -> None:
    settings_file(tmp_path, "port = = 1")
    assert "viewfinder.toml" in _failed(run_command("serve", home=tmp_path), code=2)


@pytest.mark.parametrize(
    "command", [["--debug", "serve", "--model", "nope"], ["serve", "--model", "nope", "--debug"]]
)
def test_debug_shows_the_traceback(tmp_path: Path, command: list[str]) -> None:
    result = run_command(*command, home=tmp_path)
    assert result.returncode == 1
    assert "Traceback" in result.stderr


@pytest.mark.heif
def test_classify_finds_heic_photos(tmp_path: Path) -> None:
    shutil.copy(DATA / "photo.heic", tmp_path / "IMG_1.HEIC")
    result = run_command("classify", tmp_path, "--json", home=tmp_path)
    assert json.loads(result.stdout)["class"] == "espresso"
    assert result.stderr == ""


def test_classify_says_which_extra_heic_photos_need(tmp_path: Path) -> None:
    (tmp_path / "lacking" / "pi_heif").mkdir(parents=True)
    lacking = "raise ModuleNotFoundError('No module named pi_heif', name='pi_heif')"
    (tmp_path / "lacking" / "pi_heif" / "__init__.py").write_text(lacking)
    result = subprocess.run(
        [COMMAND, "classify", str(DATA / "photo.heic")],
        env={**environment(tmp_path), "PYTHONPATH": str(tmp_path / "lacking")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert (
        "HEIC photos are not switched on here: send a JPEG, or install the extra heif."
        in result.stdout
    )
    assert result.stderr == f"HEIC needs the extra 'heif': {how_to_install('heif')}\n"
