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
    catalog = _catalog()
    if as_json:
        print_json({"models": [_row(catalog, name) for name in catalog.models]})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "versions", "latest", "classes", "problems", box=None)
    for name in catalog.models:
        row = _row(catalog, name)
        problems = [
            f"{version['version']}: {version['problem']}"
            for version in row["versions"]
            if version["problem"]
        ]
        table.add_row(
            name,
            ", ".join(str(version["version"]) for version in row["versions"]),
            str(row["aliases"].get("latest", "-")),
            str(row["labels_count"] or "-"),
            "; ".join(problems) or "none",
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
    from viewfinder.registry.registry import parse_ref

    catalog, ref = _catalog(), parse_ref(model)
    try:
        bundle = catalog.resolve(ref)
    except NotReadyError as error:
        entries = catalog.versions(ref.name).values()
        problems = [f"version {e.version}: {e.problem}" for e in entries if e.problem]
        fail("; ".join((error.detail, *problems)))
    summary = VersionSummary.of(bundle, catalog.aliases(ref.name)).model_dump(mode="json")
    if as_json:
        print_json(summary)
        return
    from rich.console import Console
    from rich.pretty import Pretty
    from rich.table import Table

    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    for name, value in summary.items():
        plain = isinstance(value, str | int | float)
        table.add_row(name, str(value) if plain else Pretty(value, expand_all=False))
    table.add_row("folder", str(bundle.folder))
    Console().print(table)


def _catalog() -> "Catalog":
    from viewfinder.registry.registry import BUILTIN_STORE, scan
    from viewfinder.settings import load_settings

    return scan((BUILTIN_STORE, load_settings().store))


def _row(catalog: "Catalog", name: str) -> dict[str, object]:
    versions, aliases = catalog.versions(name), catalog.aliases(name)
    latest = versions[aliases["latest"]].bundle if aliases else None
    return {
        "name": name,
        "versions": [{"version": v, "problem": entry.problem} for v, entry in versions.items()],
        "aliases": aliases,
        "labels_count": len(latest.manifest.labels) if latest else None,
    }
