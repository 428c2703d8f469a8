"""`version`: prints the version."""

from notification_service import __version__
from notification_service.cli.terminal import say


def command() -> None:
    """Print the version."""
    say(__version__)
