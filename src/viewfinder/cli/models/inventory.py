"""`viewfinder models`: what there is, and whether it is whole."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.catalog import read_catalog
from viewfinder.cli.console import Json, print_json, print_table, say

if TYPE_CHECKING:
    from viewfinder.registry.catalog import Catalog


def list_models(*, as_json: Json = False) -> None:
    """List the models and their versions.

    Example:  viewfinder models list
    """
    from viewfinder.registry.routing import LATEST

    catalog = read_catalog()
    if as_json:
        print_json({"models": [_as_json(catalog, name) for name in catalog.models]})
        return
    print_table(
        ("model", "versions", "latest", "classes", "problems"),
        (
            (
                name,
                ", ".join(map(str, versions)),
                catalog.aliases(name).get(LATEST, "-"),
                catalog.labels_count(name) or "-",
                "; ".join(f"{e.version}: {e.problem}" for e in versions.values() if e.problem)
                or "none",
            )
            for name, versions in catalog.models.items()
        ),
    )


def show_model(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Which model.")],
    *,
    as_json: Json = False,
) -> None:
    """Show what one version says of itself; without a version, the one that answers.

    Example:  viewfinder models show efficientnet-lite0@1
    """
    from viewfinder.api.schemas.models import VersionSummary
    from viewfinder.shared.trees import flatten

    catalog = read_catalog()
    bundle = catalog.resolve(model)
    summary = VersionSummary.of(bundle, catalog.aliases(bundle.manifest.name)).model_dump(
        mode="json"
    )
    if as_json:
        print_json(summary)
        return
    variants = summary.pop("variants")
    facts = {**flatten(summary), "folder": bundle.folder}
    print_table(("", ""), ((name, _or_dash(value)) for name, value in facts.items()))
    print_table(
        ("variant", "format", "bytes", "accuracy", "p50 ms", ""),
        (
            (
                variant["name"],
                variant["format"],
                f"{variant['bytes']:,}",
                _or_dash(variant["accuracy"]),
                _or_dash(variant["p50_ms"]),
                "recommended" if variant["recommended"] else "",
            )
            for variant in variants
        ),
    )


def verify_models(
    model: Annotated[
        str | None, typer.Argument(metavar="NAME[@VERSION]", help="Default: all of them.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Check every file, and let every variant prove itself; exit 1 if a version is broken.

    Example:  viewfinder models verify shoes@3
    """
    from viewfinder.pipelines.publish import verify
    from viewfinder.types import parse_version

    catalog = read_catalog()
    if model is None:
        chosen = [(name, v) for name, versions in catalog.models.items() for v in versions]
    elif "@" not in model:
        chosen = [(model, v) for v in catalog.versions(model)]
    else:
        name, _, selector = model.partition("@")
        version = parse_version(selector) or catalog.resolve(model).manifest.version
        chosen = [(name, catalog.entry(name, version).version)]
    problems = {
        f"{name}@{v}": verify(catalog, name, v, note=partial(_say_of, f"{name}@{v}"))
        for name, v in chosen
    }
    if as_json:
        print_json({"models": [{"model": m, "problem": p} for m, p in problems.items()]})
    else:
        print_table(
            ("model", "", ""), ((m, "broken" if p else "ok", p or "") for m, p in problems.items())
        )
    if any(problems.values()):
        sys.exit(1)


def _say_of(model: str, text: str) -> None:
    say(f"{model}: {text}")


def _or_dash(value: object) -> str:
    if value is None or value == []:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _as_json(catalog: "Catalog", name: str) -> dict[str, object]:
    return {
        "name": name,
        "versions": [
            {"version": entry.version, "problem": entry.problem}
            for entry in catalog.versions(name).values()
        ],
        "aliases": catalog.aliases(name),
        "labels_count": catalog.labels_count(name),
    }
