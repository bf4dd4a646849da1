"""Bundles that are broken, each in its own way."""

import json
import math
import os
import shutil
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support import ROOT, fake_bundle, grey
from viewfinder.pipelines.foreign import SCALINGS, ForeignGraph, make_bundle
from viewfinder.registry.bundle import MANIFEST, describe, seal
from viewfinder.registry.manifest import Manifest
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE


def edit(folder: Path, change: Callable[[Any], object]) -> None:
    """Change what `bundle.json` says."""
    document = json.loads((folder / MANIFEST).read_text())
    change(document)
    (folder / MANIFEST).write_text(json.dumps(document))


def _edit_variant(folder: Path, **changes: object) -> None:
    edit(folder, lambda document: document["variants"][0].update(changes))


def _edit_file(folder: Path, **changes: object) -> None:
    edit(folder, lambda document: document["variants"][0]["file"].update(changes))


def _resealed(folder: Path, name: str, content: bytes) -> dict[str, Any]:
    """Write a file; what a manifest says of it."""
    (folder / name).write_bytes(content)
    return describe(name, content).model_dump()


def _golden(folder: Path, content: bytes, confidence: float) -> None:
    file = _resealed(folder, "golden.png", content)
    sample = {"file": file, "top": [{"index": 0, "confidence": confidence}]}
    _edit_variant(folder, golden={"tolerance": 0.01, "samples": [sample]})


def good(store: Path, version: int) -> Path:
    """A version with a golden photo; its folder."""
    folder = fake_bundle(store, version=version).folder
    _golden(folder, grey(0), 0.9993)
    return folder


