"""Nothing that cannot be taken back happens before somebody has agreed to it."""

import sys
from typing import Annotated, Any

import typer

from notification_service.cli import terminal
from notification_service.contract.facts import ChannelKind
from notification_service.foundation.errors import ConfigurationError


def given(context: typer.Context, option: typer.CallbackParam, text: str | None) -> str | None:
    """An empty text, such as that of a variable that is not set, would choose everything or nothing."""
    if text is not None and not text.strip():
        raise ConfigurationError(f"{context.info_name}: {_named(option)} is empty: leave it out, or say what it is")
    return text


def text_option(*names: str, help: str, metavar: str | None = None) -> Any:  # noqa: A002, ANN401 - as typer has it
    return typer.Option(*names, help=help, metavar=metavar, callback=given)


def _named(option: typer.CallbackParam) -> str:
    return option.opts[0] if option.opts else str(option.name)


Channel = Annotated[ChannelKind | None, typer.Option("--channel", help="Only of this channel.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def agreed(question: str, *, yes: bool) -> bool:
    """Raises `ConfigurationError` where there is no terminal to ask on."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} There is no terminal to answer on: add --yes, or look with --dry-run")
    return terminal.confirmed(question)
