"""A record keeps its event exactly as it came, or says that it does not; what is published again is never altered."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import bson
import pytest
from hypothesis import example, given, strategies as st

from notification_service.contract.bodies import Body, JsonObject, read
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.intents import of_unreadable
from notification_service.delivery.planning import UnreadableMessage, plan
from notification_service.delivery.ports.ledger import Intent
from notification_service.foundation.addresses import mask_in
from notification_service.records.reconciliation import stored_body, stored_event
from notification_service.stores.mongo import documents, personal_data
from tests.unit.fakes import LARGEST, inbound

NOW = datetime(2026, 11, 29, tzinfo=UTC)
TEXTS = st.text(st.characters() | st.sampled_from("\0\ud800$.…?\ufffd*@0x")) | st.sampled_from(
    ["", "$ref", "$id", "$where", "a.b", "_id", "0xffffffffffffffff", "…", "j***@x.example", "a@b.example", "raw"]
)
NUMBERS = st.integers() | st.integers(2**63 - 2, 2**65) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=6)
ODD = [
    '{"booking_id": 18446744073709551615}',
    '{"booking_id": -9223372036854775809}',
    '{"n": 9223372036854775807, "m": -9223372036854775808}',
    '{"amount": 1e999, "other": -1E400}',
    '{"amount": 0.1000000000000000055511151231257827021181583404541015625}',
    '{"amount": 12345678901234567890.123456789}',
    '{"id": ' + "7" * 5000 + "}",
    '{"id": ' + "7" * 4000 + "}",
    '{"title": "half \\ud800 a pair", "\\udfff": 1}',
    '{"title": "a\\u0000b", "k\\u0000": 1, "k\\ufffd": 2}',
    '{"twice": 1, "twice": 2}',
    '{"$ref": "users", "$id": 7, "$db": "x", "gateway": {"$ref": "a", "$id": 1}}',
    '{"$date": "2026-11-29", "$oid": "0", "a.b": {"$set": {"c.d": 1}}, "": 1, "$": 2}',
    '{"deep": ' + "[" * 90 + "]" * 90 + "}",
    '{"deep": ' + '{"a":' * 200 + "1" + "}" * 200 + "}",
    '{"title": "A \\ufffd film, …, 0xffffffffffffffff", "id": "0xffffffffffffffff", "end": "…"}',
    '{"a\\u0040b.example": "jane\\u0040guests.example"}',
    '{"raw": "{\\"a\\": 1e999}", "b": 1e999}',
    '{ "spaces" :\t[ 1 ,\n2 ] , "zero": -0, "minus": -0.0, "e": 1E5 }',
    "{}",
]


def said(text: str) -> JsonObject:
    found = read(Body(text.encode("utf-8")), max_bytes=10**7)
    assert isinstance(found, JsonObject)
    return found


def record_of(event: object, show: documents.Show = str) -> dict[str, Any]:
    """As it stands in the database."""
    made = Intent("n1", "o", "e1", "booking.confirmed", "email", "t", None, "", NOW, None, None, "f", event)  # type: ignore[arg-type]  # whatever an event holds
    return bson.decode(bson.encode(documents.pending(made, show)))


def numbers(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Everything that the text says, its numbers by their digits and every name as often as it stands there."""
    return json.loads(text, parse_int=Decimal, parse_float=Decimal, object_pairs_hook=list)


@pytest.mark.parametrize("text", ODD, ids=lambda text: text[:30])
def test_an_event_that_no_database_holds_is_published_again_as_it_came(text: str) -> None:
    record = record_of(said(text))
    body = stored_body(record)
    assert body is not None
    assert repr(stored_event(record)) == repr(said(text))
    assert numbers(body.decode()) == numbers(text)


@pytest.mark.parametrize("text", ODD[:15], ids=lambda text: text[:30])
def test_what_differs_from_its_event_is_marked(text: str) -> None:
    record = record_of(said(text))
    fits = text == ODD[2]
    assert record["event_whole"] is fits
    assert ("event_json" in record) is not fits


@given(OBJECTS)
@example({"raw": "x"})
@example({"user_email": "j***@x.example"})
def test_any_event_is_published_again_as_it_came_or_not_at_all(data: dict[str, Any]) -> None:
    event = said(json.dumps(data))
    record = record_of(event)
    body = stored_body(record)
    if body is not None:
        again = said(body.decode())
        assert repr(again) == repr(event)
        assert numbers(body.decode()) == numbers(str(event.text))
    else:
        assert "raw" in data or "***@" in json.dumps(data)


@given(OBJECTS)
@example({"n": 2**70, "a": "jane@guests.example"})
def test_masked_no_event_is_altered_and_none_stands_there_beside(data: dict[str, Any]) -> None:
    event = said(json.dumps(data))
    record = record_of(event, mask_in)
    assert "event_json" not in record
    body = stored_body(record)
    assert body is None or repr(said(body.decode())) == repr(event)


def test_an_address_that_is_hidden_in_escapes_is_not_kept_masked() -> None:
    record = record_of(said('{"a": 1e999, "to": "jane\\u0040guests.example"}'), mask_in)
    assert "jane" not in repr(record)
    assert stored_body(record) is None


def test_an_event_that_is_too_large_to_stand_there_twice_is_not_published_again() -> None:
    record = record_of(said('{"a": 1e999, "b": "' + "x" * (4 * 1024 * 1024) + '"}'))
    assert (record["event_whole"], "event_json" in record, stored_body(record)) == (False, False, None)


@pytest.mark.parametrize("body", [b"\x1f\x8b broken", b"{broken", b"\xff\0"])
def test_what_is_no_event_is_never_published_again(body: bytes) -> None:
    planned = plan(inbound(body), max_bytes=LARGEST)
    assert isinstance(planned, UnreadableMessage)
    record = bson.decode(bson.encode(documents.pending(of_unreadable(planned, ChannelKind.EMAIL), str)))
    assert list(record["event_data"]) == ["raw"]
    assert stored_body(record) is None


def test_nothing_of_it_is_left_without_its_person() -> None:
    record = record_of(said('{"n": 1e999, "user_email": "jane@guests.example"}'))
    left = personal_data.without_person(record, NOW)
    assert "jane" in record["event_json"]
    assert "jane" not in repr(left)
    assert not {"event_json", "event_whole"} & left.keys()
