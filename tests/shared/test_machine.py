"""How much of this machine there is."""

from pathlib import Path

import pytest

from viewfinder.shared.machine import available_cores


@pytest.mark.parametrize(
    ("quota", "cores"), [("150000 100000", 2), ("1000 100000", 1), ("max 100000", 64), ("?", 64)]
)
def test_a_container_quota_bounds_the_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, cores: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(64))
    path = tmp_path / "cpu.max"
    path.write_text(quota)
    monkeypatch.setattr("viewfinder.shared.machine._CPU_QUOTA", path)
    assert available_cores() == cores
