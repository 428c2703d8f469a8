"""The pipeline on the in-memory twins: what is sent, what is recorded, and how the message is settled."""

import asyncio
import functools
import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.mime import SenderIdentity
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.template_loading import load
from notification_service.content.branding import Brand, Logo
from notification_service.content.profile import SenderProfile
from notification_service.contract import notification_ids
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event, parse
from notification_service.contract.inbound import InboundMessage, body_id
from notification_service.contract.outcomes import (
    Bounced,
    Outcome,
    Parked,
    ParkReason,
    Rejected,
    RejectReason,
    Sent,
    Simulated,
    Unknown,
)
from notification_service.delivery import planning
from notification_service.delivery.jobs import Jobs
from notification_service.delivery.leases import Leases
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.policy import Policy
from notification_service.delivery.ports.channel import (
    BeforeHandover,
    BeforeHandoverTo,
    HandoverRefused,
    InDoubt,
    OutgoingMessage,
    PutOff,
    SimulatedSend,
    Verdict,
)
from notification_service.delivery.ports.claims import ClaimAnswer, Claimed, Decided, Fence, Tenure
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.ports.ledger import AlreadyThere, Intent, Opened
from notification_service.delivery.rate_limits import RateLimits, Reservation
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park, Retry
from notification_service.delivery.state import DeliveryState
from notification_service.delivery.suppression_check import SuppressionCheck
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.claims import MemoryClaims
from notification_service.stores.memory.directory import MemoryDirectory
from notification_service.stores.memory.ledger import MemoryLedger, Record
from notification_service.stores.memory.rates import MemoryRates
from tests.samples import sample
from tests.unit.fakes import (
    ACCEPTED,
    IN_DOUBT,
    LARGEST,
    TEMPLATES,
    ScriptedChannel,
    Step,
    attempt,
    deferred,
    inbound,
    refused,
)

LEASE = 30.0
JANE = Recipient("jane@guests.example", "Jane")


class Clock:
    """The clock of the claims; a lease ends when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def after_the_lease(self) -> None:
        self.now += LEASE + 1


class FlakyClaims(MemoryClaims):
    """Redis, which is down for the calls that are named."""

    down: Collection[str] = ()

    def _ask(self, call: str) -> None:
        if call in self.down:
            raise StoreUnavailableError("Redis", "down")

    async def claim(self, notification_id: str, owner: str, *, reopen: bool = False) -> ClaimAnswer:
        self._ask("claim")
        return await super().claim(notification_id, owner, reopen=reopen)

    async def mark_sending(self, notification_id: str, owner: str, **how: Any) -> Fence:  # noqa: ANN401 - passed on as it is
        self._ask("mark_sending")
        return await super().mark_sending(notification_id, owner, **how)

    async def decide(self, notification_id: str, owner: str, outcome: Outcome) -> Fence:
        self._ask("decide")
        return await super().decide(notification_id, owner, outcome)

    async def release(self, notification_id: str, owner: str) -> Fence:
        self._ask("release")
        return await super().release(notification_id, owner)

    async def begin(self, inbound: str) -> int:
        self._ask("begin")
        return await super().begin(inbound)

    async def end(self, inbound: str, *, forget: bool = False) -> None:
        self._ask("end")
        await super().end(inbound, forget=forget)

    async def renew(self, held: Mapping[str, Tenure]) -> Collection[str]:
        self._ask("renew")
        return await super().renew(held)


ALL_OF_REDIS = ("claim", "mark_sending", "decide", "release", "renew")


class FlakyLedger(MemoryLedger):
    """MongoDB, which does not answer the first calls of the methods that are named; it may have done what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.silent: dict[str, int] = {}
        self.refuses = False

    def _lost(self, call: str) -> bool:
        self.silent[call] = self.silent.get(call, 0) - 1
        return self.silent[call] >= 0

    async def open(self, intent: Intent) -> Opened | AlreadyThere:
        if self.refuses:
            raise ValueError("121: Document failed validation")
        found = await super().open(intent)
        if self._lost("open"):
            raise StoreUnavailableError("MongoDB", "down")
        return found

    async def close(self, *args: Any, **kwargs: Any) -> Fence:  # noqa: ANN401 - passed on as they are
        if self._lost("close"):
            raise StoreUnavailableError("MongoDB", "down")
        done = await super().close(*args, **kwargs)
        if self._lost("answer to close"):
            raise StoreUnavailableError("MongoDB", "down")
        return done


class Shelf:
    def __init__(self, *, full: bool = False) -> None:
        self.mails: list[OutgoingMessage] = []
        self.full = full

    async def keep(self, envelope: OutgoingMessage) -> str:
        if self.full:
            raise OSError(28, "No space left on device")
        self.mails.append(envelope)
        return f"outbox/{envelope.notification_id}.eml"


SENDER = SenderIdentity("tickets@cinema.example", "Cinema")


@functools.cache
def renderer(folder: Path = TEMPLATES) -> Renderer:
    return load(folder, SenderProfile(Brand("Cinema")))


@dataclass
class Cinema:
    """The pipeline with everything around it at hand."""

    steps: Iterable[Step] = ()
    people: Mapping[str, Recipient] = field(default_factory=lambda: {"user456": JANE})
    hold: frozenset[str] = frozenset()
    max_resends: int = 1
    most: int = 2
    lease: float = LEASE
    largest: int = 1000
    renderer: Renderer = field(default_factory=renderer)
    outbox: Shelf = field(default_factory=Shelf)
    rates: MemoryRates = field(default_factory=MemoryRates)
    suppression: SuppressionCheck | None = None

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.claims = FlakyClaims(self.lease, self.clock)
        self.ledger = FlakyLedger()
        self.channel = ScriptedChannel(self.steps)
        self.pipeline = self.process()

    def process(self) -> Pipeline:
        """One worker; a second one shares both stores and the channel."""
        leases = Leases(self.claims, self.lease)
        return Pipeline(
            state=DeliveryState(self.claims, self.ledger, leases, self.rates),
            leases=leases,
            directory=MemoryDirectory(self.people, {"B-1": "user456"}),
            composer=EmailComposer(self.renderer, SENDER, max_attachment_bytes=self.largest),
            channel=self.channel,
            outbox=self.outbox,
            policy=Policy(
                RetrySchedule(self.most, (5, 30)),
                LARGEST,
                self.renderer.zone,
                self.hold,
                relevance_lasts_s=0.2,
                max_resends=self.max_resends,
            ),
            jobs=Jobs(),
            poison_guard=PoisonGuard(self.claims),
            suppression=self.suppression,
        )

    async def handle(self, *, attempt: int = 0, **changes: Any) -> Done | Park | Retry:  # noqa: ANN401 - JSON
        return await self.pipeline.handle(confirmed(attempt=attempt, **changes))

    @property
    def record(self) -> Record:
        (record,) = self.ledger.records.values()
        return record

    @property
    def mails(self) -> list[OutgoingMessage]:
        return self.channel.handed_over

    async def claim(self) -> ClaimAnswer:
        """What another worker would find."""
        return await self.claims.claim(self.record.intent.notification_id, "somebody else")


