"""The AsyncAPI document and the schemas say what the code does, and judge as strictly as they claim."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from typer.testing import CliRunner

from notification_service.cli.main import app
from notification_service.contract.events import EVENT_TYPES, parse, payload_schema, read
from notification_service.contract.outcomes import Bounced
from notification_service.stores.mongo import documents
from tests import schemas
from tests.asyncapi import official
from tests.samples import FOLDER

SAMPLES = sorted(FOLDER.glob("*.json"))


def test_the_document_in_the_repository_is_what_the_models_say() -> None:
    assert schemas.ASYNCAPI.read_text("utf-8") == schemas.asyncapi(), "make contract"


def test_the_schema_of_log_lines_is_what_the_page_of_logs_says() -> None:
    assert schemas.LOG.read_text("utf-8") == schemas.log_line(), "make contract"


def test_the_schema_of_records_has_the_closed_sets_of_the_code() -> None:
    assert schemas.RECORD.read_text("utf-8") == schemas.record(), "make contract"


def test_every_end_that_a_replay_takes_back_is_one_that_the_schema_knows() -> None:
    """A bounce's fingerprint was missing there."""
    ended = documents.closed(Bounced("5.1.1", "no such user", "0123456789abcdef"), datetime.now(UTC), str)
    listed = json.loads(schemas.record())["properties"]["history"]["items"]
    Draft202012Validator(listed).validate({**ended, "updated_at": "2026-11-29T20:00:00Z"})
    assert ended.keys() <= listed["properties"].keys()


@pytest.mark.parametrize(
    ("name", "said"), [("asyncapi", schemas.asyncapi), ("log", schemas.log_line), ("record", schemas.record)]
)
def test_the_command_prints_them(name: str, said: Any) -> None:  # noqa: ANN401 - a function
    done = CliRunner().invoke(app, ["schema", name])
    assert done.exit_code == 0
    assert json.loads(done.output) == json.loads(said())


@pytest.mark.skipif(official.missing() is not None, reason=official.missing() or "")
def test_the_official_parser_finds_nothing_to_remark_but_a_reference_that_leads_nowhere() -> None:
    ours = schemas.asyncapi()
    broken = ours.replace('"#/channels/notification.parked"', '"#/channels/nowhere"')
    reading, of_the_broken = official.parse(ours, broken)
    assert (reading.read, reading.found) == (True, [])
    assert {"receive.notification.booking_events", "send.notification.parked"} <= set(reading.operations)
    assert of_the_broken.found


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_payload_schema_is_one(event_type: str) -> None:
    Draft202012Validator.check_schema(payload_schema(event_type))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_what_the_document_allows(path: Path) -> None:
    event = json.loads(path.read_text("utf-8"))
    if event["event_type"] in EVENT_TYPES:
        Draft202012Validator(payload_schema(event["event_type"])).validate(event)


VALUES: tuple[Any, ...] = (
    *(None, "", " ", "Unknown", "A1", "25.50", "x", 0, 1, -1, 2.5, 10**12, True, False),
    *([], ["A1", None, 7], [{}], {}, {"last4": "1234"}, "2026-12-15T20:00:00Z", "no date"),
)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_whatever_the_document_allows_is_read(event_type: str) -> None:
    judge = Draft202012Validator(payload_schema(event_type))
    allowed = refused = 0
    for field in payload_schema(event_type)["properties"]:
        for value in VALUES if field != "event_type" else ():
            event = {field: value}
            if judge.is_valid(event):
                allowed += 1
                assert parse(event, event_type) is not None
            else:
                refused += 1
    assert allowed > 50
    assert refused > 50


@pytest.mark.parametrize("event", [{"booking_id": {"a": 1}}, {"seats": True}, {"total_amount": []}, {"time_zone": 330}])
def test_what_is_read_by_nobody_is_not_allowed_and_is_remarked(event: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(payload_schema("booking.confirmed")).validate(event)
    reading = read(event, "booking.confirmed")
    assert reading is not None
    assert [remark.field for remark in reading.remarks] == list(event)


LINE = {
    "timestamp": "2026-11-26T12:00:00.000000Z",
    "level": "info",
    "event": "service.ready",
    "logger": "notification_service.service",
    "mode": "live",
}


@pytest.mark.parametrize(
    "change",
    [{"mood": "good"}, {"event": "service.happy"}, {"level": "error"}, {"queue": "q"}, {"mode": 7}, {"timestamp": 7}],
    ids=lambda change: next(iter(change)),
)
def test_a_log_line_that_no_page_knows_fails(change: dict[str, Any]) -> None:
    judge = Draft202012Validator(json.loads(schemas.log_line()))
    judge.check_schema(judge.schema)
    judge.validate(LINE)
    assert not judge.is_valid({**LINE, **change})
