"""What refusals say together: something of one domain, something of us, or of each mail alone.

All of it is this process's own and bounded in number and time; what outlives it is ordered through `alarmed`.
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

_DOMAINS = 2
"""So many domains that refuse us, with nothing accepted between, are no fault of one of them."""
_MAX_NEEDED = 8
"""So many it takes where fewer have turned out to speak of themselves within the hour: whoever owns one owns many."""
_ALIKE = 3
"""So many addresses refused in the same words, with nothing accepted between, are about us, or about their domain."""
_HELD_FOR = 3600.0
_ON_TRIAL_FOR, _THEIRS_FOR = 600.0, 3600.0
_FURTHEST_BACK = timedelta(hours=24)
_MAX_DOMAINS, _MAX_WORDS, _MAX_ADDRESSES = 1000, 100, 100

_UNKNOWN_WORDS = (
    "several addresses in a row are refused in the same words: is the login's sender FROM_EMAIL, is a limit used up, "
    "or is this server blocked?"
)

Alarmed = Callable[[str, datetime], None]
"""A fingerprint that is about us, and since when what bounced by it is to be called back."""


@dataclass(slots=True)
class Hold:
    """A domain for which the server refuses us. `told`: whether the log says so."""

    since: datetime
    until: float
    reason: str
    told: bool = False


class _Whose(Enum):
    OURS = auto()
    """It is about us: nobody's mail bounces by it."""
    ON_TRIAL = auto()
    """Mail was accepted since. The next of it says whether it was about us or about its addresses."""
    THEIRS = auto()
    """It was said again when others passed: it blames its addresses."""


@dataclass(slots=True)
class _Words:
    """One way in which a server refuses. `until`: by our clock; what is ours has no end but an accepted mail."""

    whose: _Whose
    until: float
    addresses: set[str] = field(default_factory=set)


