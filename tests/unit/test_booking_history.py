"""What a further event means beside what was told of its booking; on the in-memory twins."""

import asyncio
import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Sent, Skipped, SkipReason
from notification_service.delivery import planning
from notification_service.delivery.ports.channel import BeforeHandover, HandoverRefused, OutgoingMessage, Verdict
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.settlements import Done, Park, Retry
from notification_service.stores.memory.ledger import Record
from tests.samples import sample
from tests.unit.fakes import ACCEPTED, LARGEST, Step, deferred, inbound, refused
from tests.unit.test_pipeline import Cinema

SUPERSEDED, DUPLICATE, EXPIRED = (
    Skipped(reason) for reason in (SkipReason.SUPERSEDED, SkipReason.DUPLICATE, SkipReason.EXPIRED)
)


def on(hour: int, *seats: str, **changes: Any) -> InboundMessage:  # noqa: ANN401 - whatever JSON holds
    """Confirmed at that hour; the event's id is of its hour."""
    told = {"event_id": f"on {hour}", "timestamp": f"2026-11-24T{hour:02}:00:00Z", "seats": seats or ("B5", "B6")}
    return inbound(sample("booking.confirmed", **{**told, **changes}))


def off(hour: int, **changes: Any) -> InboundMessage:  # noqa: ANN401 - as above
    booking = sample("booking.confirmed")["booking_id"]
    told = {"event_id": f"off {hour}", "timestamp": f"2026-11-24T{hour:02}:00:00Z", "booking_id": booking}
    return inbound(sample("booking.cancelled", **{**told, **changes}), "booking.cancelled")


def paid(hour: int, kind: str, **changes: Any) -> InboundMessage:  # noqa: ANN401 - as above
    booking = sample("booking.confirmed")["booking_id"]
    told = {"event_id": f"{kind} {hour}", "timestamp": f"2026-11-24T{hour:02}:00:00Z", "booking_id": booking}
    return inbound(sample(kind, **{**told, **changes}), kind)


def record(cinema: Cinema, event_id: str) -> Record:
    (found,) = [each for each in cinema.ledger.records.values() if event_id in each.entry.event_ids]
    return found


async def told(cinema: Cinema, *deliveries: InboundMessage) -> list[str]:
    """What was sent of them, one after the other."""
    for each in deliveries:
        await cinema.pipeline.handle(each)
    return [record.subject or "" for record in cinema.ledger.records.values() if record.entry.outcome == Sent()]


# ── a change ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_change_has_a_record_of_its_own_and_its_event_is_found_there_again() -> None:
    cinema = Cinema()
    assert await cinema.pipeline.handle(on(10)) == Done(Sent())
    assert [await cinema.pipeline.handle(on(11, "C1")) for _ in range(3)] == [Done(Sent())] * 3
    assert (len(cinema.mails), len(cinema.ledger.records)) == (2, 2)
    first, changed = (record(cinema, event_id) for event_id in ("on 10", "on 11"))
    assert first.later == (changed.intent.notification_id,)
    assert first.intent.fact == changed.intent.fact
    notification = planning.plan(on(11, "C1"), max_bytes=LARGEST)
    assert isinstance(notification, planning.Notification)
    assert changed.intent.notification_id == planning.further_id(notification, ChannelKind.EMAIL)
    assert changed.subject
    assert changed.subject.startswith("Booking changed")


async def test_a_change_whose_worker_died_before_it_had_a_record_is_told_by_the_next_one() -> None:
    cinema = Cinema()
    await told(cinema, on(10))
    notification = planning.plan(on(11, "C1"), max_bytes=LARGEST)
    assert isinstance(notification, planning.Notification)
    (first,) = cinema.ledger.records
    await cinema.ledger.note_later(first, planning.further_id(notification, ChannelKind.EMAIL))
    assert await cinema.pipeline.handle(on(11, "C1")) == Done(Sent())
    assert len(cinema.mails) == 2


async def test_a_change_is_not_swallowed_by_a_verdict_whose_outcome_was_never_written() -> None:
    cinema = Cinema()
    cinema.ledger.silent = {"close": 1_000_000}
    first = asyncio.create_task(cinema.pipeline.handle(on(10)))
    await asyncio.sleep(0.3)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    cinema.ledger.silent = {}
    assert record(cinema, "on 10").outcome == "pending"
    assert await cinema.process().handle(on(11, "C1")) == Done(Sent())
    assert (record(cinema, "on 10").outcome, len(cinema.mails)) == ("sent", 2)


async def test_redis_may_be_away_or_have_forgotten() -> None:
    cinema = Cinema()
    await told(cinema, on(10))
    cinema.claims._claims.clear()
    assert await cinema.pipeline.handle(on(11, "C1")) == Done(Sent())
    cinema.claims.down = ("claim", "mark_sending", "decide", "release", "renew")
    assert await cinema.pipeline.handle(on(12, "D1")) == Done(Sent())
    assert await cinema.pipeline.handle(on(12, "D1")) == Done(Sent())
    assert len(cinema.mails) == 3


