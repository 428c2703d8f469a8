"""How a notification can end: a closed set of outcomes, each with its status and its reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never


class Status(StrEnum):
    """The values of a record's `status`. The schema of deployed audit collections accepts no other."""

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
    NO_CONSENT = "no_consent"
    """Its reader does not want messages by this channel, or nobody knows that they do."""
    NOT_SELECTED = "not_selected"
    """The channel is told of such events to know what they make obsolete, and sends nothing for them."""


SUPPRESSING = (SkipReason.SUPPRESSED, SkipReason.UNSUBSCRIBED)
"""The reasons that are about the address of a message."""


class RejectReason(StrEnum):
    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    SCHEMA = "schema"
    NO_RECIPIENT = "no_recipient"
    BAD_ADDRESS = "bad_address"
    TEMPLATE_ERROR = "template_error"
    """Only in records of older versions: today such an event is parked."""
    ATTACHMENT = "attachment"
    """Only in records of older versions: today the message goes out with a remark."""


class ParkReason(StrEnum):
    RETRIES_EXHAUSTED = "retries_exhausted"
    CRASHED_WORKERS = "crashed_workers"
    INTERNAL_ERROR = "internal_error"
    TEMPLATE_ERROR = "template_error"
    PROVIDER_REFUSED = "provider_refused"
    """The provider refuses the request for a reason that an operator has to mend."""
    UNMOVABLE = "unmovable"
    """RabbitMQ refuses every copy of the event: no retry is possible, and the event is in no queue."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A provider accepted it."""

    possible_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Simulated:
    """Simulation is on: nothing was sent, and the message is in the outbox at `path`."""

    path: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """By rule, nothing is sent. `detail`: what a person can do about it, if anything."""

    reason: SkipReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Bounced:
    """A provider refused this address or this content for good. Equal refusals have an equal `fingerprint`."""

    code: str
    detail: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The event cannot become a message as it is. A person can correct and replay it."""

    reason: RejectReason
    detail: str


@dataclass(frozen=True, slots=True)
class Parked:
    """The service gave up. The event waits for a replay; the message, if it was composed, is in the outbox."""

    reason: ParkReason
    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message may have gone out, and its policy leaves it to a person to send it again."""

    detail: str


Outcome = Sent | Simulated | Skipped | Bounced | Rejected | Parked | Unknown

PENDING = "pending"
"""The `outcome` of a record that a worker has opened and not yet closed."""

WAITING = "waiting"
"""The `outcome` of a record whose notification waits to be tried again; nothing was sent so far."""

STATUS_OF: Mapping[str, Status] = {
    PENDING: Status.PENDING,
    WAITING: Status.PENDING,
    "sent": Status.SENT,
    "simulated": Status.PENDING,
    "skipped": Status.FAILED,
    "bounced": Status.FAILED,
    "rejected": Status.FAILED,
    "parked": Status.FAILED,
    "unknown": Status.PENDING,
}
"""Each value of a record's `outcome`, and its `status`."""

FOR_A_PERSON = ("rejected", "parked", "unknown")
"""The outcomes whose events wait in the parking queue, where a person can correct and replay them."""


@dataclass(frozen=True, slots=True)
class Summary:
    """An outcome as it stands in records, logs and metrics."""

    status: Status
    outcome: str
    reason: str | None = None
    detail: str | None = None
    possible_duplicate: bool = False
    fingerprint: str | None = None


def summarize(outcome: Outcome) -> Summary:
    match outcome:
        case Sent(possible_duplicate):
            return Summary(STATUS_OF["sent"], "sent", possible_duplicate=possible_duplicate)
        case Simulated(path):
            return Summary(STATUS_OF["simulated"], "simulated", detail=path)
        case Skipped(reason, detail):
            return Summary(STATUS_OF["skipped"], "skipped", reason, detail or None)
        case Bounced(code, detail, fingerprint):
            return Summary(STATUS_OF["bounced"], "bounced", code, detail, fingerprint=fingerprint or None)
        case Rejected(reason, detail):
            return Summary(STATUS_OF["rejected"], "rejected", reason, detail)
        case Parked(reason, detail):
            return Summary(STATUS_OF["parked"], "parked", reason, detail)
        case Unknown(detail):
            return Summary(STATUS_OF["unknown"], "unknown", detail=detail)
        case _:
            assert_never(outcome)


def recall(summary: Summary) -> Outcome:
    """Read an outcome back from a store: the inverse of `summarize`. Raises `ValueError` where it is unknown."""
    detail = summary.detail or ""
    match summary.outcome:
        case "sent":
            return Sent(summary.possible_duplicate)
        case "simulated":
            return Simulated(detail)
        case "skipped":
            return Skipped(SkipReason(summary.reason or ""), detail)
        case "bounced":
            return Bounced(summary.reason or "", detail, summary.fingerprint or "")
        case "rejected":
            return Rejected(RejectReason(summary.reason or ""), detail)
        case "parked":
            return Parked(ParkReason(summary.reason or ""), detail)
        case "unknown":
            return Unknown(detail)
        case other:
            raise ValueError(f"unknown outcome {other!r}")


def waits_for_a_person(outcome: Outcome) -> bool:
    return summarize(outcome).outcome in FOR_A_PERSON


def may_be_reopened(outcome: Outcome) -> bool:
    """Whether a replay may send it. An event that is about its address is in no queue, but its record has it."""
    return is_about_the_address(outcome) or waits_for_a_person(outcome)


def is_about_the_address(outcome: Outcome) -> bool:
    """Whether another address may change it: a provider or the list of suppressions refused this one."""
    return isinstance(outcome, Bounced) or (isinstance(outcome, Skipped) and outcome.reason in SUPPRESSING)
