"""Answers to a file, by way of a journal that outlives what cuts a run off."""

import asyncio
import time
from pathlib import Path

from viewfinder.cli.batch.answers import Line
from viewfinder.cli.batch.journal import Journal, journal_of
from viewfinder.cli.batch.outputs import Output
from viewfinder.cli.batch.progress import watching
from viewfinder.cli.batch.run import Task, classify_photos
from viewfinder.cli.batch.sources import Photo, Sources
from viewfinder.cli.batch.summary import Summary, Tally
from viewfinder.cli.console import fail, say


def write_answers(
    task: Task, sources: Sources, out: Path, output: Output, *, fresh: bool
) -> Summary:
    """Write an answer for each photo; what an earlier run has answered is not worked on again.

    Args:
        task: What is asked for.
        sources: Where the photos come from.
        out: The file; it takes its name when it is whole.
        output: Writes it.
        fresh: Forget what an earlier run has answered.

    Raises:
        ViewfinderError: Nobody can answer. What was answered is kept.
        OSError: The journal cannot be written.
    """
    photos, began = sources.photos, time.monotonic()
    with Journal(journal_of(out), task.asked, photos, fresh=fresh) as journal:
        try:
            _answer_the_rest(task, sources, journal)
            tally = Tally()
            with output(out, journal.most_classes) as write:
                for line in journal.lines(photos):
                    write(line)
                    tally.add(line)
        except KeyboardInterrupt:
            fail(f"stopped; {_kept(journal, len(photos))}")
        except Exception:
            if len(journal):
                say(_kept(journal, len(photos)))
            raise
        journal.remove()
        return Summary(tally, journal.resumed, time.monotonic() - began, journal.model, out)


def _answer_the_rest(task: Task, sources: Sources, journal: Journal) -> None:
    photos = sources.photos
    rest = [photo for photo in photos if photo not in journal]
    if journal.resumed:
        say(f"resumed: {journal.resumed:,} of {len(photos):,} images are done")

    def take(photo: Photo, line: Line) -> None:
        journal.keep(photo, line)
        watcher.tell(failed="error" in line)

    if not rest:
        asyncio.run(sources.close())
        return
    with watching(len(photos), journal.resumed) as watcher:
        asyncio.run(
            classify_photos(task, sources, rest, take, model=journal.model, begin=journal.begin)
        )


def _kept(journal: Journal, total: int) -> str:
    if not len(journal):
        return "nothing was done yet"
    return (
        f"{len(journal):,} of {total:,} images are done and kept: the same command goes on from "
        "there"
    )
