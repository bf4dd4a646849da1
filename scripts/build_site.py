"""Build the documentation as a site: `python -m scripts.build_site FOLDER`.

Links that leave `docs/` work where the code is hosted. The site has no such files: there, the text
of the link stays, with the path in the repository.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
ICON = ROOT / "src" / "viewfinder" / "web" / "static" / "icon.svg"

# What looks like a link in code is none.
_CODE_OR_LINK = re.compile(
    r"^```.*?^```|`[^`]*`|\[((?:`[^`]*`|[^\]`])*)\]\((\.\./[^)\s]*)\)", re.MULTILINE | re.DOTALL
)


def build(out: Path, root: Path = ROOT) -> None:
    """Build the site.

    Args:
        out: A folder that is replaced.
        root: Where `zensical.toml` and `docs` are.

    Raises:
        subprocess.CalledProcessError: A link leads nowhere, or something else is not as it should.
    """
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        shutil.copy(root / "zensical.toml", work)
        shutil.copytree(root / "docs", work / "docs")
        (work / "docs" / "images").mkdir(exist_ok=True)
        shutil.copy(ICON, work / "docs" / "images")
        for page in (work / "docs").rglob("*.md"):
            place = PurePosixPath(page.relative_to(work).parent.as_posix())
            page.write_text(keep_inside(page.read_text(), place))
        subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--strict"], cwd=work, check=True
        )
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(work / "site", out)


def keep_inside(text: str, place: PurePosixPath) -> str:
    """A page without links that leave the folder `docs`.

    Args:
        text: Its Markdown.
        place: Its folder in the repository.
    """

    def replace(found: re.Match[str]) -> str:
        words, target = found.groups()
        if target is None:
            return found[0]
        path = os.path.normpath(place / target.partition("#")[0])
        if path.split("/")[0] == "docs":
            return found[0]
        return words if path in words else f"{words} (`{path}`)"

    return _CODE_OR_LINK.sub(replace, text)


if __name__ == "__main__":
    try:
        build(Path(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
