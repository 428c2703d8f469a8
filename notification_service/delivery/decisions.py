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
    """Send: nothing was sent yet, or a resend is allowed. `resends`: with this one, those that may have gone out."""

    take_over: bool
    resends: int = 0

    @property
    def possible_duplicate(self) -> bool:
        return self.resends > 0


@dataclass(frozen=True, slots=True)
class AlreadyEnded:
    """The notification has this outcome. `repair`: the ledger lacks it."""

    outcome: Outcome
    repair: bool = False


@dataclass(frozen=True, slots=True)
class WaitOutLease:
    """Pending in the ledger without a claim in Redis: set a sending mark, wait for a lease, then assume a doubt."""


@dataclass(frozen=True, slots=True)
class AskProvider:
    """In doubt, and the provider can say whether it has the message. `otherwise`: what is done where it cannot tell."""

    otherwise: "Proceed | AlreadyEnded"


@dataclass(frozen=True, slots=True)
class WaitForRedis:
    """Only Redis can say who works on it: wait until it answers."""


Step = Proceed | AlreadyEnded | AskProvider | WaitOutLease | WaitForRedis

_LOST_TWICE = Unknown("the worker was lost while sending, twice; ask the mail server's log before replaying it")
_LOST_AGAIN = Unknown("each try to send it broke off before the answer came; ask the provider before replaying it")
_HELD = Unknown("the worker was lost while sending, and the policy for this mail is to hold it")


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """What decides beside the stores. `max_resends`: the unknown policy; after so many a person decides, at 0 at once.

    `replay`: the token of a replay. `recipient`: the address of the message, where it is known. `can_look_up`: the
    provider can be asked whether it has a message, which comes before the policy.
    """

    event_id: str
    max_resends: int
    replay: str | None = None
    recipient: str | None = None
    can_look_up: bool = False


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
            return _granted(claim, found, asked)
        case InterruptedSend():
            return _doubtful(claim, found, asked)
        case ClaimsUnavailable():
            return Proceed(take_over=False) if isinstance(found, Opened) else WaitForRedis()


def _decided(verdict: Outcome, found: Opened | AlreadyThere) -> Step:
    written = found.entry.outcome if isinstance(found, AlreadyThere) else None
    return AlreadyEnded(written or verdict, repair=written is None)


def _closed(entry: Entry, outcome: Outcome, asked: DeliveryRequest) -> Step:
    wished = asked.replay is not None and asked.replay not in entry.replays
    if knows_better(entry, outcome, asked) or (wished and may_be_reopened(outcome)):
        return Proceed(take_over=True, resends=int(entry.possible_duplicate or isinstance(outcome, Unknown)))
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


def _granted(claim: Claimed, found: Opened | AlreadyThere, asked: DeliveryRequest) -> Step:
    """Nothing was sent if the lapsed claim had no sending mark, is certain, and belonged to the entry's owner."""
    match found:
        case Opened():
            return Proceed(take_over=False)
        case AlreadyThere(entry) if entry.waiting:
            return Proceed(take_over=True, resends=entry.resends)
        case AlreadyThere(entry) if claim.fresh or claim.before != entry.owner:
            # Redis lost the claim. If a resend had begun, its message may have been sent already, unless the provider
            # can say so: it is asked when a worker that may still be sending is certainly done.
            may_wait = asked.can_look_up or not entry.possible_duplicate or entry.resends < asked.max_resends
            return WaitOutLease() if may_wait else _given_up(asked)
        case AlreadyThere(entry) if claim.certain and not entry.sending:
            return Proceed(take_over=True, resends=entry.resends)
        case AlreadyThere(entry):
            return _in_doubt(asked, entry.resends, resent=entry.possible_duplicate)


def _doubtful(claim: InterruptedSend, found: Opened | AlreadyThere, asked: DeliveryRequest) -> Step:
    """The entry also shows a resend whose mark Redis has lost, or that was marked in the entry only."""
    if not isinstance(found, AlreadyThere):
        return _in_doubt(asked, 0, resent=claim.again)
    entry = found.entry
    if entry.waiting:
        return Proceed(take_over=True, resends=entry.resends)
    unseen = entry.possible_duplicate and (entry.sending or not claim.certain)
    return _in_doubt(asked, entry.resends, resent=claim.again or unseen)


def _in_doubt(asked: DeliveryRequest, resends: int, *, resent: bool) -> Step:
    """`resends`: those that the entry knows of. `resent`: the last of them may have been sent already."""
    step = _by_policy(asked, max(resends, 1) if resent else max(resends - 1, 0))
    return AskProvider(step) if asked.can_look_up else step


def _by_policy(asked: DeliveryRequest, resends: int) -> Proceed | AlreadyEnded:
    if resends and resends >= asked.max_resends:
        return _given_up(asked)
    return Proceed(take_over=True, resends=resends + 1) if asked.max_resends else AlreadyEnded(_HELD, repair=True)


def _given_up(asked: DeliveryRequest) -> AlreadyEnded:
    return AlreadyEnded(_LOST_AGAIN if asked.max_resends > 1 else _LOST_TWICE, repair=True)
