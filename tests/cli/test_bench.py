"""`viewfinder bench`: this machine, and servers elsewhere."""

import itertools
import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image
from tests.capacity.cases import computed, measured, process
from tests.cli.commands import Commands, photos_in
from tests.net.hosts import Script, answer, hosting
from tests.support import (
    COMMAND,
    Engine,
    LocalServer,
    encode,
    environment,
    eventually,
    fake_bundle,
    free_port,
    heeding_interrupts,
    run_command,
    serving_here,
    serving_one,
    spawned,
)

from viewfinder.capacity import bench
from viewfinder.capacity.advice import advise
from viewfinder.capacity.measured import Served, Step
from viewfinder.cli.bench_report import print_report
from viewfinder.errors import MeasuringError
from viewfinder.settings import AuthSettings, CacheSettings, Settings

KEY = "a-key-of-thirty-two-characters-or-more"
SHORT = ("--seconds", "0.1")
CLOSED = {"Connection": "close"}
ALIVE = answer(b'{"version": "1"}', headers=CLOSED)


@pytest.fixture
def server(store: Path, engine: Engine) -> Iterator[LocalServer]:
    """A server with the fake model, that keeps its answers."""
    with serving_one(store, engine, cache=CacheSettings()) as running:
        yield running


def test_this_machine_is_measured_and_the_files_are_what_a_server_and_a_chart_take(
    tmp_path: Path,
) -> None:
    home, out = tmp_path / "home", tmp_path / "new" / "out"
    home.mkdir()
    ended = run_command("bench", *SHORT, "--rate", "100", "--out", out, "--json", home=home)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["model"] == "efficientnet-lite0@1"
    assert said["pictures"]["source"] == "golden photos of efficientnet-lite0@1"
    assert said["compute"]["both"]["per_second"] > 0
    assert [step["clients"] for step in said["served"]["steps"]][:3] == [1, 2, 4]
    assert all(step["answered"] for step in said["served"]["steps"])
    assert said["served"]["process"]["peak_bytes"] > 50_000_000
    assert "served: 1 of" in ended.stderr  # plain lines: this is no terminal
    assert json.loads((out / "bench.json").read_text()) == said
    assert {path.name for path in out.iterdir()} == {
        *("bench.json", "bench.svg", "values.yaml", "viewfinder.toml")
    }
    # Nothing of the measured server is left in the person's home.
    assert not (home / "viewfinder.db").exists()
    advised = {one["name"]: one["value"] for one in said["advice"]["settings"]}
    told = run_command("doctor", "--settings", "--json", home=home, CONFIG=out / "viewfinder.toml")
    settings = json.loads(told.stdout)
    for name, value in advised.items():
        assert settings[name] == {"value": str(value), "from": str(out / "viewfinder.toml")}


def test_where_one_process_is_the_bottleneck_several_are_tried(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "wants_workers", lambda _: 2)
    photos = photos_in(tmp_path / "photos", [24, 136])
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no")
    ended = commands.run(
        *("bench", *SHORT, "--photos", tmp_path / "photos", "--out", tmp_path / "out")
    )
    assert ended.code == 0, ended.err
    written = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert written["split"]["process"]["workers"] == 2
    assert written["pictures"]["count"] == len(photos)
    assert written["pictures"]["left_out"] == 1
    assert "with 2 workers" in ended.out
    assert "fake@1 only on" in ended.out
    assert "both: the limit" in ended.out
    assert "queue_size" in ended.out
    assert spawned(psutil.Process().pid) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_goes_on_when_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    scratch.mkdir()
    fake_bundle(home / "models")
    with heeding_interrupts():
        bench = subprocess.Popen(
            [COMMAND, "bench", "--model", "fake", "--seconds", "1"],
            env={**environment(home), "TMPDIR": str(scratch)},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    with bench as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("served: 0"))
        started = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, number)
        code = process.wait(60)
    assert started
    eventually(lambda: not any(one.is_running() for one in started))
    if number != signal.SIGKILL:
        assert code == 128 + number
        assert list(scratch.iterdir()) == []


