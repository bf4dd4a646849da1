"""`viewfinder optimize`, where it does not come to any work, and the table at its end."""

from pathlib import Path

import pytest
from tests.datasets.sets import write_set
from tests.support import run_command

from viewfinder.cli.making.optimize import show
from viewfinder.evaluation.estimate import Estimate
from viewfinder.evaluation.ladder import Difference, Ladder, VariantRow


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_set(tmp_path / "photos", {"a": 2, "b": 2})


def test_help_has_an_example(tmp_path: Path) -> None:
    result = run_command("optimize", "--help", home=tmp_path)
    assert result.returncode == 0
    assert "Example:" in result.stdout


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["nothing"], 1, "nothing"),
        (["efficientnet-lite0@7"], 1, "7"),
        (["efficientnet-lite0", "--max-drop", "-1"], 2, "--max-drop"),
        (["efficientnet-lite0", "--max-drop", "nan"], 2, "--max-drop"),
        (["efficientnet-lite0", "--sparsity", "0.5"], 2, "--sparsity goes with --prune"),
        (["efficientnet-lite0", "--prune", "--sparsity", "1.5"], 2, "between 0 and 1"),
        (["efficientnet-lite0", "--distill", "vgg16"], 1, "no backbone 'vgg16'"),
        (["efficientnet-lite0", "--data", "/no/such/folder"], 2, "does not exist"),
        (["efficientnet-lite0", "--rounds", "0"], 2, "--rounds"),
        ([], 2, "NAME"),
    ],
)
@pytest.mark.train
def test_an_option_that_makes_no_sense_is_told_before_any_work(
    tmp_path: Path, options: list[str], code: int, told: str
) -> None:
    result = run_command("optimize", *options, home=tmp_path)
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.train
def test_without_photos_it_asks_for_some(tmp_path: Path) -> None:
    result = run_command("optimize", "efficientnet-lite0", home=tmp_path)
    assert result.returncode == 1
    assert "give some with --data" in result.stderr


@pytest.mark.train
def test_labels_of_others_teach_nothing(tmp_path: Path, photos: Path) -> None:
    options = ("--data", photos, "--prune")
    result = run_command("optimize", "efficientnet-lite0", *options, home=tmp_path, timeout=120)
    assert result.returncode == 1
    assert "leave out --prune and --distill" in result.stderr
    assert not list((tmp_path / "models").rglob("bundle.json"))


def test_the_table_fits_a_terminal_and_marks_the_recommended_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    difference = Difference(points=Estimate(value=-0.006, low=-0.02, high=0.01), p_value=0.4)
    rows = [
        VariantRow(
            name=name,
            bytes=13_500_000,
            compressed_bytes=12_500_000,
            p50_ms=13.8,
            throughput=140.2,
            peak_bytes=164_000_000,
            accuracy=0.925,
            difference=None if name == "float32" else difference,
            agreement=0.98,
            ece=0.021,
        )
        for name in ("float32", "distilled-int8")
    ]
    show(
        Ladder(
            rows=tuple(rows),
            reference="float32",
            recommended="distilled-int8",
            max_drop=0.01,
            basis="accuracy",
            photos=400,
            threads=2,
            machine="a processor",
        )
    )
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    (chosen,) = (line for line in lines if "*" in line)
    assert chosen.split() == [
        "*",
        "distilled-int8",
        "13.50",
        "12.50",
        "13.80",
        "140",
        "164",
        "92.5%",
        "-0.6",
        "0.021",
    ]
