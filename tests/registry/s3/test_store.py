"""The model store on S3: what other publishers, the network and hostile names do to it."""

import json
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from tests.s3 import FakeS3, fake_version
from tests.s3_work import refresh, set_aliases
from tests.support import grey, run_command, serving

from viewfinder.errors import BundleError, MissingExtraError, NotReadyError, StoreError
from viewfinder.registry.bundle import Bundle, seal
from viewfinder.registry.scanning import BUILTIN_MODEL, open_catalog
from viewfinder.registry.store import ModelStore, look, look_at_start, open_store
from viewfinder.serving.manager import ModelManager
from viewfinder.settings import Settings

Meddling = Callable[[str, bytes], object]


@pytest.fixture
def address(bucket: str) -> str:
    return f"s3://{bucket}/models"


@pytest.fixture
def meddling(s3: FakeS3, bucket: str) -> Meddling:
    """Writes an object as others might, by its name below the prefix."""
    return lambda key, content: s3.request("PUT", f"{bucket}/models/{key}", content)


@pytest.fixture
def shop(address: str, tmp_path: Path) -> ModelStore:
    """The store, as the one who publishes sees it."""
    return open_store(address, tmp_path / "shop")


@pytest.fixture
def replica(address: str, tmp_path: Path) -> ModelStore:
    """The store, as another machine sees it."""
    return open_store(address, tmp_path / "replica")


def _leftovers(store: ModelStore) -> list[Path]:
    return list(store.folder.glob("**/.partial-*"))


# -- versions


async def test_a_running_server_takes_over_what_is_published(
    shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path, version=1))
    manager = ModelManager(replica, Settings(home=tmp_path, threads=1), default="fake")
    assert (await manager.get("fake")).bundle.manifest.version == 1
    shop.add(*fake_version(tmp_path, version=2))
    await manager.reload()
    await manager.settled()
    assert (await manager.get("fake")).bundle.manifest.version == 2
    shop.remove("fake", 2)
    await manager.reload()
    await manager.settled()
    assert (await manager.get("fake")).bundle.manifest.version == 1
    await manager.close()


def test_a_version_is_fetched_once(
    s3: FakeS3, shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path))
    replica.refresh()
    s3.seen.clear()
    published = (shop.folder / "fake" / "1").stat().st_ino
    replica.refresh()
    shop.refresh()  # which has never fetched what it published
    shop.refresh()
    reads = [path for method, path in s3.seen if method == "GET" and "/models/" in path]
    assert [path.rpartition("/")[2] for path in reads] == ["bundle.json"]
    assert (shop.folder / "fake" / "1").stat().st_ino == published  # who is reading it goes on


def test_a_version_without_its_manifest_does_not_exist(
    s3: FakeS3, meddling: Meddling, replica: ModelStore, tmp_path: Path
) -> None:
    _, files = fake_version(tmp_path)
    meddling("fake/1/graph.json", files["graph.json"])
    assert "fake" not in look(replica).models
    assert not list(replica.folder.glob("*/*"))
    assert [path for _, path in s3.seen if path.endswith("bundle.json")] == []


