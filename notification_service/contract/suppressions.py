"""Which addresses are not written to any more, and why: the table, pure.

Everything that is known of an address is kept as evidence; what follows from it is decided when it is asked. So a
signal may come late, twice or out of order.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum, auto

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import SkipReason
from notification_service.contract.signals import Signal, SignalKind


class Cause(StrEnum):
    """Why an address is not written to."""

    GONE = "gone"
    """The mailbox, its domain, the number or the device does not exist: nothing is sent on that channel."""
    FAILING = "failing"
    """It was refused for good twice within the time, for another reason: nothing is sent on that channel."""
    COMPLAINED = "complained"
    """The reader called a message spam: only tickets and refunds are sent."""
    UNSUBSCRIBED = "unsubscribed"
    """The reader does not want optional messages."""
    BY_HAND = "by_hand"
    """A person wants nothing to be sent to it."""


OURSELVES = "sending"
"""The source of what a provider said while a message was handed over."""


class Effect(Enum):
    """What a signal leads to beside a cause."""

    NOTHING = auto()
    ALERT = auto()
    """A refusal that is about us: our reputation, our authentication (5.7.x). No address is at fault."""
    RESUBSCRIBE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One signal, or one wish of a person, about an address. (`source`, `source_id`) is its identity."""

    source: str
    source_id: str
    at: datetime
    code: str | None = None
    detail: str = ""
    notification_id: str | None = None


