"""`healthcheck`: asks the running service over HTTP whether it is alive."""

import typer

from notification_service.cli.configuration import command_settings
from notification_service.cli.terminal import say
from notification_service.observability import liveness


def command() -> None:
    """Ask the running service whether it is alive. Exit 0 or 1.

    For a container that has no curl.
    """
    try:
        liveness.ask(command_settings().service.port)
    except liveness.NotAliveError as problem:
        say(problem, err=True)
        raise typer.Exit(1) from problem
