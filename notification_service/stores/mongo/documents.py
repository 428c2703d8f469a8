"""Writes and reads a record as a MongoDB document, in the fields of the deployed collection."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from notification_service.contract.bodies import JsonObject
from notification_service.contract.outcomes import (
    PENDING,
    SUPPRESSING,
    WAITING,
    Outcome,
    Skipped,
    Status,
    Summary,
    recall,
    summarize,
)
from notification_service.contract.variants import Assignment, Variant
from notification_service.delivery.ports.channel import IN_DOUBT, SETTLED_DEVICE, Attempt, OutgoingMessage
from notification_service.delivery.ports.ledger import Entry, Intent, Record, RecordedEvent
from notification_service.delivery.ports.shadow import ShadowResult
from notification_service.foundation.address_digests import texts_in, texts_of_id
from notification_service.foundation.addresses import holds_number_or_token, key, mask

T = TypeVar("T")

OPEN = (PENDING, WAITING)
_REOPENABLE = ("rejected", "parked", "unknown", "bounced")
_MAX_DEPTH = 40
_MAX_INTEGER_SIZE = 2**63
_MAX_EVENT_LENGTH = 4 * 1024 * 1024
"""In characters. A document holds at most 16 MB, and the event is in it twice."""


Show = Callable[[str], str]
"""Returns a text that may hold an address as the record shows it: in full or masked."""


def reopenable(was: Outcome | None) -> dict[str, Any]:
    """Which records may be taken over: those that are open, or that a replay opens again. `was`: how it had ended.

    A later event of the same fact opens a rejected one too, and with another address one that is about its address.
    One condition on one field, as an `$or` beside the `_id` makes some servers read the whole collection.
    """
    if isinstance(was, Skipped):
        return {"outcome": "skipped", "reason": {"$in": [str(reason) for reason in SUPPRESSING]}}
    return {"outcome": {"$in": [*OPEN, *_REOPENABLE]}}


def may_be_reopened(document: Record) -> bool:
    """Whether `reopenable` finds it, but for records that are open."""
    outcome, reason = document.get("outcome"), document.get("reason")
    return outcome in _REOPENABLE or (outcome == "skipped" and reason in SUPPRESSING)


def of_event(intent: Intent, show: Show) -> dict[str, Any]:
    """The fields that are replaced when another event of the same fact takes the record over."""
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
        **_assigned(intent.assignment),
        **of_event(intent, show),
    }


FALLBACK: Mapping[str, Any] = {"variant": Variant.A, "fell_back": True}
"""What is noted where the control is sent instead of variant `b`, which alone can fall back."""


def _assigned(assignment: Assignment | None) -> dict[str, Any]:
    if assignment is None:
        return {}
    fields = {"experiment": assignment.salt, "unit": assignment.unit, "variant": assignment.variant}
    return {**fields, **(FALLBACK if assignment.fell_back else {})}


def assignment(document: Record) -> Assignment | None:
    """The assignment of a record; None where it has none that can be read. An erased record has no unit."""
    salt, unit, word = document.get("experiment"), document.get("unit"), document.get("variant")
    if not isinstance(salt, str) or word not in tuple(Variant):
        return None
    fell_back = bool(document.get("fell_back"))
    return Assignment(salt, str(unit or ""), Variant.B if fell_back else Variant(word), fell_back)


def texts_of(intent: Intent) -> Iterator[str]:
    """Every text of an event and its mail that may contain an address; both values of a JSON name that occurs twice."""
    data = intent.event_data
    for each in (intent.event_id, intent.fact, intent.booking_id or ""):
        yield from texts_of_id(each)
    yield from (intent.event_type, intent.recipient)
    yield from texts_in(data)
    if isinstance(data, JsonObject) and not data.exact:
        yield data.text or ""


def event(data: Mapping[str, Any], show: Show) -> dict[str, Any]:
    """The event as a document, whether that is complete, and its original JSON if it is not.

    Where addresses are masked the JSON is left out: an escape in it could hide an address from the mask.
    """
    stored = storable(data, show)
    exact = not isinstance(data, JsonObject) or data.exact
    if exact and stored == data:
        return {"event_data": stored, "event_whole": True}
    kept = {"event_data": stored, "event_whole": False}
    text = data.text if isinstance(data, JsonObject) and show is str else None
    return kept | {"event_json": text} if text and len(text) <= _MAX_EVENT_LENGTH else kept


def addressed(recipient: str, show: Show) -> dict[str, str]:
    """The address, and the key by which it is found in any case of letters; a masked address has no key."""
    shown = show(recipient)
    return {"recipient": shown, "recipient_key": key(recipient) if shown == recipient else ""}


def closed(outcome: Outcome, at: datetime, show: Show) -> dict[str, Any]:
    summary = summarize(outcome)
    fields: dict[str, Any] = {"status": summary.status, "outcome": summary.outcome, "updated_at": at}
    if summary.reason:
        fields["reason"] = str(summary.reason)
    if summary.detail:
        fields["detail"] = show(storable_text(summary.detail))
    if summary.fingerprint:
        fields["fingerprint"] = summary.fingerprint
    if summary.possible_duplicate:
        fields["possible_duplicate"] = True
    if summary.status is Status.SENT:
        fields["sent_at"] = at
    return fields


def of_message(
    message: OutgoingMessage | None, remarks: Sequence[str], shadow: ShadowResult | None, show: Show
) -> dict[str, Any]:
    """What is known of a message that was composed, and of one that was composed beside it."""
    fields: dict[str, Any] = {"mail_digest": message.digest} if message else {}
    if message and message.subject:
        fields["subject"] = show(storable_text(message.subject))
    if remarks:
        fields["remarks"] = [show(storable_text(remark)) for remark in remarks]
    if shadow:
        fields["shadow"] = asdict(shadow)
    return fields


def entry(document: Record) -> Entry:
    word = document.get("outcome")
    return Entry(
        notification_id=str(document["_id"]),
        outcome=None if word in OPEN else _outcome(document),
        waiting=word == WAITING,
        resends=_resends(document),
        event_ids=tuple(listed(document, "event_ids", str)),
        created_at=document["created_at"],
        owner=str(document.get("owner", "")),
        replays=tuple(listed(document, "replays", str)),
        recipient=str(document.get("recipient") or ""),
        sending=bool(document.get("sending")),
        sending_by=document.get("sending_by"),
        event_id=str(document.get("event_id", "")),
        later=tuple(listed(document, "later", str)),
        erased="erased_at" in document,
        held_by=_held_by(document),
        assignment=assignment(document),
        settled=settled(listed(document, "attempts", dict)),
        reported="delivery" in document and not document.get("history"),
    )


def resent(resends: int) -> dict[str, Any]:
    """The mark of a possible duplicate; the number only where it says more than that."""
    return {**({"possible_duplicate": True} if resends else {}), **({"resends": resends} if resends > 1 else {})}


def _resends(document: Record) -> int:
    number = document.get("resends")
    return number if isinstance(number, int) else int(bool(document.get("possible_duplicate")))


def _held_by(document: Record) -> str | None:
    doubts = [each for each in listed(document, "attempts", dict) if each.get("result") == IN_DOUBT]
    return doubts[-1].get("relay") if doubts else None


def settled(attempts: Sequence[Record]) -> dict[str, str]:
    """What the attempts for single devices came to, where nothing is left to do for the device."""
    return {
        str(each["device"]): str(each["result"])
        for each in attempts
        if each.get("device") and each.get("result") in SETTLED_DEVICE
    }


RECORDED_EVENT_FIELDS = dict.fromkeys(
    (
        *("event_type", "event_data", "status", "outcome", "reason", "detail", "possible_duplicate"),
        *("created_at", "updated_at", "later"),
    ),
    1,
)
"""The fields of a record that `recorded_event` reads."""


def recorded_event(document: Record) -> RecordedEvent:
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
        later=tuple(listed(document, "later", str)),
    )


def _outcome(document: Record) -> Outcome:
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
        **({"relay": made.relay} if made.relay else {}),
        **({"device": made.device} if made.device else {}),
    }


def listed(document: Record, name: str, kind: type[T]) -> list[T]:
    """The items of a list field that have the expected type; a foreign or older record may hold anything."""
    value = document.get(name)
    return [each for each in value if isinstance(each, kind)] if isinstance(value, list | tuple) else []


def storable(value: object, show: Show, depth: int = 0, *, hidden: bool = False) -> Any:  # noqa: ANN401 - whatever JSON holds
    """`hidden`: a phone number or a token, by the name of its field: masked whole unless addresses are shown in full.

    Returns a JSON value as BSON can hold it: huge integers, lone surrogates, NULs and deep nesting become text.

    A leading `$` of a name is replaced: MongoDB before 5.0 refuses it, and `$ref` would be read back as a DBRef.
    """
    if depth > _MAX_DEPTH:
        return "…"
    match value:
        case str() | int() | float() if hidden and show is not str and not isinstance(value, bool):
            return mask(storable_text(str(value)))
        case str():
            return show(storable_text(value))
        case bool() | None:
            return value
        case int() if not -_MAX_INTEGER_SIZE <= value < _MAX_INTEGER_SIZE:
            return str(value)
        case Mapping():
            return {
                _name(show(storable_text(str(key)))): storable(
                    each, show, depth + 1, hidden=holds_number_or_token(str(key))
                )
                for key, each in value.items()
            }
        case list() | tuple():
            return [storable(each, show, depth + 1, hidden=hidden) for each in value]
    return value


def _name(key: str) -> str:
    return "\uff04" + key[1:] if key.startswith("$") else key


def storable_text(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
