"""Jobs that are over: their images are let go of, and then the jobs themselves."""

from datetime import datetime

from sqlalchemy import delete, exists, select, update

from viewfinder.storage.database import Database
from viewfinder.storage.jobs.places import input_key
from viewfinder.storage.tables import JOB_LEFTOVER, deliveries, job_items, jobs


class FinishedJobs:
    """What may go. Every method raises `DatabaseError` if the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def leftovers(self, *, limit: int) -> list[str]:
        """Jobs that are over and whose images may not have been deleted."""
        query = select(jobs.c.id).where(JOB_LEFTOVER).order_by(jobs.c.id).limit(limit)
        async with self._database.reading() as connection:
            return list((await connection.execute(query)).scalars())

    async def inputs(self, identifier: str) -> list[str]:
        """The keys of the images that were sent with a job."""
        query = select(job_items.c.position).where(
            job_items.c.job == identifier, job_items.c.url.is_(None)
        )
        async with self._database.reading() as connection:
            positions = (await connection.execute(query)).scalars()
            return [input_key(identifier, position) for position in positions]

    async def forget_inputs(self, identifier: str) -> None:
        """Note that the images of a job have been deleted."""
        async with self._database.writing() as connection:
            await connection.execute(
                update(jobs).where(jobs.c.id == identifier).values(inputs=False)
            )

    async def delete_older(self, before: datetime, *, limit: int) -> int:
        """Delete jobs that ended before a moment, with their results and callbacks.

        One whose callback is still to be sent is kept until that has come to its end.

        Returns:
            How many; if that is `limit`, there may be more.
        """
        owes = exists().where(deliveries.c.job == jobs.c.id, deliveries.c.state == "waiting")
        old = (
            select(jobs.c.id)
            .where(jobs.c.finished < before, jobs.c.inputs.is_(False), ~owes)
            .order_by(jobs.c.finished)
            .limit(limit)
        )
        async with self._database.writing() as connection:
            found = list((await connection.execute(old)).scalars())
            await connection.execute(delete(deliveries).where(deliveries.c.job.in_(found)))
            await connection.execute(delete(jobs).where(jobs.c.id.in_(found)))
        return len(found)
