"""A copy of a SQLite database in use."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from viewfinder.errors import DatabaseError
from viewfinder.settings import Settings
from viewfinder.storage.database import SQLITE, database_url, told

_PATIENCE_S = 15.0


def copy_database(settings: Settings, target: Path) -> str:
    """Copy the database of the settings, as it is at one moment, and check the copy.

    Whoever writes meanwhile is not held up: the copy is made within one reading transaction. It is
    a plain file with nothing beside it, and its owner's alone.

    Args:
        settings: Where the database is.
        target: The file to write, which is not there yet.

    Returns:
        The step of the tables.

    Raises:
        DatabaseError: It is on PostgreSQL, is not there, cannot be read, or is damaged.
        OSError: The copy cannot be written.
        SettingsError: The address makes no sense.
    """
    url = database_url(settings)
    if url.get_backend_name() != SQLITE:
        raise DatabaseError("the database is on PostgreSQL: copy it with pg_dump (docs/backup.md)")
    source = Path(str(url.database))
    if not source.is_file():
        raise DatabaseError(f"there is no database at {source}")
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with told(url):
        try:
            return _copy(source, target)
        except sqlite3.Error as error:
            raise OSError(str(error)) from error


def _copy(source: Path, target: Path) -> str:
    with (
        # Not read-only: the last one to close a database of this kind tidies what is beside it.
        closing(sqlite3.connect(source, timeout=_PATIENCE_S)) as database,
        closing(sqlite3.connect(target, timeout=_PATIENCE_S)) as copy,
    ):
        database.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise OSError(f"it is damaged: {found}")
        (step,) = copy.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(step)
