"""Messages as the world publishes them: under odd keys and headers, packed, and with numbers that no database holds."""

import asyncio
import gzip
import json
import urllib.request
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
import pytest

from notification_service.records.audit import examine
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.place import RECORDS, Document, Place, until
from tests.stack.publisher import EXCHANGE, event
from tests.stack.smtp_rules import Rule

BOOKINGS = "notification.booking_events"
LONG_AGO = datetime.now(UTC) - timedelta(hours=3)
OURS = {
    "x-not-before": 4102444800,
    "x-attempt": 99,
    "x-replay": "abc",
    "x-event-type": "payment.failed",
    "x-suspect": True,
    "x-turns": 9,
}


def say(
    place: Place,
    body: bytes,
    *,
    key: str = "booking.confirmed",
    exchange: str = EXCHANGE,
    headers: Mapping[str, Any] | None = None,
    **properties: Any,  # noqa: ANN401 - aio-pika's
) -> None:
    """Publish, with properties that the producer sets itself. Without an exchange the key is a queue's name."""

    async def published() -> None:
        async with await aio_pika.connect(place.amqp_url) as connection:
            channel = await connection.channel()
            at = await channel.get_exchange(exchange) if exchange else channel.default_exchange
            message = aio_pika.Message(body, headers=dict(headers or {}), delivery_mode=2, **properties)
            await at.publish(message, key, mandatory=True)

    asyncio.run(published())


def purge(place: Place, *queues: str) -> None:
    async def purged() -> None:
        async with await aio_pika.connect(place.amqp_url) as connection:
            channel = await connection.channel()
            for name in queues:
                await (await channel.get_queue(name)).purge()

    asyncio.run(purged())


def command(place: Place, *arguments: str) -> str:
    ended = place.command(*arguments)
    return ended.stdout + ended.stderr


def record(place: Place, event_id: str) -> Document:
    found = place.record(event_id)
    assert found is not None
    return found


def test_the_routing_key_says_the_type_and_else_the_body(place: Place) -> None:
    named = {
        name: fresh("booking.confirmed", event_type=said)
        for name, said in (("class", "BookingConfirmedEvent"), ("other", "booking.cancelled"), ("none", None))
    }
    moved = fresh("booking.cancelled")
    spelt = fresh("booking.cancelled", event_type="BookingCancelled")
    foreign = fresh("booking.confirmed", event_type="booking.pending_payment")
    typed, headed = (fresh("booking.cancelled", event_type=None) for _ in range(2))
    wrapped = fresh("booking.cancelled")
    with place.service() as service:
        for data in named.values():
            say(place, json.dumps(data).encode())
        for data in (moved, spelt, foreign):
            say(place, json.dumps(data).encode(), exchange="", key=BOOKINGS)
        say(place, json.dumps(foreign).encode(), exchange="", key="notification.again")
        say(place, json.dumps(typed).encode(), exchange="", key=BOOKINGS, type="BookingCancelled")
        header = {"cloudEvents:type": "com.cinema.booking.cancelled"}
        say(place, json.dumps(headed).encode(), exchange="", key=BOOKINGS, headers=header)
        envelope = {"specversion": "1.0", "type": "booking.cancelled", "data": wrapped}
        say(place, json.dumps(envelope).encode(), exchange="", key=BOOKINGS)
        sent = {each["event_id"] for each in (*named.values(), moved, spelt, typed, headed, wrapped)}
        until(lambda: {each for each, outcome in place.outcomes().items() if outcome == "sent"} == sent)
        until(lambda: service_counts(service.port, 'event_type="other",outcome="ignored"') == 2)
        assert service_counts(service.port, 'event_type="booking.cancelled",outcome="sent"') == 5
    types = {name: record(place, data["event_id"]) for name, data in named.items()}
    assert {each["event_type"] for each in types.values()} == {"booking.confirmed"}
    assert [len(types[name].get("remarks", ())) for name in ("class", "other", "none")] == [1, 1, 0]
    assert record(place, moved["event_id"])["event_type"] == "booking.cancelled"
    assert "remarks" not in record(place, moved["event_id"])
    assert len(record(place, spelt["event_id"])["remarks"]) == 1
    assert json.loads(record(place, wrapped["event_id"])["event_json"]) == envelope
    assert len(place.mails()) == len(sent)