def confirmed(*, attempt: int = 0, **changes: Any) -> InboundMessage:  # noqa: ANN401 - whatever JSON holds
    return inbound(sample("booking.confirmed", **changes), attempt=attempt)


# ── each verdict: settlement, record, claim ──────────────────────────────────────────────────────────


async def test_accepted_is_sent_recorded_and_remembered() -> None:
    cinema = Cinema()
    assert await cinema.handle() == Done(Sent())
    record = cinema.record
    assert (record.outcome, record.entry.outcome, record.entry.possible_duplicate) == ("sent", Sent(), False)
    assert (record.recipient, record.attempts) == ("jane.smith@example.com", [ACCEPTED.attempt])
    assert record.subject
    assert record.subject.startswith("Booking confirmed: Inception")
    assert record.sent_at is not None
    assert await cinema.claim() == Decided(Sent())
    assert len(cinema.mails) == 1


async def test_kept_is_simulated() -> None:
    kept = SimulatedSend(Simulated("x.eml"), attempt("simulated", None, "kept"))
    cinema = Cinema([kept])
    assert await cinema.handle() == Done(Simulated("x.eml"))
    assert (cinema.record.outcome, cinema.record.sent_at) == ("simulated", None)
    assert await cinema.claim() == Decided(Simulated("x.eml"))


async def test_refused_is_bounced_at_once() -> None:
    cinema = Cinema([refused("5.1.1")])
    bounced = Bounced("5.1.1", "5.1.1 no such user")
    assert await cinema.handle() == Done(bounced)
    assert (cinema.record.outcome, cinema.record.reason) == ("bounced", "5.1.1")
    assert await cinema.claim() == Decided(bounced)


async def test_a_bounce_keeps_the_fingerprint_of_its_reply() -> None:
    cinema = Cinema([replace(refused("5.1.1"), fingerprint="f1")])
    assert await cinema.handle() == Done(Bounced("5.1.1", "5.1.1 no such user", "f1"))
    assert cinema.record.entry.outcome == Bounced("5.1.1", "5.1.1 no such user", "f1")


@pytest.mark.parametrize("redis", ["remembers", "forgot", "is another's"])
async def test_another_event_with_the_right_address_opens_again_what_bounced(redis: str) -> None:
    cinema = Cinema([refused("5.1.1")])
    await cinema.handle(user_email="jane@gmial.example")
    if redis == "forgot":
        cinema.claims._claims.clear()
    assert await cinema.handle(event_id="evt-2", user_email="Jane@GMIAL.example") == Done(
        Bounced("5.1.1", "5.1.1 no such user")
    )
    if redis == "is another's":
        # The other one has seen it too, and was the first to open it again.
        await cinema.claims.claim(cinema.record.intent.notification_id, "another", reopen=True)
        assert isinstance(await cinema.handle(event_id="evt-3", user_email="jane@gmail.example"), Retry)
        cinema.clock.after_the_lease()
    assert await cinema.handle(event_id="evt-3", user_email="jane@gmail.example") == Done(Sent())
    assert [mail.recipient for mail in cinema.mails] == ["jane@gmial.example", "jane@gmail.example"]
    assert cinema.record.recipient == "jane@gmail.example"
    assert cinema.record.history == [Bounced("5.1.1", "5.1.1 no such user")]
    assert not cinema.record.entry.possible_duplicate
    assert await cinema.handle(event_id="evt-4", user_email="third@gmail.example") == Done(Sent())
    assert len(cinema.mails) == 2


async def test_what_bounced_is_had_again_once_for_each_wish() -> None:
    cinema = Cinema([refused("5.4.5"), refused("5.4.5")])
    await cinema.handle()
    wish = replace(confirmed(), replay="wish")
    assert await cinema.pipeline.handle(wish) == Done(Bounced("5.4.5", "5.4.5 no such user"))
    assert len(cinema.mails) == 2
    assert await cinema.pipeline.handle(wish) == Done(Bounced("5.4.5", "5.4.5 no such user"))
    assert len(cinema.mails) == 2
    assert await cinema.pipeline.handle(replace(wish, replay="another")) == Done(Sent())
    assert await cinema.pipeline.handle(replace(wish, replay="a third")) == Done(Sent())
    assert len(cinema.mails) == 3


async def test_a_wish_goes_on_where_its_first_try_was_put_off() -> None:
    cinema = Cinema([refused("5.4.5"), deferred()])
    await cinema.handle()
    wish = replace(confirmed(), replay="wish")
    assert isinstance(await cinema.pipeline.handle(wish), Retry)
    assert await cinema.pipeline.handle(wish) == Done(Sent())
    assert cinema.record.entry.replays == ("wish",)


async def test_a_wish_goes_on_where_its_worker_was_lost_in_the_middle() -> None:
    async def dies(_: OutgoingMessage, __: BeforeHandover) -> Verdict:
        raise asyncio.CancelledError

    cinema = Cinema([refused("5.4.5"), dies])
    await cinema.handle()
    cinema.claims.down = ("release",)  # it says no goodbye
    wish = replace(confirmed(), replay="wish")
    with pytest.raises(asyncio.CancelledError):
        await cinema.pipeline.handle(wish)
    cinema.claims.down = ()
    cinema.clock.after_the_lease()
    assert await cinema.process().handle(wish) == Done(Sent())
    assert not cinema.record.entry.possible_duplicate


async def test_what_the_channel_puts_off_uses_up_no_retry() -> None:
    cinema = Cinema([PutOff(20, "the channel is closed: 550 5.4.5 limit")], most=0)
    settlement = await cinema.handle()
    assert settlement == Retry(20, counted=False, reason="the channel is closed: 550 5.4.5 limit")
    assert (cinema.record.outcome, cinema.record.attempts) == ("waiting", [])
    assert await cinema.handle() == Done(Sent())


async def test_a_mail_of_a_held_domain_is_parked_with_the_reason() -> None:
    held = replace(deferred(reply="5.7.1 not owned"), about="the server refuses us for bad.example")
    cinema = Cinema([held], most=0)
    settlement = await cinema.handle()
    detail = "the server refuses us for bad.example: 5.7.1 not owned"
    assert settlement == Park(Parked(ParkReason.RETRIES_EXHAUSTED, detail))


