"""The loop: photos are answered, looked at, corrected, and are there to be trained with."""

import json
from pathlib import Path

import httpx2
from tests.datasets.sets import blobs
from tests.support import encode, eventually, fake_bundle, run_command, serving

from viewfinder.datasets.sources.source import read_dataset


def test_corrected_photos_are_there_to_be_trained_with(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with (
        serving(tmp_path, "--model", "fake", RECORD="images") as server,
        httpx2.Client(base_url=f"{server.url}/v1", trust_env=False, timeout=60) as http,
    ):
        given = {}
        for number in range(6):
            photo = encode(blobs(number, (96, 64)), "JPEG")
            answer = http.post("/classify", files={"file": photo}).json()
            label = f"kind {number % 2}"
            said = http.put(f"/results/{answer['id']}/feedback", json={"label": label})
            assert said.status_code == 200, said.text
            given[answer["id"]] = label

        def stored() -> bool:
            page = http.get("/results", params={"reviewed": True}).json()["results"]
            return len(page) == 6 and all(result["image"]["stored"] for result in page)

        eventually(stored)
        queue = http.get("/results", params={"order": "uncertain", "reviewed": False}).json()
        assert queue == {"results": [], "next": None}
        (live,) = http.get("/models/fake/live-accuracy").json()["versions"]
        assert (live["reviewed"], live["correct"]) == (6, 0)
        assert server.stop() == 0

    folder = tmp_path / "photos"
    exported = run_command("data", "export", folder, "--reviewed", "--json", home=tmp_path)
    assert json.loads(exported.stdout)["written"] == 6, exported.stderr
    checked = run_command("data", "check", folder, "--json", home=tmp_path)
    findings = json.loads(checked.stdout)
    assert (findings["photos"], findings["corrupt"], findings["passed_over"]) == (6, [], [])
    dataset = read_dataset(folder)
    assert dataset.labels == ("kind 0", "kind 1")
    found = {photo.path.stem.removeprefix("reviewed-"): photo.label for photo in dataset.photos}
    assert found == given
