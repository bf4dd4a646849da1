"""`viewfinder models`: what changes the store. A running server follows within seconds."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from viewfinder.cli.catalog import model_store, read_catalog
from viewfinder.cli.console import Json, fail, print_json, say
from viewfinder.shared.paths import absence

if TYPE_CHECKING:
    from viewfinder.registry.bundle import Bundle
    from viewfinder.registry.manifest import Scaling
    from viewfinder.registry.routing import Routing

_FOLLOWS = "a running server follows within seconds"


def publish_model(
    source: Annotated[
        Path, typer.Argument(metavar="FOLDER|ZIP", help="With a bundle.json, or from `export`.")
    ],
    *,
    name: Annotated[str | None, typer.Option(help="Another name than the bundle's own.")] = None,
    as_json: Json = False,
) -> None:
    """Check a model, every variant of it, and add it to the store as the next version.

    Example:  viewfinder models publish shoes.zip
    """
    from viewfinder.pipelines.publish import publish

    if not source.exists():
        fail(absence(source), code=2)
    _report(publish(model_store(), source, name=name, note=say), as_json=as_json)


def import_model(
    graph: Annotated[
        Path,
        typer.Argument(
            metavar="GRAPH", help="A .tflite, .onnx or OpenVINO .xml, or a SavedModel's folder."
        ),
    ],
    *,
    labels: Annotated[
        Path | None, typer.Option(help="A label a line, in the graph's order; or JSON.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Default: the graph's file name.")] = None,
    scaling: Annotated[
        str | None,
        typer.Option(
            help="What a graph that takes floats wants: none (0-255), 0-1, -1-1, imagenet, caffe."
        ),
    ] = None,
    resize: Annotated[str, typer.Option(help="crop, stretch or pad.")] = "crop",
    crop_fraction: Annotated[
        float, typer.Option(min=0.01, max=1, help="With crop: of the largest central part.")
    ] = 0.875,
    interpolation: Annotated[
        str, typer.Option(help="nearest, bilinear, bicubic or lanczos.")
    ] = "bilinear",
    channels: Annotated[str | None, typer.Option(help="rgb or bgr.")] = None,
    output: Annotated[
        str | None, typer.Option(help="logits or probabilities; default: found out by trying.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take over a graph that was made elsewhere.

    Example:  viewfinder models import mobilenet_v2.tflite --labels labels.txt
    """
    from datetime import UTC, datetime

    from viewfinder.errors import ScalingNeededError
    from viewfinder.pipelines.foreign import (
        OUTPUTS,
        SCALINGS,
        ForeignGraph,
        make_bundle,
        read_labels,
    )
    from viewfinder.pipelines.publish import add_next

    if not graph.exists():
        fail(absence(graph), code=2)
    called = _model_name(name, graph)
    labels = labels or Path(_ask("The file of labels", "--labels"))
    if not labels.exists() or labels.is_dir():
        fail(f"{labels} is not a file", code=2)
    _check(scaling, "--scaling", SCALINGS)
    _check(output, "--output", OUTPUTS)
    geometry = _geometry(
        resize=resize,
        crop_fraction=crop_fraction if resize == "crop" else 1.0,
        interpolation=interpolation,
        channels=channels or ("bgr" if scaling == "caffe" else "rgb"),
    )
    names = read_labels(labels)

    def make(how: "Scaling | None") -> Any:
        described = ForeignGraph(graph, names, how, geometry, OUTPUTS[output] if output else None)
        return make_bundle(described, called, datetime.now(UTC))

    try:
        manifest, contents = make(SCALINGS[scaling] if scaling else None)
    except ScalingNeededError as error:
        if not sys.stdin.isatty():
            fail(error.detail, code=2)
        scaling = _ask(f"What it takes ({', '.join(SCALINGS)})", "--scaling")
        _check(scaling, "--scaling", SCALINGS)
        manifest, contents = make(SCALINGS[scaling])
    bundle = add_next(model_store(), manifest, contents)
    variant = bundle.manifest.variant()
    spec = variant.preprocess
    if not as_json:
        how = f"{spec.resize} {spec.crop_fraction:g}" if spec.resize == "crop" else spec.resize
        say(
            f"{variant.format}, {spec.width} x {spec.height} {spec.channels}, {how}, "
            f"{spec.interpolation}, scaling {scaling or 'none, it takes bytes'}, "
            f"{len(bundle.manifest.labels)} classes as {variant.output}"
        )
    _report(bundle, as_json=as_json)


