"""What the optimisation ladder brings on this machine, against what it is meant to bring.

    python -m benchmarks.ladder PHOTOS [--model NAME] [--quick]

PHOTOS has `train`, `validation` and `test`. EfficientNet-Lite2 is trained on them, or the model
NAME of the data home is taken; it is pruned at 70%, teaches EfficientNet-Lite0, and is converted to
every format. Then the shipped model goes up the ladder. The reference of each figure is the float32
graph of the same run, timed in turns with the others.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure, parse, parser, save
from benchmarks.processes import VIEWFINDER, clean_environment

_TEACHER, _STUDENT = "efficientnet-lite2", "efficientnet-lite0"
_QUICK = ("--epochs", "1")


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("photos", type=Path, help="a folder with train/, validation/ and test/")
    options.add_argument("--model", help="a model of the data home, in place of a new one")
    arguments = parse(options)
    short = _QUICK if arguments.quick else ()
    with tempfile.TemporaryDirectory() as scratch:
        environment = dict(os.environ) if arguments.model else clean_environment(scratch)
        name = arguments.model or "teacher"
        if not arguments.model:
            train = ("train", arguments.photos, "--name", name, "--backbone", _TEACHER)
            viewfinder(environment, *train, *short)
        learned = ("--prune", "--distill", _STUDENT, *short)
        trained = viewfinder(environment, "optimize", name, "--data", arguments.photos, *learned)[
            "ladder"
        ]
        shipped = viewfinder(
            environment, "optimize", "efficientnet-lite0", "--data", arguments.photos
        )["ladder"]
    save("ladder", [*figures("trained", trained), *_learned(trained), *figures("shipped", shipped)])


def viewfinder(environment: dict[str, str], *command: object) -> dict[str, Any]:
    """Run a command; the last line that it prints."""
    process = subprocess.run(
        [VIEWFINDER, *map(str, command), "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found


def figures(of: str, ladder: dict[str, Any]) -> list[Figure]:
    """Each graph beside float32."""
    rows = {row["name"]: row for row in ladder["rows"]}
    base, found = rows["float32"], []
    for name, row in rows.items():
        if row is base:
            continue
        wanted = 2.0 if name == "int8" else None
        size = (3.3 if of == "trained" else 3.5) if name == "int8" else None
        found += [
            Figure(
                f"{of} {name}, speed to float32", base["p50_ms"] / row["p50_ms"], at_least=wanted
            ),
            Figure(f"{of} {name}, times smaller", base["bytes"] / row["bytes"], at_least=size),
            *_worth(of, row),
        ]
    return found


def _worth(of: str, row: dict[str, Any]) -> list[Figure]:
    name, found = row["name"], []
    if row["difference"] is not None:
        points = 100 * row["difference"]["points"]["value"]
        least = -1.0 if name == "int8" else None
        found.append(Figure(f"{of} {name}, points to float32", points, at_least=least))
    if row["agreement"] is not None:
        found.append(Figure(f"{of} {name}, same answer, %", 100 * row["agreement"]))
    return found


def _learned(ladder: dict[str, Any]) -> list[Figure]:
    """What took training."""
    rows = {row["name"]: row for row in ladder["rows"]}
    base, pruned, student = rows["float32"], rows["pruned"], rows["distilled"]
    return [
        Figure("pruned, points", _points(pruned), at_least=-1.5),
        Figure(
            "pruned, compressed to float32",
            pruned["compressed_bytes"] / base["compressed_bytes"],
            at_most=0.5,
        ),
        Figure("distilled, points", _points(student), at_least=-2.0),
        Figure("distilled, time to float32", student["p50_ms"] / base["p50_ms"], at_most=0.6),
    ]


def _points(row: dict[str, Any]) -> float:
    return 100 * float(row["difference"]["points"]["value"])


if __name__ == "__main__":
    main()
