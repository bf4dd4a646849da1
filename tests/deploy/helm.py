"""The chart as helm makes manifests of it."""

import importlib
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.support import ROOT, needs

CHART = ROOT / "deploy" / "helm" / "viewfinder"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
MINIMAL = CHART / "ci" / "minimal-values.yaml"
RELEASE = "photos"
OLDEST, NEWEST = "1.29.0", "1.37.0"
"""Of Kubernetes: what the chart is for."""

Manifest: TypeAlias = dict[str, Any]
yaml = importlib.import_module("yaml")  # without types of its own
_TOOLS = ROOT / ".tools"


def tool(name: str) -> str:
    """Where `helm` or `kubectl` is."""
    here = _TOOLS / name
    found = str(here) if here.exists() else shutil.which(name)
    needs(f"{name} (scripts/get_helm.sh)", met=found is not None)
    assert found is not None
    return found


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What helm says, and whether it is content."""
    return subprocess.run(
        [tool("helm"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@cache
def render(*files: Path, version: str = NEWEST, changed: tuple[str, ...] = ()) -> list[Manifest]:
    """The manifests that some values make.

    Args:
        files: Of values; the last one is the strongest.
        version: Of Kubernetes.
        changed: Values over them, as `--set` has them.
    """
    done = _template(files, version, changed)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def refusal(*changed: str, files: tuple[Path, ...] = (MINIMAL,), version: str = NEWEST) -> str:
    """Why values are not taken."""
    done = _template(files, version, changed)
    assert done.returncode != 0, f"{changed} should be refused"
    return done.stderr


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """All of one kind."""
    return [one for one in manifests if one["kind"] == kind]


def one_of(
    manifests: list[Manifest],
    kind: str,
    component: str | None = None,
    *,
    name: str | None = None,
) -> Manifest:
    """The only one of its kind, of a component, or of that name."""
    (found,) = (
        one
        for one in of_kind(manifests, kind)
        if component in {None, component_of(one)} and name in {None, one["metadata"]["name"]}
    )
    return found


def component_of(manifest: Manifest) -> str:
    """What a manifest is a part of: `server`, `worker`, `migration`, `test`."""
    found: str = manifest["metadata"]["labels"]["app.kubernetes.io/component"]
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[Manifest, dict[str, str], dict[str, Any]]]:
    """Whatever starts pods, with their labels and their specification."""
    for one in manifests:
        if one["kind"] == "Pod":
            yield one, one["metadata"]["labels"], one["spec"]
        elif "template" in one.get("spec", {}):
            template = one["spec"]["template"]
            yield one, template["metadata"]["labels"], template["spec"]


def environment_of(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """The environment of the only container, by its names, each there once."""
    ((_, _, pod),) = pods([manifest])
    (container,) = pod["containers"]
    entries = container.get("env", [])
    found = {entry["name"]: entry for entry in entries}
    assert len(found) == len(entries), "a name is there twice"
    return found


def values() -> dict[str, Any]:
    """The defaults."""
    found: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return found


def _template(
    files: tuple[Path, ...], version: str, changed: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    given = [part for file in files for part in ("--values", str(file))]
    given += [part for one in changed for part in ("--set", one)]
    return helm("template", RELEASE, CHART, "--kube-version", version, *given)


@pytest.fixture(params=CASES, ids=lambda path: path.name.removesuffix("-values.yaml"))
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """What each of the chart's example values makes."""
    return render(request.param)