class Refusals:
    def __init__(self, alarmed: Alarmed = lambda *_: None, clock: Callable[[], float] = time.monotonic) -> None:
        self.alarmed = alarmed
        self._clock = clock
        self._suspects: dict[str, Hold] = {}
        """Domains that refused us since a mail was last accepted."""
        self._held: dict[str, Hold] = {}
        """Those of which others passed since: it is about them."""
        self._alike: dict[str, dict[str, str]] = {}
        """By fingerprint, which addresses were refused so since a mail was last accepted, and their domains."""
        self._words: dict[str, _Words] = {}
        self._accepted_at: datetime | None = None
        self._needed, self._needed_until = _DOMAINS, 0.0

    @property
    def _enough(self) -> bool:
        """Whether it is about us, by how many domains there are that refuse us."""
        if self._needed_until < self._clock():
            self._needed = _DOMAINS
        return len(self._suspects) >= self._needed

    @property
    def held(self) -> dict[str, datetime]:
        """Since when each domain is held that the log has named."""
        self._forget_old()
        holds = {**self._held, **self._suspects}
        return {domain: hold.since for domain, hold in holds.items() if hold.told}

    def untried(self, domain: str) -> bool:
        """Whether a mail to it would tell something new."""
        return domain not in self._suspects and domain not in self._held

    def holds(self, domain: str) -> bool:
        """Whether others passed since it was refused: what happens to it says nothing of us."""
        return domain in self._held

    def accepted(self, recipient: str) -> None:
        self._accepted_at = datetime.now(UTC)
        if not (self._suspects or self._held or self._alike or self._words):
            return
        if self._enough:
            self._needed = min(2 * self._needed, _MAX_NEEDED)
            self._needed_until = self._clock() + _HELD_FOR
        for domain, hold in self._suspects.items():
            self._held[domain] = hold
            _bound(self._held, _MAX_DOMAINS)
        self._suspects.clear()
        self._alike.clear()
        domain = domain_of(recipient)
        if domain in self._held:
            _say_released(domain, self._held.pop(domain))
        self._try_words(recipient.casefold())

    def _try_words(self, address: str) -> None:
        for fingerprint, words in list(self._words.items()):
            if words.whose is _Whose.OURS:
                words.whose, words.until = _Whose.ON_TRIAL, self._clock() + _ON_TRIAL_FOR
            if words.whose is _Whose.ON_TRIAL and address in words.addresses:
                # It was about us, and is mended: the same words may come to mean us again.
                del self._words[fingerprint]

    def blocked(self, recipient: str, verdict: Blocked) -> bool:
        """Whether it is about us, and not about this domain alone."""
        domain = domain_of(recipient)
        self._forget_old()
        hold = self._held.get(domain) or self._suspects.get(domain)
        if hold is None:
            hold = self.suspect(domain, verdict.attempt)
        hold.until = self._clock() + _HELD_FOR
        if domain in self._suspects and self._enough:
            return True
        if not hold.told:
            hold.told = True
            log.warning("domain.held", domain=domain, reason=hold.reason, hint=verdict.hint or None)
        return False

    def read(self, recipient: str, verdict: Refused) -> Refused | Blocked:
        """The verdict, or that it is we who are refused, where that is what its words have come to mean.

        Three mistyped addresses in a row are no reason to stop a mail; where a server says so to everybody, a person
        replays what bounced.
        """
        if not verdict.fingerprint or verdict.names_address or not self._about_us(recipient, verdict):
            return verdict
        return Blocked(replace(verdict.attempt, result="blocked"), _UNKNOWN_WORDS)

    def _about_us(self, recipient: str, verdict: Refused) -> bool:
        match self._known(verdict.fingerprint):
            case None:
                return self._count(recipient, verdict)
            case _Words(whose=_Whose.OURS, addresses=addresses):
                if len(addresses) < _MAX_ADDRESSES:
                    addresses.add(recipient.casefold())
                return True
            case words:
                words.whose, words.until = _Whose.THEIRS, self._clock() + _THEIRS_FOR
                return False

    def _known(self, fingerprint: str) -> _Words | None:
        words = self._words.get(fingerprint)
        if words is None or words.whose is _Whose.OURS or words.until > self._clock():
            return words
        del self._words[fingerprint]
        return None

    def _count(self, recipient: str, verdict: Refused) -> bool:
        """Whether this one shows that its words are about us."""
        domain = domain_of(recipient)
        if domain in self._held:
            return False
        alike = self._alike.setdefault(verdict.fingerprint, {})
        alike[recipient.casefold()] = domain
        if len(alike) < _ALIKE:
            _bound(self._alike, _MAX_WORDS)
            return False
        for each in set(alike.values()):
            self.suspect(each, verdict.attempt)
        self.hear(verdict.fingerprint, alike)
        self.alarmed(verdict.fingerprint, self._last_accepted())
        return True

    def _last_accepted(self) -> datetime:
        """Within a day: what bounced before is another matter, or a person's."""
        earliest = datetime.now(UTC) - _FURTHEST_BACK
        return max(self._accepted_at, earliest) if self._accepted_at else earliest

    def hear(self, fingerprint: str, addresses: Iterable[str] = ()) -> None:
        """From now on these words are about us, until a mail is accepted; unless it is known better here."""
        if self._known(fingerprint) is None:
            self._words[fingerprint] = _Words(_Whose.OURS, 0, set(addresses))
            self._alike.pop(fingerprint, None)
            _bound(self._words, _MAX_WORDS)

    def still_ours(self, fingerprint: str) -> bool:
        """Whether nothing was accepted since these words were known to be about us."""
        words = self._words.get(fingerprint)
        return words is not None and words.whose is _Whose.OURS

    def suspect(self, domain: str, attempt: Attempt) -> Hold:
        hold = self._suspects.setdefault(domain, Hold(datetime.now(UTC), self._clock() + _HELD_FOR, _said(attempt)))
        _bound(self._suspects, _MAX_DOMAINS)
        return hold

    def _forget_old(self) -> None:
        now = self._clock()
        for holds in (self._suspects, self._held):
            for domain in [domain for domain, hold in holds.items() if hold.until < now]:
                _say_released(domain, holds.pop(domain))


def domain_of(recipient: str) -> str:
    return recipient.rpartition("@")[2].casefold()


def _said(attempt: Attempt) -> str:
    return mask_in(f"{attempt.code or ''} {attempt.reply}".strip())


def _say_released(domain: str, hold: Hold) -> None:
    if hold.told:
        log.info("domain.released", domain=domain, held_s=round((datetime.now(UTC) - hold.since).total_seconds(), 1))


def _bound(kept: dict[str, T], most: int) -> None:
    """The oldest goes."""
    if len(kept) > most:
        del kept[next(iter(kept))]
