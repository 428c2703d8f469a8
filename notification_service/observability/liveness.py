"""`python -m notification_service.observability.liveness`: the health check of the image, run every 30 s.

It is separate from the command line, which takes a second of CPU time to import.
"""

import sys
import urllib.request

from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.printable import shown
from notification_service.settings import load

_WAIT_TIMEOUT_S = 3.0


class NotAliveError(Exception):
    """The service does not answer; the text has the URL."""


def ask(port: int) -> None:
    """Raises `NotAliveError`."""
    url = f"http://127.0.0.1:{port}/livez"
    try:
        with urllib.request.urlopen(url, timeout=_WAIT_TIMEOUT_S):
            return
    except OSError as problem:
        raise NotAliveError(f"{url}: {problem}") from problem


def main() -> int:
    try:
        ask(load(links=False).service.port)
    except (NotAliveError, ConfigurationError) as problem:
        sys.stderr.write(f"{shown(problem)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