def set_alias(
    model: Annotated[str, typer.Argument(metavar="NAME", help="Which model.")],
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="For example stable.")],
    version: Annotated[
        int | None, typer.Argument(metavar="VERSION", help="What it is to mean.")
    ] = None,
    *,
    delete: Annotated[bool, typer.Option("--delete", help="Take the alias away.")] = False,
    as_json: Json = False,
) -> None:
    """Let an alias mean a version. `stable` is what the bare name means.

    Example:  viewfinder models alias shoes stable 3
    """
    from viewfinder.registry.routing import check_alias

    if delete == (version is not None):
        fail("give a version, or --delete", code=2)
    try:
        check_alias(alias)
    except ValueError as error:
        fail(str(error), code=2)
    catalog = read_catalog()
    catalog.versions(model)
    if version is None:
        routing = model_store().route(model, lambda routing: routing.without_alias(alias))
    else:
        catalog.bundle(model, version)
        routing = model_store().route(model, lambda routing: routing.with_alias(alias, version))
    _report_routing(model, routing, as_json=as_json)


def roll_back(
    model: Annotated[str, typer.Argument(metavar="NAME", help="Which model.")],
    *,
    as_json: Json = False,
) -> None:
    """Let the version before answer: `stable` goes back to it, and a traffic split ends.

    Example:  viewfinder models rollback shoes
    """
    from viewfinder.registry.rollback import rollback_target

    version = rollback_target(read_catalog(), model)
    routing = model_store().route(model, lambda routing: routing.rolled_back(version))
    _report_routing(model, routing, as_json=as_json)


def delete_model(
    model: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Which version.")],
    *,
    as_json: Json = False,
) -> None:
    """Take a version out of the store, if no alias and no traffic points to it.

    Example:  viewfinder models delete shoes@1
    """
    from viewfinder.pipelines.publish import delete
    from viewfinder.types import ModelRef

    try:
        ref = ModelRef.parse(model)
    except ValueError as error:
        fail(str(error), code=2)
    if ref.version is None:
        fail("name the version to delete, as NAME@VERSION", code=2)
    delete(model_store(), ref.name, ref.version)
    if as_json:
        print_json({"name": ref.name, "version": ref.version})
    else:
        say(f"{model} is deleted; {_FOLLOWS}")


def _report(bundle: "Bundle", *, as_json: bool) -> None:
    name, version = bundle.manifest.name, bundle.manifest.version
    if as_json:
        print_json({"name": name, "version": version})
    else:
        say(f"{name}@{version} is published; {_FOLLOWS}")


def _report_routing(name: str, routing: "Routing", *, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "aliases": dict(routing.aliases)})
        return
    aliases = ", ".join(f"{alias}: {version}" for alias, version in routing.aliases.items())
    say(f"{name} ({aliases or 'no aliases'}); {_FOLLOWS}")
    if routing.traffic is not None and routing.traffic.split:
        shares = ", ".join(f"{s.percent:g}% to {s.version}" for s in routing.traffic.split)
        say(f"the bare name is still split, {shares}: DELETE /v1/models/{name}/traffic ends that")


def _model_name(given: str | None, graph: Path) -> str:
    import re

    from viewfinder.types import is_model_name

    name = given or re.sub(r"[^a-z0-9._-]+", "-", graph.stem.lower()).strip("-._")[:64]
    if not is_model_name(name):
        fail(f"{name!r} cannot be a model's name; give one with --name", code=2)
    return name


def _ask(what: str, flag: str) -> str:
    """Ask the person, if there is one."""
    if not sys.stdin.isatty():
        fail(f"{what.lower()} is missing: give it with {flag}", code=2)
    answer: str = typer.prompt(what, err=True)
    return answer


def _check(value: str | None, flag: str, known: Any) -> None:
    if value is not None and value not in known:
        fail(f"{flag} is one of {', '.join(known)}", code=2)


def _geometry(**fields: Any) -> dict[str, Any]:
    from pydantic import ValidationError

    from viewfinder.imaging.geometry import PreprocessSpec

    try:
        PreprocessSpec(width=1, height=1, **fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fail(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}", code=2)
    return fields
