"""Which version in memory answers for what is asked, from one state of the store to the next."""

import contextlib
import secrets
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from viewfinder.errors import NotReadyError, RequestError
from viewfinder.registry.bundle import Bundle
from viewfinder.serving.versions.following import FollowedStore
from viewfinder.serving.versions.memory import Memory
from viewfinder.serving.versions.slot import Slot

_random = secrets.SystemRandom()


class Answering:
    """Knows who answers. Who answered last goes on until the successor is ready.

    What is asked for has a form: `shoes`, `shoes@2` and `shoes@stable` as a caller says them,
    `shoes%2` for a share of the traffic, and `shoes!3` for a shadow, which answers nobody.

    Args:
        store: Says what is meant.
        memory: Holds those who can answer.
        pinned: What is asked for is to be answered at once always.
    """

    def __init__(self, store: FollowedStore, memory: Memory, pinned: AbstractSet[str]) -> None:
        self._store = store
        self._memory = memory
        memory.on_retired = self._retired
        self._pinned = pinned
        self._digests: dict[str, str] = {}  # who answered last, by what was asked for

    # -- what is meant

    def meant(self, text: str, caller: str | None) -> tuple[str, Bundle]:
        """What is asked for, in its form, and the version that is meant by it.

        Args:
            text: `name`, `name@3` or `name@alias`.
            caller: The same caller gets the same share of a split.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: It is broken.
        """
        catalog = self._store.catalog
        traffic, shares = catalog.route(text).routing.traffic, self._shares(text)
        if traffic is not None and shares:
            order = traffic.order(text, caller, _random.random())
            asked = next(a for a in (_share(text, version) for version in order) if a in shares)
            return asked, shares[asked]
        return text, catalog.resolve(text)

    def shadow_of(self, name: str) -> int | None:
        """The version that is to see the photos of such a request too, if there is one."""
        traffic = self._store.catalog.route(name).routing.traffic
        return traffic.shadow if traffic else None

    def targets(self, asked: str) -> dict[str, Bundle]:
        """What is to answer, by its form: a split name has several.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: It is broken.
        """
        if (place := asked.find("!")) > 0:
            version = int(asked[place + 1 :])
            return {asked: self._store.catalog.bundle(asked[:place], version)}
        name, is_share, _ = asked.partition("%")
        shares = self._shares(name)
        if is_share:
            return {asked: shares[asked]} if asked in shares else {}
        return shares or {asked: self._store.catalog.resolve(asked)}

    def _shares(self, name: str) -> dict[str, Bundle]:
        """The versions of a split that can be used, by their form."""
        catalog = self._store.catalog
        traffic = catalog.route(name).routing.traffic  # none for `name@...`
        if traffic is None or name not in catalog.models:
            return {}
        entries = {s.version: catalog.versions(name).get(s.version) for s in traffic.split}
        return {
            _share(name, version): entry.bundle
            for version, entry in entries.items()
            if entry is not None and entry.bundle is not None
        }

    # -- who answers

    def stand_in(self, asked: str) -> Slot | None:
        """Who answered last, if it still can."""
        return self._memory.slots.get(self._digests.get(asked, ""))

    def let_answer(self, asked: str, slot: Slot) -> None:
        """Let a loaded version answer from now on; whom it follows may go."""
        before = self._digests.get(asked)
        if before == slot.bundle.digest:
            return
        self._digests[asked] = slot.bundle.digest
        if before is not None:
            self._let_go(before)

    def let_shadow(self, name: str, version: int, slot: Slot) -> None:
        """Let a loaded version see photos, and answer nobody."""
        self.let_answer(f"{name}!{version}", slot)

    def kept(self) -> set[str]:
        """The digests of those that stay in memory: what answers for what is pinned."""
        return {
            self._digests[asked]
            for text in self._pinned
            for asked in (text, *self._shares(text))
            if asked in self._digests
        }

    # -- from one state of the store to the next

    def follow(self) -> Iterator[Bundle]:
        """Let everything that was ever asked for be answered as the catalog has it now.

        Yields:
            What must be loaded for it.
        """
        self._hand_over_splits()
        for asked, digest in list(self._digests.items()):
            try:
                targets = self.targets(asked)
            except NotReadyError:
                continue  # who answers goes on
            except RequestError:  # the model, version or alias has been taken away
                self._forget(asked)
                continue
            for key, bundle in targets.items():
                slot = self._memory.slots.get(bundle.digest)
                if slot is not None:
                    self.let_answer(key, slot)
                elif digest in self._memory.slots:
                    yield bundle
            if asked not in targets and all(
                bundle.digest in self._memory.slots for bundle in targets.values()
            ):
                self._forget(asked)  # its shares answer, or it is none any more

    def missing(self) -> Iterator[Bundle]:
        """What is pinned, and could not be brought into memory until now.

        Yields:
            What must be loaded for it.
        """
        for text in self._pinned:
            with contextlib.suppress(RequestError, NotReadyError):
                targets = self.targets(text)
                if self.stand_in(text) is None:
                    for bundle in targets.values():
                        if bundle.digest not in self._memory.slots:
                            yield bundle

    def _hand_over_splits(self) -> None:
        """Where a split has changed, let one who answered go on under the model's own name."""
        for name in {asked.partition("%")[0] for asked in self._digests if "%" in asked}:
            shares = self._shares(name)
            answering = [asked for asked in self._digests if asked.startswith(f"{name}%")]
            if name in self._digests or all(asked in shares for asked in answering):
                continue
            self._digests[name] = self._digests[answering[0]]
            with contextlib.suppress(RequestError, NotReadyError):
                if (meant := self._store.catalog.resolve(name).digest) in self._memory.slots:
                    self._digests[name] = meant
        for asked in list(self._digests):
            name, is_shadow, version = asked.partition("!")
            if is_shadow and self.shadow_of(name) != int(version):
                self._forget(asked)

    def _forget(self, asked: str) -> None:
        digest = self._digests.pop(asked, None)
        if digest is not None:
            self._let_go(digest)

    def _let_go(self, digest: str) -> None:
        """Retire a version unless somebody who asks still gets it."""
        slot = self._memory.slots.get(digest)
        if slot is not None and digest not in self._digests.values():
            self._memory.retire(slot)

    def _retired(self, digest: str) -> None:
        """A version has left the memory."""
        self._digests = {a: d for a, d in self._digests.items() if d != digest}


def _share(name: str, version: int) -> str:
    return f"{name}%{version}"
