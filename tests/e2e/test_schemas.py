"""Every line and every record of a run that saw all kinds of endings is what the schemas say, and nothing more."""

import json
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator

from tests import schemas
from tests.samples import CONTRACT, fresh, sample
from tests.stack.place import Place, until
from tests.stack.publisher import Publication, event


def test_lines_and_records_of_a_run_are_what_the_schemas_say(place: Place) -> None:
    bad = Publication("booking.confirmed", b'{"event_type": "booking.confirmed", "event_id": "bad", "seats": "A1"}')
    nobody = fresh("payment.success", user_id="nobody", booking_id="BOOK-nobody", event_id="nobody")
    superseded = fresh("booking.cancelled")
    late = fresh("booking.confirmed", booking_id=superseded["booking_id"])
    with place.service() as service:
        place.publish(*(event(sample(name)) for name in (*CONTRACT, "booking.confirmed")), bad, event(nobody))
        place.publish(event(superseded))
        until(lambda: place.record(superseded["event_id"]))
        place.publish(event(late))
        until(lambda: {"sent", "rejected", "skipped"} == set(place.outcomes().values()))
        lines, records = service.lines(), place.records()
    check(schemas.LOG.read_text("utf-8"), [*lines, *service.lines()[len(lines) :]])
    check(schemas.RECORD.read_text("utf-8"), records)
    assert {line["event"] for line in lines} >= {"service.ready", "notification.closed", "event.rejected"}


def test_the_schema_of_records_knows_every_field(place: Place) -> None:
    booked = fresh("booking.confirmed")
    with place.service():
        place.publish(event(booked))
        until(lambda: set(place.outcomes().values()) == {"sent"})
    record = json.loads(json.dumps(place.record(booked["event_id"]), default=_date))
    judge = Draft202012Validator(json.loads(schemas.RECORD.read_text("utf-8")))
    judge.check_schema(judge.schema)
    judge.validate(record)
    for change in ({"mood": "good"}, {"outcome": "lost"}, {"status": "failed"}, {"attempts": [{"mood": "good"}]}):
        assert not judge.is_valid({**record, **change}), change


def check(text: str, documents: list[dict[str, Any]]) -> None:
    judge = Draft202012Validator(json.loads(text), format_checker=Draft202012Validator.FORMAT_CHECKER)
    plain = json.loads(json.dumps(documents, default=_date))
    found = [f"{problem.message} in {document}" for document in plain for problem in judge.iter_errors(document)]
    assert documents
    assert not found, "\n".join(found[:5])


def _date(value: object) -> str:
    assert isinstance(value, datetime), value
    return value.isoformat()