async def test_a_server_that_dies_is_no_measurement(store: Path, tmp_path: Path) -> None:
    fake_bundle(store)

    def tell(what: str, done: int, _total: int) -> None:
        if (what, done) == ("served", 1):
            for pid in spawned(os.getpid()):
                os.kill(pid, signal.SIGKILL)

    settings = Settings(home=tmp_path, model_store=str(store), default_model="fake")
    with pytest.raises(MeasuringError, match="died while it was measured"):
        await bench.measure_here(bench.Task(settings, None, None, 0.1, tell))
    assert spawned(os.getpid()) == []


async def test_clients_that_cannot_be_opened_are_not_taken_for_a_dead_server(
    store: Path, tmp_path: Path
) -> None:
    fake_bundle(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def tell(what: str, done: int, _total: int) -> None:
        if (what, done) == ("served", 1):  # the server has its files; here is room for three
            last = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
            for file in last:
                os.close(file)
            resource.setrlimit(resource.RLIMIT_NOFILE, (last[-1] + 1, hard))

    settings = Settings(home=tmp_path, model_store=str(store), default_model="fake")
    try:
        with pytest.raises(MeasuringError, match="could not be measured: Too many open files"):
            await bench.measure_here(bench.Task(settings, None, None, 0.1, tell))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert spawned(os.getpid()) == []


def test_a_server_elsewhere_is_loaded_and_its_cache_is_passed_by(
    commands: Commands, server: LocalServer, engine: Engine, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = commands.run("bench", "--url", server.url + "/", *SHORT, "--json", "--out", out)
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    answered = sum(step["answered"] for step in said["served"]["steps"])
    assert len(engine.calls) >= answered > 0
    assert said["varied"]
    assert said["url"] == server.url + "/"
    assert said["compute"] is said["served"]["process"] is None
    assert said["advice"]["settings"] == []
    assert f"{server.url}/ is loaded as heavily as it bears" in ended.err
    assert {path.name for path in out.iterdir()} == {"bench.json", "bench.svg", "values.yaml"}


def test_a_server_is_asked_for_the_model_that_is_named(
    commands: Commands, store: Path, server: LocalServer
) -> None:
    fake_bundle(store, "other", 7)
    asked = ("bench", "--url", server.url, *SHORT)
    assert "no model 'nope'" in commands.run(*asked, "--model", "nope").err
    ended = commands.run(*asked, "--model", "fake@1")
    assert ended.code == 0
    assert "fake@1 only on http://127.0.0.1" in ended.out
    assert "It keeps answers" in ended.out


def test_photos_that_a_cache_answers_are_no_measurement(
    commands: Commands, server: LocalServer, tmp_path: Path
) -> None:
    (path,) = photos_in(tmp_path / "photos", [24])
    ended = commands.run("bench", "--url", server.url, *SHORT, "--photos", path)
    assert ended.code == 1
    assert "only JPEG photos get past that" in ended.err


def test_a_server_that_asks_for_a_key_gets_that_of_the_settings(
    commands: Commands, store: Path, tmp_path: Path, engine: Engine
) -> None:
    fake_bundle(store)
    (tmp_path / "key").write_text(KEY)
    settings = Settings(
        home=tmp_path / "server",
        model_store=str(store),
        default_model="fake",
        auth=AuthSettings(enabled=True, bootstrap_key_file=tmp_path / "key"),
    )
    with serving_here(settings) as guarded:
        asked = ("bench", "--url", guarded.url, *SHORT)
        assert "the server refuses: " in commands.run(*asked).err
        commands.set(API_KEY=KEY)
        ended = commands.run(*asked, "--json")
    assert json.loads(ended.out)["model"] == "fake@1"
    assert KEY not in ended.out + ended.err
    assert engine.calls


def test_what_a_server_refuses_under_load_is_told(commands: Commands) -> None:
    model = {"name": "fake", "version": 1, "variant": "only"}
    good = answer(json.dumps({"model": model, "cached": False}).encode(), headers=CLOSED)
    turns = itertools.cycle([good, good, answer(b"{}", "429 Too Many Requests", CLOSED)])
    said: dict[str, bytes | Script] = {
        "/health/live": ALIVE,
        "/v1/classify": lambda asking: asking.sendall(next(turns)),
    }
    with hosting(said) as host:
        ended = commands.run("bench", "--url", host.url(), *SHORT)
    assert ended.code == 0, ended.err
    assert "refused (429, 503, 504)" in " ".join(ended.out.split())


def test_who_is_no_viewfinder_or_not_there_is_one_line(commands: Commands) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ended = commands.run("bench", "--url", url, *SHORT)
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == f"viewfinder: no server can be reached at {url}"
    with hosting({"/health/live": answer(b"<html>")}) as host:
        ended = commands.run("bench", "--url", host.url(), *SHORT)
    assert "is no Viewfinder" in ended.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        (b'{"model": "fake", "cached": false}', "is no Viewfinder"),
        (b'{"model": {"name": "fake"}, "cached": false}', "is no Viewfinder"),
        (b"[" * 100_000, "is no Viewfinder"),
        (b" " * 2_000_000, "is no Viewfinder"),
    ],
)
def test_who_answers_like_one_and_is_none_is_one_line(
    commands: Commands, answered: bytes, words: str
) -> None:
    said = {"/health/live": ALIVE, "/v1/classify": answer(answered, headers=CLOSED)}
    with hosting(said) as host:
        ended = commands.run("bench", "--url", host.url(), *SHORT)
    assert ended.code == 1
    assert words in ended.err.splitlines()[-1]


