"""What a server under load has recorded, by its SQLite file."""

import sqlite3
import time
from pathlib import Path

_LOOK_S = 0.2


def counts(file: Path) -> tuple[int, int]:
    """Results, and stored images."""
    if not file.exists():
        return 0, 0
    connection = sqlite3.connect(file, timeout=30)
    try:
        found = connection.execute("SELECT COUNT(*), COUNT(stored_bytes) FROM results")
        rows, images = found.fetchone()
    except sqlite3.OperationalError:  # not made yet
        return 0, 0
    finally:
        connection.close()
    return rows, images


def wait_for_records(file: Path) -> None:
    """Wait until the database has been made, and the first answer written: that happens once."""
    while not counts(file)[0]:
        time.sleep(_LOOK_S)
