"""`viewfinder data check`: what is wrong with a data set."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, fail, print_json, progress_bar
from viewfinder.shared.paths import absence

if TYPE_CHECKING:
    from viewfinder.datasets.findings import Suspect
    from viewfinder.datasets.photos import Dataset
    from viewfinder.settings import Settings


def check(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A folder with a folder for each class (or train/, validation/, test/ with "
            "these), or a .csv, .tsv or .jsonl file of paths and labels.",
            show_default=False,
        ),
    ],
    *,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@V]",
            help="Ask this model which labels are probably wrong.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find corrupt photos, duplicates, leaks between splits, small classes, odd sizes.

    Nothing is changed. Exit 0 if the report could be made, whatever it says.

    Example:  viewfinder data check photos/ --model shoes@3
    """
    from viewfinder.cli.data.report import print_report
    from viewfinder.datasets.check import check_dataset
    from viewfinder.datasets.sources.source import read_dataset
    from viewfinder.settings import load_settings

    if not data.exists():
        fail(absence(data), code=2)
    settings = load_settings()
    dataset = read_dataset(data)
    with _told("looking", dataset) as progress:
        findings = check_dataset(
            dataset, limits=settings.limits, threads=settings.compute_threads, progress=progress
        )
    if model is not None:
        name, suspects = _ask(model, dataset, settings)
        findings = findings.model_copy(update={"model": name, "wrong_labels": suspects})
    if as_json:
        print_json(findings.model_dump(mode="json"))
    else:
        print_report(findings)


def _ask(model: str, dataset: "Dataset", settings: "Settings") -> tuple[str, tuple["Suspect", ...]]:
    """The model's full name, and the labels that it does not believe."""
    from viewfinder.cli.catalog import read_catalog
    from viewfinder.engines.loader import load_variant
    from viewfinder.pipelines.labels import suspect_labels

    bundle = read_catalog().resolve(model)
    threads = settings.compute_threads
    loaded = load_variant(bundle, threads=threads, device=settings.device)
    try:
        with _told("asking", dataset) as progress:
            suspects = suspect_labels(
                dataset, loaded, limits=settings.limits, threads=threads, progress=progress
            )
    finally:
        loaded.engine.close()
    return f"{bundle.manifest.name}@{bundle.manifest.version}", suspects


@contextmanager
def _told(doing: str, dataset: "Dataset") -> Iterator[Callable[[int, int], None]]:
    with progress_bar() as bar:
        yield lambda done, _: bar(doing, done, len(dataset.photos))
