"""`parked`: list, show, replay or discard the events that wait for a person in the parking queue."""

import asyncio
import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Annotated

import typer

from notification_service.broker import parking
from notification_service.broker.parked_events import ParkedEvent, ParkedFilter
from notification_service.cli import actions, terminal
from notification_service.cli.actions import Act, ActionResult
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import AsJson, Channel, DryRun, EventId, OlderThan, Yes, text_option
from notification_service.cli.tables import AGE, MIN_ID, Column, age
from notification_service.cli.terminal import say, say_in_lines, say_item, say_json
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.printable import shown
from notification_service.settings import Settings

app = typer.Typer(help="Events that wait for a person: list, show, replay, discard.", no_args_is_help=True)

Reason = Annotated[
    str | None, text_option("--reason", help="Only with this in the reason, such as no_recipient.", metavar="TEXT")
]
EventType = Annotated[
    str | None, text_option("--type", help="Only of this event type, such as payment.success.", metavar="TYPE")
]
_COLUMNS = (
    AGE,
    Column("parked (UTC)", optional=True),
    Column("event type", min_width=15),
    Column("reason", min_width=20),
    Column("event id", is_id=True),
)


@app.command("list")
def list_parked(
    event: EventId = None,
    reason: Reason = None,
    event_type: EventType = None,
    older_than: OlderThan = None,
    channel: Channel = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the events that wait for a person, with the reason."""
    conditions = ParkedFilter(reason=reason, event_type=event_type, older_than=older_than, channel=channel)
    found, _ = _look(command_settings(), event, conditions)
    if as_json:
        say_json(_as_json(found))
        return
    _table(found)
    say(f"{len(found)} parked")


@app.command()
def show(
    event: Annotated[str, typer.Argument(help="The event id; its first 8 characters do.")], *, as_json: AsJson = False
) -> None:
    """Show one parked event in full, with its reason and its body."""
    found, _ = _look(command_settings(), event, ParkedFilter())
    if not found:
        raise ConfigurationError(f"no event {event!r} is parked; `parked list` shows those that are")
    if as_json:
        say_json(_as_json(found, whole=True))
        return
    for each in found:
        _details(each)


@app.command()
def replay(
    event: EventId = None,
    reason: Reason = None,
    event_type: EventType = None,
    older_than: OlderThan = None,
    channel: Channel = None,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Publish parked events again.

    A mail that was already sent is not sent again.
    """
    conditions = ParkedFilter(reason=reason, event_type=event_type, older_than=older_than, channel=channel)
    settings = command_settings()
    url, max_bytes = _broker(settings)
    found, wanted = _look(settings, event, conditions)
    done = _move(
        found,
        lambda moved, refused: parking.replay(url, wanted, max_bytes=max_bytes, on_moved=moved, on_refused=refused),
        ("Replay", "published again"),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )
    done.end()


@app.command()
def discard(
    event: EventId = None,
    reason: Reason = None,
    event_type: EventType = None,
    older_than: OlderThan = None,
    channel: Channel = None,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Discard parked events; their records stay.

    At least one condition has to be given.
    """
    conditions = ParkedFilter(reason=reason, event_type=event_type, older_than=older_than, channel=channel)
    if event is None and conditions == ParkedFilter():
        raise ConfigurationError("parked discard: choose by --event, --reason, --type, --older-than or --channel")
    settings = command_settings()
    url, max_bytes = _broker(settings)
    found, wanted = _look(settings, event, conditions)
    _move(
        found,
        lambda moved, _: parking.discard(url, wanted, max_bytes=max_bytes, on_moved=moved),
        ("Discard", "discarded; their records stay"),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )


def _move(
    found: Sequence[ParkedEvent],
    act: Act[ParkedEvent],
    words: tuple[str, str],
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> ActionResult[ParkedEvent]:
    """Show the selected events, ask, and act. `words`: the verb of the question, and the end of the report."""
    verb, ending = words
    if not as_json:
        _table(found)
    done = actions.act_on(found, act, verb, dry_run=dry_run, yes=yes)
    if as_json:
        say_json(_as_json(done.moved, dry_run=dry_run))
    else:
        actions.say_count(len(done.moved), ending, dry_run=dry_run)
    return done


def _look(settings: Settings, event: str | None, conditions: ParkedFilter) -> tuple[list[ParkedEvent], ParkedFilter]:
    """The parked events that meet every condition, and the filter for them."""
    url, max_bytes = _broker(settings)
    if event is None:
        return asyncio.run(parking.look(url, conditions, max_bytes=max_bytes)), conditions
    parked = asyncio.run(parking.look(url, ParkedFilter(), max_bytes=max_bytes))
    wanted = replace(conditions, event_ids=frozenset({whole_id(event, (each.event_id for each in parked))}))
    return list(filter(wanted, parked)), wanted


def _broker(settings: Settings) -> tuple[str, int]:
    return settings.rabbitmq.url.get_secret_value(), settings.service.max_event_bytes


def whole_id(text: str, event_ids: Iterable[str]) -> str:
    """The event id that a text gives in full or, from 8 characters on, by its beginning, as tables show it.

    Raises `ConfigurationError` if several ids have that beginning.
    """
    known = set(event_ids)
    beginning = text.removesuffix("…").removesuffix("...")
    if text in known or len(beginning) < MIN_ID:
        return text
    found = [each for each in known if shown(each).startswith(beginning)]
    if len(found) > 1:
        raise ConfigurationError(
            f"{len(found)} parked events have an id that begins with {beginning!r}: give more of it"
        )
    return found[0] if found else text


def _table(events: Sequence[ParkedEvent]) -> None:
    if events:
        terminal.table(_COLUMNS, map(_row, events))


def _row(event: ParkedEvent) -> tuple[object, ...]:
    at = event.parked_at
    return age(at), f"{at:%Y-%m-%d %H:%M}", _type_of(event), event.reason, event.event_id


def _type_of(event: ParkedEvent) -> str:
    """The event type, with the channel unless it is e-mail."""
    return event.event_type if event.channel is ChannelKind.EMAIL else f"{event.event_type} ({event.channel})"


def _as_json(events: Sequence[ParkedEvent], *, whole: bool = False, **facts: object) -> Mapping[str, object]:
    """`whole`: with their bodies."""
    return {**facts, "events": [_fields(each, whole=whole) for each in events]}


def _fields(event: ParkedEvent, *, whole: bool) -> dict[str, object]:
    fields = {**asdict(event), "parked_at": event.parked_at.isoformat()}
    body: bytes = fields.pop("body")
    del fields["properties"]
    return {**fields, **_body(body)} if whole else fields


def _body(body: bytes) -> dict[str, str]:
    """The body as text; if it is not UTF-8, also as base64."""
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body": body.decode("utf-8", "replace"), "body_base64": base64.b64encode(body).decode()}


def _details(event: ParkedEvent) -> None:
    say(
        f"{event.event_id} ({event.event_type}), channel {event.channel}, parked {event.parked_at:%Y-%m-%d %H:%M:%S %Z}"
    )
    say_item(f"{event.reason}:", event.detail)
    body = event.body.decode("utf-8", "replace")
    (say_in_lines if _is_json(body) else say)(body)


def _is_json(text: str) -> bool:
    """Whether the body is JSON, so that its line breaks separate values and are not part of a text."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
