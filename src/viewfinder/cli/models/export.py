"""`viewfinder models export`: a version as one file, or one of its graphs for somewhere else."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.catalog import read_catalog
from viewfinder.cli.console import Json, fail, print_json, print_table, say

if TYPE_CHECKING:
    from viewfinder.registry.bundle import Bundle


def export_model(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Which model.")],
    out: Annotated[
        Path | None, typer.Argument(help="The zip file. Default: NAME-VERSION.zip, here.")
    ] = None,
    *,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="One graph alone: litert, onnx, openvino or saved-model."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="With --format: which graph. Default: the best one.")
    ] = None,
    with_metadata: Annotated[
        bool,
        typer.Option(
            "--with-metadata", help="With --format: labels, geometry and an example as well."
        ),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="With --format: a new folder. Default: NAME-VERSION-FORMAT, here.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a version into one file, for `models publish` of another store; or one of its graphs.

    Example:  viewfinder models export shoes@3 --format onnx --with-metadata
    """
    if format_ is None:
        if variant is not None or with_metadata or to is not None:
            fail("--variant, --with-metadata and --to need --format", code=2)
        _export_zip(read_catalog().resolve(model), out, as_json=as_json)
        return
    if out is not None:
        fail("with --format, name the folder with --to", code=2)
    _export_graph(
        model, format_, variant=variant, with_metadata=with_metadata, to=to, as_json=as_json
    )


def _export_zip(bundle: "Bundle", out: Path | None, *, as_json: bool) -> None:
    from viewfinder.registry.archive import pack

    name, version = bundle.manifest.name, bundle.manifest.version
    path = out or Path(f"{name}-{version}.zip")
    pack(bundle, path)
    if as_json:
        print_json({"name": name, "version": version, "path": str(path)})
    else:
        say(f"{name}@{version}: {path} ({path.stat().st_size / 1e6:.1f} MB)")


def _export_graph(
    model: str,
    format_: str,
    *,
    variant: str | None,
    with_metadata: bool,
    to: Path | None,
    as_json: bool,
) -> None:
    from viewfinder.pipelines.exporting.export import FORMATS, export_graph

    if format_ not in FORMATS:
        fail(f"--format is one of {', '.join(FORMATS)}", code=2)
    bundle = read_catalog().resolve(model)
    name, version = bundle.manifest.name, bundle.manifest.version
    exported = export_graph(
        bundle,
        FORMATS[format_],
        variant=variant,
        with_metadata=with_metadata,
        folder=to or Path(f"{name}-{version}-{format_}"),
    )
    if as_json:
        print_json(
            {
                "name": name,
                "version": version,
                "variant": exported.variant,
                "format": format_,
                "made": exported.made,
                "folder": str(exported.folder),
                "files": [{"path": p, "bytes": b} for p, b in exported.files.items()],
            }
        )
        return
    made = ", made from the weights" if exported.made else ""
    say(f"{name}@{version}, {exported.variant}{made}: {exported.folder}")
    print_table(("file", "bytes"), ((p, f"{b:,}") for p, b in exported.files.items()))
