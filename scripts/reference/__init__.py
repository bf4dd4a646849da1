"""Reference pages of the documentation, written from the code: `make reference`."""

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.reference import commands, manifest, metrics, routes, settings

ROOT = Path(__file__).parents[2]

PAGES: Mapping[str, Callable[[], str]] = {
    "docs/reference/cli.md": commands.page,
    "docs/reference/http.md": routes.page,
    "docs/reference/manifest.md": manifest.page,
    "docs/reference/bundle.schema.json": manifest.schema,
    "docs/reference/metrics.md": metrics.page,
    "docs/settings.md": lambda: settings.page((ROOT / "docs/settings.md").read_text()),
}
"""What makes each file, by its path in the repository."""


def write(folder: Path) -> None:
    """Write every page into a folder that stands for the repository."""
    for path, make in PAGES.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(make())