def service_counts(port: int, labels: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        page = answer.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if f"events_total{{{labels}}}" in line)


@pytest.mark.parametrize("express", ["false", "true"])
def test_a_producer_s_headers_of_ours_do_nothing_and_go_no_further(place: Place, express: str) -> None:
    fine, late, lost = (fresh("booking.confirmed") for _ in range(3))
    lost |= {"user_email": "nobody", "user_id": "nobody", "booking_id": "nobody"}
    place.smtp.script([Rule(at="rcpt", match="late@", reply="450 4.2.1 mailbox busy", times=1)])
    late["user_email"] = "late@example.com"
    with place.service(RABBITMQ_EXPRESS_LANE=express):
        for data in (fine, late, lost):
            say(place, json.dumps(data).encode(), headers={**OURS, "x-tenant": "kept"})
        until(lambda: list(place.outcomes().values()).count("sent") == 2)
        until(lambda: place.depth("notification.parked") == 1)
    assert {each["event_type"] for each in place.records()} == {"booking.confirmed"}
    assert [each["attempts"][0]["code"] for each in place.records() if each["attempts"]].count(450) == 1
    assert not any(each.get("replays") for each in place.records())
    headers = asyncio.run(headers_in(place, "notification.parked"))
    assert not headers.keys() & (OURS.keys() - {"x-event-type"})
    assert (headers["x-event-type"], headers["x-tenant"]) == ("booking.confirmed", "kept")


async def headers_in(place: Place, queue: str) -> dict[str, Any]:
    async with await aio_pika.connect(place.amqp_url) as connection:
        message = await (await (await connection.channel()).get_queue(queue)).get()
        assert message is not None
        return dict(message.headers)


def test_what_waits_in_our_own_queues_keeps_its_count_and_no_time_is_further_than_a_month(place: Place) -> None:
    """As an older version has put it there."""
    gives_up, goes = fresh("booking.confirmed", user_email="late@example.com"), fresh("booking.confirmed")
    place.smtp.script([Rule(at="rcpt", match="late@", reply="450 4.2.1 mailbox busy")])
    with place.service(MAX_RETRY_ATTEMPTS="3"):
        headers = {"x-attempt": 3, "x-event-type": "booking.confirmed"}
        say(place, json.dumps(gives_up).encode(), exchange="", key="notification.retry.1s", headers=headers)
        say(
            place,
            json.dumps(goes).encode(),
            exchange="",
            key="notification.again",
            headers={"x-not-before": 4102444800},
        )
        until(lambda: set(place.outcomes().values()) == {"parked", "sent"})
    assert len(record(place, gives_up["event_id"])["attempts"]) == 1


