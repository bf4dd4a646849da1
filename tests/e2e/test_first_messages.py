"""What people meet first when something is wrong: a plain line, what to do next, no traceback.

The words that are looked for here stand in docs/troubleshooting.md, too.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from tests.e2e.bare import Bare, without_ensurepip
from tests.support import DATA, PHOTOS, ROOT, environment, run_command, serving

from viewfinder.modeling.backbones import BACKBONES, Wheel
from viewfinder.modeling.weights import wheel_checkpoint

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
NOWHERE = Path("/dev/null/home")
CLEAR = "\x1b[2J"


def _told(
    result: subprocess.CompletedProcess[str], *words: str, code: int = 1, beside: str = ""
) -> str:
    """What a command that failed said; it has these words, and so has the page."""
    assert result.returncode == code, result
    assert result.stdout == beside
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
        assert word in PAGE, word
    return result.stderr


def _photos(folder: Path, *places: str) -> Path:
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PHOTOS / "sandal.jpg", folder / place)
    return folder


# The server


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = _told(
            run_command("serve", "--json", "--port", str(port), home=tmp_path),
            "is taken by",
            "choose another with --port",
            "with make: PORT=",
        )
    me = psutil.Process()
    assert f"port {port} is taken by {me.name()[:15]}" in said
    assert f"(process {me.pid})" in said
    assert f"--port {port + 1} (with make: PORT={port + 1})" in said
    assert said.count("\n") == 1


def test_a_public_address_without_keys_shows_three_ways_on(tmp_path: Path) -> None:
    said = _told(
        run_command("serve", "--host", "192.0.2.1", home=tmp_path),
        "asks for keys, and there is none yet",
        "keys create robot",
        "auth.oidc.issuer",
        "--insecure",
    )
    (line,) = (line for line in said.splitlines() if "export KEY=" in line)
    shell = f"{line.partition(':')[2]} && printf %s $KEY"
    made = subprocess.run(
        ["sh", "-c", shell],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert made.stdout.startswith("vf_")
    again = run_command("serve", "--host", "192.0.2.1", home=tmp_path)
    assert "keys" not in again.stderr
    with serving(tmp_path, AUTH__ENABLED="true", LOG__FORMAT="text") as server:
        assert any('curl -H "X-API-Key: $KEY"' in line for line in server.lines)


def test_a_data_home_that_nothing_can_be_kept_in() -> None:
    with serving(NOWHERE) as server:
        said = "\n".join(server.lines)
        assert server.stop() == 0
    assert "nothing can be kept in /dev/null/home: /dev/null is not a folder" in said
    assert "nothing can be kept in" in PAGE
    _told(run_command("keys", "create", "robot", home=NOWHERE), "cannot be used", "VIEWFINDER_HOME")
    doctor = run_command("doctor", "--json", home=NOWHERE)
    assert doctor.returncode == 1
    found = {one["part"]: one for one in json.loads(doctor.stdout)["findings"]}
    assert found["data home"]["state"] == "broken"


# The environment


def test_a_setting_that_is_none_is_told_and_harms_nothing(tmp_path: Path) -> None:
    done = run_command("models", "list", home=tmp_path, THREDS=2, MY_OWN_ANYTHING_AT_ALL=1)
    assert done.returncode == 0
    first, second = done.stderr.splitlines()
    words = "in the environment is no setting"
    assert first.startswith(f"viewfinder: VIEWFINDER_MY_OWN_ANYTHING_AT_ALL {words}")
    assert second.startswith(f"viewfinder: VIEWFINDER_THREDS {words}")
    assert second.endswith("did you mean VIEWFINDER_THREADS?")
    assert words in PAGE


def test_what_kubernetes_sets_for_services_is_no_news(tmp_path: Path) -> None:
    done = run_command(
        "models",
        "list",
        home=tmp_path,
        SERVICE_HOST="10.0.0.1",
        SERVICE_PORT="8000",
        SERVICE_PORT_HTTP="8000",
        PORT_8000_TCP="tcp://10.0.0.1:8000",
        PORT_8000_TCP_PROTO="tcp",
        PORT_8000_TCP_PORT="8000",
        PORT_8000_TCP_ADDR="10.0.0.1",
        REDIS_PORT="tcp://10.0.0.2:6379",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_port_that_kubernetes_sets(tmp_path: Path) -> None:
    result = run_command("serve", home=tmp_path, PORT="tcp://10.0.0.1:8000")
    _told(result, "the setting port is not valid", "enableServiceLinks: false", code=2)


def test_a_setting_of_a_group_that_is_none(tmp_path: Path) -> None:
    said = _told(
        run_command("serve", home=tmp_path, LIMITS__SIED=1), "there is none of that name", code=2
    )
    assert said.endswith("did you mean limits.side?\n")
    assert said.count("\n") == 1


# Extras


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    return Bare(tmp_path_factory.mktemp("bare") / "venv")


@pytest.mark.parametrize(
    ("extra", "command", "given"),
    [
        ("train", ["train", str(DATA), "--name", "x"], {}),
        ("parquet", ["classify", "photos", "--out", "x.parquet"], {}),
        ("postgres", ["serve"], {"DATABASE__URL": "postgresql://h/n"}),
        ("redis", ["serve"], {"REDIS_URL": "redis://h"}),
        ("s3", ["serve"], {"MODEL_STORE": "s3://bucket/models"}),
        ("s3", ["serve"], {"BLOBS__URL": "s3://bucket/blobs"}),
        ("otel", ["serve"], {"TRACING__ENDPOINT": "http://h:4318"}),
        ("onnx", ["models", "import", str(DATA / "any.onnx"), "--name", "x"], {}),
        (
            "oidc",
            ["serve"],
            {
                "AUTH__ENABLED": "true",
                "AUTH__OIDC__ISSUER": "http://h",
                "AUTH__OIDC__AUDIENCE": "a",
            },
        ),
    ],
)
def test_a_missing_extra(
    bare: Bare, tmp_path: Path, extra: str, command: list[str], given: dict[str, str]
) -> None:
    if extra == "onnx":
        (tmp_path / "any.onnx").write_bytes(b"\x08\x07")
        (tmp_path / "labels.txt").write_text("cat\ndog\n")
        command[2:3] = [str(tmp_path / "any.onnx"), "--labels", str(tmp_path / "labels.txt")]
    said = _told(bare.run(*command, home=tmp_path, **given), "needs the extra '")
    assert said.endswith(
        f" needs the extra '{extra}': pip install 'viewfinder[{extra}]', "
        f"or in a checkout: make setup EXTRAS={extra}\n"
    )
    assert said.count("\n") == 1


def test_a_photo_that_needs_an_extra(bare: Bare, tmp_path: Path) -> None:
    result = bare.run("classify", DATA / "photo.heic", home=tmp_path)
    why = "HEIC photos are not switched on here: send a JPEG, or install the extra heif."
    answer = f"{DATA / 'photo.heic'}: {why}\n"
    said = _told(result, "needs the extra '", "make setup EXTRAS=", beside=answer)
    assert said.count("\n") == 1


def test_doctor_calls_nothing_missing_that_nobody_asked_for(bare: Bare, tmp_path: Path) -> None:
    done = bare.run("doctor", "--json", home=tmp_path)
    assert done.returncode == 0
    found = {one["part"]: one for one in json.loads(done.stdout)["findings"]}
    assert {one["state"] for one in found.values()} == {"ok", "optional"}
    assert "make setup EXTRAS=train" in found["extra train"]["detail"]
    shown = bare.run("doctor", home=tmp_path)
    assert "missing" not in shown.stdout
    assert "pip install 'viewfinder[NAME]'" in shown.stderr


# Photos


@pytest.mark.parametrize(
    ("named", "code", "words"),
    [
        ("empty", 1, ("no photos found in", "which is empty", "these are looked for")),
        ("texts", 1, ("no photos found in", "1 other file, such as texts/notes.txt")),
        ("photso", 2, ("does not exist in", "did you mean photos?")),
        ("photos/1.jpeg", 2, ("does not exist in", "did you mean photos/1.jpg?")),
        ("far/away.jpg", 2, ("does not exist in",)),
        ("~/photos", 2, ("the shell expands ~ only where it stands without quotes",)),
        ("photos/*.png", 2, ("no file matches",)),
    ],
)
def test_where_no_photo_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, code: int, words: tuple[str, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").touch()
    _photos(tmp_path, "photos/1.jpg")
    monkeypatch.chdir(tmp_path)
    said = _told(run_command("classify", named, "--json", home=tmp_path), *words, code=code)
    assert said.count("\n") == 1


def test_a_photo_that_fails_among_others_is_told_and_the_exit_status_is_0(tmp_path: Path) -> None:
    _photos(tmp_path, "photos/1.jpg", "photos/2.jpg")
    (tmp_path / "photos" / "3.jpg").write_bytes(b"%PDF-1.7")
    done = run_command("classify", tmp_path / "photos", home=tmp_path)
    assert done.returncode == 0
    assert "3.jpg: The image is not JPEG" in done.stdout
    assert done.stderr == "1 of 3 images failed\n"
    assert "images failed" in PAGE


@pytest.mark.parametrize("command", [["classify", str(PHOTOS)], ["serve", "--port", "0"]])
def test_a_model_that_is_not_there(tmp_path: Path, command: list[str]) -> None:
    result = run_command(*command, "--model", "eficientnet-lite0", home=tmp_path)
    said = _told(result, "There is no model", "Did you mean")
    assert "Did you mean 'efficientnet-lite0'?" in said
    assert said.count("\n") == 1


def test_a_command_or_option_that_is_mistyped(tmp_path: Path) -> None:
    _told(run_command("clasify", home=tmp_path), "Did you mean", code=2)
    _told(run_command("serve", "--prt", "1", home=tmp_path), "No such option", code=2)


def test_where_no_server_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    _told(
        run_command("classify", PHOTOS, "--server", url, home=tmp_path), "no server can be reached"
    )


# Another server's words


class _Hostile(BaseHTTPRequestHandler):
    """Says what clears a terminal."""

    def do_GET(self) -> None:
        self._answer(200, {"status": "ok", "version": "1"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if "model=refused" in self.path:
            self._answer(401, {"code": "unauthenticated", "detail": f"No{CLEAR}\nyou"})
        elif "model=odd" in self.path:
            self._answer(422, {"code": "invalid_image", "detail": f"No{CLEAR}"})
        else:
            score = {"class": f"cat{CLEAR}", "index": 0, "confidence": 1.0}
            model = {"name": "x", "version": 1, "variant": "y"}
            self._answer(200, {**score, "classes": [score], "model": model, "abstained": False})

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def _hostile() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hostile) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(30)


@pytest.mark.parametrize("model", ["refused", "odd", "fine"])
def test_no_server_moves_the_cursor_of_a_terminal(tmp_path: Path, model: str) -> None:
    with _hostile() as url:
        done = run_command(
            "classify", PHOTOS / "cat.jpg", "--server", url, "--model", model, home=tmp_path
        )
    said = done.stdout + done.stderr
    assert r"\x1b[2J" in said
    assert "\x1b" not in said
    assert len(said.splitlines()) == 1


# Data sets


@pytest.mark.parametrize(
    ("given", "named", "words"),
    [
        (["1.jpg", "2.jpg"], "", ("photos, but no folder for each class",)),
        (["cat/1.jpg"], "", ("one class only, 'cat'", "at least two to tell apart")),
        (["all/cat/1.jpg", "all/dog/1.jpg"], "", ("one class only, 'all'", "did you mean")),
        (["cat/1.jpg"], "cat/1.jpg", ("is a file, and not a data set",)),
        (
            ["train/cat/1.jpg", "cat/1.jpg"],
            "",
            ("folders of splits (train)", "move the others away"),
        ),
        (["train/cat/1.jpg", "test/cat/1.jpg", "dog/1.jpg"], "", ("others beside them",)),
        (["cat/1.jpg/2.png/3.txt"], "", ("has no photos",)),
    ],
)
def test_a_folder_in_another_form_is_shown_the_form_that_is_wanted(
    tmp_path: Path, given: list[str], named: str, words: tuple[str, ...]
) -> None:
    data = _photos(tmp_path / "data", *given)
    if "3.txt" in given[0]:
        data = _texts(tmp_path / "texts")
    said = _told(
        run_command("data", "check", data / named, home=tmp_path),
        *words,
        "A data set is a folder with a folder for each class",
    )
    assert "    cat/  1.jpg  2.jpg  ..." in said
    assert said.startswith(f"viewfinder: {data / named}")


def _texts(folder: Path) -> Path:
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "notes.txt").touch()
    return folder


def test_a_folder_one_too_high_is_answered_with_the_right_one(tmp_path: Path) -> None:
    data = _photos(tmp_path / "data", "all/cat/1.jpg", "all/dog/1.jpg")
    said = run_command("data", "check", data, home=tmp_path).stderr
    assert f"did you mean {data / 'all'}, which has several folders?" in said
    assert run_command("data", "check", data / "all", home=tmp_path).returncode == 0


def test_a_table_with_other_columns_is_shown_the_form_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("photo,what\n1.jpg,cat\n")
    said = _told(
        run_command("data", "check", tmp_path / "set.csv", home=tmp_path),
        "the first line has no column 'path'",
        "A table has a line with the names of its columns",
    )
    assert said.endswith("  path,label\n  cats/1.jpg,cat\n  dogs/1.jpg,dog\n")


@pytest.mark.parametrize("command", [["train", "--name", "x"], ["evaluate", "efficientnet-lite0"]])
def test_other_commands_say_the_same_of_a_folder(tmp_path: Path, command: list[str]) -> None:
    data = _photos(tmp_path / "data", "1.jpg")
    said = run_command(command[0], *command[1:], data, home=tmp_path).stderr
    assert "1 photos, but no folder for each class" in said or "needs the extra 'train'" in said


# Weights


@pytest.mark.train
def test_weights_that_are_nowhere_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _photos(tmp_path / "data", "cat/1.jpg", "dog/1.jpg")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed.getsockname()[1]}")
    result = run_command(
        "train", data, "--name", "x", "--backbone", "resnet50", home=tmp_path, timeout=300
    )
    said = _told(result, "cannot download", "and put it at", "--weights FILE", "Here already:")
    here = [one.name for one in BACKBONES.values() if isinstance(one.weights, Wheel)]
    assert said.rstrip().endswith(", ".join(here))


@pytest.mark.train
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--weights", "nowhere.pth"], ("does not exist in",)),
        (["--backbone", "resnet5"], ("there is no backbone", "did you mean resnet50?")),
    ],
)
def test_weights_or_a_backbone_that_are_not_there(
    tmp_path: Path, given: list[str], words: tuple[str, ...]
) -> None:
    data = _photos(tmp_path / "data", "cat/1.jpg", "dog/1.jpg")
    _told(run_command("train", data, "--name", "x", *given, home=tmp_path, timeout=300), *words)


@pytest.mark.train
def test_weights_of_another_backbone(tmp_path: Path) -> None:
    data = _photos(tmp_path / "data", "cat/1.jpg", "dog/1.jpg")
    other = BACKBONES["efficientnet-lite1"].weights
    assert isinstance(other, Wheel)
    file = wheel_checkpoint(other.package)
    _told(
        run_command("train", data, "--name", "x", "--weights", file, home=tmp_path, timeout=300),
        "does not fit",
        "is it of another --backbone?",
    )


# Python and make


def _make(folder: Path, python: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """`make serve` in a copy, where that is the only Python, and no uv is."""
    for name in ("Makefile", "uv.lock", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    programs = folder / "programs"
    programs.mkdir()
    for name in ("sh", "rm", "mkdir", "touch"):
        (programs / name).symlink_to(shutil.which(name) or name)
    (programs / "python3").symlink_to(python)
    make = shutil.which("make")
    assert make is not None
    return subprocess.run(
        [make, "serve", "PORT=1"],
        cwd=folder,
        env={"PATH": str(programs), **given},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _pythons(*minors: int) -> list[Path]:
    """Those of this machine that are of these versions."""
    names = [f"python3.{minor}" for minor in minors]
    roots = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    roots += sorted(Path.home().glob(".pyenv/versions/*/bin"))
    found = [root / name for root in roots for name in names if (root / name).is_file()]
    return [path for path in found if "shims" not in path.parts]


@pytest.mark.parametrize("python", _pythons(9, 10, 14), ids=lambda path: path.name)
def test_make_with_a_python_of_another_version(tmp_path: Path, python: Path) -> None:
    result = _make(tmp_path, python)
    said = _told(result, "Viewfinder needs Python 3.11, 3.12 or 3.13", "PYTHON=", code=2)
    assert f"  python3: {python.name.removeprefix('python')}." in said
    assert not (tmp_path / ".uv").exists()


def test_make_with_a_python_without_venv(tmp_path: Path) -> None:
    home = without_ensurepip(tmp_path / "library")
    result = _make(tmp_path, Path(sys.executable).resolve(), **home)
    said = _told(result, "Viewfinder needs Python 3.11, 3.12 or 3.13", "python3-venv", code=2)
    assert ", without venv\n" in said


@pytest.mark.parametrize("python", _pythons(9, 10), ids=lambda path: path.name)
def test_an_old_python_is_told_by_the_last_line(python: Path) -> None:
    result = subprocess.run(
        [str(python), "-c", "import viewfinder"],
        env={"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    last = result.stderr.splitlines()[-1]
    assert last.startswith(
        "ImportError: Viewfinder needs Python 3.11, 3.12 or 3.13, and this is 3."
    )


def test_the_package_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "viewfinder", "--version"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == run_command("--version", home=tmp_path).stdout
