"""Engines that other packages bring: found by their metadata, and unable to harm what they join."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from pydantic import ValidationError
from tests.plugins import install, install_example, with_engine
from tests.support import (
    COMMAND,
    Server,
    environment,
    eventually,
    fake_bundle,
    grey,
    run_command,
    serving,
)

from viewfinder.engines.apart.probe import probe
from viewfinder.engines.loader import check_installed, distributions, engine_module, load_variant
from viewfinder.engines.plugins import GROUP
from viewfinder.errors import BundleError, EngineError, MissingEngineError
from viewfinder.pipelines.publish import prove
from viewfinder.registry.bundle import MANIFEST, Bundle, describe
from viewfinder.registry.manifest import ENGINES, Variant

# An engine that runs the graphs of the fake one, and says so when it is imported.
GOOD = """
import pathlib
from viewfinder.engines.fake import load as load

with pathlib.Path(__file__).with_suffix(".imported").open("a") as file:
    file.write("again\\n")
"""

# What goes wrong, and the reason that is told. All but the first two are found out by loading.
TROUBLE = {
    "absent": r"the engine 'absent' of trouble 1\.0 cannot be imported \(AttributeError\)",
    "empty": r"the engine 'empty' of trouble 1\.0 is no engine: it has no load\(path, options\)",
    "raises": r"the engine 'raises' of trouble 1\.0 failed over the graph \(ZeroDivisionError\)",
    "exits": r"the engine 'exits' of trouble 1\.0 failed over the graph \(SystemExit\)",
    "mute": r"the engine 'mute' of trouble 1\.0 failed over the graph \(AttributeError\)",
    "short": r"the scores are not float32 \[1, 16\]",
    "double": r"the scores are not float32 \[1, 16\]",
    "idle": "nothing can be scheduled",
    "elsewhere": "nothing can be scheduled",
}
_TROUBLE = """
import os, sys
from dataclasses import replace
import numpy as np
from viewfinder.engines.fake import FakeEngine, load as good

class empty: pass

class raises:
    def load(path, options): return 1 / 0

class exits:
    def load(path, options): sys.exit(3)

class aborts:
    def load(path, options): os.abort()

class clings:
    def load(path, options):
        engine = good(path, options)
        engine.close = sys.exit
        return engine

class mute:
    def load(path, options): return object()

def scores(change):
    class Engine(FakeEngine):
        def predict(self, batch): return change(FakeEngine.predict(self, batch))
    return type("Module", (), {"load": staticmethod(Engine.read)})

def traits(**changes):
    def load(path, options):
        engine = good(path, options)
        engine.traits = replace(engine.traits, **changes)
        return engine
    return type("Module", (), {"load": staticmethod(load)})

short = scores(lambda rows: rows[:, 1:])
double = scores(lambda rows: rows.astype(np.float64))
idle = traits(instances=0)
elsewhere = traits(device="moon")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, for this process and those that a test starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    monkeypatch.syspath_prepend(folder)
    for name in ("good", "trouble"):  # that of another test
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def _trouble(site: Path) -> None:
    points = {name: f"trouble:{name}" for name in (*TROUBLE, "aborts", "clings")}
    install(site, "trouble", _TROUBLE, GROUP, points)


def _imported(site: Path) -> bool:
    return (site / "good.imported").exists()


def _classify(server: Server, model: str) -> httpx2.Response:
    return httpx2.post(
        f"{server.url}/v1/classify",
        params={"model": model},
        content=grey(200),
        headers={"Content-Type": "image/png"},
        timeout=60,
        trust_env=False,
    )


def _states(server: Server, *, reload: bool = False) -> dict[str, tuple[str, str | None]]:
    if reload:
        httpx2.post(f"{server.url}/v1/models/reload", timeout=60, trust_env=False)
    models = httpx2.get(f"{server.url}/v1/models", timeout=60, trust_env=False).json()["models"]
    states = {}
    for model in models:
        address = f"{server.url}/v1/models/{model['name']}"
        (version,) = httpx2.get(address, timeout=60, trust_env=False).json()["versions"]
        states[model["name"]] = (version["state"], version.get("reason"))
    return states


# -- what a manifest may name


def _variant(**changes: object) -> Variant:
    given = {
        "name": "only",
        "engine": "colours",
        "format": "npz",
        "file": describe("graph", b""),
        "preprocess": {"width": 8, "height": 8},
        "golden": {"tolerance": 0.1},
    }
    return Variant.model_validate({**given, **changes})


