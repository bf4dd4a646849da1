"""A Dockerfile as it is meant: its stages, and what is in force at each of their instructions."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
# The shell of a RUN fills in what it runs itself.
_NOT_FILLED_IN = {"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"}


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: `RUN`, `COPY`, ...
        value: What follows its flags.
        flags: `--from=...` as name and value; those that may be repeated are in a list.
    """

    name: str
    value: str
    flags: dict[str, list[str]] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """The value as words, in whichever of the two forms it is written."""
        if self.is_exec:
            words: list[str] = json.loads(self.value)
            return words
        return shlex.split(self.value)

    @property
    def is_exec(self) -> bool:
        """Whether no shell stands between."""
        return self.value.startswith("[")


@dataclass(frozen=True)
class Stage:
    """What begins with a FROM.

    Attributes:
        name: After AS.
        base: Another stage, or an image of a registry.
        instructions: All that follow.
    """

    name: str
    base: str
    instructions: tuple[Instruction, ...]


class Dockerfile:
    """The stages of a file.

    Args:
        path: Where it is.
        arguments: As of `--build-arg`.
    """

    def __init__(self, path: Path, arguments: dict[str, str] | None = None) -> None:
        self.arguments = arguments or {}
        self.instructions = tuple(_read(path))
        self.stages: dict[str, Stage] = {}
        known: dict[str, str] = {}
        current: list[Instruction] = []
        for one in self.instructions:
            if one.name == "FROM":
                base, _as, name = _filled_in(one.value, known).split()
                current = []
                self.stages[name] = Stage(name, base, ())
                last = name
            elif not self.stages:
                assert one.name == "ARG", one
                known |= self.argument(one)
            else:
                current.append(one)
                stage = self.stages[last]
                self.stages[last] = Stage(stage.name, stage.base, tuple(current))

    def argument(self, one: Instruction) -> dict[str, str]:
        """What an ARG sets: its default, unless something else was asked for."""
        name, _, default = one.value.partition("=")
        return {name: self.arguments.get(name, shlex.split(default)[0] if default else "")}

    def lineage(self, target: str) -> list[Stage]:
        """The stage and those it stands on, the lowest first."""
        stage = self.stages[target]
        below = self.lineage(stage.base) if stage.base in self.stages else []
        return [*below, stage]

    def images(self) -> set[str]:
        """What comes from a registry."""
        return {stage.base for stage in self.stages.values() if stage.base not in self.stages}


def filled_in(one: Instruction, known: dict[str, str]) -> Instruction:
    """The instruction with its variables, where it is not a shell that fills them in."""
    if one.name in _NOT_FILLED_IN:
        return one
    return Instruction(one.name, _filled_in(one.value, known), one.flags)


def assignments(one: Instruction) -> dict[str, str]:
    """What an ENV or a LABEL sets."""
    return dict(word.split("=", 1) for word in shlex.split(one.value))


def _filled_in(text: str, known: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda match: known[match[1] or match[2]], text)


def _read(path: Path) -> Iterator[Instruction]:
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    for text in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if not text.strip():
            continue
        name, _, value = text.partition(" ")
        assert name.isupper(), f"{path.name}: {text}"
        flags: dict[str, list[str]] = {}
        value = value.strip()
        while match := re.match(r"--([\w-]+)=(\S+)\s+", value):
            flags.setdefault(match[1], []).append(match[2])
            value = value[match.end() :]
        yield Instruction(name, value, flags)
