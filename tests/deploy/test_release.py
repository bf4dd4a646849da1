"""What a release is made of: locked, licensed, listed, and built by workflows with rules."""

import json
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from tests.support import COMMAND, ROOT, needs

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCK: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]

PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-CMU"),
    *("PSF-2.0", "Zlib"),
}
AT_MOST = {"tqdm": "MPL-2.0"}
"""What is less permissive, file by file, and comes with LiteRT."""
# What packages called their licence before there were expressions for it.
SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "ISC License": "ISC",
    "MIT License": "MIT",
}


def _base() -> set[str]:
    """The names of all that an install without extras brings, on any system."""
    found: set[str] = set()
    waiting = [("viewfinder", "")]
    while waiting:
        name, extra = waiting.pop()
        for package in (package for package in LOCK if package["name"] == name):
            of_extra = package.get("optional-dependencies", {}).get(extra, [])
            for wanted in [*package.get("dependencies", []), *of_extra]:
                each = [(wanted["name"], part) for part in ["", *wanted.get("extra", [])]]
                waiting += [(to, part) for to, part in each if f"{to}[{part}]" not in found]
                found |= {f"{to}[{part}]" for to, part in each}
    return {entry.partition("[")[0] for entry in found}


def _locked(names: set[str]) -> set[tuple[str, str]]:
    return {(package["name"], package["version"]) for package in LOCK if package["name"] in names}


def _licences(name: str) -> set[str]:
    """The licences of an installed package, each as SPDX has it."""
    about = metadata.metadata(name)
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    # The field may hold the whole text of a licence.
    said = [*(about.get_all("License-Expression") or []), *(about.get_all("License") or [])]
    told = [words for words in said if words and len(words) < 100]
    names = re.split(r" AND | OR ", told[0]) if told else classifiers
    return {SPDX.get(name, name) for name in names}


def test_there_is_a_hash_for_everything_that_is_locked() -> None:
    for package in LOCK:
        files = [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
        if package["source"] == {"editable": "."}:
            assert package["name"] == "viewfinder"
            continue
        assert package["source"].keys() == {"registry"}, package["name"]
        assert files, package["name"]
        for file in files:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]), package["name"]


def test_what_an_install_brings_has_permissive_licences() -> None:
    looked_at = set()
    for name in _base():
        try:
            licences = _licences(name)
        except metadata.PackageNotFoundError:
            continue  # for another system
        assert licences, name
        assert licences <= PERMISSIVE | {AT_MOST.get(name)}, name
        looked_at.add(name)
    assert looked_at >= {"fastapi", "numpy", "pillow", "sqlalchemy", "tqdm"}


def test_the_sbom_lists_every_package_of_an_install(tmp_path: Path) -> None:
    met = shutil.which("uv") is not None or (ROOT / ".uv" / "bin" / "uv").exists()
    needs("uv (make setup)", met=met)
    path = tmp_path / "it.cdx.json"
    subprocess.run(
        ["make", "-s", "sbom", f"SBOM={path}", "EXTRAS="], cwd=ROOT, check=True, timeout=120
    )
    sbom = json.loads(path.read_text())
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.5")
    assert sbom["metadata"]["component"]["name"] == "viewfinder"
    listed = {(part["name"], part["version"]) for part in sbom["components"]}
    assert listed == _locked(_base())
    for part in sbom["components"]:
        assert part["purl"].startswith(f"pkg:pypi/{part['name']}@"), part
        hashes = [kind["hashes"][0] for kind in part["externalReferences"]]
        assert {kind["alg"] for kind in hashes} == {"SHA-256"}, part["name"]
    here = {(name, metadata.version(name)) for name in _base() if _is_installed(name)}
    assert len(here) > 40
    assert here <= listed, "what is installed here is what is listed"


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_pins_what_it_uses_and_may_do_nothing_but_what_it_says(path: Path) -> None:
    text = path.read_text()
    used = re.findall(r"uses: (.*)", text)
    assert used
    for line in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
    assert "\npermissions: {}\n" in text, "a job says what it may do"
    jobs = re.split(
        r"^  (?=[a-z]+:\n    name:)", text.partition("\njobs:\n")[2], flags=re.MULTILINE
    )
    for job in filter(str.strip, jobs):
        assert "\n    timeout-minutes: " in job, job
        assert "\n    permissions:\n" in job, job
    assert "pull_request_target" not in text
    assert "secrets." not in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")


def test_workflows_are_valid_and_hold_to_the_rules_for_them() -> None:
    assert {path.stem for path in WORKFLOWS} == {"ci", "release"}
    schema = ("check-jsonschema", "--builtin-schema", "vendor.github-workflows")
    zizmor = ("zizmor", "--offline", "--no-progress", "--persona=pedantic", "--color=never")
    for name, *options in (schema, zizmor):
        program = Path(COMMAND).with_name(name)
        needs(f"{name} (make dev)", met=program.exists())
        command = [str(program), *options, *map(str, WORKFLOWS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_release_builds_each_target_of_the_dockerfile() -> None:
    text = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
    runs = set(re.findall(r"^FROM runtime AS (\w+)", text, re.MULTILINE))
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    (targets,) = re.findall(r"target: \[(.*)\]", release)
    assert set(targets.split(", ")) == runs
    for argument in re.findall(r"^ARG (VERSION|REVISION)=", text, re.MULTILINE):
        assert f"            {argument}=${{{{ " in release
