"""Nothing that cannot be taken back happens before somebody has agreed to it."""

import sys
from typing import Annotated

import typer

from notification_service.outcomes import ConfigurationError

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def agreed(question: str, *, yes: bool) -> bool:
    """Raises `ConfigurationError` where there is no terminal to ask on."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} There is no terminal to answer on: add --yes, or look with --dry-run")
    return typer.confirm(question, err=True)