def test_what_a_server_says_of_itself_moves_no_cursor(commands: Commands) -> None:
    body = json.dumps({"detail": "\x1b[2Jno\nno"}).encode()
    refusal = answer(body, "403 Forbidden", CLOSED)
    with hosting({"/health/live": ALIVE, "/v1/classify": refusal}) as host:
        ended = commands.run("bench", "--url", host.url(), *SHORT)
    assert ended.err.splitlines()[-1] == "viewfinder: the server refuses: \\x1b[2Jno\\nno"


def test_a_slow_model_does_more_than_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    slow = (Step(1, 0.45, 2200.0, 2300.0, 2, client_cores=0.01, server_cores=0.95),)
    found = measured(
        cores=1, compute=computed(0.5, threads=1), served=Served(slow, process(threads=1))
    )
    print_report(found, advise(found, None, Settings()))
    said = capsys.readouterr().out
    assert "It does 0.45 photos/s" in said
    assert "Plan 0.33 requests/s" in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--url", "here:8000"), 2, "--url takes http://"),
        (("--url", "http://me:secret@here:8000"), 2, "without a name, a password or a query"),
        (("--url", "http://here:8000/?key=secret"), 2, "without a name, a password or a query"),
        (("--rate", "0"), 2, "--rate"),
        (("--rate", "nan"), 2, "--rate"),
        (("--rate", "inf"), 2, "--rate"),
        (("--model", "nope"), 1, "no model 'nope'"),
        (("--model", "fake@9"), 1, "9"),
        (("--photos", "nowhere"), 2, "nowhere does not exist"),
        (("--photos", "{}/empty"), 1, "there are none"),
        (("--photos", "{}/broken"), 1, "The image is not JPEG"),
        (("--out", "{}/file"), 1, "cannot write to"),
        (("--out", "/proc/here"), 1, "cannot write to /proc/here"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_measured(
    commands: Commands, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_bytes(b"no")
    (tmp_path / "file").write_bytes(b"")
    ended = commands.run("bench", *(one.format(tmp_path) for one in arguments))
    assert ended.code == code
    assert words in ended.complaint
    assert "secret" not in ended.out + ended.err


def test_of_many_photos_some_are_taken_from_the_first_to_the_last(
    commands: Commands, server: LocalServer, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(200):
        picture = Image.new("L", (8 + number, 8))
        (folder / f"{number:03}.jpg").write_bytes(encode(picture, "JPEG"))
    ended = commands.run("bench", "--url", server.url, *SHORT, "--photos", folder, "--json")
    pictures = json.loads(ended.out)["pictures"]
    assert pictures["count"] == 64
    assert pictures["source"].endswith("photos, of 200")
    assert pictures["pixels"] == [[8, 8], [204, 8]]
