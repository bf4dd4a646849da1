"""The services of `compose.yaml`, as Docker Compose takes them: with what `.env` says filled in."""

import importlib
import re
from collections.abc import Mapping
from typing import Any

from tests.deploy.dockerfile import Dockerfile
from tests.support import ROOT

DOCKER = ROOT / "deploy" / "docker"
COMPOSE = DOCKER / "compose.yaml"
EXAMPLE = DOCKER / ".env.example"
_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?P<how>:[?-])?(?P<text>[^}]*)\})")


class MissingError(Exception):
    """A value that `.env` must have, and has not."""


def variables() -> dict[str, tuple[str, str]]:
    """Each variable of the files with what follows its name: `:?` or `:-`, and the text."""
    found = {}
    for path in sorted(DOCKER.glob("compose*.yaml")):
        for match in _VARIABLE.finditer(path.read_text()):
            if not match["escaped"]:
                found[match["name"]] = (match["how"] or "", match["text"])
    return found


def example() -> tuple[dict[str, str], dict[str, str]]:
    """What `.env.example` has: names to be filled in, and others that have a default."""
    text = EXAMPLE.read_text()
    return (
        dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)),
        dict(re.findall(r"^#(\w+)=(.*)$", text, re.MULTILINE)),
    )


def filled_in() -> dict[str, str]:
    """What somebody could write into `.env`."""
    return {name: f"{name.lower().replace('_', '')}0123" for name in example()[0]}


def project(env: Mapping[str, str]) -> dict[str, Any]:
    """The whole file.

    Args:
        env: What `.env` says.

    Raises:
        MissingError: It does not say enough.
    """
    yaml = importlib.import_module("yaml")  # without types of its own

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        given = env.get(match["name"], "")
        if not given and match["how"] == ":?":
            raise MissingError(match["name"])
        return given or match["text"]

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: fill(inner) for name, inner in part.items()}
        if isinstance(part, list):
            return [fill(inner) for inner in part]
        return _VARIABLE.sub(value, part) if isinstance(part, str) else part

    # Compose fills in the values after YAML has been read.
    found: dict[str, Any] = fill(yaml.safe_load(COMPOSE.read_text()))
    return found


def services() -> dict[str, dict[str, Any]]:
    """All services."""
    found: dict[str, dict[str, Any]] = project(filled_in())["services"]
    return found


def healthcheck(service: Mapping[str, Any]) -> list[str]:
    """The command that says how it is: its own, or that of our image; none where there is none."""
    own = service.get("healthcheck")
    if own is not None:
        return [] if own.get("disable") else list(own["test"])
    if "build" not in service:
        return []
    runtime = Dockerfile(DOCKER / "Dockerfile").stages["runtime"].instructions
    (text,) = (one.value for one in runtime if one.name == "HEALTHCHECK")
    return ["CMD", *re.findall(r'"([^"]+)"', text)]


def seconds(text: str) -> float:
    """`40s` as a number."""
    assert text.endswith("s"), text
    return float(text[:-1])
