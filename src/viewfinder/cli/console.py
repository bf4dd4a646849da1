"""How commands speak: answers to stdout, everything else to stderr."""

import json
import sys
from typing import Annotated, Any, NoReturn

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def print_json(value: Any) -> None:
    """Print one line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """Tell the person something that is not the answer."""
    sys.stderr.write(text + "\n")


def fail(text: str, *, code: int = 1) -> NoReturn:
    """End the command with one clear line."""
    say(f"viewfinder: {text}")
    sys.exit(code)
