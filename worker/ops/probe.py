"""Ask a running worker's probe and exit 0 or 1: ``python -m worker.ops.probe [livez|readyz]``. A container's HEALTHCHECK.

Imports the standard library only: a health check that loads models and clients would be the heaviest thing in the container.
"""

from __future__ import annotations

import http.client
import os
import sys

TIMEOUT_S = 2.0
# As in `OpsSettings.http_port`; read from the environment here because importing the settings takes longer than the check.
DEFAULT_PORT = 9464
ROUTES = ("livez", "readyz")


def ask(route: str, port: int) -> tuple[int, str]:
    """Status and body of `route` on this machine; 0 and the reason where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"/{route}")
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace").strip()
    except OSError as error:
        return 0, f"no answer on port {port}: {error}"
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    """Exit code: 0 healthy, 1 not, 2 asked wrongly."""
    route = arguments[0] if arguments else "livez"
    if route not in ROUTES or len(arguments) > 1:
        sys.stderr.write(f"usage: python -m worker.ops.probe [{'|'.join(ROUTES)}]\n")
        return 2
    status, body = ask(route, int(os.environ.get("INTAKE_OPS__HTTP_PORT", DEFAULT_PORT)))
    sys.stdout.write(body + "\n")
    return 0 if status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