async def test_a_corrupt_file_fails_its_version_alone_until_it_is_mended(
    meddling: Meddling, shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    manifest, files = fake_version(tmp_path, version=2)
    shop.add(*fake_version(tmp_path, version=1))
    shop.add(manifest, files)
    meddling("fake/2/graph.json", b"x" * 1000)
    manager = ModelManager(replica, Settings(home=tmp_path, threads=1), default="fake")
    with pytest.raises(NotReadyError, match="its checksum differs"):
        await manager.get("fake@2")
    assert (await manager.get("fake")).bundle.manifest.version == 1
    copy = replica.folder / "fake" / "2" / "graph.json"
    assert copy.stat().st_size == manifest.variants[0].file.bytes + 1  # no more was fetched
    meddling("fake/2/graph.json", files["graph.json"])
    await manager.reload()
    await manager.get("fake")
    await manager.settled()
    assert (await manager.get("fake")).bundle.manifest.version == 2
    await manager.close()


@pytest.mark.parametrize("document", [b"{", b"", b'{"schema_version": 2}', b" " * 2_000_000 + b"{"])
def test_a_broken_manifest_is_shown_with_its_reason(
    meddling: Meddling, shop: ModelStore, replica: ModelStore, tmp_path: Path, document: bytes
) -> None:
    shop.add(*fake_version(tmp_path))
    meddling("fake/2/bundle.json", document)
    catalog = look(replica)
    assert "not valid" in str(catalog.entry("fake", 2).problem)
    assert catalog.resolve("fake").manifest.version == 1


def test_a_manifest_of_another_version_is_refused(
    meddling: Meddling, replica: ModelStore, tmp_path: Path
) -> None:
    manifest, files = fake_version(tmp_path)
    meddling("other/7/bundle.json", seal(manifest))
    meddling("other/7/graph.json", files["graph.json"])
    assert "bundle.json says fake/1" in str(look(replica).entry("other", 7).problem)


def test_a_refused_file_fails_its_version_until_it_may_be_read(
    s3: FakeS3, shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    for version in (1, 2):
        shop.add(*fake_version(tmp_path, version=version))
    s3.refuse = lambda _, path: "AccessDenied" if "/2/graph" in path else None
    catalog = look(replica)
    catalog.bundle("fake", 1).verify()
    with pytest.raises(BundleError, match="cannot be read"):
        catalog.bundle("fake", 2).verify()
    s3.refuse = lambda *_: None
    look(replica).bundle("fake", 2).verify()


# -- publishing


def test_a_broken_off_upload_is_in_the_way_only_for_a_while(
    meddling: Meddling, shop: ModelStore, address: str, tmp_path: Path
) -> None:
    s3_module = pytest.importorskip("viewfinder.registry.s3.store")
    meddling("fake/1/graph.json", b"of another training")
    with pytest.raises(BundleError, match="is being published by somebody else"):
        shop.add(*fake_version(tmp_path))
    later = s3_module.S3Store(address, tmp_path / "later", abandoned_after=timedelta(seconds=-5))
    later.add(*fake_version(tmp_path)).verify()
    look(shop).bundle("fake", 1).verify()


def test_an_upload_of_the_same_files_can_be_taken_up_again(
    s3: FakeS3, shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    s3.refuse = lambda m, p: "AccessDenied" if m == "PUT" and p.endswith("bundle.json") else None
    with pytest.raises(StoreError):
        shop.add(*fake_version(tmp_path))
    assert "fake" not in look(replica).models
    s3.refuse = lambda *_: None
    shop.add(*fake_version(tmp_path))
    look(replica).bundle("fake", 1).verify()


def test_the_answer_to_the_last_write_may_be_lost(
    s3: FakeS3, shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    s3.lose_answer = lambda method, path: method == "PUT" and path.endswith("bundle.json")
    shop.add(*fake_version(tmp_path)).verify()
    look(replica).bundle("fake", 1).verify()


def test_files_that_change_before_the_manifest_is_written_are_noticed(
    s3: FakeS3, meddling: Meddling, shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    manifest, files = fake_version(tmp_path)
    shop.remove("fake", 1)

    def meddle(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("/graph.json"):
            s3.after = lambda *_: None
            meddling("fake/1/graph.json", b"of another training")

    s3.after = meddle
    with pytest.raises(BundleError, match="changed by somebody else"):
        shop.add(manifest, files)
    assert "fake" not in look(replica).models


def test_processes_lose_no_change_of_the_routing(
    shop: ModelStore, address: str, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=set_aliases, args=(address, tmp_path, number)) for number in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(shop.route("fake", lambda routing: routing).aliases) == 9


def test_damaged_routing_is_not_overwritten(
    meddling: Meddling, shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path))
    meddling("fake/routing.json", b"{")
    with pytest.raises(StoreError, match="is damaged"):
        shop.route("fake", lambda routing: routing.with_alias("stable", 1))
    assert "is damaged" in str(look(replica).route("fake").problem)


# -- S3 away


def test_without_s3_the_copy_goes_on_serving_and_catches_up(
    s3: FakeS3, shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path, version=1))
    look(replica)
    s3.stop()
    with pytest.raises(StoreError, match="S3 cannot be reached"):
        look(replica)
    look_at_start(replica).bundle("fake", 1).verify()
    for change in (
        lambda: shop.add(*fake_version(tmp_path, version=2)),
        lambda: shop.remove("fake", 1),
        lambda: shop.route("fake", lambda routing: routing),
    ):
        with pytest.raises(StoreError, match="S3 cannot be reached"):
            change()
    s3.start()
    shop.add(*fake_version(tmp_path, version=2))
    assert list(look(replica).versions("fake")) == [1, 2]


def test_without_s3_and_without_a_copy_there_is_nothing_to_start_with(
    s3: FakeS3, replica: ModelStore
) -> None:
    s3.stop()
    with pytest.raises(StoreError, match="S3 cannot be reached"):
        look_at_start(replica)


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "AccessDenied", "SlowDown"])
def test_what_s3_refuses_is_said_without_secrets(
    s3: FakeS3, shop: ModelStore, address: str, tmp_path: Path, code: str
) -> None:
    shop.add(*fake_version(tmp_path))
    s3.refuse = lambda *_: code
    with pytest.raises(StoreError, match=f"the model store {address}: S3 .*{code}") as caught:
        shop.refresh()
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    assert look_at_start(shop).bundle("fake", 1)


def test_a_missing_bucket_is_named(s3: FakeS3, tmp_path: Path) -> None:
    store = open_store("s3://no-such-bucket/models", tmp_path)
    for change in (store.refresh, lambda: store.add(*fake_version(tmp_path))):
        with pytest.raises(StoreError, match="s3://no-such-bucket/models: there is no such bucket"):
            change()
    assert s3.seen


def test_a_file_that_breaks_off_leaves_nothing_half(
    s3: FakeS3, shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path))
    s3.refuse = lambda _, path: "SlowDown" if path.endswith("graph.json") else None
    with pytest.raises(StoreError, match="SlowDown"):
        look(replica)
    assert not list(replica.folder.glob("*/*"))
    assert not _leftovers(replica)
    s3.refuse = lambda *_: None
    look(replica).bundle("fake", 1).verify()


def test_a_killed_process_leaves_nothing_that_is_served(
    s3: FakeS3, shop: ModelStore, address: str, replica: ModelStore, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path))
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=refresh, args=(address, tmp_path / "replica"))

    def kill(_: str, path: str) -> None:
        if path.endswith("graph.json"):
            process.kill()

    s3.after = kill
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    s3.after = lambda *_: None
    assert _leftovers(replica)
    assert "fake" not in open_catalog(replica.folder).models
    look(replica).bundle("fake", 1).verify()
    assert not _leftovers(replica)


