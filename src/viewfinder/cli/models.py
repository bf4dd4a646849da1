"""`viewfinder models`."""

from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, fail, print_json

if TYPE_CHECKING:
    from viewfinder.registry.registry import Catalog

app = typer.Typer(help="Look at the models.", no_args_is_help=True)


@app.command("list")
def list_models(*, as_json: Json = False) -> None:
    """List the models and their versions.

    Example:  viewfinder models list
    """
    from viewfinder.registry.registry import LATEST

    catalog = _catalog()
    if as_json:
        print_json({"models": [_as_json(catalog, name) for name in catalog.models]})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "versions", "latest", "classes", "problems", box=None)
    for name, versions in catalog.models.items():
        broken = [f"{e.version}: {e.problem}" for e in versions.values() if e.problem]
        table.add_row(
            name,
            ", ".join(map(str, versions)),
            str(catalog.aliases(name).get(LATEST, "-")),
            str(catalog.labels_count(name) or "-"),
            "; ".join(broken) or "none",
        )
    Console().print(table)


@app.command("show")
def show_model(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]")], *, as_json: Json = False
) -> None:
    """Show what one version says of itself; without a version, the latest.

    Example:  viewfinder models show efficientnet-lite0@1
    """
    from viewfinder.api.schemas import VersionSummary
    from viewfinder.errors import NotReadyError

    catalog = _catalog()
    try:
        bundle = catalog.resolve(model)
    except NotReadyError as error:
        entries = catalog.versions(model.partition("@")[0]).values()
        problems = [f"version {e.version}: {e.problem}" for e in entries if e.problem]
        fail("; ".join((error.detail, *problems)))
    summary = VersionSummary.of(bundle, catalog.aliases(bundle.manifest.name)).model_dump(
        mode="json"
    )
    if as_json:
        print_json(summary)
        return
    from rich.console import Console
    from rich.table import Table

    from viewfinder.settings import flatten

    facts = Table(box=None, show_header=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    variants = Table("variant", "format", "bytes", "accuracy", "p50 ms", "", box=None)
    for variant in summary.pop("variants"):
        variants.add_row(
            variant["name"],
            variant["format"],
            f"{variant['bytes']:,}",
            _or_dash(variant["accuracy"]),
            _or_dash(variant["p50_ms"]),
            "recommended" if variant["recommended"] else "",
        )
    for name, value in flatten(summary).items():
        facts.add_row(name, _or_dash(value))
    facts.add_row("folder", str(bundle.folder))
    Console().print(facts, "", variants)


def _or_dash(value: object) -> str:
    if value is None or value == []:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _catalog() -> "Catalog":
    from viewfinder.registry.registry import BUILTIN_STORE, scan
    from viewfinder.settings import load_settings

    return scan((BUILTIN_STORE, load_settings().store))


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