def test_packed_bodies_are_read_shown_and_replayed_as_they_came(place: Place) -> None:
    fine, lost = fresh("booking.confirmed"), fresh("payment.success", user_id="late-user", booking_id="BOOK-late")
    moved = fresh("booking.cancelled", movie_title="Amélie")
    broken = gzip.compress(json.dumps(fresh("booking.confirmed")).encode())[:-9]
    packed = gzip.compress(json.dumps(lost).encode())
    bomb = gzip.compress(b"{" + b" " * 50_000_000 + b"}")
    with place.service() as service:
        say(place, gzip.compress(json.dumps(fine).encode()), content_encoding="gzip")
        say(
            place,
            zlib.compress(json.dumps(moved).encode("utf-16")),
            exchange="",
            key=BOOKINGS,
            content_encoding="Deflate",
        )
        say(place, packed, key="payment.success", content_encoding="gzip", content_type="application/json")
        say(place, broken, content_encoding="gzip", message_id="broken")
        say(place, bomb, content_encoding="gzip", message_id="bomb")
        say(place, b"\x8b\x02\x80", content_encoding="br", message_id="brotli")
        until(lambda: place.depth("notification.parked") == 4)
        until(lambda: list(place.outcomes().values()).count("sent") == 2)
        told = {name: record(place, name) for name in ("broken", "bomb", "brotli")}
        assert {name: each["reason"] for name, each in told.items()} == {
            "broken": "not_json",
            "bomb": "too_large",
            "brotli": "not_json",
        }
        assert "it is cut short" in told["broken"]["detail"]
        assert "unpacked, and MAX_EVENT_BYTES allows" in told["bomb"]["detail"]
        assert "content_encoding is 'br', which is not read" in told["brotli"]["detail"]
        shown = json.loads(command(place, "parked", "show", lost["event_id"], "--json"))["events"][0]
        assert json.loads(shown["body"]) == lost
        assert '"late-user"' in command(place, "parked", "show", lost["event_id"])
        place.database["users"].insert_one({"_id": "late-user", "email": "late@example.com"})
        assert "1 published again" in command(place, "parked", "replay", "--yes", "--event", lost["event_id"])
        until(lambda: place.outcomes()[lost["event_id"]] == "sent")
        assert not service.said("delivery.unsettled")
    assert len(place.mails()) == 3


NUMBERS = {
    "booking_id": "18446744073709551615",
    "fee": "1e999",
    "digits": "0.1000000000000000000001",
    "long": "7" * 5000,
    "title": '"half \\ud800 \\u0000"',
    "$ref": '"users"',
}


def test_what_no_database_holds_is_one_record_and_one_mail_when_its_retry_is_lost(place: Place) -> None:
    data = {name: value for name, value in fresh("booking.confirmed").items() if name not in NUMBERS}
    text = json.dumps(data)[:-1] + "".join(f', "{name}": {literal}' for name, literal in NUMBERS.items()) + "}"
    place.smtp.script([Rule(at="rcpt", reply="450 4.2.1 mailbox busy", times=1)])
    with place.service(RETRY_RUNGS="600"):
        say(place, text.encode(), message_id="m-1")
        until(lambda: place.outcomes().get(data["event_id"]) == "waiting")
        until(lambda: place.depth("notification.retry.600s") == 1)
    kept = record(place, data["event_id"])
    assert kept["event_json"] == text
    assert kept["booking_id"] == kept["event_data"]["booking_id"] == NUMBERS["booking_id"]
    purge(place, "notification.retry.600s")
    place.database[RECORDS].update_one({}, {"$set": {"due_at": LONG_AGO, "updated_at": LONG_AGO}})
    report = asyncio.run(examine(Judge(place).settings(), repair=True))
    assert (report.published, report.notes) == (1, [])
    with place.service():
        until(lambda: place.outcomes() == {data["event_id"]: "sent"})
        until(lambda: place.depth("notification.again") == 0)
    (mail,) = place.mails()
    text_part = mail.message().get_body(("plain",))
    assert text_part is not None
    assert NUMBERS["booking_id"] in text_part.get_content()
    assert "0xf" not in text_part.get_content()
    assert len(place.records()) == 1
    assert asyncio.run(examine(Judge(place).settings())).balanced


@pytest.mark.parametrize("altered", [{"booking_id": "0xffffffffffffffff"}, {"movie_title": "A \ufffd film"}])
def test_what_an_older_version_altered_is_left_to_its_producer(place: Place, altered: dict[str, str]) -> None:
    data = fresh("booking.confirmed")
    place.smtp.script([Rule(at="rcpt", reply="450 4.2.1 mailbox busy", times=1)])
    with place.service(RETRY_RUNGS="600"):
        place.publish(event(data))
        until(lambda: place.outcomes().get(data["event_id"]) == "waiting")
    old = {"$set": {"due_at": LONG_AGO, "updated_at": LONG_AGO, "event_data": {**data, **altered}}}
    place.database[RECORDS].update_one({}, {**old, "$unset": {"event_whole": ""}})
    report = asyncio.run(examine(Judge(place).settings(), repair=True))
    assert report.published == 0
    assert "the producer has to publish it again" in report.notes[0]
