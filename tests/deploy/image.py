"""What a container engine does with a Dockerfile, as far as the kernel alone allows it.

Each stage is a folder; a RUN is run with that folder as its root.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tests.deploy.container import Inside, Mount, build_step
from tests.deploy.context import sent_to_the_builder
from tests.deploy.dockerfile import Dockerfile, Instruction, Stage, assignments, filled_in
from tests.deploy.roots import Root

# A builder hands on how the network is reached; files among these are shown to it.
_NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "UV_DEFAULT_INDEX"),
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """What has been built.

    Attributes:
        root: Its files.
        mounts: What of this machine stands in for files of its base.
        env: Its environment.
        user: Numbers of user and group.
        workdir: Where its command begins.
        entrypoint: The first words of its command.
        cmd: The others, unless somebody says otherwise.
        healthcheck: The command that tells how it is.
        volumes: Folders that are kept.
        stop_signal: What asks it to end.
    """

    root: Path
    mounts: tuple[Mount, ...]
    env: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    user: tuple[int, int] = (0, 0)
    workdir: str = "/"
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"


class Builder:
    """Builds the targets of a Dockerfile.

    Args:
        dockerfile: The stages.
        context: The folder that is sent.
        scratch: An empty folder.
        base: What stands in for `python:...`.
        uv: The program that stands in for that of uv's image.
        cache: What stands in for the cache of uv.
    """

    def __init__(
        self,
        dockerfile: Dockerfile,
        *,
        context: Path,
        scratch: Path,
        base: Root,
        uv: Path,
        cache: Path,
    ) -> None:
        self._file = dockerfile
        self._scratch = scratch
        self._base = base
        self._uv = uv
        self._cache = cache
        self._context = scratch / "context"
        for path in sent_to_the_builder(context):
            copy = self._context / path.relative_to(context)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        self._built: dict[str, Image] = {}

    def build(self, target: str) -> Image:
        """Build a stage, and before it what it needs."""
        if target not in self._built:
            self._built[target] = self._build(self._file.stages[target])
        return self._built[target]

    def _build(self, stage: Stage) -> Image:
        image = self._begin(stage)
        arguments: dict[str, str] = {}
        for written in stage.instructions:
            known = {**image.env, **arguments}
            one = filled_in(written, known)
            if one.name == "ARG":
                arguments |= self._file.argument(one)
            elif one.name == "RUN":
                self._run(image, one, known)
            elif one.name == "COPY":
                self._copy(image, one)
            else:
                image = _configured(image, one)
        return image

    def _begin(self, stage: Stage) -> Image:
        folder = self._scratch / stage.name
        if stage.base in self._file.stages:
            below = self.build(stage.base)
            subprocess.run(["cp", "-a", below.root, folder], check=True)
            return replace(below, root=folder)
        folder.mkdir()
        if stage.base.startswith("python:"):
            self._base.make(folder)
            return Image(folder, tuple(self._base.mounts()))
        assert stage.base.startswith("ghcr.io/astral-sh/uv:"), stage.base
        shutil.copy(self._uv, folder / "uv")
        return Image(folder, ())

    def _run(self, image: Image, one: Instruction, env: Mapping[str, str]) -> None:
        mounts = list(image.mounts)
        for text in one.flags.get("mount", ()):
            said = dict(part.partition("=")[::2] for part in text.split(","))
            assert said["type"] == "cache", said
            mounts.append(Mount(self._cache, said["target"], writable=True))
        network = {name: os.environ[name] for name in _NETWORK if name in os.environ}
        mounts += [Mount(Path(at), at) for at in network.values() if Path(at).is_file()]
        words = one.words if one.is_exec else ["/bin/sh", "-c", one.value]
        environment = {"HOME": "/root", **network, **env}
        inside = Inside(image.root, mounts, environment, image.user, image.workdir)
        done = build_step(inside, words)
        assert done.returncode == 0, f"RUN {one.value}\n{done.stdout}{done.stderr}"

    def _copy(self, image: Image, one: Instruction) -> None:
        *names, last = one.words
        (stage,) = one.flags.get("from", [""])
        origin = self.build(stage).root if stage else self._context
        target = image.root / str(PurePosixPath(image.workdir, last)).lstrip("/")
        for name in names:
            source = origin / name.lstrip("/")
            assert source.exists(), f"COPY {name}: not there, or .dockerignore leaves it out"
            if source.is_dir():
                # Of another stage, which is finished, the same files do.
                copying = os.link if stage else shutil.copy2
                shutil.copytree(
                    *(source, target), symlinks=True, dirs_exist_ok=True, copy_function=copying
                )
                continue
            copy = target / source.name if last.endswith("/") else target
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
            for mode in one.flags.get("chmod", ()):
                copy.chmod(int(mode, 8))


def _configured(image: Image, one: Instruction) -> Image:
    """What an instruction changes that writes no file but a folder."""
    changes: dict[str, Any] = {}
    match one.name:
        case "ENV":
            changes["env"] = {**image.env, **assignments(one)}
        case "USER":
            user, group = one.value.split(":")
            changes["user"] = (int(user), int(group))
        case "WORKDIR":
            (image.root / one.value.lstrip("/")).mkdir(parents=True, exist_ok=True)
            changes["workdir"] = one.value
        case "VOLUME":
            changes["volumes"] = (*image.volumes, *one.words)
        case "STOPSIGNAL":
            changes["stop_signal"] = one.value
        case "ENTRYPOINT" | "CMD":
            changes[one.name.lower()] = _without_shell(one)
        case "HEALTHCHECK":
            command = one.value.removeprefix("CMD").strip()
            changes["healthcheck"] = _without_shell(Instruction("CMD", command))
        case _:
            assert one.name in {"EXPOSE", "LABEL"}, f"{one.name} is not known here"
    return replace(image, **changes)


def _without_shell(one: Instruction) -> tuple[str, ...]:
    assert one.is_exec, "a shell between would keep signals for itself"
    return tuple(one.words)