async def test_a_deferred_mail_is_retried_and_its_claim_is_released() -> None:
    cinema = Cinema([deferred(reply="4.2.1 busy")])
    settlement = await cinema.handle()
    assert isinstance(settlement, Retry)
    assert settlement.seconds in (5, 30)
    assert (settlement.counted, settlement.reason) == (True, "4.2.1 busy")
    assert (cinema.record.outcome, cinema.record.entry.outcome) == ("waiting", None)
    assert cinema.record.due_at is not None
    assert await cinema.claim() == Claimed(fresh=True)


async def test_a_wait_that_the_server_names_is_honoured() -> None:
    settlement = await Cinema([deferred(wait=20)]).handle()
    assert isinstance(settlement, Retry)
    assert settlement.seconds == 30


@pytest.mark.parametrize("wait", [31, 3600, 86400, 259200])
async def test_a_requested_wait_beyond_the_longest_delay_is_kept_and_counts_once(wait: int) -> None:
    cinema = Cinema([deferred(wait=wait)])
    began = time.time()
    settlement = await cinema.handle(showtime="2036-12-15 08:00 PM")
    assert isinstance(settlement, Retry)
    assert (settlement.seconds, settlement.counted) == (wait, True)
    assert settlement.not_before is not None
    assert began + wait <= settlement.not_before <= began + wait + 5
    assert cinema.record.due_at is not None
    assert abs(cinema.record.due_at.timestamp() - began - wait) < 5
    # It waits in retry queues until then, without using up a retry.
    early = await cinema.pipeline.handle(
        replace(confirmed(attempt=1, showtime="2036-12-15 08:00 PM"), not_before=settlement.not_before)
    )
    assert isinstance(early, Retry)
    assert (early.counted, early.not_before) == (False, settlement.not_before)


@pytest.mark.parametrize("left", [60, 3600, 20000])
async def test_a_wait_that_would_outlast_the_show_takes_half_of_what_is_left(left: int) -> None:
    show = datetime.now(UTC) + timedelta(seconds=left)
    settlement = await Cinema([deferred(wait=86400)], largest=10_000).handle(showtime=show.isoformat())
    assert isinstance(settlement, Retry)
    assert settlement.counted
    assert settlement.seconds == pytest.approx(left / 2, abs=2)
    assert settlement.not_before is not None


async def test_a_delay_that_would_outlast_the_show_is_not_used_either() -> None:
    show = datetime.now(UTC) + timedelta(seconds=20)
    settlement = await Cinema([deferred()], largest=10_000).handle(attempt=1, showtime=show.isoformat())
    assert isinstance(settlement, Retry)
    assert settlement.seconds == pytest.approx(10, abs=2)


async def test_a_show_in_an_unknown_zone_may_be_in_the_earliest_zone() -> None:
    """At UTC+14 a show at this hour of the clock here would have begun 14 hours ago."""
    show = datetime.now(UTC) + timedelta(hours=16)
    settlement = await Cinema([deferred(wait=86400)]).handle(showtime=show.strftime("%Y-%m-%d %H:%M"))
    assert isinstance(settlement, Retry)
    assert settlement.seconds == pytest.approx(3600, abs=90)


async def test_what_is_no_ticket_keeps_the_whole_wait() -> None:
    cinema = Cinema([deferred(wait=86400)])
    settlement = await cinema.pipeline.handle(inbound(sample("payment.success")))
    assert isinstance(settlement, Retry)
    assert settlement.seconds == 86400


async def test_in_doubt_waits_out_the_lease_and_uses_up_no_retry() -> None:
    cinema = Cinema([IN_DOUBT])
    settlement = await cinema.handle()
    assert settlement == Retry(LEASE, counted=False, reason="it may have gone out")
    assert (cinema.record.outcome, cinema.record.attempts) == ("pending", [IN_DOUBT.attempt])
    assert not isinstance(await cinema.claim(), Claimed | Decided)


async def test_withdrawn_waits_and_counts_nothing() -> None:
    cinema = Cinema([HandoverRefused()])
    settlement = await cinema.handle()
    assert isinstance(settlement, Retry)
    assert not settlement.counted
    assert cinema.record.outcome == "waiting"


# ── who gets it ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "recipient"),
    [
        ({"user_email": "Own@Guests.example"}, "Own@guests.example"),
        ({"user_email": ""}, "jane@guests.example"),
        ({"user_email": None, "user_id": None, "booking_id": "B-1"}, "jane@guests.example"),
        ({"user_email": "no address"}, "jane@guests.example"),
        ({"user_email": "a@b.example, c@d.example"}, "jane@guests.example"),
    ],
)
async def test_the_events_address_else_the_users_else_the_bookings_users(
    changes: dict[str, Any], recipient: str
) -> None:
    cinema = Cinema()
    assert await cinema.handle(**changes) == Done(Sent())
    assert [mail.recipient for mail in cinema.mails] == [recipient]


@pytest.mark.parametrize(
    ("email", "remarks"),
    [
        ("Own@Guests.example", 0),
        ("Own <own@guests.example>", 0),
        ("", 0),
        ("no address", 1),
        ("a@b.example, c@d.example", 1),
    ],
)
async def test_an_address_that_is_passed_over_for_the_account_s_is_remarked(email: str, remarks: int) -> None:
    """Nobody else would learn that the mail went to another address than the event's."""
    cinema = Cinema()
    assert await cinema.handle(user_email=email) == Done(Sent())
    found = [remark for remark in cinema.record.remarks if str(remark).startswith("user_email")]
    assert len(found) == remarks
    assert not any("@b.example" in str(remark) for remark in found)


@pytest.mark.parametrize(
    ("email", "reason"), [("", RejectReason.NO_RECIPIENT), ("not an address", RejectReason.BAD_ADDRESS)]
)
async def test_nobody_to_write_to_is_rejected_and_parked(email: str, reason: RejectReason) -> None:
    cinema = Cinema(people={})
    settlement = await cinema.handle(user_email=email)
    assert isinstance(settlement, Park)
    assert isinstance(settlement.outcome, Rejected)
    assert settlement.outcome.reason is reason
    assert (cinema.record.outcome, cinema.record.recipient) == ("rejected", "")
    assert cinema.channel.seen == []


async def test_rejected_then_a_second_event_with_an_address_becomes_a_mail() -> None:
    cinema = Cinema(people={})
    assert isinstance(await cinema.handle(user_email=""), Park)
    assert isinstance(await cinema.handle(user_email=""), Park)
    assert await cinema.handle(event_id="second") == Done(Sent())
    assert len(cinema.mails) == 1
    assert cinema.record.entry.event_ids == (sample("booking.confirmed")["event_id"], "second")
    assert cinema.record.recipient == "jane.smith@example.com"


# ── one fact, one mail ───────────────────────────────────────────────────────────────────────────────


