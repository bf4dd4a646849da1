"""What a process of its own does to a store; it imports no more than it needs."""

from functools import partial
from pathlib import Path

from viewfinder.registry.routing import Routing
from viewfinder.registry.store import look, open_store


def refresh(address: str, home: Path) -> None:
    look(open_store(address, home)).bundle("fake", 1).verify()


def set_aliases(address: str, home: Path, number: int) -> None:
    store = open_store(address, home / str(number))
    for turn in range(3):
        store.route("fake", partial(Routing.with_alias, alias=f"a-{number}-{turn}", version=1))
