"""One graph of a version for somewhere else: alone, or with all that running it needs."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from viewfinder.conversion.outputs import scores_only
from viewfinder.errors import ConflictError
from viewfinder.pipelines.exporting.beside import describe
from viewfinder.pipelines.exporting.choice import check_made_here, choose, float_variant
from viewfinder.pipelines.exporting.names import MAIN, SAVED_MODEL
from viewfinder.pipelines.original import original_model
from viewfinder.pipelines.variants.graphs import Format
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant

FORMATS: Mapping[str, Format] = {
    "litert": "litert",
    "onnx": "onnx",
    "openvino": "openvino",
    "saved-model": "saved_model",
}
"""What graphs can be exported as, by the names that people use."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where.
        variant: The name of the graph.
        made: Whether it was made for this from the version's weights.
        files: The bytes of each file, by its path in the folder.
    """

    folder: Path
    variant: str
    made: bool
    files: Mapping[str, int]


def export_graph(
    bundle: Bundle, format_: Format, *, variant: str | None, with_metadata: bool, folder: Path
) -> Exported:
    """Write one graph into a folder of its own, which is there whole or not at all.

    Without a name, it is the recommended variant if that has the format, else the most accurate one
    that has it, else a graph that is made from the version's weights.

    Args:
        bundle: The version.
        format_: Of the graph.
        variant: Which one.
        with_metadata: Whether labels, geometry, an example and a description come with it.
        folder: Where to; it does not exist yet, or is empty.

    Raises:
        BundleError: A file of the version is not what was sealed.
        ConflictError: There is something in the folder.
        ConversionError: No variant has the format, and none can be made.
        InvalidParameterError: The version has no such variant, or it has another format.
        MissingExtraError: What makes such a graph is not installed.
    """
    _check_free(folder)
    chosen = choose(bundle, format_, variant)
    made = chosen is None
    if chosen is None:
        check_made_here(bundle, format_)
        chosen = float_variant(bundle, format_)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as scratch:
        partial = Path(scratch) / folder.name
        partial.mkdir()
        if made:
            _convert(original_model(bundle), format_, partial)
        else:
            _copy(bundle, chosen, partial)
            if chosen.features is not None:
                graph = partial / MAIN[chosen.format]
                graph.write_bytes(scores_only(graph.read_bytes()))
        if with_metadata:
            describe(bundle, chosen, partial)
        files = {
            path.relative_to(partial).as_posix(): path.stat().st_size
            for path in sorted(partial.rglob("*"))
            if path.is_file()
        }
        try:
            partial.rename(folder)
        except OSError as error:  # somebody was quicker
            raise ConflictError(f"{folder} is there by now; nothing is overwritten") from error
    return Exported(folder, chosen.name, made, files)


def _check_free(folder: Path) -> None:
    if folder.name == "..":
        raise ConflictError("give a folder by its own name, not by '..'")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConflictError(f"{folder} is not a folder; nothing is overwritten")
    if folder.exists() and any(folder.iterdir()):
        raise ConflictError(f"{folder} is not empty; nothing is overwritten")
    if folder.exists() and folder.samefile(Path.cwd()):
        # It would be replaced, and whoever is in it would see the old one.
        raise ConflictError("give a folder of its own, not the one you are in")


def _convert(model: Any, format_: Format, folder: Path) -> None:
    """Make the graph; each converter brings TensorFlow, which takes seconds."""
    match format_:
        case "litert":
            from viewfinder.conversion.litert import to_litert

            (folder / MAIN[format_]).write_bytes(to_litert(model))
        case "onnx":
            from viewfinder.conversion.onnx import to_onnx

            (folder / MAIN[format_]).write_bytes(to_onnx(model))
        case "openvino":
            from viewfinder.conversion.openvino import to_openvino

            to_openvino(model, folder / MAIN[format_])
        case "saved_model":
            from viewfinder.conversion.saved_model import to_saved_model

            to_saved_model(model, folder / SAVED_MODEL)


def _copy(bundle: Bundle, variant: Variant, folder: Path) -> None:
    """Write the graph's files, under the names that people expect."""
    main = PurePosixPath(variant.file.path)
    for file in (variant.file, *variant.assets):
        inner = PurePosixPath(file.path).relative_to(main.parent)
        if variant.format == "saved_model":
            target = folder / SAVED_MODEL / inner
        elif file is variant.file:
            target = folder / MAIN[variant.format]
        elif variant.format == "openvino":
            target = (folder / MAIN[variant.format]).with_suffix(inner.suffix)
        else:  # the graph names it
            target = folder / inner
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.verified(file), target)
