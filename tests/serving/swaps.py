"""Swap between two versions of a model again and again, and print how the memory grew.

`python -m tests.serving.swaps STORE [leak]` serves `shoes` from a store with its versions 1 and 2,
and prints the megabytes by which the process was larger after the last swap than after the first
ones, in which a runtime fills pools that it keeps. With `leak`, nothing is closed.
"""

import asyncio
import gc
import sys
from functools import partial
from pathlib import Path

import psutil

from viewfinder.registry.folder import FolderStore
from viewfinder.registry.routing import Routing
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.versions import memory
from viewfinder.settings import Settings

WARM_UP = 5
SWAPS = 30


def _replaced(routing: Routing, _: Routing) -> Routing:
    return routing


async def main(store: Path) -> None:
    """Run the swaps."""
    settings = Settings(home=store.parent, threads=1)
    models = ModelManager(FolderStore(store), settings, default="shoes")
    sizes = []
    for number in range(WARM_UP + SWAPS):
        version = number % 2 + 1
        routing = Routing().with_alias("stable", version)
        FolderStore(store).route("shoes", partial(_replaced, routing))
        await models.reload()
        await models.settled()
        slot = await models.get("shoes")
        if slot.bundle.manifest.version != version:
            sys.exit(f"version {slot.bundle.manifest.version} answers, not {version}")
        del slot
        gc.collect()
        sizes.append(psutil.Process().memory_info().rss / 1e6)
    sys.stdout.write(f"{sizes[-1] - sizes[WARM_UP - 1]}\n")


if __name__ == "__main__":
    if "leak" in sys.argv:
        kept: list[object] = []
        vars(memory)["_give_back"] = kept.append
    asyncio.run(main(Path(sys.argv[1])))
