"""Decides by several refusals whether they are about one domain, about this service, or about each message.

The state belongs to one process, and is bounded in number and time. `on_recall` passes on what has to outlive it.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import TypeVar

import structlog

from notification_service.delivery.ports.channel import Attempt, Blocked, Refused
from notification_service.foundation.addresses import mask_in

log = structlog.get_logger(__name__)

T = TypeVar("T")

_MIN_DOMAINS = 2
"""This many domains that refuse the service, with no message accepted between, are about the service."""
_MAX_MIN_DOMAINS = 8
"""The number doubles up to this, for an hour, after each false alarm: who owns one such domain may own many."""
_MIN_ADDRESSES = 3
"""This many addresses refused in one wording, with no message accepted between, are about the service or a domain."""
_HOLD_S = 3600.0
_ON_TRIAL_S, _ABOUT_RECIPIENTS_S = 600.0, 3600.0
_MAX_RECALL_AGE = timedelta(hours=24)
_MAX_DOMAINS, _MAX_WORDINGS, _MAX_ADDRESSES = 1000, 100, 100

_SAME_WORDING_HINT = (
    "several addresses in a row are refused in the same words: is the login's sender FROM_EMAIL, is a limit used up, "
    "or is this server blocked?"
)

OnRecall = Callable[[str, datetime], None]
"""Receives the fingerprint of a wording that is about the service, and since when bounces by it are to be recalled."""


@dataclass(slots=True)
class Hold:
    """A domain for which the server refuses the service. `logged`: whether `domain.held` was logged."""

    since: datetime
    until: float
    reason: str
    logged: bool = False


class _Meaning(Enum):
    ABOUT_US = auto()
    """About the service: no message bounces by it."""
    ON_TRIAL = auto()
    """A message was accepted since. Within ten minutes, the next refusal in this wording decides."""
    ABOUT_RECIPIENTS = auto()
    """The wording came again while other messages passed: it is about the refused addresses."""


@dataclass(slots=True)
class _Wording:
    """One wording of refusals. `until`: when this is forgotten; `ABOUT_US` stays until a message is accepted."""

    meaning: _Meaning
    until: float
    addresses: set[str] = field(default_factory=set)


class Refusals:
    """`on_recall`: called when a wording turns out to be about the service. `clock`: in seconds."""

    def __init__(self, on_recall: OnRecall = lambda *_: None, clock: Callable[[], float] = time.monotonic) -> None:
        self.on_recall = on_recall
        self._clock = clock
        self._suspects: dict[str, Hold] = {}
        """Domains that refused the service since a message was last accepted."""
        self._held: dict[str, Hold] = {}
        """Domains that refused while messages to others passed: the refusal is about them."""
        self._alike: dict[str, dict[str, str]] = {}
        """By fingerprint: the addresses refused since a message was last accepted, with their domains."""
        self._wordings: dict[str, _Wording] = {}
        self._passed: dict[str, None] = {}
        """Domains to which a message was accepted, the latest last."""
        self._accepted_at: datetime | None = None
        self._min_domains, self._min_domains_until = _MIN_DOMAINS, 0.0

    @property
    def _enough(self) -> bool:
        """Whether so many domains refuse the service that the refusals are about the service."""
        if self._min_domains_until < self._clock():
            self._min_domains = _MIN_DOMAINS
        return len(self._suspects) >= self._min_domains

    @property
    def held(self) -> dict[str, datetime]:
        """The domains that the log names as held, and since when."""
        self._forget_old()
        holds = {**self._held, **self._suspects}
        return {domain: hold.since for domain, hold in holds.items() if hold.logged}

    def untried(self, domain: str) -> bool:
        """Whether the domain has not refused the service, so that a probe to it gives new information."""
        return domain not in self._suspects and domain not in self._held

    def probe_rank(self, domain: str) -> int:
        """How useful a probe to the domain is: 2 if messages to it were accepted, 1 if it is untried, else 0.

        A customer chooses the domain of an address, so that an untried one may be one of many that refuse.
        """
        return self.untried(domain) * (1 + (domain in self._passed))

    def holds(self, domain: str) -> bool:
        """Whether the domain is held: its refusals are not about the service."""
        return domain in self._held

    def accepted(self, recipient: str) -> None:
        """Note that a message was accepted: what refused before it is about domains or recipients."""
        self._accepted_at = datetime.now(UTC)
        self._passed.pop(domain := domain_of(recipient), None)
        self._passed[domain] = None
        _bound(self._passed, _MAX_DOMAINS)
        if not (self._suspects or self._held or self._alike or self._wordings):
            return
        if self._enough:
            self._min_domains = min(2 * self._min_domains, _MAX_MIN_DOMAINS)
            self._min_domains_until = self._clock() + _HOLD_S
        for suspect, hold in self._suspects.items():
            self._held[suspect] = hold
            _bound(self._held, _MAX_DOMAINS)
        self._suspects.clear()
        self._alike.clear()
        if domain in self._held:
            _log_released(domain, self._held.pop(domain))
        self._try_wordings(recipient.casefold())

    def _try_wordings(self, address: str) -> None:
        for fingerprint, wording in list(self._wordings.items()):
            if wording.meaning is _Meaning.ABOUT_US:
                wording.meaning, wording.until = _Meaning.ON_TRIAL, self._clock() + _ON_TRIAL_S
            if wording.meaning is _Meaning.ON_TRIAL and address in wording.addresses:
                # It was about the service, and is over. The same wording may become about it again.
                del self._wordings[fingerprint]

    def blocked(self, recipient: str, verdict: Blocked) -> bool:
        """Note that the server blocks the service. Returns whether this is about more than the one domain."""
        domain = domain_of(recipient)
        self._forget_old()
        hold = self._held.get(domain) or self._suspects.get(domain)
        if hold is None:
            hold = self.suspect(domain, verdict.attempt)
        hold.until = self._clock() + _HOLD_S
        if domain in self._suspects and self._enough:
            return True
        if not hold.logged:
            hold.logged = True
            log.warning("domain.held", domain=domain, reason=hold.reason, hint=verdict.hint or None)
        return False

    def read(self, recipient: str, verdict: Refused) -> Refused | Blocked:
        """Returns the verdict, or `Blocked` where its wording has turned out to be about the service.

        Replies that the address does not exist never count: three mistyped addresses in a row stop no mail.
        """
        if not verdict.fingerprint or verdict.names_address or not self._about_us(recipient, verdict):
            return verdict
        return Blocked(replace(verdict.attempt, result="blocked"), _SAME_WORDING_HINT)

    def _about_us(self, recipient: str, verdict: Refused) -> bool:
        match self._find(verdict.fingerprint):
            case None:
                return self._count(recipient, verdict)
            case _Wording(meaning=_Meaning.ABOUT_US, addresses=addresses):
                if len(addresses) < _MAX_ADDRESSES:
                    addresses.add(recipient.casefold())
                return True
            case wording:
                wording.meaning, wording.until = _Meaning.ABOUT_RECIPIENTS, self._clock() + _ABOUT_RECIPIENTS_S
                return False

    def _find(self, fingerprint: str) -> _Wording | None:
        wording = self._wordings.get(fingerprint)
        if wording is None or wording.meaning is _Meaning.ABOUT_US or wording.until > self._clock():
            return wording
        del self._wordings[fingerprint]
        return None

    def _count(self, recipient: str, verdict: Refused) -> bool:
        """Count the refused address. Returns whether the wording is now about the service."""
        domain = domain_of(recipient)
        if domain in self._held:
            return False
        alike = self._alike.setdefault(verdict.fingerprint, {})
        alike[recipient.casefold()] = domain
        if len(alike) < _MIN_ADDRESSES:
            _bound(self._alike, _MAX_WORDINGS)
            return False
        for each in set(alike.values()):
            self.suspect(each, verdict.attempt)
        self.mark_about_us(verdict.fingerprint, alike)
        self.on_recall(verdict.fingerprint, self._last_accepted())
        return True

    def _last_accepted(self) -> datetime:
        """The time of the last accepted message, at most a day ago: earlier bounces are not recalled."""
        earliest = datetime.now(UTC) - _MAX_RECALL_AGE
        return max(self._accepted_at, earliest) if self._accepted_at else earliest

    def mark_about_us(self, fingerprint: str, addresses: Iterable[str] = ()) -> None:
        """Take a wording as being about the service until a message is accepted, unless this process knows it."""
        if self._find(fingerprint) is None:
            self._wordings[fingerprint] = _Wording(_Meaning.ABOUT_US, 0, set(addresses))
            self._alike.pop(fingerprint, None)
            _bound(self._wordings, _MAX_WORDINGS)

    def is_about_us(self, fingerprint: str) -> bool:
        """Whether the wording is about the service, and no message was accepted since."""
        wording = self._wordings.get(fingerprint)
        return wording is not None and wording.meaning is _Meaning.ABOUT_US

    def suspect(self, domain: str, attempt: Attempt) -> Hold:
        """Note that the service was refused for this domain."""
        hold = self._suspects.setdefault(domain, Hold(datetime.now(UTC), self._clock() + _HOLD_S, _reply(attempt)))
        _bound(self._suspects, _MAX_DOMAINS)
        return hold

    def _forget_old(self) -> None:
        now = self._clock()
        for holds in (self._suspects, self._held):
            for domain in [domain for domain, hold in holds.items() if hold.until < now]:
                _log_released(domain, holds.pop(domain))


def domain_of(recipient: str) -> str:
    return recipient.rpartition("@")[2].casefold()


def _reply(attempt: Attempt) -> str:
    return mask_in(f"{attempt.code or ''} {attempt.reply}".strip())


def _log_released(domain: str, hold: Hold) -> None:
    if hold.logged:
        log.info("domain.released", domain=domain, held_s=round((datetime.now(UTC) - hold.since).total_seconds(), 1))


def _bound(kept: dict[str, T], max_entries: int) -> None:
    """Drop the oldest entry of a full dictionary."""
    if len(kept) > max_entries:
        del kept[next(iter(kept))]
