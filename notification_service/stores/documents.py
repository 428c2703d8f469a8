"""The record of a notification as a document, under the words and the validator of the deployed collection."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from notification_service.outcomes import PENDING, WAITING, Outcome, Status, Summary, recall, summarize
from notification_service.ports import Attempt, Entry, Intent

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
MENDABLE = ("rejected", "parked", "unknown", "bounced")
"""What a replay opens again, and of what was rejected or bounced another event of its fact that knows better."""

_DEEPEST = 40
_LARGEST_INTEGER = 2**63


Show = Callable[[str], str]
"""How a text that may hold an address is written down: in full or masked."""


def pending(intent: Intent, show: Show) -> dict[str, Any]:
    return {
        "_id": intent.notification_id,
        "event_id": storable_text(intent.event_id),
        "event_ids": [storable_text(intent.event_id)],
        "event_type": storable_text(intent.event_type),
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
        "event_data": storable(intent.event_data, show),
    }


def closed(outcome: Outcome, at: datetime, show: Show) -> dict[str, Any]:
    told = summarize(outcome)
    fields: dict[str, Any] = {"status": told.status, "outcome": told.outcome, "updated_at": at}
    if told.reason:
        fields["reason"] = str(told.reason)
    if told.detail:
        fields["detail"] = show(storable_text(told.detail))
    if told.fingerprint:
        fields["fingerprint"] = told.fingerprint
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
        recipient=str(document.get("recipient") or ""),
    )


def _outcome(document: Mapping[str, Any]) -> Outcome:
    return recall(
        Summary(
            Status(document["status"]),
            str(document["outcome"]),
            document.get("reason"),
            document.get("detail"),
            bool(document.get("possible_duplicate")),
            document.get("fingerprint"),
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
    *("booking_id", "message_id", "status", "outcome", "reason", "fingerprint", "possible_duplicate", "repaired"),
    *("owner", "replays", "created_at", "updated_at", "sent_at", "due_at", "discarded_at", "erased_at"),
)
_IMPERSONAL_ATTEMPT = ("at", "result", "duration_ms", "code", "connection")
_IMPERSONAL_PAST = ("status", "outcome", "reason", "fingerprint", "possible_duplicate", "updated_at", "sent_at")
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
