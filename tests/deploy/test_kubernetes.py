"""`docs/kubernetes.md`: its table has the chart's values, and its commands are what they say."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.capacity.cases import measured
from tests.deploy.helm import CHART, NEWEST, Manifest, helm, tool, values, yaml
from tests.deploy.kubernetes import check
from tests.support import ROOT

from viewfinder.capacity.advice import advise
from viewfinder.capacity.files import values_yaml
from viewfinder.cli.main import app
from viewfinder.settings import Settings

TEXT = (ROOT / "docs" / "kubernetes.md").read_text()
MARKS = {"rendered", "dry run", "parsed", "not run"}
# Values that are Kubernetes' own: the table has them whole.
_WHOLE = {"resources", "podSecurityContext", "securityContext"}
# Of `helm upgrade`, and not of `helm template`: the cluster's business.
_IN_A_CLUSTER = {"--install": 0, "--create-namespace": 0, "--wait": 0, "--timeout": 1}


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value and name not in _WHOLE:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _blocks(kind: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    return found


def _commands(mark: str) -> list[list[str]]:
    """The commands of all blocks with that mark, as a shell would split them."""
    found = []
    for block in _blocks("sh"):
        first, _, rest = block.partition("\n")
        if first == f"# {mark}":
            lines = rest.replace("\\\n", " ").splitlines()
            found += [shlex.split(line) for line in lines if line.strip()]
    assert found, mark
    return found


def _rendered(command: list[str], folder: Path) -> list[Manifest]:
    """What helm makes of a command of the documentation, without its cluster."""
    assert command[:2] == ["helm", "upgrade"]
    words = iter(command[2:])
    kept = []
    for word in words:
        if word in _IN_A_CLUSTER:
            for _ in range(_IN_A_CLUSTER[word]):
                next(words)
        elif word.endswith(".yaml"):
            kept.append(str(folder / word))
        else:
            kept.append(str(CHART) if word == "deploy/helm/viewfinder" else word)
    done = helm("template", *kept, "--kube-version", NEWEST)
    assert done.returncode == 0, (command, done.stderr)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader's files are: those of the documentation, and what bench has written."""
    path = tmp_path_factory.mktemp("reader")
    (path / "production.yaml").write_text(_blocks("yaml")[0])
    what = measured()
    (path / "bench").mkdir()
    (path / "bench" / "values.yaml").write_text(
        values_yaml(what, advise(what, 500, Settings()), datetime(2026, 1, 1, tzinfo=UTC))
    )
    return path


def test_the_table_has_every_value_with_its_default() -> None:
    section = TEXT.partition("\n## Values\n")[2]
    rows = re.findall(r"^\| `([\w.]+)` \| `(.+?)` \| (.+) \|$", section, re.MULTILINE)
    documented = {name: json.loads(default) for name, default, _ in rows}
    assert documented == dict(_leaves(values()))
    assert len(rows) == len(documented)


def test_every_value_has_a_comment() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    inside: list[str] = []
    commented = {}
    for before, line in pairwise(lines):
        found = re.match(r"( *)(\w+):", line)
        if found and len(found[1]) % 2 == 0:
            inside = [*inside[: len(found[1]) // 2], found[2]]
            commented[".".join(inside)] = before.strip().startswith("# ")
    assert [name for name, _ in _leaves(values()) if not commented[name]] == []


def test_every_command_says_how_it_was_checked() -> None:
    marks = {block.partition("\n")[0].removeprefix("# ") for block in _blocks("sh")}
    assert marks == MARKS
    assert set(re.findall(r"^\| `# ([a-z ]+)` \|", TEXT, re.MULTILINE)) == MARKS
    for command in _commands("not run"):
        assert command[0] in {"kubectl", "helm", "curl"}


@pytest.mark.parametrize("command", _commands("rendered"), ids=" ".join)
def test_helm_makes_manifests_of_the_commands(command: list[str], folder: Path) -> None:
    found = _rendered(command, folder)
    assert found
    for one in found:
        check(one, NEWEST)


def test_helm_knows_what_was_left_out() -> None:
    known = helm("upgrade", "--help").stdout
    assert [flag for flag in _IN_A_CLUSTER if not re.search(rf"\s{flag}\b", known)] == []


def test_the_commands_name_what_the_chart_makes(folder: Path) -> None:
    named = set(re.findall(r"\b(deployment|job)/([a-z-]+)\b", TEXT))
    named.add(("persistentvolumeclaim", "viewfinder-models"))
    assert "claimName: viewfinder-models" in TEXT
    made = {
        (one["kind"].lower(), one["metadata"]["name"])
        for command in _commands("rendered")
        for one in _rendered(command, folder)
    }
    assert named <= made
    secrets = [command for command in _commands("dry run") if "secret" in command]
    assert len(secrets) == 5
    used = (folder / "production.yaml").read_text() + "".join(_blocks("sh"))
    for command in secrets:
        name = command[command.index("generic") + 1]
        assert re.search(rf"(existingSecret: |keySecret.name=){name}\b", used), name


def test_the_values_in_it_are_taken(folder: Path) -> None:
    for number, block in enumerate(_blocks("yaml")):
        if block.startswith("apiVersion"):
            check(yaml.safe_load(block), NEWEST)
            continue
        path = folder / f"{number}.yaml"
        path.write_text(block)
        done = helm("template", "x", CHART, "-f", folder / "production.yaml", "-f", path)
        assert done.returncode == 0, done.stderr


def test_kubectl_takes_the_commands(tmp_path: Path) -> None:
    for command in _commands("dry run"):
        assert command[0] == "kubectl"
        done = subprocess.run(
            [tool("kubectl"), *command[1:], "--dry-run=client", "--output=yaml"],
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, (command, done.stderr)
        check(yaml.safe_load(done.stdout), NEWEST)


def test_viewfinder_has_the_commands() -> None:
    asked = 0
    for command in _commands("parsed"):
        if "viewfinder" not in command:
            assert command[0] == "kubectl"
            continue
        words = command[command.index("viewfinder") + 1 :]
        known: Any = typer.main.get_command(app)
        while hasattr(known, "commands"):
            assert words[0] in known.commands, words
            known, words = known.commands[words[0]], words[1:]
        # It raises where it does not know them; nothing is carried out.
        assert known.make_context(known.name, words).params
        asked += 1
    assert asked >= 8