async def test_an_event_that_comes_again_is_acked() -> None:
    cinema = Cinema()
    assert [await cinema.handle() for _ in range(5)] == [Done(Sent())] * 5
    assert len(cinema.channel.seen) == 1
    assert len(cinema.record.entry.event_ids) == 1


async def test_two_events_of_one_fact_are_one_mail_and_both_are_named() -> None:
    cinema = Cinema()
    for event_id in ("one", "two", "one"):
        assert await cinema.handle(event_id=event_id) == Done(Sent())
    assert len(cinema.mails) == 1
    assert cinema.record.entry.event_ids == ("one", "two")


async def test_two_workers_get_one_event_and_send_one_mail() -> None:
    cinema = Cinema()
    settlements = await asyncio.gather(*(cinema.process().handle(confirmed()) for _ in range(8)))
    assert len(cinema.mails) == 1
    assert settlements.count(Done(Sent())) >= 1
    assert all(isinstance(each, Done) or (isinstance(each, Retry) and not each.counted) for each in settlements)


async def test_deliveries_of_one_notification_at_once_join_the_job_that_runs() -> None:
    gate = asyncio.Event()

    async def slowly(envelope: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        await gate.wait()
        return await cinema.channel._to_the_end(ACCEPTED, envelope, before_handover)

    cinema = Cinema([slowly])
    tasks = [asyncio.create_task(cinema.handle(event_id=f"e{number}")) for number in range(5)]
    await asyncio.sleep(0.01)
    gate.set()
    assert await asyncio.gather(*tasks) == [Done(Sent())] * 5
    assert len(cinema.mails) == 1
    assert set(cinema.record.entry.event_ids) == {f"e{number}" for number in range(5)}


async def test_a_delivery_that_joins_a_job_that_waits_waits_with_it() -> None:
    cinema = Cinema([deferred()])
    first, second = await asyncio.gather(cinema.handle(), cinema.handle())
    assert first == second
    assert isinstance(first, Retry)
    assert len(cinema.channel.seen) == 1


# ── it may have gone out ─────────────────────────────────────────────────────────────────────────────


async def test_in_doubt_it_is_sent_once_more_as_the_same_mail_and_marked() -> None:
    cinema = Cinema([IN_DOUBT])
    await cinema.handle()
    early = await cinema.handle()
    assert isinstance(early, Retry)
    assert not early.counted
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent(possible_duplicate=True))
    first, second = cinema.mails
    assert first == second
    assert cinema.record.entry.possible_duplicate
    assert len(cinema.record.attempts) == 2


async def test_in_doubt_it_goes_again_by_the_relay_that_may_have_it() -> None:
    cinema = Cinema([InDoubt(replace(IN_DOUBT.attempt, relay="smtp"))])
    await cinema.handle()
    cinema.clock.after_the_lease()
    await cinema.handle()
    assert [each.held_by for each in cinema.mails] == [None, "smtp"]


async def lose_a_worker(cinema: Cinema, *relays: str | None) -> None:
    """Both stores stay as a worker left them that was killed while it was sending by the last of these relays.

    By those before it, certainly nothing was sent.
    """
    under_way = asyncio.Event()

    async def killed(_: OutgoingMessage, before_handover: BeforeHandoverTo) -> Verdict:
        for relay in relays:
            await cinema.channel.nothing_sent()
            assert await before_handover(relay) is Fence.HELD
        under_way.set()
        await asyncio.Event().wait()
        raise AssertionError

    cinema.channel.steps.insert(0, killed)
    task = asyncio.create_task(cinema.handle())
    await under_way.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    cinema.pipeline = cinema.process()


async def test_what_a_lost_worker_was_sending_goes_again_by_the_same_relay_and_the_attempt_is_recorded() -> None:
    cinema = Cinema()
    await lose_a_worker(cinema, "smtp-fallback")
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent(possible_duplicate=True))
    assert [each.held_by for each in cinema.channel.seen] == [None, "smtp-fallback"]
    lost, sent = cinema.record.attempts
    assert (lost.result, lost.relay, lost.reply) == (
        "in_doubt",
        "smtp-fallback",
        "the worker was lost while it was sending",
    )
    assert sent == ACCEPTED.attempt


async def test_its_resend_stays_with_that_relay_though_it_is_put_off_and_redis_forgets() -> None:
    cinema = Cinema([PutOff(5, "it is down"), deferred()])
    await lose_a_worker(cinema, "smtp")
    for _ in range(3):
        cinema.clock.after_the_lease()
        await cinema.handle()
        cinema.claims._claims.clear()
    assert [each.held_by for each in cinema.channel.seen] == [None, "smtp", "smtp", "smtp"]
    assert [each.result for each in cinema.record.attempts] == ["in_doubt", "deferred", "accepted"]


async def test_with_redis_away_the_record_says_by_which_relay_it_was_being_sent() -> None:
    cinema = Cinema()
    cinema.claims.down = ALL_OF_REDIS
    await lose_a_worker(cinema, "smtp-fallback")
    cinema.claims.down = ()
    assert isinstance(await cinema.handle(), Retry)
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent(possible_duplicate=True))
    assert cinema.channel.seen[-1].held_by == "smtp-fallback"
    assert cinema.record.attempts[0].relay == "smtp-fallback"


async def test_where_a_person_decides_the_record_names_the_server_whose_log_to_ask() -> None:
    cinema = Cinema(hold=frozenset({"booking_confirmation"}))
    await lose_a_worker(cinema, "smtp")
    cinema.clock.after_the_lease()
    settlement = await cinema.handle()
    assert isinstance(settlement, Park)
    assert [(each.result, each.relay) for each in cinema.record.attempts] == [("in_doubt", "smtp")]
    await cinema.pipeline.handle(replace(confirmed(), replay="once"))
    assert cinema.channel.seen[-1].held_by == "smtp"


async def test_with_one_mail_server_a_lost_worker_leaves_no_attempt() -> None:
    cinema = Cinema()
    await lose_a_worker(cinema, None)
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent(possible_duplicate=True))
    assert cinema.record.attempts == [ACCEPTED.attempt]


async def test_what_the_first_relay_certainly_did_not_send_is_no_lost_attempt_of_it() -> None:
    cinema = Cinema()
    await lose_a_worker(cinema, "smtp", "smtp-fallback")
    cinema.clock.after_the_lease()
    await cinema.handle()
    assert [each.relay for each in cinema.record.attempts if each.result == "in_doubt"] == ["smtp-fallback"]