def test_a_machine_fetches_once_however_many_look(
    s3: FakeS3, shop: ModelStore, address: str, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path))
    s3.seen.clear()
    both = threading.Event()

    def wait_for_the_other(_: str, path: str) -> None:
        if sum(seen.endswith("graph.json") for _, seen in s3.seen) > 1:
            both.set()
        if path.endswith("graph.json"):
            both.wait(1)

    s3.after = wait_for_the_other
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(refresh, [address] * 2, [tmp_path / "replica"] * 2))
    assert not both.is_set()


def test_of_two_manifests_for_the_same_files_the_first_counts(
    s3: FakeS3, shop: ModelStore, replica: ModelStore, tmp_path: Path
) -> None:
    manifest, files = fake_version(tmp_path)
    quicker = manifest.model_copy(update={"provenance": {"by": "somebody quicker"}})

    def publish(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("graph.json"):
            s3.after = lambda *_: None
            replica.add(quicker, files)

    s3.after = publish
    with pytest.raises(BundleError, match="exists already"):
        shop.add(manifest, files)
    assert look(shop).bundle("fake", 1).manifest == quicker


def test_processes_of_a_machine_share_the_copy(
    s3: FakeS3, shop: ModelStore, address: str, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path))
    s3.seen.clear()
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=refresh, args=(address, tmp_path / "replica")) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    fetched = [path for method, path in s3.seen if method == "GET" and "graph" in path]
    assert len(fetched) == 1


# -- names