@pytest.mark.parametrize("name", ["colours", "a", "0-_", "x" * 64])
def test_a_manifest_may_name_any_engine_and_format_of_that_form(name: str) -> None:
    assert _variant(engine=name, format=name).engine == name


@pytest.mark.parametrize("name", ["", "x" * 65, "Colours", "a.b", "../a", "a b", "a\n", "é"])
@pytest.mark.parametrize("field", ["engine", "format"])
def test_no_other_name_is_one(field: str, name: str) -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        _variant(**{field: name})


@pytest.mark.parametrize("engine", ENGINES)
def test_viewfinders_own_engines_run_no_format_of_anothers(engine: str) -> None:
    assert _variant(engine=engine, format=ENGINES[engine]).format == ENGINES[engine]
    with pytest.raises(ValidationError, match=f"{engine} runs no graphs of the format npz"):
        _variant(engine=engine)


# -- who brings it


@pytest.mark.parametrize("name", ["colours", "base", "probe", "loader", "plugins", "__init__"])
def test_an_engine_that_no_package_brings_is_asked_for_by_its_name(name: str) -> None:
    for ask in (engine_module, check_installed, distributions):
        with pytest.raises(MissingEngineError, match=f"needs the engine '{name}'.*install the"):
            ask(name)


def test_the_package_that_brings_it_is_known_without_importing_anything(site: Path) -> None:
    install(site, "good", GOOD, GROUP, {"mine": "good"})
    check_installed("mine")
    assert distributions("mine") == ("good",)
    assert not _imported(site)


def test_an_engine_that_two_packages_bring_is_neithers(site: Path) -> None:
    for name in ("one", "two"):
        install(site, name, GOOD, GROUP, {"mine": name})
    for ask in (engine_module, check_installed):
        with pytest.raises(EngineError, match=r"by one 1\.0 and two 1\.0: uninstall all but one"):
            ask("mine")


def test_viewfinders_own_engines_cannot_be_replaced(site: Path, tmp_path: Path) -> None:
    install(site, "good", GOOD, GROUP, dict.fromkeys(ENGINES, "good"))
    fake_bundle(tmp_path / "models")
    for name in ("litert", "fake"):
        assert engine_module(name) is sys.modules[f"viewfinder.engines.{name}"]
    with serving(tmp_path, "--model", "fake") as server:
        assert _classify(server, "fake").status_code == 200
        assert _classify(server, "efficientnet-lite0").status_code == 200
    done = run_command("doctor", "--json", home=tmp_path)
    assert not _imported(site)
    assert done.returncode == 1
    findings = {one["part"]: one for one in json.loads(done.stdout)["findings"]}
    assert findings["engine fake"]["state"] == "broken"
    assert "Viewfinder has an engine of that name" in findings["engine fake"]["detail"]
    assert findings["model fake@1"]["state"] == "ok"


