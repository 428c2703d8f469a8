"""What is done with a notification that was found in some state: every state, against the table of `inbound.md`."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from notification_service.contract.outcomes import (
    Bounced,
    Outcome,
    Parked,
    ParkReason,
    Rejected,
    RejectReason,
    Sent,
    Simulated,
    Skipped,
    SkipReason,
    Unknown,
)
from notification_service.delivery.decisions import (
    AlreadyEnded,
    ClaimsUnavailable,
    DeliveryRequest,
    Proceed,
    Step,
    WaitForRedis,
    WaitOutLease,
    next_step,
)
from notification_service.delivery.ports.claims import Claimed, Decided, InterruptedSend
from notification_service.delivery.ports.ledger import AlreadyThere, Entry, Opened

Claim = Claimed | InterruptedSend | Decided | ClaimsUnavailable
Found = Opened | AlreadyThere

REJECTED = Rejected(RejectReason.NO_RECIPIENT, "nobody")
FINAL: list[Outcome] = [
    Sent(),
    Sent(possible_duplicate=True),
    Simulated("x.eml"),
    Skipped(SkipReason.EXPIRED),
    Bounced("5.1.1", "no"),
    Parked(ParkReason.RETRIES_EXHAUSTED, "gave up"),
    Unknown("lost"),
]
OUTCOMES = [*FINAL, REJECTED]


def there(
    outcome: Outcome | None = None,
    *,
    waiting: bool = False,
    resends: int = 0,
    event_id: str = "e1",
    sending: bool = False,
) -> AlreadyThere:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return AlreadyThere(Entry("n", outcome, waiting, resends, (event_id,), at, sending=sending))


def step(claim: Claim, found: Found, *, max_resends: int = 1, event_id: str = "e1", replay: str | None = None) -> Step:
    return next_step(claim, found, DeliveryRequest(event_id, max_resends, replay))


CLAIMS: list[Claim] = [
    Claimed(fresh=True),
    Claimed(fresh=False),
    InterruptedSend(again=False),
    InterruptedSend(again=True),
    Claimed(fresh=False, certain=False),
    InterruptedSend(certain=False),
    ClaimsUnavailable(),
    *map(Decided, OUTCOMES),
]
OPEN: list[Found] = [
    Opened(),
    *(there(waiting=waiting, resends=resends) for waiting in (False, True) for resends in (0, 1)),
]
CLOSED: list[Found] = [there(outcome, resends=resends) for outcome in OUTCOMES for resends in (0, 1)]

# ── "it dies between" ────────────────────────────────────────────────────────────────────────────────


def test_a_first_delivery_begins() -> None:
    assert step(Claimed(fresh=True), Opened()) == Proceed(take_over=False)


@pytest.mark.parametrize("found", [Opened(), there()], ids=["no intent yet", "intent written"])
def test_lost_before_the_sending_marker_it_starts_again(found: Found) -> None:
    assert step(Claimed(fresh=False), found) == Proceed(take_over=isinstance(found, AlreadyThere))


def test_lost_after_the_sending_marker_it_is_sent_once_more_and_marked() -> None:
    assert step(InterruptedSend(), there()) == Proceed(take_over=True, resends=1)


def test_lost_after_the_sending_marker_under_the_hold_policy_a_person_decides() -> None:
    held = step(InterruptedSend(), there(), max_resends=0)
    assert isinstance(held, AlreadyEnded)
    assert isinstance(held.outcome, Unknown)
    assert held.repair


@pytest.mark.parametrize("max_resends", [0, 1])
def test_lost_while_resending_a_person_decides(max_resends: int) -> None:
    lost = step(InterruptedSend(again=True), there(resends=1), max_resends=max_resends)
    assert isinstance(lost, AlreadyEnded)
    assert isinstance(lost.outcome, Unknown)
    assert lost.repair


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
@pytest.mark.parametrize("found", OPEN, ids=str)
def test_a_verdict_without_an_outcome_is_written_down_and_nothing_is_sent(outcome: Outcome, found: Found) -> None:
    assert step(Decided(outcome), found) == AlreadyEnded(outcome, repair=True)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
def test_a_verdict_and_an_outcome_are_acked(outcome: Outcome) -> None:
    assert step(Decided(outcome), there(outcome)) == AlreadyEnded(outcome)


def test_where_the_two_memories_differ_the_ledger_is_the_truth() -> None:
    assert step(Decided(Parked(ParkReason.INTERNAL_ERROR, "x")), there(Sent())) == AlreadyEnded(Sent())


# ── a claim that proves nothing ──────────────────────────────────────────────────────────────────────

UNPROVEN = [
    pytest.param(Claimed(fresh=False, certain=False), False, id="another server's claim"),
    pytest.param(Claimed(fresh=False), True, id="marked in the ledger"),
]


@pytest.mark.parametrize(("claim", "sending"), UNPROVEN)
def test_a_claim_that_proves_nothing_is_in_doubt(claim: Claim, sending: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert step(claim, there(sending=sending)) == Proceed(take_over=True, resends=1)
    held = step(claim, there(sending=sending), max_resends=0)
    assert isinstance(held, AlreadyEnded)
    assert isinstance(held.outcome, Unknown)
    assert step(claim, there(waiting=True, sending=sending)) == Proceed(take_over=True)
    assert step(claim, Opened()) == Proceed(take_over=False)


@pytest.mark.parametrize(
    ("claim", "sending"),
    [
        *UNPROVEN,
        pytest.param(InterruptedSend(certain=False), False, id="doubt"),
        pytest.param(InterruptedSend(), True, id="marked"),
    ],
)
def test_a_resend_that_may_be_out_is_a_persons(claim: Claim, sending: bool) -> None:  # noqa: FBT001 - a parameter of the table
    lost = step(claim, there(resends=1, sending=sending))
    assert isinstance(lost, AlreadyEnded)
    assert isinstance(lost.outcome, Unknown)


def test_a_resend_that_was_never_begun_is_begun() -> None:
    assert step(InterruptedSend(), there(resends=1)) == Proceed(take_over=True, resends=1)


# ── where a further message replaces the one before ──────────────────────────────────────────────────

REPLACING = 5
"""How often such a message may be sent again."""


@pytest.mark.parametrize(
    ("claim", "sending"),
    [
        pytest.param(InterruptedSend(again=True), False, id="lost while resending"),
        pytest.param(InterruptedSend(certain=False), False, id="doubt at another server"),
        pytest.param(InterruptedSend(), True, id="marked"),
        *UNPROVEN,
    ],
)
def test_it_is_sent_a_few_times_again_and_then_is_a_persons(claim: Claim, sending: bool) -> None:  # noqa: FBT001 - as above
    for resends in range(1, REPLACING):
        again = step(claim, there(resends=resends, sending=sending), max_resends=REPLACING)
        assert again == Proceed(take_over=True, resends=resends + 1)
    lost = step(claim, there(resends=REPLACING, sending=sending), max_resends=REPLACING)
    assert isinstance(lost, AlreadyEnded)
    assert isinstance(lost.outcome, Unknown)
    assert lost.repair


def test_a_resend_that_never_began_is_not_counted() -> None:
    found = there(resends=REPLACING)
    assert step(InterruptedSend(), found, max_resends=REPLACING) == Proceed(take_over=True, resends=REPLACING)


def test_where_redis_forgot_it_a_further_resend_waits_out_the_lease() -> None:
    assert step(Claimed(fresh=True), there(resends=2), max_resends=REPLACING) == WaitOutLease()
    assert isinstance(step(Claimed(fresh=True), there(resends=REPLACING), max_resends=REPLACING), AlreadyEnded)


def test_a_person_s_wish_begins_anew() -> None:
    ended = there(Unknown("lost"), resends=REPLACING)
    assert step(Claimed(fresh=True), ended, replay="wish", max_resends=REPLACING) == Proceed(take_over=True, resends=1)


# ── Redis forgot, or cannot be asked ─────────────────────────────────────────────────────────────────


def test_a_pending_entry_that_redis_forgot_is_doubted_first() -> None:
    assert step(Claimed(fresh=True), there()) == WaitOutLease()


def test_a_resend_that_redis_forgot_is_a_persons() -> None:
    lost = step(Claimed(fresh=True), there(resends=1))
    assert isinstance(lost, AlreadyEnded)
    assert isinstance(lost.outcome, Unknown)


@pytest.mark.parametrize("resends", [0, 1, 3])
@pytest.mark.parametrize(
    "claim", [Claimed(fresh=True), Claimed(fresh=False), InterruptedSend(), InterruptedSend(again=True)], ids=str
)
def test_a_waiting_entry_goes_on_with_what_it_knew(claim: Claim, resends: int) -> None:
    assert step(claim, there(waiting=True, resends=resends)) == Proceed(take_over=True, resends=resends)


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_what_has_ended_is_acked_whatever_redis_says(claim: Claim) -> None:
    for outcome, event_id in itertools.product(FINAL, ("e1", "another")):
        assert step(claim, there(outcome), event_id=event_id) == AlreadyEnded(outcome)


def test_without_redis_a_first_delivery_goes_on() -> None:
    assert step(ClaimsUnavailable(), Opened()) == Proceed(take_over=False)


@pytest.mark.parametrize("found", OPEN[1:], ids=str)
def test_without_redis_whatever_stands_open_already_waits(found: Found) -> None:
    assert step(ClaimsUnavailable(), found) == WaitForRedis()


# ── rejected ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if not isinstance(claim, Decided)], ids=str)
def test_another_event_may_know_what_a_rejected_one_lacked(claim: Claim) -> None:
    # Without Redis, two of them could begin at once.
    begins = WaitForRedis() if isinstance(claim, ClaimsUnavailable) else Proceed(take_over=True)
    assert step(claim, there(REJECTED), event_id="another") == begins
    assert step(claim, there(REJECTED), event_id="e1") == AlreadyEnded(REJECTED)


def test_a_lapsed_claim_proves_nothing_where_it_is_not_that_of_the_entrys_owner() -> None:
    """Redis forgot, and whoever noticed it died before it could say so."""
    assert step(Claimed(fresh=False, before="b"), there()) == WaitOutLease()


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
def test_what_did_not_reach_anybody_can_be_had_again_and_nothing_else(outcome: Outcome) -> None:
    doubt = isinstance(outcome, Unknown)
    asked = step(Claimed(fresh=True), there(outcome), replay="wish")
    begins = Proceed(take_over=True, resends=int(doubt))
    assert asked == (begins if isinstance(outcome, Parked | Rejected | Unknown | Bounced) else AlreadyEnded(outcome))


BOUNCED = Bounced("5.1.1", "no such user")


def bounced_to(recipient: str, *, event_ids: tuple[str, ...] = ("e1",)) -> AlreadyThere:
    return AlreadyThere(replace(there(BOUNCED).entry, recipient=recipient, event_ids=event_ids))


@pytest.mark.parametrize(
    ("recorded", "asked", "reopens"),
    [
        ("jane@gmial.example", "jane@gmail.example", True),
        ("jane@gmial.example", "jane@gmial.example", False),
        ("Jane@gmial.example", "jane@GMIAL.example", False),
        ("j***@gmial.example", "jane@gmail.example", True),
        ("j***@gmial.example", "john@gmial.example", False),  # they look alike where records are masked
        ("", "jane@gmail.example", False),  # the record was stripped of its person
        ("jane@gmial.example", None, False),
    ],
)
def test_another_event_with_another_address_opens_again_what_bounced(
    recorded: str,
    asked: str | None,
    reopens: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    def taken(event_id: str, claim: Claim = Claimed(fresh=True)) -> Step:  # noqa: B008 - it is frozen
        return next_step(claim, bounced_to(recorded), DeliveryRequest(event_id, max_resends=1, recipient=asked))

    assert taken("another") == (Proceed(take_over=True) if reopens else AlreadyEnded(BOUNCED))
    assert taken("e1") == AlreadyEnded(BOUNCED)
    assert taken("another", ClaimsUnavailable()) == (WaitForRedis() if reopens else AlreadyEnded(BOUNCED))
    assert taken("another", Decided(BOUNCED)) == AlreadyEnded(BOUNCED)


def test_a_wish_is_granted_once() -> None:
    """The ack of a replay can be lost, and it comes again."""
    parked = Parked(ParkReason.RETRIES_EXHAUSTED, "gave up")
    granted = AlreadyThere(replace(there(parked).entry, replays=("wish",)))
    assert step(Claimed(fresh=True), granted, replay="wish") == AlreadyEnded(parked)
    assert step(Claimed(fresh=True), granted, replay="another") == Proceed(take_over=True)


# ── the whole table ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_nothing_allows_more_than_one_extra_mail(claim: Claim) -> None:
    for found, resends, event_id in itertools.product([*OPEN, *CLOSED], (0, 1), ("e1", "another")):
        assert_at_most_one_extra_mail(claim, found, max_resends=resends, event_id=event_id)


def assert_at_most_one_extra_mail(claim: Claim, found: Found, *, max_resends: int, event_id: str) -> None:
    taken = step(claim, found, max_resends=max_resends, event_id=event_id)
    entry = found.entry if isinstance(found, AlreadyThere) else None
    may_be_out = isinstance(claim, InterruptedSend) and not (entry and (entry.waiting or entry.outcome))
    if isinstance(taken, Proceed):
        assert not isinstance(claim, Decided)
        assert entry is None or entry.outcome in (None, REJECTED)
        assert taken.take_over == (entry is not None or isinstance(claim, InterruptedSend))
        # Where a mail may be out, only the policy's one more is sent, and it is marked as what it may be.
        assert not may_be_out or (max_resends and taken.possible_duplicate)
        assert not may_be_out or claim != InterruptedSend(again=True)
        # A mail that may be the second is never taken for a first one later.
        assert taken.possible_duplicate or not (entry and entry.outcome is None and entry.possible_duplicate)
    if isinstance(taken, AlreadyEnded):
        # An outcome that is written stays; one that is not yet, is written.
        assert taken.repair == (entry is None or entry.outcome is None)
    if isinstance(taken, WaitOutLease):
        assert claim == Claimed(fresh=True)
        assert entry
        assert (entry.outcome, entry.waiting) == (None, False)
    if isinstance(taken, WaitForRedis):
        assert claim == ClaimsUnavailable()
