"""What keeps records in a process, as the settings say."""

from viewfinder.blobs.store import Blobs
from viewfinder.results.images import ImageKeeper
from viewfinder.results.recorder import ResultRecorder
from viewfinder.serving.queue.devices import Devices
from viewfinder.settings import Settings
from viewfinder.storage.link import DatabaseLink


def open_recorder(
    settings: Settings, devices: Devices, link: DatabaseLink, blobs: Blobs
) -> ResultRecorder | None:
    """The recorder that the settings ask for, if they do; nothing is opened yet.

    Args:
        settings: Say what is kept.
        devices: The CPU's batch lane is where images are worked on.
        link: Opens the database.
        blobs: Where images go.
    """
    if settings.record == "none":
        return None
    images = None
    if settings.record == "images":
        images = ImageKeeper(
            devices.cpu,
            blobs,
            side=settings.results.image_side,
            limits=settings.limits,
            encoding=2 * settings.compute_threads,
        )
    return ResultRecorder(link, buffer=settings.results.buffer, images=images)