@pytest.mark.parametrize(
    "key",
    [
        "Fake/1/bundle.json",
        "fake/01/bundle.json",
        "fake/1x/bundle.json",
        ".lock/1/bundle.json",
        "fake/..\\1/bundle.json",
        "fake/1/deeper/bundle.json",
        "bundle.json",
        "routing.json",
        "fake/.routing.json.mark",
    ],
)
def test_other_objects_are_left_alone(
    meddling: Meddling, shop: ModelStore, replica: ModelStore, tmp_path: Path, key: str
) -> None:
    shop.add(*fake_version(tmp_path, "good"))
    meddling(f"{key}", b"{}")
    assert list(look(replica).models) == [BUILTIN_MODEL, "good"]
    inside = {path.name for path in replica.folder.parent.parent.rglob("*")}
    assert inside <= {
        "stores",
        replica.folder.name,
        ".lock",
        "good",
        "1",
        ".1.mark",
        "bundle.json",
        "graph.json",
    }


@pytest.mark.parametrize("key", ["../../1/bundle.json", "fake/1/../../bundle.json", "fake//1/a"])
def test_a_name_that_is_no_path_is_said_and_the_copy_stays(
    meddling: Meddling, shop: ModelStore, tmp_path: Path, key: str
) -> None:
    shop.add(*fake_version(tmp_path))
    meddling(key, b"{}")
    with pytest.raises(StoreError, match=r"a name like a//b or a/../b; delete it"):
        shop.refresh()
    assert [path.name for path in shop.folder.glob("*")] == [".lock", "fake"]
    assert list((tmp_path / "shop").rglob("*/..*")) == []


@pytest.mark.parametrize(
    "path", ["bundle.json", "x" * 300, "a/./b", ".1.mark", "graph.json/below", "."]
)
def test_a_manifest_cannot_choose_where_files_go(
    meddling: Meddling, shop: ModelStore, replica: ModelStore, tmp_path: Path, path: str
) -> None:
    shop.add(*fake_version(tmp_path, "good"))
    manifest, files = fake_version(tmp_path)
    document = json.loads(seal(manifest))
    asset = {"path": path, "bytes": 3, "sha256": "0" * 64}
    document["variants"][0]["assets"] = [asset]
    meddling("fake/1/graph.json", files["graph.json"])
    meddling("fake/1/bundle.json", json.dumps(document).encode())
    catalog = look(replica)
    catalog.bundle("good", 1).verify()
    with pytest.raises(BundleError):
        Bundle.read(replica.folder / "fake" / "1").verify()
    replica.refresh()


@pytest.mark.parametrize(
    "address",
    ["s3://", "s3:///models", "s3://key:secret@bucket/models", "s3://b/x", "s3://bucket/a/../b"],
)
@pytest.mark.usefixtures("s3")
def test_an_address_of_another_form_is_refused_and_not_repeated(
    address: str, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="not of the form s3://bucket/prefix") as caught:
        open_store(address, tmp_path)
    assert "secret" not in caught.value.detail


def test_without_the_package_its_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in ("viewfinder.registry.s3.store", "viewfinder.blobs.bucket"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for module in ("obstore", "obstore.store", "obstore.exceptions"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'viewfinder\[s3\]'"):
        open_store("s3://bucket/models", tmp_path)


# -- the whole


def _classify(url: str) -> int:
    answer = httpx2.post(
        f"{url}/v1/classify?model=fake",
        content=grey(0),
        headers={"Content-Type": "image/png"},
        trust_env=False,
        timeout=30,
    )
    return answer.status_code


def test_the_server_serves_from_s3_and_without_it_from_its_copy(
    s3: FakeS3, shop: ModelStore, address: str, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path))
    home = tmp_path / "server"
    home.mkdir()
    with serving(home, "--model", "fake", MODEL_STORE=address) as server:
        assert _classify(server.url) == 200
        assert server.stop() == 0
    s3.stop()
    with serving(home, "--model", "fake", MODEL_STORE=address) as server:
        assert _classify(server.url) == 200
        assert any("S3 cannot be reached" in line for line in server.lines)


def test_the_command_says_what_is_wrong(s3: FakeS3, address: str, tmp_path: Path) -> None:
    s3.stop()
    done = run_command("models", "list", home=tmp_path, MODEL_STORE=address)
    assert done.returncode != 0
    assert f"the model store {address}: S3 cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
