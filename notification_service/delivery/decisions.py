"""Decides the next step of a job from the claim in Redis and the entry in the ledger. Pure."""

from dataclasses import dataclass

from notification_service.contract.outcomes import (
    Outcome,
    Rejected,
    Unknown,
    is_about_the_address,
    may_be_reopened,
)
from notification_service.delivery.ports.claims import Claimed, Decided, InterruptedSend
from notification_service.delivery.ports.ledger import AlreadyThere, Entry, Opened
from notification_service.foundation.addresses import key, mask


@dataclass(frozen=True, slots=True)
class ClaimsUnavailable:
    """Redis is unavailable, so the ledger's unique entry is the only claim."""


@dataclass(frozen=True, slots=True)
class Proceed:
    """Send: nothing was sent yet, or one resend is allowed."""

    take_over: bool
    possible_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class AlreadyEnded:
    """The notification has this outcome. `repair`: the ledger lacks it."""

    outcome: Outcome
    repair: bool = False


@dataclass(frozen=True, slots=True)
class WaitOutLease:
    """Pending in the ledger without a claim in Redis: set a sending mark, wait for a lease, then assume a doubt."""


@dataclass(frozen=True, slots=True)
class WaitForRedis:
    """Only Redis can say who works on it: wait until it answers."""


Step = Proceed | AlreadyEnded | WaitOutLease | WaitForRedis

_LOST_TWICE = Unknown("the worker was lost while sending, twice; ask the mail server's log before replaying it")
_HELD = Unknown("the worker was lost while sending, and the policy for this mail is to hold it")


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """What decides beside the stores. `resend`: the unknown policy; where it is false, a person decides.

    `replay`: the token of a replay. `recipient`: the address of the message, where it is known.
    """

    event_id: str
    resend: bool
    replay: str | None = None
    recipient: str | None = None


def next_step(
    claim: Claimed | InterruptedSend | Decided | ClaimsUnavailable, found: Opened | AlreadyThere, asked: DeliveryRequest
) -> Step:
    if isinstance(claim, Decided):
        return _decided(claim.outcome, found)
    if isinstance(found, AlreadyThere) and found.entry.outcome is not None:
        step = _closed(found.entry, found.entry.outcome, asked)
        # Reopening takes a claim: two workers could do it at once.
        return WaitForRedis() if isinstance(claim, ClaimsUnavailable) and isinstance(step, Proceed) else step
    match claim:
        case Claimed():
            return _granted(claim, found, resend=asked.resend)
        case InterruptedSend():
            return _doubtful(claim, found, resend=asked.resend)
        case ClaimsUnavailable():
            return Proceed(take_over=False) if isinstance(found, Opened) else WaitForRedis()


def _decided(verdict: Outcome, found: Opened | AlreadyThere) -> Step:
    written = found.entry.outcome if isinstance(found, AlreadyThere) else None
    return AlreadyEnded(written or verdict, repair=written is None)


def _closed(entry: Entry, outcome: Outcome, asked: DeliveryRequest) -> Step:
    wished = asked.replay is not None and asked.replay not in entry.replays
    if knows_better(entry, outcome, asked) or (wished and may_be_reopened(outcome)):
        return Proceed(take_over=True, possible_duplicate=entry.possible_duplicate or isinstance(outcome, Unknown))
    return AlreadyEnded(outcome)


def knows_better(entry: Entry, outcome: Outcome, asked: DeliveryRequest) -> bool:
    """Whether another event may have what a rejected one lacked, or another address than the one that was refused."""
    if asked.event_id in entry.event_ids:
        return False
    return isinstance(outcome, Rejected) or (is_about_the_address(outcome) and _is_another(asked.recipient, entry))


def _is_another(recipient: str | None, entry: Entry) -> bool:
    """Whether it is another address. Where the record's is masked, addresses with the same mask count as equal."""
    if not recipient or not entry.recipient:
        return False
    return key(entry.recipient) not in (key(recipient), key(mask(recipient)))


def _granted(claim: Claimed, found: Opened | AlreadyThere, *, resend: bool) -> Step:
    """Nothing was sent if the lapsed claim had no sending mark, is certain, and belonged to the entry's owner."""
    match found:
        case Opened():
            return Proceed(take_over=False)
        case AlreadyThere(entry) if entry.waiting:
            return Proceed(take_over=True, possible_duplicate=entry.possible_duplicate)
        case AlreadyThere(entry) if claim.fresh or claim.before != entry.owner:
            # Redis lost the claim. If a resend had begun, its message may have been sent already.
            return AlreadyEnded(_LOST_TWICE, repair=True) if entry.possible_duplicate else WaitOutLease()
        case AlreadyThere(entry) if claim.certain and not entry.sending:
            return Proceed(take_over=True, possible_duplicate=entry.possible_duplicate)
        case AlreadyThere(entry):
            return _in_doubt(resent=entry.possible_duplicate, resend=resend)


def _doubtful(claim: InterruptedSend, found: Opened | AlreadyThere, *, resend: bool) -> Step:
    """The entry also shows a resend whose mark Redis has lost, or that was marked in the entry only."""
    if not isinstance(found, AlreadyThere):
        return _in_doubt(resent=claim.again, resend=resend)
    entry = found.entry
    if entry.waiting:
        return Proceed(take_over=True, possible_duplicate=entry.possible_duplicate)
    unseen = entry.possible_duplicate and (entry.sending or not claim.certain)
    return _in_doubt(resent=claim.again or unseen, resend=resend)


def _in_doubt(*, resent: bool, resend: bool) -> Step:
    """`resent`: the one resend that is allowed may have been sent already."""
    if resent:
        return AlreadyEnded(_LOST_TWICE, repair=True)
    return Proceed(take_over=True, possible_duplicate=True) if resend else AlreadyEnded(_HELD, repair=True)
