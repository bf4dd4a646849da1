"""`viewfinder models`."""

from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, print_json, print_table

if TYPE_CHECKING:
    from viewfinder.registry.registry import Catalog
    from viewfinder.registry.store import ModelStore

app = typer.Typer(help="Look at the models.", no_args_is_help=True)


@app.command("list")
def list_models(*, as_json: Json = False) -> None:
    """List the models and their versions.

    Example:  viewfinder models list
    """
    from viewfinder.registry.routing import LATEST

    catalog = _catalog()
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


@app.command("show")
def show_model(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]")], *, as_json: Json = False
) -> None:
    """Show what one version says of itself; without a version, the latest.

    Example:  viewfinder models show efficientnet-lite0@1
    """
    from viewfinder.api.schemas import VersionSummary
    from viewfinder.settings import flatten

    catalog = _catalog()
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


def _or_dash(value: object) -> str:
    if value is None or value == []:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _store() -> "ModelStore":
    from viewfinder.registry.store import open_store
    from viewfinder.settings import load_settings

    settings = load_settings()
    return open_store(settings.store, settings.home)


def _catalog() -> "Catalog":
    from viewfinder.registry.store import look

    return look(_store())


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
