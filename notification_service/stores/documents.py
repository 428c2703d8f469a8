"""The record of a notification as a document, under the words and the validator of the deployed collection."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from notification_service.outcomes import PENDING, WAITING, Outcome, Status, Summary, recall, summarize
from notification_service.ports import Attempt, Entry, Intent, Told

VALIDATOR: Mapping[str, Any] = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": ["event_id", "notification_type", "recipient", "status", "created_at"],
        "properties": {
            "event_id": {"bsonType": "string"},
            "notification_type": {"enum": ["email", "sms", "push"]},
            "recipient": {"bsonType": "string"},
            "status": {"enum": ["sent", "failed", "pending"]},
            "created_at": {"bsonType": "date"},
            "subject": {"bsonType": "string"},
            "event_data": {"bsonType": "object"},
            "sent_at": {"bsonType": "date"},
        },
    }
}
"""What a deployed database asks of every record; on an empty database we ask it of ourselves."""

FACTS = "notification_facts"

OPEN = (PENDING, WAITING)
MENDABLE = ("rejected", "parked", "unknown")
"""What a replay, or for the first of them another event of its fact, opens again."""

_DEEPEST = 40
_LARGEST_INTEGER = 2**63


Show = Callable[[str], str]
"""How a text that may hold an address is written down: in full or masked."""


def of_event(intent: Intent, show: Show) -> dict[str, Any]:
    """The fields that say which event's mail it is."""
    return {
        "event_id": storable_text(intent.event_id),
        "event_type": storable_text(intent.event_type),
        "event_data": storable(intent.event_data, show),
    }


def pending(intent: Intent, show: Show) -> dict[str, Any]:
    return {
        "_id": intent.notification_id,
        "event_ids": [storable_text(intent.event_id)],
        "fact": storable_text(intent.fact),
        "notification_type": intent.channel,
        "template": intent.template,
        "template_digest": intent.template_digest,
        "booking_id": storable_text(intent.booking_id) if intent.booking_id else None,
        "recipient": show(intent.recipient),
        "message_id": intent.message_id,
        "status": Status.PENDING,
        "outcome": PENDING,
        "owner": intent.owner,
        "created_at": intent.created_at,
        "updated_at": intent.created_at,
        "attempts": [],
        **of_event(intent, show),
    }


def closed(outcome: Outcome, at: datetime, show: Show) -> dict[str, Any]:
    told = summarize(outcome)
    fields: dict[str, Any] = {"status": told.status, "outcome": told.outcome, "updated_at": at}
    if told.reason:
        fields["reason"] = str(told.reason)
    if told.detail:
        fields["detail"] = show(storable_text(told.detail))
    if told.possible_duplicate:
        fields["possible_duplicate"] = True
    if told.status is Status.SENT:
        fields["sent_at"] = at
    return fields


def entry(document: Mapping[str, Any]) -> Entry:
    word = document.get("outcome")
    return Entry(
        notification_id=str(document["_id"]),
        outcome=None if word in OPEN else _outcome(document),
        waiting=word == WAITING,
        possible_duplicate=bool(document.get("possible_duplicate")),
        event_ids=tuple(document.get("event_ids", ())),
        created_at=document["created_at"],
        owner=str(document.get("owner", "")),
        replays=tuple(document.get("replays", ())),
        event_id=str(document.get("event_id", "")),
        later=tuple(document.get("later", ())),
    )


TOLD = dict.fromkeys(
    (
        *("event_type", "event_data", "status", "outcome", "reason", "detail", "possible_duplicate"),
        *("created_at", "updated_at", "later"),
    ),
    1,
)
"""The fields of a record that `told` reads."""


def told(document: Mapping[str, Any]) -> Told:
    word, data = document.get("outcome"), document.get("event_data")
    created_at = document["created_at"]
    return Told(
        notification_id=str(document["_id"]),
        event_type=str(document.get("event_type")),
        data=data if isinstance(data, Mapping) else {},
        outcome=None if word in OPEN else _outcome(document),
        waiting=word == WAITING,
        updated_at=document.get("updated_at", created_at),
        created_at=created_at,
        later=tuple(document.get("later", ())),
    )


def _outcome(document: Mapping[str, Any]) -> Outcome:
    return recall(
        Summary(
            Status(document["status"]),
            str(document["outcome"]),
            document.get("reason"),
            document.get("detail"),
            bool(document.get("possible_duplicate")),
        )
    )


def attempt(made: Attempt, show: Show) -> dict[str, Any]:
    return {
        "at": made.at,
        "result": made.result,
        "duration_ms": made.duration_ms,
        "code": made.code,
        "reply": show(storable_text(made.reply)) if made.reply else None,
        "connection": made.connection,
    }


_IMPERSONAL = (
    *("_id", "event_id", "event_ids", "event_type", "fact", "notification_type", "template", "template_digest"),
    *("booking_id", "message_id", "status", "outcome", "reason", "possible_duplicate", "repaired", "owner"),
    *("replays", "later", "created_at", "updated_at", "sent_at", "due_at", "discarded_at", "erased_at"),
)
_IMPERSONAL_ATTEMPT = ("at", "result", "duration_ms", "code", "connection")
_IMPERSONAL_PAST = ("status", "outcome", "reason", "possible_duplicate", "updated_at", "sent_at")
_NAMES_THE_FACT = "refund_transaction_id"


def without_person(document: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """What a record may go on to say: which fact, when, and what became of it; nobody's name, address or seat.

    A list of what stays, so that a field that is new is personal until somebody has thought about it.
    """
    event = document.get("event_data")
    report = event.get(_NAMES_THE_FACT) if isinstance(event, Mapping) else None
    history = [_some(each, _IMPERSONAL_PAST) for each in document.get("history", ())]
    return {
        **_some(document, _IMPERSONAL),
        **({"history": history} if history else {}),
        "recipient": "",
        "attempts": [{**_some(each, _IMPERSONAL_ATTEMPT), "reply": None} for each in document.get("attempts", ())],
        "event_data": {_NAMES_THE_FACT: report} if report else {},
        "stripped_at": at,
    }


def _some(document: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}


def storable(value: object, show: Show, depth: int = 0) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Any JSON value as one that BSON takes: huge integers, lone surrogates, NULs and deep nesting become text."""
    if depth > _DEEPEST:
        return "…"
    match value:
        case str():
            return show(storable_text(value))
        case bool() | None:
            return value
        case int() if abs(value) >= _LARGEST_INTEGER:
            return storable_text(hex(value))
        case Mapping():
            return {show(storable_text(str(key))): storable(each, show, depth + 1) for key, each in value.items()}
        case list() | tuple():
            return [storable(each, show, depth + 1) for each in value]
    return value


def storable_text(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
