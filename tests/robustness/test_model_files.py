"""No code from a model file, and no file that brings a server down."""

import functools
import json
import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import numpy as np
import pytest
from tests.broken import becomes_litert, builtin_graph
from tests.engines.apart.test_probe import FATAL
from tests.engines.test_saved_model import _save
from tests.support import ROOT, fake_bundle, grey, in_full, serving

from viewfinder.pipelines.foreign import ForeignGraph, make_bundle
from viewfinder.registry.bundle import MANIFEST, describe, seal, write_bundle
from viewfinder.registry.manifest import Manifest

BUNDLES = in_full(60, 1000)
AT_A_TIME = 20
SEED = 20261122
PATH = ROOT / "tests" / "data" / "foreign-uint8.tflite"
GRAPH = PATH.read_bytes()
COLOURS = ("red", "green", "blue")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Thing = TypeVar("Thing")
# Where a manifest says one thing, one of these is said.
HOSTILE: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 10**30, 1e308, float("nan"), float("-inf"), 1.5),
    *("", "\0", "x" * 10_000, "/etc/passwd", "../../../etc/passwd", "os.system", "pickle", "é"),
    *([], {}, [[]] * 1000, {"$ref": "#"}, {"__class__": "os"}, ["graph.json"] * 3),
)
# Names under which other programs would run what they find.
NAMES = ("model.pkl", "model.h5", "model.keras", "conftest.py", "__init__.py", "sitecustomize.py")


class Dice:
    """Says the same every time."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def below(self, number: int) -> int:
        return int(self._random.integers(number))

    def choice(self, things: Sequence[Thing]) -> Thing:
        return things[self.below(len(things))]

    def bytes(self) -> bytes:
        """One to sixteen."""
        return self._random.bytes(1 + self.below(16))


class Touch:
    """Unpickled, it writes the file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.target,)


def _litert(store: Path, name: str, graph: bytes) -> Path:
    """A bundle of LiteRT's with that graph, sealed as if it were right; its folder."""
    manifest, files = _described()
    file = manifest.variant().file.path
    document = json.loads(seal(manifest)) | {"name": name}
    document["variants"][0]["file"] = describe(file, graph).model_dump()
    changed = Manifest.model_validate(document)
    return write_bundle(store / name / "1", changed, {**files, file: graph}).folder


@functools.cache
def _described() -> tuple[Manifest, dict[str, bytes]]:
    return make_bundle(ForeignGraph(PATH, COLOURS), "a", NOW)


def _damaged(content: bytes, dice: Dice) -> bytes:
    """Some bytes changed, taken away, or too many."""
    mutable = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        place = dice.below(len(mutable))
        how = dice.below(5)
        if how < 3:
            mutable[place] = dice.choice((0, 0xFF, 0x7F, 0x80, dice.below(256)))
        elif how == 3:
            del mutable[place : place + len(dice.bytes())]
        else:
            mutable[place:place] = dice.bytes()
    return bytes(mutable)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Everything in a document, as what holds it and where."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = [(value, key) for key in value]
    elif isinstance(value, list):
        inner = [(value, place) for place in range(len(value))]
    return inner + [found for holder, key in inner for found in _places(holder[key])]


def _other_manifest(store: Path, name: str, dice: Dice) -> None:
    path = fake_bundle(store, name).folder / MANIFEST
    document = json.loads(path.read_text())
    for _ in range(dice.choice((1, 1, 2, 3))):
        holder, key = dice.choice(_places(document))
        if dice.below(5) == 0:
            del holder[key]
        else:
            holder[key] = dice.choice(HOSTILE)
    path.write_text(json.dumps(document))


def _damaged_manifest(store: Path, name: str, dice: Dice) -> None:
    path = fake_bundle(store, name).folder / MANIFEST
    path.write_bytes(_damaged(path.read_bytes(), dice))


def _damaged_graph(store: Path, name: str, dice: Dice) -> None:
    _litert(store, name, _damaged(GRAPH, dice))


def _fatal_graph(store: Path, name: str, dice: Dice) -> None:
    """A graph over which LiteRT is known to abort, and the process with it."""
    graph = bytearray(builtin_graph())
    offset, value = dice.choice(FATAL)
    graph[offset] = value
    becomes_litert(store / name / "1", bytes(graph))


