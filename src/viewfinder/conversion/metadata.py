"""The standard metadata of LiteRT files, which other tools and phones read.

Google's `metadata_schema.fbs`, version 1.0: what goes in, what comes out, how pixels are scaled. It
is a flatbuffer of its own in a buffer of the graph, and the file of labels is a zip archive at the
file's end. The graph itself keeps its bytes: a new head is written before it, which points into it.
Unpacking and packing 20 MB of weights would take time, and would lose their alignment.
"""

import io
import zipfile
from collections.abc import Sequence

from viewfinder.conversion.metadata_entry import with_entry
from viewfinder.conversion.metadata_tables import LABELS, Facts, describe

_EPOCH = (1980, 1, 1, 0, 0, 0)


def with_metadata(graph: bytes, facts: Facts) -> bytes:
    """Write metadata, and the labels, into a LiteRT file; what it had of them before is replaced.

    Args:
        graph: The file.
        facts: What to say.

    Returns:
        The file with them: the graph in it computes what it did.

    Raises:
        ConversionError: It is no LiteRT file, or of a kind that is not known yet.
    """
    file = io.BytesIO(with_entry(_without_files(graph), describe(facts)))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS, _EPOCH), as_lines(facts.labels))
    return file.getvalue()


def as_lines(labels: Sequence[str]) -> str:
    """The labels, one a line, whatever is in them."""
    return "".join(" ".join(label.splitlines()) + "\n" for label in labels)


def _without_files(graph: bytes) -> bytes:
    """The graph without an archive at its end."""
    file = io.BytesIO(graph)
    if not zipfile.is_zipfile(file):
        return graph
    with zipfile.ZipFile(file) as archive:
        return graph[: min((m.header_offset for m in archive.infolist()), default=len(graph))]
