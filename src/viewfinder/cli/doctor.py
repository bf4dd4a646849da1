"""`viewfinder doctor`."""

import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from viewfinder.cli.console import Json, print_json, print_table, say, this_command
from viewfinder.errors import OperatorError, how_to_install
from viewfinder.shared.paths import trouble_with

if TYPE_CHECKING:
    from viewfinder.settings import Settings

_STYLES = {"ok": "green", "optional": "dim", "missing": "yellow", "broken": "red"}
_PACKAGES_SHOWN = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        part: What was looked at.
        state: `optional` is not installed and need not be, `missing` is needed as the settings are,
            `broken` is a fault.
        detail: What was found, or how to get it.
        shown: The detail where there is little room; None if it is short.
    """

    part: str
    state: Literal["ok", "optional", "missing", "broken"]
    detail: str
    shown: str | None = None


def doctor(
    *,
    settings: Annotated[
        bool, typer.Option("--settings", help="Print each setting and where it came from.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is installed, what is missing and how to get it; exit 1 if something is broken.

    Example:  viewfinder doctor --settings
    """
    if settings:
        _print_settings(as_json=as_json)
        return
    findings = [_system(), *_extras(), *_engines(), *_models(), _store(), _keys()]
    if as_json:
        print_json({"findings": [_as_json(finding) for finding in findings]})
    else:
        from rich.text import Text

        print_table(
            ("", "state", ""),
            (
                (one.part, Text(one.state, style=_STYLES[one.state]), one.shown or one.detail)
                for one in findings
            ),
        )
        if any(one.state == "optional" for one in findings):
            say(f"An extra that you want: {how_to_install('NAME')}")
    if any(finding.state == "broken" for finding in findings):
        sys.exit(1)


def _system() -> Finding:
    from viewfinder import __version__
    from viewfinder.shared.machine import available_cores

    return Finding(
        "viewfinder",
        "ok",
        f"{__version__}, Python {platform.python_version()}, {available_cores()} cores, "
        f"{platform.machine()}",
    )


def _extras() -> list[Finding]:
    """One line for each extra of the installed package, from the package's own metadata."""
    from importlib import metadata

    from packaging.requirements import Requirement

    package = metadata.metadata("viewfinder")
    requirements = [Requirement(text) for text in metadata.requires("viewfinder") or ()]
    findings = []
    for extra in package.get_all("Provides-Extra") or ():
        wanted = [
            requirement.name
            for requirement in requirements
            if requirement.marker is not None
            and requirement.marker.evaluate({"extra": extra})
            and not requirement.marker.evaluate({"extra": ""})
        ]
        missing = [name for name in wanted if not _installed(name)]
        if missing:
            detail = f"lacks {', '.join(missing)}: {how_to_install(extra)}"
            findings.append(Finding(f"extra {extra}", "optional", detail, _shortened(missing)))
        else:
            findings.append(Finding(f"extra {extra}", "ok", ", ".join(wanted)))
    return findings


def _shortened(missing: list[str]) -> str:
    more = len(missing) - _PACKAGES_SHOWN
    named = ", ".join(missing[:_PACKAGES_SHOWN])
    return f"not installed: {named}" + (f" and {more} more" if more > 0 else "")


def _as_json(finding: Finding) -> dict[str, str]:
    return {"part": finding.part, "state": finding.state, "detail": finding.detail}


def _installed(distribution: str) -> bool:
    from importlib import metadata

    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _engines() -> list[Finding]:
    """One line for each engine that another package brings, imported where it may crash."""
    from viewfinder.engines.loader import RUNTIMES
    from viewfinder.engines.plugins import offered, package, try_import

    findings = []
    for point in offered():
        if point.name in RUNTIMES:
            problem: str | None = "Viewfinder has an engine of that name, which is used instead"
        else:
            problem = try_import(point.name)
        detail = package(point) if problem is None else f"{package(point)}: {problem}"
        state: Literal["ok", "broken"] = "ok" if problem is None else "broken"
        findings.append(Finding(f"engine {point.name}", state, detail))
    return findings


def _models() -> list[Finding]:
    """Every version: its checksums, its graph, and its golden samples on this machine."""
    from viewfinder.pipelines.publish import verify
    from viewfinder.registry.store import look, open_store
    from viewfinder.settings import load_settings

    settings = load_settings()
    try:
        catalog = look(open_store(settings.store, settings.home))
    except OperatorError as error:
        return [Finding("models", "broken", error.detail)]
    findings = []
    for name, versions in catalog.models.items():
        for version, entry in versions.items():
            part = f"model {name}@{version}"
            problem = verify(catalog, name, version)
            if problem is not None or entry.bundle is None:
                findings.append(Finding(part, "broken", str(problem)))
                continue
            variant = entry.bundle.manifest.variant()
            samples = len(variant.golden.samples)
            findings.append(
                Finding(part, "ok", f"{variant.name}, answers its {samples} golden samples")
            )
    return findings


def _store() -> Finding:
    from viewfinder.registry.store import open_store
    from viewfinder.settings import load_settings

    settings = load_settings()
    if trouble := trouble_with(settings.home):
        return Finding(
            "data home", "broken", f"{settings.home}: {trouble}; VIEWFINDER_HOME names another"
        )
    folder = open_store(settings.store, settings.home).folder
    if folder.is_dir():
        return Finding("model store", "ok", settings.store)
    return Finding("model store", "ok", f"{folder}, made with the first model")


def _keys() -> Finding:
    """Whether keys guard a server with these settings. No database is made for that."""
    from viewfinder.access.asking import asks_for_key
    from viewfinder.settings import load_settings

    settings = load_settings()
    if not asks_for_key(settings):
        return Finding("keys", "ok", f"not asked for at {settings.host}")
    try:
        ways = _ways_in(settings)
    except OperatorError as error:
        return Finding("keys", "broken", error.detail)
    if not ways:
        return Finding(
            "keys", "missing", f"asked for, and there is none: {this_command()} keys create NAME"
        )
    return Finding("keys", "ok", f"asked for at {settings.host}: {', '.join(ways)}")


def _ways_in(settings: "Settings") -> list[str]:
    import asyncio
    from pathlib import Path

    from viewfinder.access.access import open_access
    from viewfinder.storage.database import SQLITE, database_url

    url, auth = database_url(settings), settings.auth
    ways = []
    if url.get_backend_name() != SQLITE or Path(str(url.database)).is_file():

        async def look() -> int:
            access = open_access(settings)
            try:
                await access.look()
            finally:
                await access.close()
            return access.keys

        count = asyncio.run(look())
        ways += [f"{count} valid keys" if count > 1 else "1 valid key"] if count else []
    if auth.bootstrap_key_file is not None:
        ways.append("the bootstrap key")
    if auth.oidc.issuer is not None:
        ways.append(f"tokens of {auth.oidc.issuer}")
    return ways


def _print_settings(*, as_json: bool) -> None:
    from viewfinder.settings import load_settings, origins
    from viewfinder.shared.plain import without_password

    found = origins(load_settings(), {}).items()
    table = {name: (without_password(str(value)), origin) for name, (value, origin) in found}
    if as_json:
        print_json({name: {"value": v, "from": origin} for name, (v, origin) in table.items()})
        return
    print_table(
        ("setting", "value", "from"),
        ((name, value, origin) for name, (value, origin) in table.items()),
    )