@dataclass(frozen=True, slots=True)
class Lift:
    """Whatever was known until `at` no longer counts. `by`: who says so."""

    at: datetime
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """All that is known about one address for one cause. `digest`: of the address, keyed."""

    channel: ChannelKind
    digest: str
    cause: Cause
    evidence: tuple[Evidence, ...] = ()
    lifts: tuple[Lift, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """An entry that counts now. `until`: None where only a person or the reader ends it. `latest`: its last reason."""

    cause: Cause
    since: datetime
    until: datetime | None
    latest: Evidence


@dataclass(frozen=True, slots=True)
class Kind:
    """What of a message decides whether it goes. `needed`: a ticket or a refund. `optional`: its template says so."""

    needed: bool = False
    optional: bool = False


_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_NO_SUCH_ADDRESS = {("1", "1"), ("1", "2"), ("1", "10")}
_MAILBOX_FULL = ("2", "2")
_POLICY = "7"
_FOR_EVER = datetime.max.replace(tzinfo=UTC)
_REFUSALS_NEEDED = {Cause.GONE: 1, Cause.FAILING: 2}
"""How many refusals within the time it takes. What a reader or a person said counts until it is lifted."""

_GONE: dict[ChannelKind, frozenset[str]] = {
    ChannelKind.EMAIL: frozenset(),
    ChannelKind.SMS: frozenset({"21211", "21614", "21635", "30005", "30006"}),
    ChannelKind.PUSH: frozenset({"UNREGISTERED", "Unregistered"}),
}
"""The providers' own codes for a number or a device that does not exist any more."""
OPTED_OUT, COMPLAINED = "unsubscribed", "complained"
"""The codes of a mail that its provider did not send, since its own list has the reader's wish or complaint."""
_OPTED_OUT: dict[ChannelKind, frozenset[str]] = {
    ChannelKind.EMAIL: frozenset({OPTED_OUT}),
    ChannelKind.SMS: frozenset({"21610"}),
    ChannelKind.PUSH: frozenset(),
}
"""Refusals because the reader wants nothing, some of which come after the message was taken."""
_ANY_OPTED_OUT = frozenset[str]().union(*_OPTED_OUT.values())
_ABOUT_US = frozenset(
    {
        *("30004", "30007", "30024", "30032", "30033", "30034", "30035", "30040"),  # the sender, or what it writes
        *("30001", "30002", "30010", "30022", "30023", "30027"),  # too fast, suspended, or above our price
        *("21408", "21606", "21611", "21612", "21659"),  # what a messaging service finds out later
    }
)
"""Refusals by Twilio and by carriers of what we send, or of us."""


def effect(signal: Signal) -> Cause | Effect:
    """What a signal leads to."""
    match signal.kind:
        case SignalKind.BOUNCED:
            return effect_of_refusal(signal.channel, signal.code or "")
        case SignalKind.COMPLAINED:
            return Cause.COMPLAINED
        case SignalKind.UNSUBSCRIBED:
            return Cause.UNSUBSCRIBED
        case SignalKind.RESUBSCRIBED:
            return Effect.RESUBSCRIBE
        case SignalKind.DELIVERED | SignalKind.DEFERRED | SignalKind.CLICKED:
            return Effect.NOTHING


def effect_of_refusal(channel: ChannelKind, code: str, *, names_address: bool = False) -> Cause | Effect:
    """What a refusal for good leads to, by its enhanced status code (RFC 3463), else by the provider's own.

    `names_address`: its words say that the address does not exist, which counts where the code says no more.
    """
    if found := _ENHANCED.search(code):
        return _effect_of_enhanced(*found.groups())
    if code in _GONE[channel] or names_address:
        return Cause.GONE
    if code in _OPTED_OUT[channel]:
        return Cause.UNSUBSCRIBED
    if code == COMPLAINED and channel is ChannelKind.EMAIL:
        return Cause.COMPLAINED
    if code in _ABOUT_US:
        return Effect.ALERT
    if channel is not ChannelKind.EMAIL or code.startswith("4"):
        return Effect.NOTHING
    return Cause.FAILING


def _effect_of_enhanced(kind: str, subject: str, detail: str) -> Cause | Effect:
    if kind != "5" or (subject, detail) == _MAILBOX_FULL:
        return Effect.NOTHING
    if subject == _POLICY:
        return Effect.ALERT
    return Cause.GONE if (subject, detail) in _NO_SUCH_ADDRESS else Cause.FAILING


def _by_provider(evidence: Evidence) -> bool:
    """Whether a provider's refusal says that the reader wants nothing, and not the reader."""
    return evidence.source == OURSELVES or evidence.code in _ANY_OPTED_OUT


def _refusals(evidence: Iterable[Evidence]) -> int:
    """How many refusals these report: a webhook and a mailbox may both report on one of the same message."""
    most: Counter[str] = Counter()
    told = Counter((each.notification_id or each.source_id, each.source) for each in evidence)
    for (about, _), times in told.items():
        most[about] = max(most[about], times)
    return most.total()


def standing(entry: Entry, now: datetime, time: timedelta) -> Standing | None:
    """The entry as it counts now; None where it does not. `time`: how long a refusal counts."""
    lifted = max((lift.at for lift in entry.lifts), default=None)
    counted = sorted((each for each in entry.evidence if lifted is None or each.at > lifted), key=lambda each: each.at)
    if not counted:
        return None
    needed = _REFUSALS_NEEDED.get(entry.cause)
    if entry.cause is Cause.UNSUBSCRIBED and all(map(_by_provider, counted)):
        # Only their provider told us. It asks us again after the time, since the reader's START may not have come here.
        needed = 1
    if needed is None:
        return Standing(entry.cause, counted[0].at, None, counted[-1])
    # The last of them is what counts from: those within the time before it, and for the time after it.
    recent = [each for each in counted if each.at > counted[-1].at - time]
    if _refusals(recent) < needed or recent[-1].at + time <= now:
        return None
    return Standing(entry.cause, recent[0].at, recent[-1].at + time, recent[-1])


def stops(cause: Cause, kind: Kind) -> SkipReason | None:
    """Why a message of this kind does not go to an address with this cause; None where it goes."""
    match cause:
        case Cause.GONE | Cause.FAILING | Cause.BY_HAND:
            return SkipReason.SUPPRESSED
        case Cause.COMPLAINED:
            return None if kind.needed else SkipReason.SUPPRESSED
        case Cause.UNSUBSCRIBED:
            return SkipReason.UNSUBSCRIBED if kind.optional else None


def stopping(entries: Iterable[Entry], kind: Kind, now: datetime, time: timedelta) -> Standing | None:
    """What keeps a message of this kind from its address now, the longest-lasting first; None where it goes."""
    found = [each for entry in entries if (each := standing(entry, now, time)) and stops(each.cause, kind)]
    return max(found, key=lambda each: each.until or _FOR_EVER, default=None)
