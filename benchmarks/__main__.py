"""`make bench`: every benchmark in turn, each in a process of its own.

python -m benchmarks [--quick] [NAME ...]
"""

import argparse
import subprocess
import sys

NAMES = (
    "footprint",
    "throughput",
    "latency",
    "overload",
    "reload",
    "lanes",
    "jobs",
    "guards",
    "recording",
    "telemetry",
    "resize",
    "soak",
)


def main() -> None:
    """Run them; one that fails does not keep the others from running."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="short runs, to see that they work")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")

    failed = []
    for name in arguments.names or NAMES:
        print(f"== {name}", flush=True)
        options = ["--quick"] if arguments.quick else []
        if subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *options], check=False
        ).returncode:
            failed.append(name)
        print(flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
