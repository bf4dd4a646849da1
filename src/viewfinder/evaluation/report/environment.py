"""Templates of files that are made, and not served: an HTML page, an SVG."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def environment_of(folder: Path) -> Environment:
    """A folder's templates: what is put in is text and no markup; what is missing, an error."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