async def test_in_doubt_twice_a_person_decides() -> None:
    cinema = Cinema([IN_DOUBT, IN_DOUBT])
    for _ in range(2):
        assert isinstance(await cinema.handle(), Retry)
        cinema.clock.after_the_lease()
    settlements = [await cinema.handle() for _ in range(3)]
    assert all(isinstance(each, Park) and isinstance(each.outcome, Unknown) for each in settlements)
    assert (len(cinema.mails), cinema.record.outcome) == (2, "unknown")


@pytest.mark.parametrize("lost", range(1, 6))
async def test_where_a_further_message_replaces_the_one_before_a_few_doubts_are_resolved(lost: int) -> None:
    cinema = Cinema([IN_DOUBT] * lost, max_resends=5)
    for _ in range(lost):
        assert isinstance(await cinema.handle(), Retry)
        cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent(possible_duplicate=True))
    assert len({each.digest for each in cinema.mails}) == 1
    assert (cinema.record.entry.resends, len(cinema.mails)) == (lost, lost + 1)


async def test_there_too_a_person_decides_when_they_do_not_end() -> None:
    cinema = Cinema([IN_DOUBT] * 9, max_resends=5)
    for _ in range(6):
        assert isinstance(await cinema.handle(), Retry)
        cinema.clock.after_the_lease()
    settlements = [await cinema.handle() for _ in range(2)]
    assert all(isinstance(each, Park) and isinstance(each.outcome, Unknown) for each in settlements)
    assert (len(cinema.mails), cinema.record.outcome) == (6, "unknown")


async def test_what_is_put_off_between_two_doubts_uses_up_no_resend() -> None:
    cinema = Cinema([IN_DOUBT, *[deferred()] * 4, IN_DOUBT], max_resends=2, most=9)
    for _ in range(6):
        assert isinstance(await cinema.handle(), Retry)
        cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent(possible_duplicate=True))
    assert cinema.record.entry.resends == 2


async def test_a_resend_that_is_put_off_is_still_the_only_one() -> None:
    cinema = Cinema([IN_DOUBT, deferred(), IN_DOUBT])
    for _ in range(3):
        assert isinstance(await cinema.handle(), Retry)
        cinema.clock.after_the_lease()
    settlement = await cinema.handle()
    assert isinstance(settlement, Park)
    assert isinstance(settlement.outcome, Unknown)
    assert len(cinema.mails) == 3, "one of them was deferred, so two may be out"


async def test_a_mail_that_went_out_is_recorded_though_redis_forgot_and_another_planted_a_doubt() -> None:
    async def forgets(_: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        await before_handover()
        cinema.claims._claims.clear()
        (notification_id,) = cinema.ledger.records
        await cinema.claims.mark_sending(notification_id, "another", create_if_missing=True)
        return ACCEPTED

    cinema = Cinema([forgets])
    assert await cinema.handle() == Done(Sent())
    assert cinema.record.outcome == "sent"
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent())
    assert len(cinema.channel.seen) == 1


async def test_a_resend_is_the_only_one_even_where_redis_forgets() -> None:
    cinema = Cinema([IN_DOUBT, IN_DOUBT])
    for _ in range(2):
        await cinema.handle()
        cinema.clock.after_the_lease()
    cinema.claims._claims.clear()
    settlement = await cinema.handle()
    assert isinstance(settlement, Park)
    assert isinstance(settlement.outcome, Unknown)
    assert len(cinema.mails) == 2


async def test_refused_by_the_channel_after_the_marker_there_is_nothing_to_doubt() -> None:
    cinema = Cinema(hold=frozenset({"booking_confirmation"}))

    async def closing(_: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        assert await before_handover() is Fence.HELD
        await cinema.channel.nothing_sent()
        raise asyncio.CancelledError  # the worker dies while the breaker waits

    cinema.channel.steps = [closing]
    with pytest.raises(asyncio.CancelledError):
        await cinema.handle()
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent())


# ── many mails to one address ────────────────────────────────────────────────────────────────────────


async def test_what_is_too_much_for_one_address_gets_its_time_and_goes_then() -> None:
    cinema = Cinema(rates=MemoryRates(RateLimits(per_address_hour=1)))
    assert await cinema.handle() == Done(Sent())
    late = await cinema.handle(event_id="e2", booking_id="B-2")
    assert isinstance(late, Retry)
    assert not late.counted
    assert late.not_before == pytest.approx(time.time() + 3600, abs=5)
    record = next(each for each in cinema.ledger.records.values() if each.intent.booking_id == "B-2")
    assert record.outcome == "waiting"
    # Each delay is shorter than that: it waits again without any call to a store.
    again = replace(confirmed(event_id="e2", booking_id="B-2"), not_before=late.not_before)
    cinema.claims.down = ALL_OF_REDIS
    early = await cinema.pipeline.handle(again)
    assert isinstance(early, Retry)
    assert (early.not_before, early.counted) == (late.not_before, False)
    cinema.claims.down = ()
    assert await cinema.pipeline.handle(replace(again, not_before=1, limits_passed=late.limits_passed or 0)) == Done(
        Sent()
    )


@pytest.mark.parametrize("times", [1, 3])
async def test_what_is_put_off_counts_once_against_its_address(times: int) -> None:
    """And goes when the channel is back, though only one mail an hour may go to it."""
    rates = MemoryRates(RateLimits(per_address_hour=1))
    cinema = Cinema([PutOff(20, "the channel is closed: 421 4.3.2 shutting down")] * times, rates=rates)
    for _ in range(times):
        assert isinstance(await cinema.handle(), Retry)
    assert await cinema.handle() == Done(Sent())
    later = await cinema.handle(event_id="e2", booking_id="B-2")
    assert isinstance(later, Retry)
    assert "RECIPIENT_MAILS_PER_HOUR" in later.reason


async def test_a_handover_that_was_refused_counts_for_nothing() -> None:
    cinema = Cinema([HandoverRefused()], rates=MemoryRates(RateLimits(per_address_hour=1)))
    assert isinstance(await cinema.handle(), Retry)
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent())


async def test_a_retry_takes_no_further_place() -> None:
    cinema = Cinema([deferred()], rates=MemoryRates(RateLimits(per_address_hour=1)))
    assert isinstance(await cinema.handle(), Retry)
    assert await cinema.handle(attempt=1) == Done(Sent())


# ── a message that kills its worker ──────────────────────────────────────────────────────────────────


async def died(cinema: Cinema, times: int) -> None:
    for _ in range(times):
        await cinema.claims.begin(body_id(confirmed().body))


@pytest.mark.parametrize("unfinished_starts", [0, 2])
async def test_what_came_back_a_few_times_is_sent(unfinished_starts: int) -> None:
    cinema = Cinema()
    await died(cinema, unfinished_starts)
    assert await cinema.pipeline.handle(replace(confirmed(), redelivered=True)) == Done(Sent())