def test_a_package_that_lies_in_a_models_folder_is_none(tmp_path: Path, store: Path) -> None:
    bundle = with_engine(fake_bundle(store), "good")
    install(bundle.folder, "good", GOOD, GROUP, {"good": "good"})
    inside = sorted(path for path in bundle.folder.rglob("*") if path.is_file())
    files = [
        describe(str(path.relative_to(bundle.folder)), path.read_bytes()).model_dump()
        for path in inside
        if path.name not in {MANIFEST, "graph.json"}
    ]
    bundle = with_engine(bundle, "good", assets=files)
    # An empty part of it means the folder that one is in, and is nothing that Viewfinder says.
    path = os.pathsep.join(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    done = subprocess.run(
        [COMMAND, "models", "publish", "."],
        cwd=bundle.folder,
        env={**environment(tmp_path / "home"), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "needs the engine 'good', which no installed package brings" in done.stderr
    assert not _imported(bundle.folder)


# -- what goes wrong


@pytest.mark.parametrize("name", TROUBLE)
def test_an_engine_that_fails_is_named_with_how(site: Path, store: Path, name: str) -> None:
    _trouble(site)
    with pytest.raises((EngineError, BundleError), match=TROUBLE[name]):
        load_variant(with_engine(fake_bundle(store), name), threads=1)


def test_one_that_is_not_python_is_named_too(site: Path, store: Path) -> None:
    install(site, "torn", "this is no Python", GROUP, {"torn": "torn"})
    with pytest.raises(EngineError, match=r"torn 1\.0 cannot be imported \(SyntaxError\)"):
        load_variant(with_engine(fake_bundle(store), "torn"), threads=1)


def test_models_whose_engines_fail_disturb_no_other(tmp_path: Path, site: Path) -> None:
    _trouble(site)
    store = tmp_path / "models"
    fake_bundle(store)
    failing = ["absent", "raises", "exits", "aborts", "unknown"]
    for name in failing:
        with_engine(fake_bundle(store, name), name)
    with serving(tmp_path, "--model", "fake") as server:
        for name in failing:
            refused = _classify(server, name)
            assert (refused.status_code, refused.json()["code"]) == (503, "not_ready"), name
        states = _states(server)
        assert {states[name][0] for name in failing} == {"failed"}
        assert "(SystemExit)" in str(states["exits"][1])
        assert "was killed by SIGABRT" in str(states["aborts"][1])
        assert "needs the engine 'unknown'" in str(states["unknown"][1])
        assert _classify(server, "fake").json()["class"] == "step-12"
        assert server.stop() == 0


def test_a_variant_whose_engine_is_missing_is_left_out_unless_it_is_recommended(
    store: Path,
) -> None:
    bundle = fake_bundle(store)
    path = bundle.folder / MANIFEST
    manifest = json.loads(path.read_text())
    other = {**manifest["variants"][0], "name": "other", "engine": "mine", "format": "own"}
    manifest["variants"].append(other)
    path.write_text(json.dumps(manifest))
    notes: list[str] = []
    prove(Bundle.read(bundle.folder), note=notes.append)
    (note,) = notes
    assert note.startswith("other was not tried: the model needs the engine 'mine'")
    path.write_text(json.dumps({**manifest, "recommended": "other"}))
    with pytest.raises(BundleError, match="the variant other: the model needs the engine 'mine'"):
        prove(Bundle.read(bundle.folder))


def test_an_engine_that_cannot_be_closed_disturbs_no_other(tmp_path: Path, site: Path) -> None:
    _trouble(site)
    with_engine(fake_bundle(tmp_path / "models", "clings"), "clings")
    with serving(tmp_path, "--model", "clings") as server:
        assert _classify(server, "clings").status_code == 200
        address = f"{server.url}/v1/models/clings/versions/1/unload"
        assert httpx2.post(address, timeout=60, trust_env=False).status_code == 200
        eventually(lambda: "an engine could not be closed" in "\n".join(server.lines))
        assert _classify(server, "clings").status_code == 200
        assert server.stop() == 0


# -- when it is there


def test_it_is_imported_once_a_model_needs_it_and_may_come_later(
    tmp_path: Path, site: Path
) -> None:
    store = tmp_path / "models"
    fake_bundle(store)
    with_engine(fake_bundle(store, "own"), "mine")
    with serving(tmp_path, "--model", "fake") as server:
        assert _classify(server, "own").status_code == 503
        install(site, "good", GOOD, GROUP, {"mine": "good"})
        assert _classify(server, "fake").status_code == 200
        assert _states(server, reload=True)["own"] == ("unloaded", None)
        assert not _imported(site)
        answer = _classify(server, "own").json()
        assert (answer["class"], answer["model"]["name"]) == ("step-12", "own")
        assert _states(server)["own"] == ("ready", None)
    assert _imported(site)


def test_another_release_of_its_package_is_tried_anew(
    site: Path, store: Path, tmp_path: Path
) -> None:
    install(site, "good", GOOD, GROUP, {"mine": "good"})
    bundle, passed = with_engine(fake_bundle(store), "mine"), tmp_path / "passed"
    probe(bundle, threads=1, device="cpu", passed=passed)
    (mark,) = passed.iterdir()
    metadata = site / "good-1.0.dist-info"
    about = (metadata / "METADATA").read_text()
    (metadata / "METADATA").write_text(about.replace("Version: 1.0", "Version: 1.1"))
    probe(bundle, threads=1, device="cpu", passed=passed)
    assert len(list(passed.iterdir())) == 2
    assert mark.exists()


def test_the_doctor_tells_of_each_with_its_package_and_what_it_lacks(
    tmp_path: Path, site: Path
) -> None:
    install_example(site, "engine")
    install(site, "lacking", "import no_such_package", GROUP, {"lacking": "lacking"})
    _trouble(site)
    done = run_command("doctor", "--json", home=tmp_path)
    findings = {one["part"]: one for one in json.loads(done.stdout)["findings"]}
    assert findings["engine colours"] == {
        "part": "engine colours",
        "state": "ok",
        "detail": "viewfinder-colours 1.0",
    }
    lacking = findings["engine lacking"]
    assert (done.returncode, lacking["state"]) == (1, "broken")
    assert "(ModuleNotFoundError): No module named 'no_such_package'" in lacking["detail"]
    assert "has no load(path, options)" in findings["engine empty"]["detail"]
