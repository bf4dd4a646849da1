"""The pages of docs/how-to, done as they say; what trains, or needs a GPU, is left out."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.docs.commands import blocks, follow, kept_port
from tests.postgres import PostgresServer
from tests.s3 import running_s3
from tests.support import ROOT, RedisServer, environment, fake_bundle, grey

FOLDER = ROOT / "docs" / "how-to"
PAGES = sorted(page.name for page in FOLDER.glob("*.md"))


class Stranger:
    """Does what a page says, with the examples of the repository.

    Args:
        folder: To be in, which is empty.
        port: For the server.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self._port = folder, port
        (folder / "examples").symlink_to(ROOT / "examples")

    def follow(self, page: str, given: Mapping[str, str] | None = None) -> str:
        """What all of it says."""
        settings = environment(self.folder / "home", PORT=self._port) | dict(given or {})
        told = follow(f"how-to/{page}", self.folder, settings, port=self._port)
        return "\n".join(told.values())


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    with kept_port() as port:
        yield Stranger(tmp_path, port)


def photos(folder: Path) -> None:
    """Photos that two versions of the fake model tell apart, of three classes."""
    for step in range(3):
        label = folder / f"step-{step}"
        label.mkdir(parents=True)
        for number in range(4):
            brightness = (step + 0.5) * 256 / 4
            (label / f"{number}.png").write_bytes(grey(int(brightness), (40 + number, 40)))


@pytest.fixture
def shoes(stranger: Stranger) -> Stranger:
    """Two versions of a model, photos, and some that are kept for the exam."""
    for version in (1, 2):
        fake_bundle(stranger.folder / "home" / "models", "shoes", version, classes=4)
    photos(stranger.folder / "photos")
    photos(stranger.folder / "exam")
    (stranger.folder / "photo.png").write_bytes(grey(100, (50, 50)))
    return stranger


def test_a_model_of_ones_own_is_carried_to_another_store_and_answers(shoes: Stranger) -> None:
    said = shoes.follow("own-model.md")
    assert "12 photos, 3 classes" in said
    assert "As many photos are right as with shoes@1" in said
    assert (shoes.folder / "report.html").is_file()
    assert (shoes.folder / "there" / "models" / "shoes" / "1" / "bundle.json").is_file()
    assert "shoes (stable: 1)" in said.strip().splitlines()[-1]


def test_a_model_from_elsewhere_is_imported_and_found_right(stranger: Stranger) -> None:
    said = stranger.follow("foreign-model.md")
    page = (FOLDER / "foreign-model.md").read_text("utf-8")
    for line in (
        "litert, 224 x 224 rgb, crop 0.875, bilinear, scaling none, it takes bytes, 1000 classes",
        "elsewhere@1 is published; a running server follows within seconds",
        "Right on 100% of 2 photos (34",
    ):
        assert line in page
        assert line in said
    assert "examples/photos/espresso.jpg: espresso" in said
    assert "elsewhere@2 is published" in said
    assert "elsewhere (stable: 1)" in said


def test_where_it_runs_is_seen(stranger: Stranger) -> None:
    said = stranger.follow("gpu.md")
    assert re.search(r"device +cpu +default", said)
    (busy,) = re.findall(
        r'viewfinder_compute_busy_seconds_total\{device="cpu"\} (.+)$', said, re.MULTILINE
    )
    assert float(busy) > 0


def test_postgresql_redis_and_s3_are_used(
    stranger: Stranger, postgres: PostgresServer, redis: RedisServer
) -> None:
    before = _connections(redis)
    with running_s3() as s3:
        s3.request("PUT", "viewfinder")
        given = {"POSTGRES": postgres.new_database(), "REDIS": redis.url}
        said = stranger.follow(
            "databases.md", {**given, **s3.environment(), "BUCKET": "s3://viewfinder"}
        )
        assert any(path.startswith("/viewfinder") for _, path in s3.seen)
    assert "the database went from nothing to step" in said
    assert 'ratelimit: "default";r=599' in said
    assert '"class":"Egyptian cat"' in said
    assert '"results":[{"id":"' in said
    assert '"status":"ready"' in said.strip().splitlines()[-1]
    assert _connections(redis) > before + 1


def _connections(redis: RedisServer) -> int:
    """How many there have been, this question's own included."""
    found = re.search(rb"total_connections_received:(\d+)", redis.ask("INFO", "stats"))
    assert found is not None
    return int(found[1])


def test_corrections_lead_to_a_version_that_takes_over(shoes: Stranger) -> None:
    said = shoes.follow("retraining.md")
    assert '"reviewed":1' in said
    exported = list((shoes.folder / "photos" / "step-1").glob("reviewed-*.jpg"))
    assert len(exported) == 1
    assert "As many photos are right as with shoes@1" in said
    assert '"percent":10' in said
    assert '"stable":2' in said


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_somewhere_and_it_says_what_can_go_wrong(page: str) -> None:
    text = (FOLDER / page).read_text("utf-8")
    assert "## What can go wrong" in text
    targets = re.findall(r"\]\(([^)#]+)", text)
    assert targets
    assert [target for target in targets if not (FOLDER / target).exists()] == []


def test_what_is_not_run_trains_or_needs_what_is_not_here() -> None:
    needs = ("viewfinder train", "viewfinder optimize", "pip ", "docker ", "make setup")
    for page in PAGES:
        for block in blocks(f"how-to/{page}"):
            if block.language == "console":
                assert any(word in block.text for word in needs), block.text
