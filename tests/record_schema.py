# ruff: noqa: E501 - one field a line
"""The JSON Schema of a record: its fields and their meanings are listed here, its closed sets are those of the code."""

from collections.abc import Collection, Mapping
from typing import Any

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.delivery_status import DeliveryStatus
from notification_service.contract.outcomes import STATUS_OF, WAITING, Status

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_OR_NONE: Schema = {"type": ["string", "null"]}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_TIME: Schema = {"type": "string", "format": "date-time"}
_FLAG: Schema = {"const": True}


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _object(properties: Mapping[str, Schema], required: Collection[str]) -> Schema:
    kept = {
        name: {key: each for key, each in schema.items() if key != "description"} for name, schema in properties.items()
    }
    return {"type": "object", "additionalProperties": False, "required": [*required], "properties": kept}


_ATTEMPT: Mapping[str, Schema] = {
    "at": _TIME,
    "result": _TEXT,
    "duration_ms": {"type": "number"},
    "code": {"type": ["integer", "string", "null"]},
    "reply": _OR_NONE,
    "connection": _OR_NONE,
}
_END: Mapping[str, Schema] = {
    "status": {"enum": [*Status]},
    "outcome": {"enum": [*STATUS_OF]},
    "reason": _said(_TEXT, "A word of the closed list in docs/operations.md, an SMTP code, or what a retry waits for."),
    "detail": _TEXT,
    "possible_duplicate": _FLAG,
    "fingerprint": {
        "type": "string",
        "pattern": "^[0-9a-f]{16}$",
        "description": "Of the words that it bounced by, without addresses, ids and numbers.",
    },
    "sent_at": _TIME,
    "updated_at": _TIME,
}
"""What `documents.closed` writes, into the record itself and, when a replay takes it back, into its history."""
_FIELDS: Mapping[str, Schema] = {
    "_id": _said(_TEXT, "The notification's id: one business fact, one template, one channel."),
    "event_id": _said(_TEXT, "The event that came first."),
    "event_ids": {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "uniqueItems": True,
        "description": "Every event that reported the same fact.",
    },
    "event_type": _TEXT,
    "fact": _TEXT,
    "notification_type": {"enum": [*ChannelKind]},
    "template": _said(_OR_NONE, "Null where the event could not be read."),
    "template_digest": _OR_NONE,
    "booking_id": _OR_NONE,
    "recipient": _said(_TEXT, "In full or masked (RECORD_RECIPIENT); empty where nobody was found."),
    "recipient_key": _said(
        _TEXT,
        "By which `recipient` is found in any case of letters; empty where it is masked or nobody's. Records of earlier versions have none.",
    ),
    "address_digests": {
        "type": "array",
        "items": {"type": "string", "pattern": "^([0-9a-f]{32}|more)$"},
        "maxItems": 2000,
        "description": "Keyed digests (ADDRESS_KEYS) of every address in the event, in its recipient and in what servers said, by which `erase` finds the record; `more` where there are more than 200. Gone with the person. Records of earlier versions have none until `erase` is first used.",
    },
    "message_id": _OR_NONE,
    "repaired": _said(_FLAG, "The outcome was written later, from what Redis remembered."),
    "stripped_at": _said(_TIME, "Since then the record says nothing of a person (RECORD_DAYS_FULL, erase)."),
    "erased_at": _said(_TIME, "When somebody asked for that by the address."),
    "owner": _TEXT,
    "subject": _TEXT,
    "remarks": _TEXTS,
    "event_whole": {"type": "boolean", "description": "Whether event_data is the event exactly as it came."},
    "event_json": _said(
        _TEXT, "The event's own JSON, where event_data is not all of it; never where addresses are masked."
    ),
    "resends": {
        "type": "integer",
        "minimum": 2,
        "description": "How often it was sent again, where that is more than once: a push replaces the one before.",
    },
    "sending": _said(_FLAG, "Its owner has begun to send, and its claim in Redis could not be relied on to say so."),
    "sending_by": _said(_TEXT, "By which relay, where there are several."),
    "mail_digest": {
        "type": "string",
        "pattern": "^[0-9a-f]{32}$",
        "description": "The first 32 hexadecimal digits of the SHA-256 of the mail's bytes.",
    },
    "provider_message_id": _said(_TEXT, "What the provider calls the mail, where its 250 says so."),
    "delivery": {
        **_object({"status": {"enum": [*DeliveryStatus]}, "code": _TEXT, "at": _TIME}, ("status", "code", "at")),
        "description": "What became of the mail after it was sent: the furthest that was heard (docs/feedback.md).",
    },
    "created_at": _TIME,
    "due_at": _said(_TIME, "When a retry is due."),
    "attempts": {"type": "array", "items": _object({**_ATTEMPT, "relay": _TEXT, "device": _TEXT}, _ATTEMPT)},
    "history": {
        "type": "array",
        "items": _object(_END, ("status", "outcome", "updated_at")),
        "description": "The outcomes that a replay took back.",
    },
    "replays": _said(_TEXTS, "The tokens of the replays that were granted."),
    "later": {
        "type": "array",
        "items": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "description": "The notifications of what changed about the booking after this one, its first confirmation.",
    },
    "event_data": {"type": "object", "description": "The event as it came."},
    **_END,
}
_REQUIRED = (
    *("_id", "event_id", "event_ids", "event_type", "fact", "notification_type", "template", "template_digest"),
    *("booking_id", "recipient", "message_id", "status", "outcome", "owner", "created_at", "updated_at", "attempts"),
    "event_data",
)


def record() -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:notification-service:record",
        "title": "A record in notification_logs",
        "description": "Written by `make contract`. What became of one notification. Dates are BSON dates in the database "
        "and ISO 8601 here. notification-service writes no other field; what else stands in a deployed collection is "
        "not its own.",
        "type": "object",
        "required": [*_REQUIRED],
        "additionalProperties": False,
        "properties": _FIELDS,
        "allOf": [
            *(_rule(outcome, {"status": {"const": status}}) for outcome, status in STATUS_OF.items()),
            *(_rule(each, {}, "reason") for each, status in STATUS_OF.items() if status is Status.FAILED),
            _rule(Status.SENT, {}, "sent_at"),
            _rule(WAITING, {}, "due_at"),
        ],
    }


def _rule(outcome: str, properties: Mapping[str, Schema], *required: str) -> Schema:
    then = {"properties": properties, "required": [*required]}
    return {"if": {"properties": {"outcome": {"const": outcome}}}, "then": then}