def _payload(store: Path, name: str, dice: Dice) -> None:
    """What writes the marker as soon as anybody unpickles, or imports, it."""
    marker = store.parent / "marker"
    code = f"open({str(marker)!r}, 'w')\n".encode()
    pickled = pickle.dumps(Touch(marker), protocol=dice.choice((0, 2, 4)))
    where = dice.below(3)
    if where == 0:
        _litert(store, name, pickled)
    elif where == 1:
        (fake_bundle(store, name).folder / MANIFEST).write_bytes(pickled)
    else:
        folder = fake_bundle(store, name).folder
        for beside in NAMES:
            (folder / beside).write_bytes(code if beside.endswith(".py") else pickled)


# As often as it says. What reaches a runtime is tried in a process of its own: a second each.
KINDS: tuple[Callable[[Path, str, Dice], None], ...] = (
    *(_other_manifest,) * 9,
    *(_damaged_manifest,) * 5,
    *(_damaged_graph,) * 4,
    _fatal_graph,
    *(_payload,) * 2,
)


def test_a_payload_does_its_worst_where_it_is_run(tmp_path: Path) -> None:
    """Else that the marker is not there would say nothing."""
    pickle.loads(pickle.dumps(Touch(tmp_path / "marker")))
    assert (tmp_path / "marker").exists()


def test_whatever_lies_in_the_store_the_server_lives_and_says_why_not(tmp_path: Path) -> None:
    dice, store = Dice(SEED), tmp_path / "models"
    fake_bundle(store, "good")
    ended: Counter[str] = Counter()
    with (
        serving(
            tmp_path, "--model", "good", "--threads", "1", STORE_POLL_S=3600, CACHE__ENABLED="false"
        ) as server,
        httpx2.Client(base_url=server.url, timeout=200, trust_env=False) as client,
    ):
        for first in range(0, BUNDLES, AT_A_TIME):
            kinds = {
                f"m{number}": dice.choice(KINDS)
                for number in range(first, min(first + AT_A_TIME, BUNDLES))
            }
            for name, make in kinds.items():
                make(store, name, dice)
            assert client.post("/v1/models/reload").is_success
            for name, make in kinds.items():
                state = _tried(client, name, tmp_path)
                ended[f"{make.__name__} {state}"] += 1
                _answers_well(client)
                assert server.process.poll() is None
        assert not (tmp_path / "marker").exists()
        assert server.stop() == 0
    assert sum(ended.values()) == BUNDLES
    # Something of each was refused, or this shows nothing.
    assert all(ended[f"{make.__name__} failed"] for make in KINDS), ended
    assert "Traceback" not in "\n".join(server.lines)


def _tried(client: httpx2.Client, name: str, home: Path) -> str:
    """The state of a model after it was to be loaded."""
    answer = client.post(f"/v1/models/{name}/versions/1/load")
    assert answer.status_code in {200, 404, 503}, answer.text
    (version,) = client.get(f"/v1/models/{name}").json()["versions"]
    state, reason = version["state"], version.get("reason")
    assert (state, reason is None) in {("ready", True), ("failed", False)}, version
    assert str(home) not in f"{reason} {answer.text}"
    if state == "ready":
        assert client.post(f"/v1/models/{name}/versions/1/unload").is_success
    return str(state)


def _answers_well(client: httpx2.Client) -> None:
    answer = client.post("/v1/classify", content=grey(0), headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["class"]) == (200, "step-0"), answer.text


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_saved_model_that_would_write_a_file_writes_none(tmp_path: Path) -> None:
    marker, store = tmp_path / "marker", tmp_path / "models"

    def write(tf: Any, scores: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(marker), "x")]):
            return tf.identity(scores)

    saved = _save(tmp_path / "saved", write).parent
    files = {
        str(path.relative_to(saved)): path.read_bytes()
        for path in saved.rglob("*")
        if path.is_file()
    }
    fake_bundle(store, "good")
    document = json.loads((store / "good" / "1" / MANIFEST).read_text())
    described = {path: describe(path, content).model_dump() for path, content in files.items()}
    document |= {"name": "crafted", "labels": [{"name": colour} for colour in COLOURS]}
    document["variants"][0] |= {
        "format": "saved_model",
        "engine": "tensorflow",
        "file": described.pop("saved_model.pb"),
        "assets": list(described.values()),
        "preprocess": {"width": 4, "height": 4},
    }
    with (
        serving(tmp_path, "--model", "good") as server,
        httpx2.Client(base_url=server.url, timeout=200, trust_env=False) as client,
    ):
        folder = store / "crafted" / "1"
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        (folder / MANIFEST).write_text(json.dumps(document))
        assert client.post("/v1/models/reload").is_success
        assert _tried(client, "crafted", tmp_path) == "failed"
        assert "WriteFile" in client.get("/v1/models/crafted").text
        assert not marker.exists()
        _answers_well(client)
        assert server.stop() == 0
