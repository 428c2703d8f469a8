"""The closed set of endings of a notification, and the errors by who is at fault."""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never


class Status(StrEnum):
    """The three words that a deployed audit collection accepts."""

    SENT = "sent"
    FAILED = "failed"
    PENDING = "pending"


class SkipReason(StrEnum):
    UNSUBSCRIBED = "unsubscribed"
    SUPPRESSED = "suppressed"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    DUPLICATE = "duplicate"
    ERASED = "erased"
    NO_ADDRESS = "no_address"


class RejectReason(StrEnum):
    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    SCHEMA = "schema"
    NO_RECIPIENT = "no_recipient"
    BAD_ADDRESS = "bad_address"
    TEMPLATE_ERROR = "template_error"
    ATTACHMENT = "attachment"
    """These two stand on records of older versions only: the one parks today, the other is a remark."""


class ParkReason(StrEnum):
    RETRIES_EXHAUSTED = "retries_exhausted"
    CRASHED_WORKERS = "crashed_workers"
    INTERNAL_ERROR = "internal_error"
    TEMPLATE_ERROR = "template_error"
    UNMOVABLE = "unmovable"
    """The broker takes no copy of its event, so it could not be tried later, and lies in no queue."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A server said 250."""

    possible_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Simulated:
    """Simulation was asked for, so nothing went out; the mail lies in the outbox."""

    path: str


@dataclass(frozen=True, slots=True)
class Skipped:
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Bounced:
    """A server refused this address or this content for good. `fingerprint`: of its reply, equal for equal refusals."""

    code: str
    detail: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The event can never become a mail as it is; a person can mend and replay it."""

    reason: RejectReason
    detail: str


@dataclass(frozen=True, slots=True)
class Parked:
    """We gave up; the event waits for a replay and the mail, if one was rendered, lies in the outbox."""

    reason: ParkReason
    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have gone out, and the policy for this mail is to let a person decide."""

    detail: str


Outcome = Sent | Simulated | Skipped | Bounced | Rejected | Parked | Unknown


@dataclass(frozen=True, slots=True)
class Summary:
    """An outcome in the words of the record, of the logs and of the metrics."""

    status: Status
    outcome: str
    reason: str | None = None
    detail: str | None = None
    possible_duplicate: bool = False
    fingerprint: str | None = None


PENDING = "pending"
"""The `outcome` of a record whose notification is under way: the intent."""

WAITING = "waiting"
"""The `outcome` of a record whose notification stands on the retry ladder: nothing went out so far."""


def summarize(outcome: Outcome) -> Summary:
    match outcome:
        case Sent(possible_duplicate):
            return Summary(Status.SENT, "sent", possible_duplicate=possible_duplicate)
        case Simulated(path):
            return Summary(Status.PENDING, "simulated", detail=path)
        case Skipped(reason):
            return Summary(Status.FAILED, "skipped", reason)
        case Bounced(code, detail, fingerprint):
            return Summary(Status.FAILED, "bounced", code, detail, fingerprint=fingerprint or None)
        case Rejected(reason, detail):
            return Summary(Status.FAILED, "rejected", reason, detail)
        case Parked(reason, detail):
            return Summary(Status.FAILED, "parked", reason, detail)
        case Unknown(detail):
            return Summary(Status.PENDING, "unknown", detail=detail)
        case _:
            assert_never(outcome)


def recall(summary: Summary) -> Outcome:
    """The inverse of `summarize`, for a verdict read back from a store."""
    detail = summary.detail or ""
    match summary.outcome:
        case "sent":
            return Sent(summary.possible_duplicate)
        case "simulated":
            return Simulated(detail)
        case "skipped":
            return Skipped(SkipReason(summary.reason or ""))
        case "bounced":
            return Bounced(summary.reason or "", detail, summary.fingerprint or "")
        case "rejected":
            return Rejected(RejectReason(summary.reason or ""), detail)
        case "parked":
            return Parked(ParkReason(summary.reason or ""), detail)
        case "unknown":
            return Unknown(detail)
        case other:
            raise ValueError(f"{other!r} is no outcome")


def waits_for_a_person(outcome: Outcome) -> bool:
    """Whether the event is kept in the parking queue, where an operator can mend and replay it."""
    return isinstance(outcome, Rejected | Parked | Unknown)


def may_be_reopened(outcome: Outcome) -> bool:
    """Whether it can be had again. The event of a bounced mail waits nowhere, but its record still has it."""
    return isinstance(outcome, Bounced) or waits_for_a_person(outcome)
