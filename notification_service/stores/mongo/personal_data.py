"""Takes personal data out of a record."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from notification_service.contract.notification_ids import REPORT_FIELD
from notification_service.delivery.ports.ledger import Record
from notification_service.foundation.address_digests import names, stand_in, texts_of_id
from notification_service.stores.mongo.documents import listed

_IMPERSONAL = (
    *("_id", "event_id", "event_ids", "event_type", "fact", "notification_type", "template", "template_digest"),
    *(
        "booking_id",
        "message_id",
        "status",
        "outcome",
        "reason",
        "fingerprint",
        "possible_duplicate",
        "resends",
        "repaired",
    ),
    *("owner", "replays", "later", "created_at", "updated_at", "sent_at", "due_at", "discarded_at", "erased_at"),
    *("provider_message_id", "delivery"),
    *("experiment", "variant", "fell_back", "shadow"),  # and not `unit`, which stands for a person
)
_IMPERSONAL_ATTEMPT = ("at", "result", "duration_ms", "code", "connection", "relay")
_IMPERSONAL_HISTORY = ("status", "outcome", "reason", "fingerprint", "possible_duplicate", "updated_at", "sent_at")


def without_person(document: Record, at: datetime) -> dict[str, Any]:
    """Returns a record without personal data: it keeps the fact, the times and the outcome.

    It lists the fields that stay, so that a new field counts as personal until somebody decides otherwise.
    """
    data = document.get("event_data")
    report = data.get(REPORT_FIELD) if isinstance(data, Mapping) else None
    history = [_only(each, _IMPERSONAL_HISTORY) for each in listed(document, "history", dict)]
    return {
        **_only(document, _IMPERSONAL),
        **({"history": history} if history else {}),
        "recipient": "",
        "recipient_key": "",
        "attempts": [
            {**_only(each, _IMPERSONAL_ATTEMPT), "reply": None} for each in listed(document, "attempts", dict)
        ],
        "event_data": {REPORT_FIELD: report} if report else {},
        "stripped_at": at,
    }


_IDS = ("event_id", "event_ids")
_ALTERED = "\ufffd"
"""Marks a text of which a part was replaced; `reconcile` does not check such a text."""


def without_address(document: Record, address: str) -> dict[str, Any]:
    """Returns a record in which no id of a fact, booking or event contains the address; `_id` is a digest."""
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


def _only(document: Record, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}
