"""Classifies photos on a server: `python classify.py PHOTO...`."""

import os
import sys
from pathlib import Path

from viewfinder import Client
from viewfinder.errors import RemoteError

URL = os.environ.get("URL", "http://127.0.0.1:8000")
KEY = os.environ.get("KEY")  # not in the code, and not on the command line


def main() -> int:
    """Print a line for each photo; the exit status is 1 if one of them has no answer."""
    photos = [Path(name) for name in sys.argv[1:]]
    status = 0
    # The client tries again what failed in passing, and gives up on a photo after 30 seconds.
    with Client(URL, key=KEY, timeout_s=30) as client:
        answers = client.classify_many(photos, on_error="return")
        for photo, answer in zip(photos, answers, strict=True):
            if isinstance(answer, RemoteError):
                print(f"{URL}: {answer}", file=sys.stderr)
                return 1
            if isinstance(answer, Exception):
                print(f"{photo}: {answer}", file=sys.stderr)
                status = 1
            else:
                sure = "not sure" if answer.abstained else f"{answer.top.confidence:.1%}"
                print(f"{photo}: {answer.top.label} {sure}")
    return status


if __name__ == "__main__":
    sys.exit(main())
