"""The options that several commands have, each declared once, and the question before a change."""

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from notification_service.broker.parked_events import age_in_hours
from notification_service.cli import terminal
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.printable import shown

_AGO = re.compile(r"([0-9]{1,6}) ?([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def not_empty(context: typer.Context, option: typer.CallbackParam, text: str | None) -> str | None:
    """Refuse an empty text, such as that of an unset shell variable: it would match everything or nothing."""
    if text is not None and not text.strip():
        raise ConfigurationError(f"{context.info_name}: {_name(option)} is empty: leave it out, or give it a value")
    return text


def text_option(*names: str, help: str, metavar: str) -> Any:  # noqa: A002, ANN401 - as typer has it
    return typer.Option(*names, help=help, metavar=metavar, callback=not_empty)


def _name(option: typer.CallbackParam) -> str:
    return option.opts[0] if option.opts else str(option.name)


def moment(option: str, text: str | None) -> datetime | None:
    """A time given as an age, such as 2h, or in ISO 8601; without a zone it is UTC.

    Raises `ConfigurationError`.
    """
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as problem:
        raise ConfigurationError(
            f"{option} {shown(text)} is not a time: write 30m, 2h or 3d for that long ago, or 2026-11-26T15:00 in UTC"
        ) from problem


def _hours(text: str) -> float:
    try:
        return age_in_hours(text)
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from problem


Channel = Annotated[ChannelKind | None, typer.Option("--channel", help="Only of this channel.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
EventId = Annotated[str | None, text_option("--event", help="Only of this event.", metavar="ID")]
NotificationId = Annotated[
    str | None, text_option("--notification", help="Only this notification; 8 characters do.", metavar="ID")
]
Since = Annotated[
    str | None,
    text_option("--since", help="From this time on: 30m, 2h or 3d ago, or 2026-11-26T15:00 in UTC.", metavar="TIME"),
]
Until = Annotated[str | None, text_option("--until", help="Before this time, in the same form.", metavar="TIME")]
OlderThan = Annotated[
    float | None,
    typer.Option("--older-than", metavar="HOURS", parser=_hours, help="Only what was parked more than HOURS ago."),
]
Languages = Annotated[
    list[str] | None, typer.Option("--language", help="Only in this language; may be repeated.", metavar="CODE")
]


def agreed(question: str, *, yes: bool) -> bool:
    """Whether the user agrees, or `yes` is set. Raises `ConfigurationError` if there is no terminal to ask on."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} There is no terminal to answer on: add --yes, or try --dry-run")
    return terminal.confirmed(question)