async def test_what_killed_three_workers_is_parked_and_a_replay_has_three_starts_again() -> None:
    cinema = Cinema()
    await died(cinema, 3)
    parked = Parked(ParkReason.CRASHED_WORKERS, "3 workers were lost while they had it in hand")
    assert await cinema.pipeline.handle(replace(confirmed(), redelivered=True)) == Park(parked)
    assert (cinema.record.outcome, cinema.record.reason, cinema.mails) == ("parked", "crashed_workers", [])
    assert await cinema.pipeline.handle(replace(confirmed(), redelivered=True, replay="wish")) == Done(Sent())


async def test_what_killed_three_workers_while_it_was_being_sent_is_unknown() -> None:
    cinema = Cinema([IN_DOUBT])
    await cinema.handle()
    cinema.clock.after_the_lease()
    await died(cinema, 3)
    settlement = await cinema.pipeline.handle(replace(confirmed(), redelivered=True))
    assert isinstance(settlement, Park)
    assert settlement.outcome == Unknown("3 workers were lost while they had it in hand")


async def test_what_kills_workers_when_it_is_read_is_recorded_unread() -> None:
    cinema = Cinema()
    await died(cinema, 10)
    settlement = await cinema.pipeline.handle(replace(confirmed(), redelivered=True))
    assert isinstance(settlement, Park)
    assert cinema.record.outcome == "parked"
    assert list(cinema.record.intent.event_data) == ["raw"]


async def test_the_count_needs_no_redis() -> None:
    cinema = Cinema()
    cinema.claims.down = ("begin", "end", *ALL_OF_REDIS)
    assert await cinema.pipeline.handle(replace(confirmed(), redelivered=True)) == Done(Sent())


def unmovable(**changes: Any) -> InboundMessage:  # noqa: ANN401 - JSON
    return replace(confirmed(**changes), unmovable=True)


async def test_what_no_queue_takes_is_sent_as_any_other() -> None:
    assert await Cinema().pipeline.handle(unmovable()) == Done(Sent())


async def test_what_no_queue_takes_is_not_retried_and_its_record_keeps_it() -> None:
    cinema = Cinema([deferred(reply="4.2.1 busy")])
    settlement = await cinema.pipeline.handle(unmovable())
    assert isinstance(settlement, Park)
    assert cinema.record.outcome == "parked"
    assert isinstance(settlement.outcome, Parked)
    assert settlement.outcome == cinema.record.entry.outcome
    assert settlement.outcome.reason is ParkReason.UNMOVABLE
    assert "4.2.1 busy" in settlement.outcome.detail
    assert cinema.record.intent.event_data["booking_id"] == sample("booking.confirmed")["booking_id"]


async def test_what_no_queue_takes_waits_for_no_time_of_its_own() -> None:
    due = int(time.time()) + 3600
    assert await Cinema().pipeline.handle(replace(unmovable(), not_before=due)) == Done(Sent())


async def test_what_no_queue_takes_is_never_closed_where_no_record_says_so() -> None:
    """The database refuses its entry: the delivery is all that is left of it."""
    cinema = Cinema()
    cinema.ledger.refuses = True
    settlement = await cinema.pipeline.handle(unmovable())
    assert isinstance(settlement, Retry)
    assert not settlement.counted


async def test_under_the_hold_policy_it_is_never_sent_again() -> None:
    cinema = Cinema([IN_DOUBT], hold=frozenset({"booking_confirmation"}))
    await cinema.handle()
    cinema.clock.after_the_lease()
    settlement = await cinema.handle()
    assert isinstance(settlement, Park)
    assert isinstance(settlement.outcome, Unknown)
    assert (len(cinema.mails), cinema.record.outcome) == (1, "unknown")


async def test_pending_and_forgotten_by_redis_it_is_doubted_before_it_is_sent_again() -> None:
    cinema = Cinema([IN_DOUBT])
    await cinema.handle()
    cinema.claims._claims.clear()
    doubted = await cinema.handle()
    assert doubted == Retry(LEASE, counted=False, reason="Redis forgot who works on it")
    assert len(cinema.mails) == 1
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent(possible_duplicate=True))
    assert len(cinema.mails) == 2


async def test_sent_and_forgotten_by_redis_it_is_acked() -> None:
    cinema = Cinema()
    await cinema.handle()
    cinema.claims._claims.clear()
    assert await cinema.handle() == Done(Sent())
    assert len(cinema.mails) == 1
    assert await cinema.claim() == Decided(Sent())


async def test_a_verdict_whose_outcome_was_never_written_is_written_down_and_nothing_is_sent() -> None:
    cinema = Cinema([IN_DOUBT])
    await cinema.handle()
    (claim,) = cinema.claims._claims.values()
    assert await cinema.claims.decide(cinema.record.intent.notification_id, claim.owner, Sent()) is Fence.HELD
    assert await cinema.handle() == Done(Sent())
    assert (len(cinema.mails), cinema.record.outcome) == (1, "sent")


# ── retries ──────────────────────────────────────────────────────────────────────────────────────────


async def test_deferred_and_then_accepted_is_one_mail_without_a_doubt() -> None:
    cinema = Cinema([deferred()])
    assert isinstance(await cinema.handle(), Retry)
    assert await cinema.handle(attempt=1) == Done(Sent(possible_duplicate=False))
    assert [entry.result for entry in cinema.record.attempts] == ["deferred", "accepted"]


async def test_after_the_last_retry_the_mail_is_kept_and_the_event_parked() -> None:
    cinema = Cinema([deferred()] * 3, most=2)
    assert [type(await cinema.handle(attempt=number)) for number in range(2)] == [Retry, Retry]
    parked = Parked(ParkReason.RETRIES_EXHAUSTED, "4.2.1 not now")
    assert await cinema.handle(attempt=2) == Park(parked)
    assert (cinema.record.outcome, cinema.record.reason) == ("parked", "retries_exhausted")
    assert cinema.outbox.mails == [cinema.channel.seen[-1]]
    assert await cinema.claim() == Decided(parked)


async def test_a_full_disk_does_not_keep_an_event_from_being_parked() -> None:
    cinema = Cinema([deferred()], most=0, outbox=Shelf(full=True))
    assert isinstance(await cinema.handle(), Park)
    assert cinema.record.outcome == "parked"


# ── faults of ours ───────────────────────────────────────────────────────────────────────────────────


def faulty_templates(folder: Path) -> tuple[Path, int]:
    """The templates, one of which fails for one film, and on which line."""
    copy = folder / "templates"
    shutil.copytree(TEMPLATES, copy)
    subject = copy / "booking_confirmation" / "subject.txt"
    lines = len(subject.read_text("utf-8").splitlines())
    with subject.open("a", encoding="utf-8") as file:
        file.write('{% if event.movie_title == "Boom" %}{{ event.no_such_field }}{% endif %}\n')
    return copy, lines + 1


