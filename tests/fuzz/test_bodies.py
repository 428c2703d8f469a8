"""Any bytes at all: what is planned for them, whether the record of it can be written, and what becomes of it."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from hypothesis import given, strategies as st

from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.mime import SenderIdentity
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import EVENT_TYPES, parse
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Rejected, Sent, Skipped, SkipReason
from notification_service.delivery import intents, planning
from notification_service.delivery.jobs import Jobs
from notification_service.delivery.leases import Leases
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.planning import IgnoredEvent, Notification, UnreadableMessage
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.policy import Policy
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park
from notification_service.delivery.state import DeliveryState
from notification_service.stores.memory.claims import MemoryClaims
from notification_service.stores.memory.directory import MemoryDirectory
from notification_service.stores.memory.ledger import MemoryLedger
from notification_service.stores.memory.rates import MemoryRates
from notification_service.stores.mongo.documents import closed, pending
from tests.fuzz.examples import fuzzed_more
from tests.fuzz.test_mails import SENDER, renderer
from tests.fuzz.weapons import WEAPONS
from tests.samples import sample
from tests.unit.fakes import LARGEST, ScriptedChannel

LONGEST = 1.0
"""Seconds of our own time, however busy the machine is, for a body of a few kilobytes."""

ODD = (
    "0001-01-01T00:00:00+23:59",
    "9999-12-31 23:59",
    "2026-12-15T20:00:00-23:59",
    "1e999999999",
    "NaN",
    "-0",
    "1,2,3",
    "Africa/../../etc/passwd",
    "$" * 3,
)
TEXTS = st.sampled_from(ODD) | st.sampled_from(WEAPONS) | st.text(max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just(10**400)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8)
KINDS = [kind for kind in EVENT_TYPES if kind != "payment.refund"]  # the other spelling of payment.refunded
ROUTING_KEYS = st.sampled_from(EVENT_TYPES) | TEXTS


def fields_of(kind: str) -> list[str]:
    event = parse({}, kind)
    assert event is not None
    return sorted(type(event).model_fields)


@st.composite
def _cut_and_pasted(draw: st.DrawFn) -> bytes:
    """A real event in which some bytes are others."""
    body = json.dumps(sample(draw(st.sampled_from(KINDS)))).encode()
    at, gone = draw(st.integers(0, len(body))), draw(st.integers(0, 20))
    return body[:at] + draw(st.binary(max_size=8)) + body[at + gone :]


@st.composite
def _with_odd_values(draw: st.DrawFn) -> bytes:
    """A real event in which some fields hold something else."""
    kind = draw(st.sampled_from(KINDS))
    odd = draw(st.dictionaries(st.sampled_from(fields_of(kind)), JSON, min_size=1, max_size=4))
    return json.dumps(sample(kind, **odd)).encode()


BODIES = (
    st.binary(max_size=400) | JSON.map(json.dumps).map(str.encode) | _cut_and_pasted() | _with_odd_values()
)  # NaN and Infinity too: Python writes them, though JSON has none


def deliveries() -> st.SearchStrategy[InboundMessage]:
    return st.builds(InboundMessage, BODIES, ROUTING_KEYS, message_id=st.none() | TEXTS)


@given(deliveries())
@fuzzed_more
def test_any_bytes_are_ours_or_not_ours_or_unreadable_in_no_time(inbound: InboundMessage) -> None:
    started = time.thread_time()
    planned = planning.plan(inbound, max_bytes=LARGEST)
    assert isinstance(planned, Notification | IgnoredEvent | UnreadableMessage)
    assert planning.event_id(inbound, max_bytes=LARGEST)
    assert time.thread_time() - started < LONGEST


@given(data=st.dictionaries(TEXTS, JSON), routing_key=ROUTING_KEYS, message_id=st.none() | TEXTS)
@fuzzed_more
def test_what_is_unreadable_can_be_recorded(data: dict[str, Any], routing_key: str, message_id: str | None) -> None:
    body = json.dumps({**data, "event_type": "booking.confirmed", "booking_id": []}).encode()
    planned = planning.plan(InboundMessage(body, routing_key, message_id=message_id), max_bytes=LARGEST)
    assert isinstance(planned, UnreadableMessage)
    record = pending(intents.of_unreadable(planned, ChannelKind.EMAIL), str)
    bson.encode(record | closed(planned.outcome, datetime.now(UTC), str))


class World:
    """The pipeline on the twins; the mail server takes everything."""

    def __init__(self) -> None:
        claims = MemoryClaims(30.0)
        self.ledger, self.channel = MemoryLedger(), ScriptedChannel()
        leases = Leases(claims, 30.0)
        self.pipeline = Pipeline(
            state=DeliveryState(claims, self.ledger, leases, MemoryRates()),
            leases=leases,
            directory=MemoryDirectory({"user456": Recipient("jane@guests.example", "Jane")}, {}),
            composer=EmailComposer(renderer(), SenderIdentity(SENDER, "Cinema"), max_attachment_bytes=1000),
            channel=self.channel,
            outbox=NoOutbox(),
            policy=Policy(RetrySchedule(2, (5, 30)), LARGEST, renderer().zone),
            jobs=Jobs(),
            poison_guard=PoisonGuard(claims),
        )


class NoOutbox:
    async def keep(self, _: object) -> str:
        raise AssertionError("nothing gives up here")


async def assert_ends(inbound: InboundMessage) -> None:
    world = World()
    settlement = await world.pipeline.handle(inbound)
    planned = planning.plan(inbound, max_bytes=LARGEST)
    records = list(world.ledger.records.values())
    assert len(records) == (not isinstance(planned, IgnoredEvent))
    assert isinstance(settlement, Done | Park), "with every part up nothing has to wait"
    outcome = settlement.outcome
    assert outcome is None or isinstance(outcome, Sent | Rejected) or outcome == Skipped(SkipReason.EXPIRED)
    assert len(world.channel.handed_over) == isinstance(outcome, Sent)


@given(deliveries())
@fuzzed_more
async def test_any_bytes_end_in_one_record_or_are_not_ours(inbound: InboundMessage) -> None:
    await assert_ends(inbound)


@pytest.mark.parametrize("kind", KINDS)
async def test_each_odd_value_in_each_field_of_each_kind_ends(kind: str) -> None:
    values: tuple[Any, ...] = (*ODD, 10**400, 1e308, True, [], [[]], {"": None})
    for field in fields_of(kind):
        for odd in values:
            await assert_ends(InboundMessage(json.dumps(sample(kind, **{field: odd})).encode(), kind))
