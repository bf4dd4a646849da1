"""The tables of a running process; SQLAlchemy comes with the first one who asks."""

from importlib import import_module
from typing import TYPE_CHECKING

from viewfinder.storage.link import DatabaseLink

if TYPE_CHECKING:
    from viewfinder.storage.deliveries import Deliveries
    from viewfinder.storage.jobs.table import Jobs
    from viewfinder.storage.results.retention import OldResults
    from viewfinder.storage.results.table import Results
    from viewfinder.storage.secrets import WebhookSecrets


async def open_jobs(database: DatabaseLink) -> "Jobs":
    """The table of jobs.

    Raises:
        DatabaseError: The database cannot be used.
        OperatorError: It is asked for in a way that makes no sense, or not installed.
    """
    opened = await database.open()
    table: Jobs = import_module("viewfinder.storage.jobs.table").Jobs(opened)
    return table


async def open_results(database: DatabaseLink) -> "Results":
    """The table of results; as `open_jobs`."""
    opened = await database.open()
    table: Results = import_module("viewfinder.storage.results.table").Results(opened)
    return table


async def open_old_results(database: DatabaseLink) -> "OldResults":
    """Results that may go; as `open_jobs`."""
    opened = await database.open()
    table: OldResults = import_module("viewfinder.storage.results.retention").OldResults(opened)
    return table


async def open_deliveries(database: DatabaseLink) -> "Deliveries":
    """The tables of callbacks; as `open_jobs`."""
    opened = await database.open()
    table: Deliveries = import_module("viewfinder.storage.deliveries").Deliveries(opened)
    return table


async def open_secrets(database: DatabaseLink) -> "WebhookSecrets":
    """The table of what callbacks are signed with; as `open_jobs`."""
    opened = await database.open()
    table: WebhookSecrets = import_module("viewfinder.storage.secrets").WebhookSecrets(opened)
    return table