async def test_a_template_at_fault_parks_the_event_with_its_file_and_line(tmp_path: Path) -> None:
    folder, line = faulty_templates(tmp_path)
    cinema = Cinema(renderer=load(folder, SenderProfile(Brand("Cinema"))))
    settlement = await cinema.handle(movie_title="Boom")
    assert isinstance(settlement, Park)
    assert isinstance(settlement.outcome, Parked)
    assert settlement.outcome.reason is ParkReason.TEMPLATE_ERROR
    assert f"booking_confirmation/subject.txt:{line}: " in settlement.outcome.detail
    assert "no_such_field" in settlement.outcome.detail
    assert cinema.channel.seen == []
    assert await cinema.handle(booking_id="another") == Done(Sent())


async def test_a_template_that_was_mended_makes_the_mail_at_the_replay(tmp_path: Path) -> None:
    folder, _ = faulty_templates(tmp_path)
    cinema = Cinema(renderer=load(folder, SenderProfile(Brand("Cinema"))))
    boom = confirmed(movie_title="Boom")
    assert isinstance(await cinema.pipeline.handle(boom), Park)
    assert (cinema.record.outcome, cinema.record.reason) == ("parked", "template_error")
    cinema.renderer = renderer()
    mended = cinema.process()
    assert isinstance(await mended.handle(boom), Park), "a copy is no wish"
    assert await mended.handle(replace(boom, replay="wish")) == Done(Sent())
    assert len(cinema.mails) == 1


@pytest.mark.parametrize(("bytes_of_logo", "left_out"), [(2000, ["logo.png"]), (10, [])])
async def test_a_file_beyond_the_limit_is_left_out_and_the_mail_goes(bytes_of_logo: int, left_out: list[str]) -> None:
    logo = Logo(b"x" * bytes_of_logo, 160, 32)
    cinema = Cinema(renderer=load(TEMPLATES, SenderProfile(Brand("Cinema", logo=logo))))
    assert await cinema.handle() == Done(Sent())
    (mail,) = cinema.mails
    html = message_from_bytes(mail.content, policy=default).get_body(("html",))
    assert html is not None
    assert ("cid:logo-" in html.get_content()) == (not left_out)
    assert "cid:ticket-qr" in html.get_content()
    told = [
        f"attachments go without {name}: it has {bytes_of_logo} bytes, and MAX_ATTACHMENT_BYTES=1000"
        for name in left_out
    ]
    assert list(cinema.record.remarks) == told


async def test_where_no_file_fits_the_mail_mentions_none() -> None:
    bare = renderer().render("booking_confirmation", confirmed_event(), JANE, max_attachment_bytes=1)
    whole = renderer().render("booking_confirmation", confirmed_event(), JANE)
    assert ([file.filename for file in whole.attachments], bare.attachments) == (["ticket.png", "booking.ics"], ())
    assert "calendar" in whole.text
    assert "calendar" not in bare.text + bare.html
    assert "cid:" not in bare.html
    assert [remark.field for remark in bare.remarks] == ["attachments"] * 2


def confirmed_event() -> Event:
    event = parse(sample("booking.confirmed", time_zone="UTC"), "booking.confirmed")
    assert event is not None
    return event


async def test_an_error_before_the_sending_marker_is_retried_and_then_parked() -> None:
    cinema = Cinema([RuntimeError("a bug with jane.smith@example.com")] * 2, most=1)
    settlement = await cinema.handle()
    assert isinstance(settlement, Retry)
    assert settlement.counted
    assert settlement.reason == "RuntimeError: the log's job.failed says more"
    parked = await cinema.handle(attempt=1)
    assert isinstance(parked, Park)
    assert isinstance(parked.outcome, Parked)
    assert parked.outcome.reason is ParkReason.INTERNAL_ERROR
    assert "a bug" not in parked.outcome.detail
    assert len(cinema.outbox.mails) == 1


async def test_an_error_after_the_sending_marker_is_a_doubt() -> None:
    async def breaks(_: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        await before_handover()
        raise RuntimeError("a bug")

    cinema = Cinema([breaks])
    settlement = await cinema.handle()
    assert settlement == Retry(LEASE, counted=False, reason="it failed while it was sending")
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent(possible_duplicate=True))


async def test_a_record_that_the_database_refuses_does_not_go_round_for_ever() -> None:
    cinema = Cinema(most=1)
    cinema.ledger.refuses = True
    assert isinstance(await cinema.handle(), Retry)
    settlement = await cinema.handle(attempt=1)
    assert isinstance(settlement, Park)
    assert isinstance(settlement.outcome, Parked)
    assert settlement.outcome.reason is ParkReason.INTERNAL_ERROR
    assert cinema.mails == []


