"""The pages: where each is, and what it is called."""

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from viewfinder import __version__

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        name: Of its template, its style sheet and its script.
        path: Where it is.
        title: What it is called.
        summary: What people do there.
        has_frames: Whether it shows `/viewer`.
    """

    name: str
    path: str
    title: str
    summary: str
    has_frames: bool = False


PAGES = (
    Page("classify", "/", "Classify", "Show the model photos, and see what it makes of them."),
    Page(
        "models",
        "/models",
        "Models",
        "Versions, how good they are, and who answers.",
        has_frames=True,
    ),
    Page("review", "/review", "Review", "Say what photos show that the model was least sure of."),
    Page("activity", "/activity", "Activity", "What was answered, and jobs under way."),
    Page("live", "/live", "Live", "What this server is doing now."),
)


def render_pages() -> dict[Page, str]:
    """Each page as HTML: what changes comes from the API."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return {
        page: environment.get_template(f"{page.name}.html.j2").render(
            page=page, pages=PAGES, version=__version__
        )
        for page in PAGES
    }


def render_viewer() -> tuple[str, str]:
    """The page that shows a report to the page around it, and the one script in it."""
    text = (_TEMPLATES / "viewer.html").read_text("utf-8")
    return text, text.partition("<script>")[2].partition("</script>")[0]
