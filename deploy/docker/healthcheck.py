"""Whether the server in this container is ready: exit 0, or 1 and a line that says why not.

    python -I -S healthcheck.py [PORT] [PATH]

Without a port, that of the setting `port`. Proxies that the environment names are not asked.
"""

import http.client
import os
import sys

TIMEOUT_S = 4


def main(port: str | None = None, path: str = "/health/ready") -> str | None:
    """Ask the server.

    Args:
        port: Where it listens, on this machine.
        path: What to ask for.

    Returns:
        What is wrong, or None.
    """
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(port or os.environ.get("VIEWFINDER_PORT") or 8000), timeout=TIMEOUT_S
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error!r}"
    finally:
        connection.close()
    sys.stdout.write(f"{said}\n")  # Docker keeps it, for `docker inspect`
    return None if answer.status == http.client.OK else f"status {answer.status}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