async def test_a_lease_that_was_lost_before_data_sends_nothing() -> None:
    async def sleeps(envelope: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        await asyncio.sleep(1.1)
        return await cinema.channel._to_the_end(ACCEPTED, envelope, before_handover)

    cinema = Cinema([sleeps], lease=1)
    settlement = await cinema.handle()
    assert isinstance(settlement, Retry)
    assert (settlement.counted, settlement.reason) == (False, "the claim was lost before DATA")
    assert cinema.mails == []
    assert await cinema.handle() == Done(Sent())


async def test_a_worker_that_slept_writes_nothing_over_the_one_that_took_over() -> None:
    async def sleeps_after_data(_: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        assert await before_handover() is Fence.HELD
        cinema.clock.after_the_lease()
        assert await cinema.process().handle(confirmed()) == Done(Sent(possible_duplicate=True))
        return refused()

    cinema = Cinema([sleeps_after_data])
    settlement = await cinema.handle()
    assert isinstance(settlement, Retry)
    assert settlement.reason == "another worker took it over"
    assert cinema.record.entry.outcome == Sent(possible_duplicate=True)


# ── a store is down ──────────────────────────────────────────────────────────────────────────────────


async def test_without_redis_a_first_delivery_goes_on() -> None:
    cinema = Cinema()
    cinema.claims.down = ALL_OF_REDIS
    assert await cinema.handle() == Done(Sent())
    assert await cinema.handle() == Done(Sent())
    assert (len(cinema.mails), cinema.record.outcome) == (1, "sent")


@pytest.mark.parametrize("first", [IN_DOUBT, deferred()], ids=["pending", "waiting"])
async def test_without_redis_what_stands_open_waits_and_uses_up_no_retry(first: Verdict) -> None:
    cinema = Cinema([first])
    await cinema.handle()
    cinema.claims.down = ALL_OF_REDIS
    seen = len(cinema.channel.seen)
    for _ in range(3):
        settlement = await cinema.handle()
        assert isinstance(settlement, Retry)
        assert not settlement.counted
    assert len(cinema.channel.seen) == seen


async def test_a_first_delivery_without_redis_that_is_in_doubt_is_resent_when_redis_is_back() -> None:
    cinema = Cinema([IN_DOUBT])
    cinema.claims.down = ALL_OF_REDIS
    await cinema.handle()
    cinema.claims.down = ()
    assert isinstance(await cinema.handle(), Retry)
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent(possible_duplicate=True))
    assert len(cinema.mails) == 2


class LateLedger(FlakyLedger):
    """MongoDB, which writes an intent when its worker no longer waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.late = asyncio.Event(), asyncio.Event()

    async def open(self, intent: Intent) -> Opened | AlreadyThere:
        return await asyncio.shield(asyncio.ensure_future(self._open_late(intent)))

    async def _open_late(self, intent: Intent) -> Opened | AlreadyThere:
        self.asked.set()
        await self.late.wait()
        return await super().open(intent)


async def test_an_intent_that_is_written_after_a_shutdown_leaves_no_doubt() -> None:
    cinema = Cinema()
    ledger = cinema.ledger = LateLedger()
    ended = asyncio.create_task(cinema.process().handle(confirmed()))
    await ledger.asked.wait()
    ended.cancel()
    await asyncio.wait([ended])
    ledger.late.set()
    next_worker = cinema.process()
    assert isinstance(await next_worker.handle(confirmed()), Retry)
    cinema.clock.after_the_lease()
    assert await next_worker.handle(confirmed()) == Done(Sent())
    assert not cinema.record.entry.possible_duplicate


@pytest.mark.parametrize("down", [("decide",), ("release",), ("renew",)])
async def test_redis_that_is_lost_after_the_mail_costs_nothing(down: tuple[str, ...]) -> None:
    cinema = Cinema()
    cinema.claims.down = down
    assert await cinema.handle() == Done(Sent())
    cinema.clock.after_the_lease()
    assert await cinema.handle() == Done(Sent())
    assert len(cinema.mails) == 1


async def test_redis_that_is_lost_before_data_sends_nothing_yet() -> None:
    cinema = Cinema()
    cinema.claims.down = ("mark_sending",)
    settlement = await cinema.handle()
    assert isinstance(settlement, Retry)
    assert not settlement.counted
    assert cinema.mails == []
    cinema.claims.down = ()
    assert await cinema.handle() == Done(Sent())


@pytest.mark.parametrize("call", ["open", "close", "answer to close"])
async def test_a_ledger_that_is_down_for_a_while_is_waited_for_and_then_there_is_one_mail(call: str) -> None:
    cinema = Cinema()
    cinema.ledger.silent = {call: 2}
    assert await cinema.handle() == Done(Sent())
    assert (len(cinema.mails), cinema.record.outcome) == (1, "sent")


async def test_an_ending_that_cannot_be_written_is_a_lag_until_it_is() -> None:
    cinema = Cinema()
    state = cinema.pipeline.state
    cinema.ledger.silent = {"close": 1_000_000}
    assert state.lag == 0
    handling = asyncio.create_task(cinema.handle())
    await asyncio.sleep(0.2)
    assert 0 < state.lag < 60
    cinema.ledger.silent = {}
    assert await handling == Done(Sent())
    assert state.lag == 0


# ── what is no notice ────────────────────────────────────────────────────────────────────────────────


async def test_an_event_of_another_kind_leaves_no_trace() -> None:
    cinema = Cinema()
    assert await cinema.pipeline.handle(inbound({"booking_id": []}, "booking.pending_payment")) == Done(None)
    assert (cinema.ledger.records, cinema.claims._claims) == ({}, {})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", RejectReason.NOT_JSON),
        (b"[]", RejectReason.SCHEMA),
        (b'{"booking_id": []}', RejectReason.SCHEMA),
        (b" " * (LARGEST + 1), RejectReason.TOO_LARGE),
    ],
    ids=["no json", "no object", "wrong type", "too large"],
)
async def test_the_same_unreadable_bytes_are_one_record_however_often_they_come(
    body: bytes, reason: RejectReason
) -> None:
    cinema = Cinema()
    for message_id in ("m1", "m2", "m1"):
        settlement = await cinema.pipeline.handle(inbound(body, message_id=message_id))
        assert isinstance(settlement, Park)
        assert isinstance(settlement.outcome, Rejected)
        assert settlement.outcome.reason is reason
    assert cinema.record.outcome == "rejected"
    assert cinema.record.entry.event_ids == ("m1", "m2")
    assert cinema.channel.seen == []


# ── the express lane: a copy that is only ahead ──────────────────────────────────────────────────────


def is_express_copy(**changes: Any) -> InboundMessage:  # noqa: ANN401 - whatever JSON holds
    return replace(confirmed(**changes), is_express_copy=True)


async def test_the_copy_ahead_sends_and_the_ordinary_one_finds_it_sent() -> None:
    cinema = Cinema()
    assert await cinema.pipeline.handle(is_express_copy()) == Done(Sent())
    assert await cinema.handle() == Done(Sent())
    assert len(cinema.mails) == 1


async def test_the_copy_ahead_takes_no_turn_that_is_not_free() -> None:
    cinema = Cinema(rates=MemoryRates(RateLimits(per_address_hour=1)))
    assert await cinema.rates.reserve("jane.smith@example.com") == Reservation()
    assert await cinema.pipeline.handle(is_express_copy()) == Done(None)
    ordinary = await cinema.handle()
    assert isinstance(ordinary, Retry)
    assert ordinary.seconds == pytest.approx(3600, abs=5), "the first turn after the one that is taken"
    assert cinema.mails == []


async def test_the_copy_ahead_leaves_to_the_ordinary_one_what_another_worker_holds_or_nobody_can_read() -> None:
    cinema = Cinema()
    notification = planning.plan(confirmed(), max_bytes=LARGEST)
    assert isinstance(notification, planning.Notification)
    await cinema.claims.claim(
        notification_ids.notification_id(notification.fact, None, notification.template, ChannelKind.EMAIL),
        "somebody else",
    )
    assert await cinema.pipeline.handle(is_express_copy()) == Done(None)
    assert await cinema.pipeline.handle(replace(is_express_copy(), body=b"no json")) == Done(None)
    assert (cinema.mails, cinema.ledger.records) == ([], {})


async def test_the_ordinary_copy_is_tried_after_one_ahead_was_put_off() -> None:
    cinema = Cinema([deferred()])
    assert isinstance(await cinema.pipeline.handle(is_express_copy()), Retry)
    assert await cinema.handle() == Done(Sent())
    assert len(cinema.record.attempts) == 2
