"""`docs/reference/cli.md`, from the commands as they are declared."""

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer
from scripts.reference.markdown import NOTICE, block, code, flow, lines, table
from scripts.reference.schemas import number
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from viewfinder.cli.main import app

_INTRODUCTION = """\
Every command takes `--help`, and `--debug` to see tracebacks. It ends with 0 (done), 1 (failed) or
2 (wrong usage); what is printed with `--json` is for machines. Strongest first: an option, the
[environment](../settings.md), the TOML file, the default."""

_EXAMPLE = "Example:"
_WORDS = {int: "NUMBER", float: "NUMBER", Path: "PATH", str: "TEXT"}


def page() -> str:
    """The page."""
    group = typer.main.get_command(app)
    found = list(_commands(group, "viewfinder"))
    links = [(f"[`{name}`](#{name.replace(' ', '-')})", _first(each)) for name, each in found]
    return lines(
        NOTICE.format(source="src/viewfinder/cli"),
        "# Command line",
        _INTRODUCTION,
        table(("command", ""), links),
        *(_section(name, command) for name, command in found),
    )


def _commands(found: Any, name: str) -> Iterator[tuple[str, TyperCommand]]:
    if isinstance(found, TyperGroup):
        for word, inner in found.commands.items():
            yield from _commands(inner, f"{name} {word}")
    elif not found.hidden:
        yield name, found


def _first(command: TyperCommand) -> str:
    return flow((command.help or "").partition("\n\n")[0])


def _section(name: str, command: TyperCommand) -> str:
    """A command: what it does, its usage, what it takes, an example."""
    text, _, example = (command.help or "").partition(_EXAMPLE)
    arguments = [one for one in command.params if isinstance(one, TyperArgument)]
    options = [one for one in command.params if isinstance(one, TyperOption) and not one.hidden]
    words = [name, "[OPTIONS]", *(_place(one) for one in arguments)]
    rows = [(code(_place(one)), flow(one.help or "")) for one in arguments]
    rows += [(_flags(one), _meaning(one)) for one in options]
    return lines(
        f"## {name}",
        *(flow(part) for part in text.strip().split("\n\n")),
        block(" ".join(words), "text"),
        table(("argument, option", ""), rows),
        "Example:",
        block(example.strip()),
    ).rstrip("\n")


def _place(argument: TyperArgument) -> str:
    """An argument, as usage lines have it."""
    name = argument.metavar or (argument.name or "").upper()
    many = argument.nargs != 1
    word = name.strip("[].")
    if "[" in word:  # NAME[@VERSION]
        word = f"{word}]"
    word = f"{word}..." if many else word
    return word if argument.required else f"[{word}]"


def _flags(option: TyperOption) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return code(" ".join(part for part in (names, _value(option)) if part))


def _value(option: TyperOption) -> str:
    """What stands after the name; a flag has nothing."""
    annotation = option.type_descriptor.annotation
    if annotation is bool:
        return ""
    if option.metavar:
        return option.metavar
    inner = get_args(annotation)[0] if get_args(annotation) else annotation
    if isinstance(inner, type) and issubclass(inner, enum.Enum):
        return "|".join(str(choice.value) for choice in inner)
    return _WORDS[inner]


def _meaning(option: TyperOption) -> str:
    notes = [flow(option.help or "")]
    if option.min is not None and option.max is not None:
        notes.append(f"{number(option.min)}-{number(option.max)}.")
    if option.required:
        notes.append("**Required.**")
    elif option.secondary_opts:
        notes.append(f"Default: `{(option.opts if option.default else option.secondary_opts)[0]}`.")
    elif option.default is not None and option.default is not False:
        notes.append(f"Default: {code(str(option.default))}.")
    return " ".join(notes)
