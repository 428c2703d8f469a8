"""The record of a notification as a document, under the words and the validator of the deployed collection."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from notification_service.contract.bodies import Said
from notification_service.contract.outcomes import PENDING, WAITING, Outcome, Status, Summary, recall, summarize
from notification_service.delivery.ports.channel import Attempt
from notification_service.delivery.ports.ledger import Entry, Intent, RecordedEvent
from notification_service.foundation.address_digests import names, stand_in, texts_in, texts_of_id
from notification_service.foundation.addresses import key

T = TypeVar("T")

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
_MAX_INTEGER_SIZE = 2**63
_MAX_EVENT_LENGTH = 4 * 1024 * 1024
"""Characters. A document has 16 MB, and the event stands in it twice."""


Show = Callable[[str], str]
"""How a text that may hold an address is written down: in full or masked."""


def of_event(intent: Intent, show: Show) -> dict[str, Any]:
    """The fields that say which event's mail it is."""
    return {
        "event_id": storable_text(intent.event_id),
        "event_type": storable_text(intent.event_type),
        **event(intent.event_data, show),
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
        **addressed(intent.recipient, show),
        "message_id": intent.message_id,
        "status": Status.PENDING,
        "outcome": PENDING,
        "owner": intent.owner,
        "created_at": intent.created_at,
        "updated_at": intent.created_at,
        "attempts": [],
        **of_event(intent, show),
    }


def texts_of(intent: Intent) -> Iterator[str]:
    """Every text of an event and its mail that may name an address; of a name that stands twice, both values."""
    data = intent.event_data
    for each in (intent.event_id, intent.fact, intent.booking_id or ""):
        yield from texts_of_id(each)
    yield from (intent.event_type, intent.recipient)
    yield from texts_in(data)
    if isinstance(data, Said) and not data.exact:
        yield data.text or ""


def event(data: Mapping[str, Any], show: Show) -> dict[str, Any]:
    """The event as it can be searched and read, whether that is all of it, and where it is not, its own JSON beside it.

    Not where addresses are masked: an escape in the JSON would hide one from the mask.
    """
    stored = storable(data, show)
    exact = not isinstance(data, Said) or data.exact
    if exact and stored == data:
        return {"event_data": stored, "event_whole": True}
    kept = {"event_data": stored, "event_whole": False}
    text = data.text if isinstance(data, Said) and show is str else None
    return kept | {"event_json": text} if text and len(text) <= _MAX_EVENT_LENGTH else kept


def addressed(recipient: str, show: Show) -> dict[str, str]:
    """The address, and by which it is found in any case of letters; a masked one has no such key."""
    shown = show(recipient)
    return {"recipient": shown, "recipient_key": key(recipient) if shown == recipient else ""}


def closed(outcome: Outcome, at: datetime, show: Show) -> dict[str, Any]:
    event_data_of = summarize(outcome)
    fields: dict[str, Any] = {"status": event_data_of.status, "outcome": event_data_of.outcome, "updated_at": at}
    if event_data_of.reason:
        fields["reason"] = str(event_data_of.reason)
    if event_data_of.detail:
        fields["detail"] = show(storable_text(event_data_of.detail))
    if event_data_of.fingerprint:
        fields["fingerprint"] = event_data_of.fingerprint
    if event_data_of.possible_duplicate:
        fields["possible_duplicate"] = True
    if event_data_of.status is Status.SENT:
        fields["sent_at"] = at
    return fields


def entry(document: Mapping[str, Any]) -> Entry:
    word = document.get("outcome")
    return Entry(
        notification_id=str(document["_id"]),
        outcome=None if word in OPEN else _outcome(document),
        waiting=word == WAITING,
        possible_duplicate=bool(document.get("possible_duplicate")),
        event_ids=tuple(_listed(document, "event_ids", str)),
        created_at=document["created_at"],
        owner=str(document.get("owner", "")),
        replays=tuple(_listed(document, "replays", str)),
        recipient=str(document.get("recipient") or ""),
        sending=bool(document.get("sending")),
        event_id=str(document.get("event_id", "")),
        later=tuple(_listed(document, "later", str)),
        erased="erased_at" in document,
    )


TOLD = dict.fromkeys(
    (
        *("event_type", "event_data", "status", "outcome", "reason", "detail", "possible_duplicate"),
        *("created_at", "updated_at", "later"),
    ),
    1,
)
"""The fields of a record that `event_data_of` reads."""


def event_data_of(document: Mapping[str, Any]) -> RecordedEvent:
    word, data = document.get("outcome"), document.get("event_data")
    created_at = document["created_at"]
    return RecordedEvent(
        notification_id=str(document["_id"]),
        event_type=str(document.get("event_type")),
        data=data if isinstance(data, Mapping) else {},
        outcome=None if word in OPEN else _outcome(document),
        waiting=word == WAITING,
        updated_at=document.get("updated_at", created_at),
        created_at=created_at,
        later=tuple(_listed(document, "later", str)),
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
    *("owner", "replays", "later", "created_at", "updated_at", "sent_at", "due_at", "discarded_at", "erased_at"),
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
    history = [_some(each, _IMPERSONAL_PAST) for each in _listed(document, "history", dict)]
    return {
        **_some(document, _IMPERSONAL),
        **({"history": history} if history else {}),
        "recipient": "",
        "recipient_key": "",
        "attempts": [
            {**_some(each, _IMPERSONAL_ATTEMPT), "reply": None} for each in _listed(document, "attempts", dict)
        ],
        "event_data": {_NAMES_THE_FACT: report} if report else {},
        "stripped_at": at,
    }


_IDS = ("event_id", "event_ids")
_ALTERED = "\ufffd"
"""Before what stands for a name in a record: an auditor does not reckon with it."""


def without_address(document: Mapping[str, Any], address: str) -> dict[str, Any]:
    """A record in which no name of a fact, a booking or an event holds the address. Its `_id` is a digest anyway."""
    return {
        name: each if name == "_id" else _without(each, address, "" if name in _IDS else _ALTERED)
        for name, each in document.items()
    }


def _without(value: Any, address: str, mark: str) -> Any:  # noqa: ANN401 - whatever BSON holds
    match value:
        case str():
            return f"{mark}{stand_in(value)}" if names(address, texts_of_id(value)) else value
        case list():
            return [_without(each, address, mark) for each in value]
        case Mapping():
            return {name: _without(each, address, mark) for name, each in value.items()}
    return value


def _listed(document: Mapping[str, Any], name: str, kind: type[T]) -> list[T]:
    """What a field lists, as far as it does: a record that others wrote, or an older version, may hold anything."""
    value = document.get(name)
    return [each for each in value if isinstance(each, kind)] if isinstance(value, list | tuple) else []


def _some(document: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}


def storable(value: object, show: Show, depth: int = 0) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Any JSON value as one that BSON takes: huge integers, lone surrogates, NULs and deep nesting become text.

    A name does not begin with `$`: MongoDB before 5.0 refuses it, and what has a `$ref` comes back as another kind.
    """
    if depth > _DEEPEST:
        return "…"
    match value:
        case str():
            return show(storable_text(value))
        case bool() | None:
            return value
        case int() if not -_MAX_INTEGER_SIZE <= value < _MAX_INTEGER_SIZE:
            return str(value)
        case Mapping():
            return {
                _name(show(storable_text(str(key)))): storable(each, show, depth + 1) for key, each in value.items()
            }
        case list() | tuple():
            return [storable(each, show, depth + 1) for each in value]
    return value


def _name(key: str) -> str:
    return "\uff04" + key[1:] if key.startswith("$") else key


def storable_text(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
