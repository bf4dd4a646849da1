"""Where settings come from, and which is stronger."""

import os
from pathlib import Path

import pytest
from tests.support import ROOT, settings_file

from viewfinder.errors import SettingsError
from viewfinder.settings import Settings, load_settings, origins
from viewfinder.shared.trees import flatten


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("VIEWFINDER")]:
        monkeypatch.delenv(name)


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert load_settings().port == 8000
    path = settings_file(tmp_path, "port = 1\nworkers = 2\n[limits]\nside = 5\n")
    assert load_settings().port == 1
    monkeypatch.setenv("VIEWFINDER_PORT", "2")
    assert load_settings().port == 2
    settings = load_settings(port=3, host=None)
    assert (settings.port, settings.workers, settings.limits.side) == (3, 2, 5)

    found = {name: origin for name, (_, origin) in origins(settings, {"port": 3}).items()}
    assert found["port"] == "flag"
    assert found["workers"] == str(path)
    assert found["limits.side"] == str(path)
    assert found["host"] == "default"


def test_nested_names_have_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEWFINDER_LIMITS__BATCH_IMAGES", "7")
    assert load_settings().limits.batch_images == 7
    assert origins(load_settings(), {})["limits.batch_images"] == (7, "environment")


def test_the_store_is_in_the_data_home_unless_said(tmp_path: Path) -> None:
    assert load_settings(home=tmp_path).store == str(tmp_path / "models")
    assert load_settings(home=tmp_path, model_store="/m").store == "/m"


def test_a_path_may_begin_at_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert load_settings(model_store="~/m").store == "/somewhere/m"
    assert load_settings(model_store="s3://m/~").store == "s3://m/~"


def test_models_are_named_with_commas_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEWFINDER_MODELS", "shoes, hats@2")
    assert load_settings().models == ("shoes", "hats@2")


def test_a_file_that_is_named_must_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    monkeypatch.setenv("VIEWFINDER_CONFIG", str(path))
    with pytest.raises(SettingsError, match=r"mine\.toml"):
        load_settings()
    path.write_text("port = 5")
    assert load_settings().port == 5


@pytest.mark.parametrize("content", [b"port = = 1", b"# caf\xe9"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    settings_file(tmp_path, "").write_bytes(content)
    with pytest.raises(SettingsError, match=r"viewfinder\.toml is not valid TOML"):
        load_settings()


def test_a_group_in_the_environment_must_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEWFINDER_LIMITS", "abc")
    with pytest.raises(SettingsError, match="limits"):
        load_settings()


def test_the_page_explains_every_setting() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    for name in flatten(Settings().model_dump()):
        assert f"`{name}`" in page


def test_all_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viewfinder.settings.tree.available_cores", lambda: 8)
    assert Settings(workers=2).compute_threads == 4
    assert Settings(workers=16).compute_threads == 1
    assert Settings(workers=2, threads=3).compute_threads == 3


@pytest.mark.parametrize(
    "wrong", [{"port": 70_000}, {"workers": 0}, {"limits": {"pixels": 10**9}}, {"no_such": 1}]
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="the setting"):
        load_settings(**wrong)
