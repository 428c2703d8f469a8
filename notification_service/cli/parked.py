"""`parked`: list, show, replay or discard what waits for a person in the parking queue."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from notification_service.broker.parking import ParkedEvent, age_in_hours
from notification_service.cli import terminal
from notification_service.cli.options import text_option
from notification_service.cli.terminal import say, say_in_lines
from notification_service.contract.facts import ChannelKind

Event = Annotated[str | None, text_option("--event", help="Only this event id.")]
Reason = Annotated[
    str | None,
    text_option("--reason", help="Only where this stands in the reason: no_recipient, …"),
]
EventType = Annotated[str | None, text_option("--type", help="Only this event type, such as payment.success.")]


def _older(text: str) -> float:
    try:
        return age_in_hours(text)
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from problem


Older = Annotated[
    float | None,
    typer.Option(
        "--older-than", metavar="HOURS", parser=_older, help="Only what was parked more than so many hours ago."
    ),
]


def table(events: list[ParkedEvent]) -> None:
    """Print the events, a row each, with reasons and ids in full: a person has to copy them."""
    if not events:
        return
    terminal.table(
        ("parked at", "event type", "reason", "event id"),
        ((f"{each.parked_at:%Y-%m-%d %H:%M}", _type_of(each), each.reason, each.event_id) for each in events),
    )


def _type_of(event: ParkedEvent) -> str:
    """The event type, and the channel of an event that is not parked for an e-mail."""
    return event.event_type if event.channel is ChannelKind.EMAIL else f"{event.event_type} ({event.channel})"


def as_json(events: Sequence[ParkedEvent], *, whole: bool = False, **facts: object) -> Mapping[str, object]:
    """`whole`: with their bodies."""
    return {**facts, "events": [_told(each, whole=whole) for each in events]}


def _told(event: ParkedEvent, *, whole: bool) -> dict[str, object]:
    told = {**asdict(event), "parked_at": event.parked_at.isoformat()}
    body: bytes = told.pop("body")
    del told["properties"]
    return {**told, **_body(body)} if whole else told


def _body(body: bytes) -> dict[str, str]:
    """As text, and where it is none, its bytes beside it."""
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body": body.decode("utf-8", "replace"), "body_base64": base64.b64encode(body).decode()}


def details(event: ParkedEvent) -> None:
    say(
        f"{event.event_id} ({event.event_type}), channel {event.channel}, parked {event.parked_at:%Y-%m-%d %H:%M:%S %Z}"
    )
    say(f"{event.reason}: {event.detail}")
    body = event.body.decode("utf-8", "replace")
    (say_in_lines if _is_json(body) else say)(body)


def _is_json(text: str) -> bool:
    """Then its line breaks lie between its values, and in no text that somebody chose."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
