"""What one event may cost on the wire, counted between the real service and the real servers.

One event at a time, on connections that are open already: with many under way the stores are asked for several at
once, and an event costs less. A change that costs a round trip more fails here.
"""

import struct
from collections import Counter
from collections.abc import Iterator

import bson
import pytest
from redis import Redis

from tests.samples import fresh
from tests.stack.place import RECORDS, Place, until
from tests.stack.proxy import Proxy
from tests.stack.publisher import event

EVENTS = 5
SMTP = {"mail": 1, "rcpt": 1, "data": 1}
REDIS = {"evalsha": 4}
"""The claim, the address's turn, the sending marker, the verdict."""
AMQP = {"basic.ack": 1}
ONE_QUESTION = {"insert": 1, "update": 1, "find": 1}
"""The entry, its outcome, and whether it was superseded or what the confirmation said, or whose the payment is."""
MONGODB = {
    "booking.confirmed": ONE_QUESTION,
    "booking.cancelled": ONE_QUESTION,
    "payment.success": {"insert": 2, "update": 1, "find": 1},
    "payment.failed": {"insert": 1, "update": 1, "find": 3},
    "payment.refunded": {"insert": 2, "update": 1, "find": 2},
}
"""Of a refund also that its report was the first, which the insert itself answers, and of whose booking it is.

A success notes that its booking is paid, and by which name it was reported first: one command. A failure asks for that
and for its booking's mails: one way there and back, with a command for each collection."""


SUPPRESSION = {"booking.confirmed": {**ONE_QUESTION, "find": 2}}
"""One more, for the address: it is sent together with the question that is asked anyway."""


@pytest.mark.parametrize("kind", MONGODB)
def test_an_event_costs_no_more_on_the_wire_than_its_budget(place: Place, kind: str) -> None:
    assert_costs(place, kind, MONGODB[kind])


FEEDBACK = {
    "RETURN_PATH_DOMAIN": "bounces.cinema.example",
    "LINK_KEYS": "1:a-key-for-the-tests-of-feedback",
    "POSTMARK_WEBHOOK_LOGINS": "postmark:a-password-of-some-length",
    "CALLBACK_URL": "https://links.cinema.example",
}


@pytest.mark.parametrize("kind", SUPPRESSION)
def test_feedback_with_suppression_costs_one_more_question(place: Place, kind: str) -> None:
    assert_costs(place, kind, SUPPRESSION[kind], **FEEDBACK)


def assert_costs(place: Place, kind: str, budget: dict[str, int], **settings: str) -> None:
    stack = place.stack
    with Proxy(stack.broker.port) as amqp, Proxy(stack.mongo.port) as mongodb:
        service = place.service(
            RABBITMQ_URL=place.amqp_url.replace(f":{stack.broker.port}/", f":{amqp.port}/"),
            MONGODB_URI=stack.mongodb_uri.replace(f":{stack.mongo.port}/", f":{mongodb.port}/"),
            **settings,
        )
        with service:
            amqp.requested = {}
            _work_off(place, kind, 1)
            until(lambda: _amqp_methods(amqp.requested)["basic.ack"] >= 1)
            amqp.requested, mongodb.requested = {}, {}
            smtp, redis = place.smtp.stats().counts, _redis_commands(place)
            _work_off(place, kind, EVENTS)
            spent_smtp = Counter(place.smtp.stats().counts)
            spent_smtp.subtract(smtp)
            spent_redis = _redis_commands(place)
            spent_redis.subtract(redis)
            until(lambda: _amqp_methods(amqp.requested)["basic.ack"] >= EVENTS)
            # Before it says goodbye, which is no event's either.
            spent = {"amqp": _amqp_methods(amqp.requested), "mongodb": _mongodb_commands(mongodb.requested)}
    assert {"smtp": +spent_smtp, "redis": +spent_redis} == {"smtp": _times(SMTP), "redis": _times(REDIS)}
    assert spent == {"amqp": _times(AMQP), "mongodb": _times(budget)}


def _times(budget: dict[str, int]) -> Counter[str]:
    return Counter({name: count * EVENTS for name, count in budget.items()})


def _work_off(place: Place, kind: str, events: int) -> None:
    """One after the other, each to its end."""
    records = place.database[RECORDS]
    for _ in range(events):
        done = records.count_documents({"outcome": "sent"})
        happened = fresh(kind)
        place.database["bookings"].insert_one({"_id": happened["booking_id"], "user_id": "user456"})
        place.publish(event(happened))
        until(lambda done=done: records.count_documents({"outcome": "sent"}) > done)  # type: ignore[misc]


def _redis_commands(place: Place) -> Counter[str]:
    """Those that a client sends; what a script does inside is no round trip."""
    with Redis.from_url(place.stack.redis_url) as redis:
        told = redis.info("commandstats")
    return Counter(
        {name: told[f"cmdstat_{name}"]["calls"] for name in ("evalsha", "eval") if f"cmdstat_{name}" in told}
    )


def _amqp_methods(requested: dict[int, bytearray] | None) -> Counter[str]:
    """AMQP 0-9-1, 4.2: type, channel, size, payload, end; a heartbeat is not an event's."""
    names = {(60, 80): "basic.ack"}
    found: Counter[str] = Counter()
    for written in (requested or {}).values():
        at = 0
        while at + 7 <= len(written):
            kind, _, size = struct.unpack_from(">BHI", written, at)
            if kind == 1:
                method = struct.unpack_from(">HH", written, at + 7)
                found[names.get(method, str(method))] += 1
            elif kind != 8:
                found[f"frame of type {kind}"] += 1
            at += 7 + size + 1
    return found


def _mongodb_commands(requested: dict[int, bytearray] | None) -> Counter[str]:
    return Counter(name for written in (requested or {}).values() for name in _commands(bytes(written)))


def _commands(written: bytes) -> Iterator[str]:
    """Of OP_MSG: a header of 16 bytes, flags, then a section whose document names the command first."""
    at = 0
    while at + 16 <= len(written):
        length = struct.unpack_from("<i", written, at)[0]
        size = struct.unpack_from("<i", written, at + 21)[0]
        name = next(iter(bson.decode(written[at + 21 : at + 21 + size])))
        if name not in ("hello", "ping"):
            yield name
        at += length
