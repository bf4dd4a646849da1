"""Where settings come from, and which is stronger."""

from pathlib import Path

import pytest

from viewfinder.errors import SettingsError
from viewfinder.settings import Settings, load_settings, origins


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIEWFINDER_CONFIG", str(tmp_path / "viewfinder.toml"))


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert load_settings().port == 8000
    (tmp_path / "viewfinder.toml").write_text("port = 1\nworkers = 2\n[limits]\nside = 5\n")
    assert load_settings().port == 1
    monkeypatch.setenv("VIEWFINDER_PORT", "2")
    assert load_settings().port == 2
    settings = load_settings(port=3, host=None)
    assert (settings.port, settings.workers, settings.limits.side) == (3, 2, 5)

    found = {name: origin for name, (_, origin) in origins(settings, {"port": 3}).items()}
    assert found["port"] == "flag"
    assert found["workers"] == str(tmp_path / "viewfinder.toml")
    assert found["limits.side"] == str(tmp_path / "viewfinder.toml")
    assert found["host"] == "default"


def test_nested_names_have_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEWFINDER_LIMITS__BATCH_IMAGES", "7")
    assert load_settings().limits.batch_images == 7
    assert origins(load_settings(), {})["limits.batch_images"] == (7, "environment")


def test_the_store_is_in_the_data_home_unless_said(tmp_path: Path) -> None:
    assert load_settings(home=tmp_path).store == tmp_path / "models"
    assert load_settings(home=tmp_path, model_store=Path("/m")).store == Path("/m")


def test_all_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viewfinder.settings.available_cores", lambda: 8)
    assert Settings(workers=2).compute_threads == 4
    assert Settings(workers=16).compute_threads == 1
    assert Settings(workers=2, threads=3).compute_threads == 3


@pytest.mark.parametrize(
    "wrong", [{"port": 70_000}, {"workers": 0}, {"limits": {"pixels": 10**9}}, {"no_such": 1}]
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="the setting"):
        load_settings(**wrong)