async def test_a_change_waits_for_an_earlier_one_that_is_in_another_worker_s_hand() -> None:
    gate = asyncio.Event()

    async def slowly(envelope: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        await before_handover()
        cinema.channel.handed_over.append(envelope)
        await gate.wait()
        return ACCEPTED

    cinema = Cinema()
    await told(cinema, on(10))
    cinema.channel.steps = [slowly]
    there = asyncio.create_task(cinema.process().handle(on(11, "C1")))
    await asyncio.sleep(0.05)
    back = await cinema.process().handle(on(12))
    assert isinstance(back, Retry)
    assert not back.counted
    gate.set()
    assert await there == Done(Sent())
    assert await cinema.process().handle(on(12)) == Done(Sent())
    assert [each.later and 2 for each in cinema.ledger.records.values()] == [2, (), ()]
    assert len(cinema.mails) == 3


@pytest.mark.parametrize("marked", [False, True])
async def test_after_a_try_that_sent_nothing_it_is_asked_again_however_soon(*, marked: bool) -> None:
    async def off_meanwhile(_: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        if marked:
            assert await before_handover() is Fence.HELD
        await cinema.channel.nothing_sent()
        assert await cinema.process().handle(off(11)) == Done(Sent())
        assert await before_handover() is Fence.LOST
        return HandoverRefused()

    cinema = Cinema([off_meanwhile])
    assert await cinema.pipeline.handle(on(10)) == Done(SUPERSEDED)
    assert len(cinema.mails) == 1


async def test_there_and_back_before_the_first_was_told_is_nothing() -> None:
    cinema = Cinema([ACCEPTED, deferred()])
    await told(cinema, on(10), on(11, "C1"))
    assert await cinema.pipeline.handle(on(12)) == Done(DUPLICATE)
    assert await cinema.pipeline.handle(replace(on(11, "C1"), attempt=1)) == Done(SUPERSEDED)
    assert len(cinema.mails) == 2, "one of them was deferred"


async def test_a_change_that_was_given_up_can_be_replayed_under_its_own_record() -> None:
    cinema = Cinema([ACCEPTED, deferred()], most=0)
    await told(cinema, on(10))
    assert isinstance(await cinema.pipeline.handle(on(11, "C1")), Park)
    assert await cinema.pipeline.handle(replace(on(11, "C1"), replay="wish")) == Done(Sent())
    assert (record(cinema, "on 10").outcome, record(cinema, "on 11").outcome) == ("sent", "sent")


async def test_what_was_given_up_is_not_replayed_after_newer_facts_were_told() -> None:
    cinema = Cinema([deferred()], most=0)
    assert isinstance(await cinema.pipeline.handle(on(10)), Park)
    assert await cinema.pipeline.handle(on(11, "C1")) == Done(Sent())
    assert await cinema.pipeline.handle(replace(on(10), replay="wish")) == Done(SUPERSEDED)
    assert not (record(cinema, "on 11").subject or "").startswith("Booking changed")


async def test_a_bounced_change_is_not_what_the_reader_knows() -> None:
    cinema = Cinema([ACCEPTED, refused()])
    await told(cinema, on(10), on(11, "C1"))
    assert await cinema.pipeline.handle(on(12, "C1")) == Done(Sent())
    assert await cinema.pipeline.handle(on(13, "C1")) == Done(Sent())
    assert len(cinema.mails) == 3


async def test_what_was_stripped_or_erased_contradicts_nothing() -> None:
    cinema = Cinema()
    await told(cinema, on(10))
    stripped = record(cinema, "on 10")
    stripped.intent = replace(stripped.intent, event_data={})
    assert await cinema.pipeline.handle(on(11, "C1")) == Done(Sent())
    assert len(cinema.mails) == 1


async def test_a_producer_does_not_say_what_changed() -> None:
    cinema = Cinema()
    (subject,) = await told(cinema, on(10, changed_from={"seats": ["A1"]}))
    assert subject.startswith("Booking confirmed")
    for number, odd in enumerate(({"seats": 7}, "x", [], {"showtime": {}})):
        assert await cinema.pipeline.handle(on(10, booking_id=f"B{number}", changed_from=odd)) == Done(Sent())


# ── right before the first byte ──────────────────────────────────────────────────────────────────────


def after(cinema: Cinema, *deliveries: InboundMessage, seconds: float = 0.25) -> Step:
    """A channel that lets so much time pass before the first byte, while these come."""

    async def deliver(envelope: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        for each in deliveries:
            await cinema.process().handle(each)
        await asyncio.sleep(seconds)
        return await cinema.channel._to_the_end(ACCEPTED, envelope, before_handover)

    return deliver


@pytest.mark.parametrize(
    ("waits", "meanwhile"),
    [
        (paid(10, "payment.failed"), paid(9, "payment.success")),
        (paid(10, "payment.failed"), paid(11, "payment.success")),
        (paid(10, "payment.failed"), on(9)),
        (paid(10, "payment.failed"), on(11)),
        (on(10), off(11)),
    ],
)
async def test_what_is_overtaken_while_it_waits_for_the_channel_is_not_sent(
    waits: InboundMessage, meanwhile: InboundMessage
) -> None:
    cinema = Cinema()
    cinema.channel.steps = [after(cinema, meanwhile)]
    assert await cinema.pipeline.handle(waits) == Done(SUPERSEDED)
    assert len(cinema.mails) == 1
    assert await cinema.pipeline.handle(waits) == Done(SUPERSEDED)


async def test_what_does_not_wait_is_not_asked_again() -> None:
    cinema = Cinema()
    asked = []
    inner = cinema.ledger.event_data_of

    async def counted(ids: Any) -> Any:  # noqa: ANN401 - passed on as they are
        asked.append(ids)
        return await inner(ids)

    cinema.ledger.event_data_of = counted  # type: ignore[method-assign, assignment]
    await cinema.pipeline.handle(on(10))
    assert len(asked) == 1


# ── a payment that failed ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", list(itertools.permutations([on(10), off(11), paid(12, "payment.failed")])))
async def test_an_attempt_after_the_cancellation_is_told_in_whatever_order(order: tuple[InboundMessage, ...]) -> None:
    cinema = Cinema()
    await told(cinema, *order)
    kinds = [each.routing_key for each in order]
    known = kinds[: kinds.index("payment.failed")]
    # As far as was known then, the booking stood.
    outcome = SUPERSEDED if known == ["booking.confirmed"] else Sent()
    assert record(cinema, "payment.failed 12").entry.outcome == outcome


@pytest.mark.parametrize("timestamp", [None, "yesterday"])
async def test_where_nobody_knows_when_a_failure_after_a_booking_is_not_told(timestamp: str | None) -> None:
    cinema = Cinema()
    await told(cinema, on(10), off(11))
    assert await cinema.pipeline.handle(paid(12, "payment.failed", timestamp=timestamp)) == Done(SUPERSEDED)


async def test_a_booking_that_was_paid_again_after_its_cancellation_is_paid() -> None:
    cinema = Cinema()
    await told(cinema, paid(10, "payment.success"), off(11), paid(12, "payment.success", transaction_id="T2"))
    assert await cinema.pipeline.handle(paid(13, "payment.failed")) == Done(SUPERSEDED)


async def test_without_a_booking_its_own_payment_is_asked_for() -> None:
    cinema = Cinema()
    nameless = {"booking_id": None, "transaction_id": "T"}
    await told(cinema, paid(10, "payment.success", **nameless))
    assert await cinema.pipeline.handle(paid(11, "payment.failed", **nameless)) == Done(SUPERSEDED)
    other = paid(12, "payment.failed", booking_id=None, transaction_id="T2")
    assert await cinema.pipeline.handle(other) == Done(Sent())


# ── whatever the order ───────────────────────────────────────────────────────────────────────────────

HOURS = range(1, 9)
EVENTS = st.tuples(st.sampled_from(["on", "off"]), st.sampled_from(["A1", "B1"]))


@given(st.lists(EVENTS, min_size=1, max_size=len(HOURS)), st.data())
async def test_the_last_mail_says_how_the_booking_stands(story: list[tuple[str, str]], data: st.DataObject) -> None:
    """In the order of their timestamps everything that is news is told, once, and the last mail is right."""
    cinema = Cinema()
    events = [on(hour, seat) if kind == "on" else off(hour) for hour, (kind, seat) in zip(HOURS, story, strict=False)]
    for each in events:
        for _ in range(data.draw(st.integers(1, 2))):
            assert isinstance(await cinema.pipeline.handle(each), Done)
        assert len(cinema.mails) <= len(events)
    wanted = [each for number, each in enumerate(story) if number == 0 or not _same(story[number - 1], each)]
    # A cancellation of what was cancelled is none, whatever its seats are.
    assert len(cinema.mails) == len(wanted)
    again = len(cinema.mails)
    for each in data.draw(st.permutations(events)):
        await cinema.pipeline.handle(each)
    assert len(cinema.mails) == again, "what comes once more says nothing new"


def _same(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return one[0] == other[0] and (one[0] == "off" or one[1] == other[1])


@given(st.permutations(range(1, 7)))
async def test_out_of_order_the_newest_confirmation_is_told_last_and_nothing_older_after_it(order: list[int]) -> None:
    cinema = Cinema()
    sent = []
    for hour in order:
        before = len(cinema.mails)
        await cinema.pipeline.handle(on(hour, f"S{hour}"))
        sent += [hour] if len(cinema.mails) > before else []
    assert sent == [hour for number, hour in enumerate(order) if hour > max(order[:number], default=0)]
