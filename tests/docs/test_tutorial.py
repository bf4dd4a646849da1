"""docs/tutorial.md, done as it says: from photos to a model that has learned from corrections."""

import json
import re
from pathlib import Path

import pytest
from tests.docs.commands import blocks, follow, kept_port
from tests.support import ROOT, environment

pytestmark = pytest.mark.train

PAGE = "tutorial.md"
PIECES = 30
LANGUAGES = ("sh", "python")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a stranger sees who has the repository and no photos, by the number of the step."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "examples").symlink_to(ROOT / "examples")
    with kept_port() as port:
        given = {"VIEWFINDER_PORT": str(port), "PIECES": str(PIECES), "BUDGET": "15s"}
        said = follow(
            PAGE, folder, environment(folder) | given, port=port, languages=LANGUAGES, timeout=1800
        )
    return {section.partition(".")[0]: text for section, text in said.items()}


def test_its_photos_are_looked_at(told: dict[str, str]) -> None:
    assert f"{4 * PIECES} photos, 4 classes" in told["2"]
    assert "ok no corrupt photos" in told["2"]


def test_training_publishes_the_first_version(told: dict[str, str]) -> None:
    assert "pieces@1 is published" in told["3"]
    assert re.search(r"Right on \d+% of \d+ photos it has never seen", told["3"])


def test_the_exam_has_a_number_with_its_range_and_a_report(told: dict[str, str]) -> None:
    assert re.search(rf"Right on \d+% of {4 * (PIECES // 3)} photos \(\d+.\d+%\)", told["4"])
    assert "report.html" in told["4"]


def test_the_ladder_makes_a_second_version(told: dict[str, str]) -> None:
    assert re.search(r"^ +\* \w", told["5"], re.MULTILINE)
    assert "pieces@2 is published" in told["5"]


def test_the_server_is_ready(told: dict[str, str]) -> None:
    assert json.loads(told["6"].strip())["status"] == "ready"


def test_a_photo_is_classified_by_the_newest(told: dict[str, str]) -> None:
    answer, _, label = told["7"].strip().partition("\n")
    assert json.loads(answer)["model"]["name"] == "pieces"
    assert json.loads(answer)["model"]["version"] == 2
    assert len(json.loads(answer)["classes"]) == 2
    if "python" in LANGUAGES:
        assert label in {"cat", "espresso", "running-shoe", "sandal"}


def test_the_threshold_is_shown_and_an_answer_says_whether_it_is_kept(
    told: dict[str, str],
) -> None:
    shown, _, answer = told["8"].strip().rpartition("\n")
    assert "calibration.abstain_below" in shown
    assert isinstance(json.loads(answer)["abstained"], bool)


def test_a_canary_answers_some_then_all_and_then_none(told: dict[str, str]) -> None:
    split = re.findall(r'(\d+) "version":(\d)$', told["9"], re.MULTILINE)
    counts = {int(version): int(count) for count, version in split}
    # One answer in four: that none of them, or all of them, are version 2's has odds of 1 to 10^5.
    assert counts.keys() == {1, 2}
    assert sum(counts.values()) == 40
    after = re.findall(r'(?<! )"version":(\d)$', told["9"], re.MULTILINE)
    assert after == ["2", "1"]


def test_corrections_are_counted_and_exported(told: dict[str, str]) -> None:
    assert '"reviewed":12' in told["10"]
    assert "12 written to practice/photos, 0 there already" in told["10"]


def test_what_was_corrected_is_learned_from_and_compared(told: dict[str, str]) -> None:
    assert "pieces@3 is published" in told["11"]
    assert re.search(r"pieces@1", told["11"].partition("pieces@3 is published")[2])


def test_every_command_that_is_not_run_is_one_that_only_sets_up() -> None:
    (left_out,) = [block for block in blocks(PAGE) if block.language == "console"]
    assert "make setup" in left_out.text


def test_its_links_lead_somewhere() -> None:
    text = (ROOT / "docs" / PAGE).read_text("utf-8")
    targets = re.findall(r"\]\(([^)#]+)", text)
    assert targets
    assert [target for target in targets if not Path(ROOT / "docs" / target).exists()] == []
