"""Answers to the terminal, or to a pipe."""

import asyncio
import json
import sys

from viewfinder.cli.batch.answers import Line
from viewfinder.cli.batch.progress import watching
from viewfinder.cli.batch.run import Task, classify_photos
from viewfinder.cli.batch.sources import Photo, Sources
from viewfinder.cli.console import say
from viewfinder.shared.plain import printable

_BAR = 24


def print_answers(task: Task, sources: Sources, *, as_json: bool) -> int:
    """Print an answer for each photo as it comes; how many failed."""
    total, failed = len(sources.photos), 0
    many = total > 1

    def take(_photo: Photo, line: Line) -> None:
        nonlocal failed
        text = json.dumps(line, ensure_ascii=False) if as_json else _readable(line, many=many)
        sys.stdout.write(text + "\n")
        failed += "error" in line
        watcher.tell(failed="error" in line)

    with watching(total, shown=many and not sys.stdout.isatty()) as watcher:
        asyncio.run(classify_photos(task, sources, sources.photos, take))
    if failed and many:
        say(f"{failed:,} of {total:,} images failed")
    return failed


def _readable(line: Line, *, many: bool) -> str:
    # The name of a file, or what another server says, may hold what moves a terminal's cursor.
    path = printable(line["path"])
    if "error" in line:
        return f"{path}: {printable(line['error']['detail'])}"
    if many:
        return f"{path}: {printable(line['class'])} {line['confidence']:.1%}"
    names = [printable(score["class"]) for score in line["classes"]]
    widest = max(map(len, names))
    return "\n".join(
        f"{name:{widest}}  {score['confidence']:6.1%}  {'█' * round(_BAR * score['confidence'])}"
        for name, score in zip(names, line["classes"], strict=True)
    )
