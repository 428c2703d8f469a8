"""An address that is on the list gets no mail, however its event comes; a person may lift it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import Outcome, Sent, Skipped, SkipReason
from notification_service.contract.suppressions import Cause, Evidence, Lift
from notification_service.delivery import recipients
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.settlements import Done, Park, Retry
from notification_service.delivery.suppression_check import SuppressionCheck
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.directory import MemoryDirectory
from notification_service.stores.memory.suppressions import MemorySuppressions
from tests.samples import sample
from tests.unit.fakes import IN_DOUBT, FlakyList, Step, deferred, inbound, notification, refused
from tests.unit.test_pipeline import Cinema, confirmed

EMAIL = ChannelKind.EMAIL
JANE = "jane.smith@example.com"
HOUR = timedelta(hours=1)


class Listed(Cinema):
    """The pipeline with a list of suppressions, whose addresses were put there an hour ago."""

    def __init__(self, *steps: Step, optional: str = "") -> None:
        self.suppressions = FlakyList()
        super().__init__(steps, suppression=SuppressionCheck(self.suppressions, EMAIL, optional={optional}))

    async def put(self, cause: Cause, address: str = JANE, code: str | None = "5.1.1", name: str = "1") -> None:
        evidence = Evidence(source="ses", source_id=name, at=datetime.now(UTC) - HOUR, code=code)
        await self.suppressions.note(EMAIL, await self.digest(address), cause, evidence)

    async def lift(self, cause: Cause, address: str = JANE) -> None:
        await self.suppressions.lift(EMAIL, await self.digest(address), cause, Lift(datetime.now(UTC), "jane"))

    async def digest(self, address: str = JANE) -> str:
        return (await MemorySuppressions.known(self.suppressions, EMAIL, address)).digest


def reason(settlement: Done | Park | Retry) -> SkipReason | None:
    outcome = settlement.outcome if isinstance(settlement, Done) else None
    return outcome.reason if isinstance(outcome, Skipped) else None


async def test_what_the_server_says_at_rcpt_stops_the_next_mail_and_a_lift_brings_it_through() -> None:
    cinema = Listed(refused("5.1.1"))
    await cinema.handle()
    again = await cinema.handle(event_id="evt-2", booking_id="B-2")
    assert reason(again) is SkipReason.SUPPRESSED
    assert isinstance(again, Done)
    assert isinstance(again.outcome, Skipped)
    assert "sending said 5.1.1" in again.outcome.detail
    assert "`suppressions lift` ends it" in again.outcome.detail
    assert len(cinema.mails) == 1, "the one that was refused"
    await cinema.lift(Cause.GONE)
    assert await cinema.handle(event_id="evt-3", booking_id="B-3") == Done(Sent())


@pytest.mark.parametrize("code", ["5.7.1", "4.2.2", "5.2.2"])
async def test_a_refusal_that_is_not_about_the_address_stops_nothing(code: str) -> None:
    cinema = Listed(refused(code), refused(code))
    found = [await cinema.handle(event_id=f"evt-{number}", booking_id=f"B-{number}") for number in range(3)]
    assert found[-1] == Done(Sent())


async def test_another_refusal_stops_from_the_second_on() -> None:
    cinema = Listed(refused("5.4.4"), refused("5.4.4"))
    found = [reason(await cinema.handle(event_id=f"e{each}", booking_id=f"B-{each}")) for each in range(3)]
    assert found == [None, None, SkipReason.SUPPRESSED]


async def test_only_the_address_that_bounced_is_stopped() -> None:
    cinema = Listed(refused("5.1.1"))
    await cinema.handle()
    assert await cinema.handle(event_id="e2", booking_id="B-2", user_email="jane@work.example") == Done(Sent())
    assert reason(await cinema.handle(event_id="e3", booking_id="B-3", user_email=JANE.upper())) is not None


@pytest.mark.parametrize("how", ["a retry", "a resend", "a replay"])
async def test_it_is_asked_however_the_event_comes_again(how: str) -> None:
    steps: dict[str, Step] = {"a retry": deferred(), "a resend": IN_DOUBT, "a replay": refused("5.4.5")}
    cinema = Listed(steps[how])
    await cinema.handle()
    await cinema.put(Cause.GONE)
    cinema.clock.after_the_lease()
    wish = {"a replay": "wish"}.get(how)
    settlement = await cinema.pipeline.handle(replace(confirmed(attempt=how == "a retry"), replay=wish))
    assert reason(settlement) is SkipReason.SUPPRESSED
    assert cinema.record.outcome == "skipped"


async def test_a_replay_sends_what_was_suppressed_once_it_is_lifted() -> None:
    cinema = Listed()
    await cinema.put(Cause.GONE)
    await cinema.handle()
    assert reason(await cinema.handle()) is SkipReason.SUPPRESSED
    assert reason(await cinema.pipeline.handle(replace(confirmed(), replay="first"))) is SkipReason.SUPPRESSED
    await cinema.lift(Cause.GONE)
    assert await cinema.pipeline.handle(replace(confirmed(), replay="second")) == Done(Sent())
    assert await cinema.pipeline.handle(replace(confirmed(), replay="third")) == Done(Sent())
    assert len(cinema.mails) == 1


async def test_another_event_with_another_address_opens_again_what_was_suppressed() -> None:
    cinema = Listed()
    await cinema.put(Cause.GONE)
    await cinema.handle()
    assert await cinema.handle(event_id="evt-2", user_email="jane@work.example") == Done(Sent())
    assert cinema.record.recipient == "jane@work.example"


EVENTS = ("booking.confirmed", "booking.cancelled", "payment.success", "payment.failed", "payment.refunded")


async def outcomes(cinema: Listed) -> dict[str, Outcome | None]:
    found = {}
    for name in EVENTS:
        event = sample(name, user_email=JANE, booking_id=f"B-{name}")
        settlement = await cinema.pipeline.handle(inbound(event))
        found[name] = settlement.outcome if isinstance(settlement, Done) else None
    return found


async def test_a_complaint_lets_tickets_and_refunds_through_alone() -> None:
    cinema = Listed()
    await cinema.put(Cause.COMPLAINED, code=None)
    sent = [name for name, outcome in (await outcomes(cinema)).items() if outcome == Sent()]
    assert sent == ["booking.confirmed", "payment.refunded"]


async def test_who_unsubscribed_gets_all_but_optional_templates() -> None:
    cinema = Listed(optional="payment_success")
    await cinema.put(Cause.UNSUBSCRIBED, code=None)
    found = await outcomes(cinema)
    assert [name for name, outcome in found.items() if outcome != Sent()] == ["payment.success"]
    outcome = found["payment.success"]
    assert isinstance(outcome, Skipped)
    assert outcome.reason is SkipReason.UNSUBSCRIBED
    await cinema.lift(Cause.UNSUBSCRIBED)
    settlement = await cinema.pipeline.handle(inbound(sample("payment.success", user_email=JANE, transaction_id="T9")))
    assert settlement == Done(Sent())


async def test_while_the_list_cannot_be_read_tickets_go_and_the_rest_waits() -> None:
    cinema = Listed()
    cinema.suppressions.down = True
    assert await cinema.handle() == Done(Sent())
    payment = inbound(sample("payment.success", user_email=JANE))
    settlement = await cinema.pipeline.handle(payment)
    assert isinstance(settlement, Retry)
    assert not settlement.counted
    assert await cinema.pipeline.handle(replace(payment, unmovable=True)) == Done(Sent()), "no queue takes it"
    cinema.suppressions.down = False
    assert await cinema.pipeline.handle(inbound(sample("payment.failed", user_email=JANE))) == Done(Sent())


async def test_a_list_that_cannot_be_written_changes_nothing_for_the_mail() -> None:
    class Full(FlakyList):
        async def note(self, *_: object, **__: object) -> bool:
            raise StoreUnavailableError("MongoDB", "full")

    cinema = Listed(refused("5.1.1"))
    cinema.suppression = SuppressionCheck(Full(), EMAIL)
    cinema.pipeline = cinema.process()
    await cinema.handle()
    assert cinema.record.outcome == "bounced"


# ── whose consent it is ──────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("address", "agrees", "counted"),
    [(JANE, True, True), (JANE.upper(), True, True), (JANE, False, False), ("somebody@else.example", True, False)],
)
async def test_only_the_reader_themselves_agrees_to_be_counted(address: str, agrees: bool, counted: bool) -> None:  # noqa: FBT001 - a case
    event = notification(sample("booking.confirmed", user_id="user456", user_email=address)).event
    people = MemoryDirectory({"user456": Recipient(JANE, tracking_consent=agrees)}, {})
    composer = Cinema().pipeline.composer
    found = await recipients.find(event, people, composer, ask_consent=True)
    assert isinstance(found, recipients.Addressee)
    assert found.recipient.tracking_consent is counted
    unasked = await recipients.find(event, people, composer)
    assert isinstance(unasked, recipients.Addressee)
    assert not unasked.recipient.tracking_consent