def _instead(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _sparse(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def becomes_litert(folder: Path, graph: bytes) -> None:
    """The builtin model under this name and version, with another graph, sealed well."""
    shutil.copytree(BUILTIN_STORE / BUILTIN_MODEL / "1", folder, dirs_exist_ok=True)
    edit(folder, lambda d: d.update(name=folder.parent.name, version=int(folder.name)))
    _edit_variant(folder, file=_resealed(folder, "model.int8.tflite", graph))


def builtin_graph() -> bytes:
    return (BUILTIN_STORE / BUILTIN_MODEL / "1" / "model.int8.tflite").read_bytes()


def colours(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Make the folder a version of a small model for LiteRT; its manifest, and its other files."""
    path = ROOT / "tests" / "data" / "foreign-float.tflite"
    graph = ForeignGraph(path, ("red", "green", "blue"), SCALINGS["-1-1"])
    manifest, files = make_bundle(graph, folder.parent.name, datetime(2026, 1, 1, tzinfo=UTC))
    manifest = manifest.model_copy(update={"version": int(folder.name)})
    for name, content in {**files, MANIFEST: seal(manifest)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return manifest, files


def _becomes_not_a_number(folder: Path) -> None:
    """A graph whose weights are none, and that was sealed with them."""
    manifest, files = colours(folder)
    document = json.loads(seal(manifest))
    weight, none = struct.pack("<f", 4), struct.pack("<f", math.nan)
    name = manifest.variant().file.path
    damaged = files[name].replace(weight, none)
    assert damaged != files[name]
    document["variants"][0]["file"] = _resealed(folder, name, damaged)
    (folder / MANIFEST).write_text(json.dumps(document))


# What is done to a good folder, and a word of the reason that is given.
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "manifest empty": (lambda f: (f / MANIFEST).write_text(""), "not valid"),
    "manifest cut off": (lambda f: _sparse(f / MANIFEST, 300), "not valid"),
    "manifest no JSON": (lambda f: (f / MANIFEST).write_text("hello"), "not valid"),
    "manifest bytes": (lambda f: (f / MANIFEST).write_bytes(b"\xff\xfe\0\0"), "not valid"),
    "manifest too deep": (lambda f: (f / MANIFEST).write_text("[" * 100_000), "not valid"),
    "manifest a list": (lambda f: (f / MANIFEST).write_text("[]"), "not valid"),
    "manifest huge": (lambda f: _sparse(f / MANIFEST, 33 * 1024**2), "too large"),
    "manifest a folder": (lambda f: _instead(f / MANIFEST, Path.mkdir), "not a file"),
    "manifest a pipe": (lambda f: _instead(f / MANIFEST, os.mkfifo), "not a file"),
    "manifest a circle": (
        lambda f: _instead(f / MANIFEST, lambda path: path.symlink_to(MANIFEST)),
        "cannot be read",
    ),
    "another schema": (lambda f: edit(f, lambda d: d.update(schema_version=2)), "schema_version"),
    "another name": (lambda f: edit(f, lambda d: d.update(name="hats")), "says hats/"),
    "another version": (lambda f: edit(f, lambda d: d.update(version=7)), "fake/7"),
    "a field too many": (lambda f: edit(f, lambda d: d.update(surprise=1)), "surprise"),
    "no labels": (lambda f: edit(f, lambda d: d.update(labels=[])), "labels"),
    "no variants": (lambda f: edit(f, lambda d: d.update(variants=[])), "variants"),
    "recommended missing": (lambda f: edit(f, lambda d: d.update(recommended="x")), "recommended"),
    "label twice": (
        lambda f: edit(f, lambda d: d["labels"].append(d["labels"][0])),
        "same name",
    ),
    "label missing": (lambda f: edit(f, lambda d: d["labels"].pop()), "16 classes"),
    "unknown engine": (lambda f: _edit_variant(f, engine="pickle"), "engine"),
    "another geometry": (
        lambda f: _edit_variant(f, preprocess={"width": 9, "height": 8}),
        "input size",
    ),
    "path leads up": (lambda f: _edit_file(f, path="../1/graph.json"), "inside its folder"),
    "path from the root": (lambda f: _edit_file(f, path="/etc/hostname"), "inside its folder"),
    "path with a NUL": (lambda f: _edit_file(f, path="graph\0.json"), "inside its folder"),
    "path of endless length": (lambda f: _edit_file(f, path="g" * 5000), "cannot be read"),
    "link leads out": (
        lambda f: _instead(f / "graph.json", lambda path: path.symlink_to("../1/graph.json")),
        "leads out",
    ),
    "link in a circle": (
        lambda f: _instead(f / "graph.json", lambda path: path.symlink_to("graph.json")),
        "cannot be read",
    ),
    "graph missing": (lambda f: (f / "graph.json").unlink(), "cannot be read"),
    "graph cut off": (lambda f: _sparse(f / "graph.json", 9), "checksum"),
    "graph empty": (lambda f: _sparse(f / "graph.json", 0), "checksum"),
    "graph with a flipped bit": (lambda f: _flip(f / "graph.json"), "checksum"),
    "graph a folder": (lambda f: _instead(f / "graph.json", Path.mkdir), "not a file"),
    "graph a pipe": (lambda f: _instead(f / "graph.json", os.mkfifo), "not a file"),
    "graph no graph": (
        lambda f: _edit_variant(f, file=_resealed(f, "graph.json", b"hello")),
        "not a graph",
    ),
    "golden missing": (lambda f: (f / "golden.png").unlink(), "cannot be read"),
    "golden damaged": (lambda f: _flip(f / "golden.png"), "checksum"),
    "golden no photo": (lambda f: _golden(f, b"hello", 0.9993), "no photo"),
    "golden answer off": (lambda f: _golden(f, grey(0), 0.9), "off by"),
    "golden of no class": (
        lambda f: edit(
            f,
            lambda d: d["variants"][0]["golden"]["samples"][0]["top"][0].update(index=16),
        ),
        "lacks",
    ),
    "variant twice": (
        lambda f: edit(f, lambda d: d["variants"].append(d["variants"][0])),
        "same name",
    ),
    "unknown format": (lambda f: _edit_variant(f, format="keras"), "format"),
    "checksum of another": (lambda f: _edit_file(f, sha256="0" * 64), "checksum"),
    "size of another": (lambda f: _edit_file(f, bytes=1), "checksum"),
    "label not UTF-8": (
        lambda f: (f / MANIFEST).write_bytes(
            (f / MANIFEST).read_bytes().replace(b"step-3", b"st\xe9p-3")
        ),
        "not valid",
    ),
    "LiteRT no graph": (lambda f: becomes_litert(f, b"hello"), "LiteRT can run"),
    "LiteRT cut off": (
        lambda f: becomes_litert(f, builtin_graph()[:100_000]),
        "LiteRT can run",
    ),
    "LiteRT zeroed weights": (
        lambda f: becomes_litert(f, builtin_graph()[:600_000] + bytes(5_270_464 - 600_000)),
        "off by",
    ),
    "LiteRT not a number": (_becomes_not_a_number, "off by"),
}
if os.geteuid():  # who may do everything may read everything
    BROKEN |= {
        "manifest unreadable": (lambda f: (f / MANIFEST).chmod(0), "cannot be read"),
        "graph unreadable": (lambda f: (f / "graph.json").chmod(0), "cannot be read"),
    }
