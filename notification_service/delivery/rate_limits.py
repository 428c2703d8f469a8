"""Rate limits: how many messages may go to one address, to one domain, and through our server. Pure; the stores count.

Each limit is a bucket that drains evenly (the generic cell rate algorithm, ITU-T I.371): a burst goes at once, and each
further message gets a time of its own. Of limits that all messages share, tickets have a part to themselves, so that
they do not wait behind ten thousand refunds.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

# Each limit holds for the places that are taken at it. A message that then waits at a later limit goes after its place,
# and may come closer to the next one of its domain.
_REASONS = {
    "RECIPIENT_MAILS_PER_HOUR": "its address gets many mails",
    "DOMAIN_MAILS_PER_MINUTE": "its domain gets many mails",
    "SMTP_MAILS_PER_MINUTE": "our mail server takes no more a minute",
    "SMTP_MAILS_PER_DAY": "our mail server takes no more a day",
    "SMS_MAX_PER_DAY": "no more SMS are paid for a day",
    "SMS_RECIPIENT_PER_HOUR": "its number gets many SMS",
    "PUSH_RECIPIENT_PER_HOUR": "its devices get many push messages",
    "PUSH_MAX_PER_MINUTE": "no more push messages are sent a minute",
}
ORDER = tuple(_REASONS)
"""A message takes a place at each limit in this order, and waits at the first that is exhausted: a place at the next
one would have passed long before the message gets there."""

QUOTAS = frozenset(
    {
        "RECIPIENT_MAILS_PER_HOUR",
        "SMTP_MAILS_PER_DAY",
        "SMS_MAX_PER_DAY",
        "SMS_RECIPIENT_PER_HOUR",
        "PUSH_RECIPIENT_PER_HOUR",
    }
)
"""What counts messages over a long time. The others set a pace, which tries keep too."""

_OF_TICKETS = 0.3
"""The part of a shared limit that is reserved for tickets."""

_TOO_FEW = 4
"""Limits below this are too small to reserve a part."""

_AT_ONCE_OF_A_MINUTE, _AT_ONCE_OF_A_DAY = 0.1, 0.5
_ANY = "*"
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """`window`: how many seconds it may be ahead of its even rate. `interval`: seconds for each message."""

    key: str
    window: float
    interval: float


@dataclass(frozen=True, slots=True)
class Place:
    """What a message has taken of a bucket. `empty_at`: when the bucket is empty again, by the store's clock."""

    bucket: Bucket
    empty_at: float


@dataclass(frozen=True, slots=True)
class Reservation:
    """`seconds` until a message may go, 0 being now. `limit`: the setting that makes it wait.

    `taken`: how many limits of `ORDER` it has passed then. `places`: those at the `QUOTAS`.
    """

    seconds: float = 0
    limit: str = ""
    places: tuple[Place, ...] = field(default=(), compare=False)

    @property
    def taken(self) -> int:
        return ORDER.index(self.limit) + 1 if self.limit else len(ORDER)

    @property
    def reason(self) -> str:
        """Why the message waits, with the setting: for its record and the log."""
        return f"{_REASONS[self.limit]} ({self.limit})" if self.limit else ""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One setting and its buckets, of which the one that is free first is used."""

    setting: str
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Messages allowed; 0 is unlimited. `per_domain_minute`: by domain, `*` for every other one.

    `server`: whose limits `per_minute` and `per_day` are. `grain`: seconds that a message may be later than its time.
    """

    per_address_hour: int = 0
    per_domain_minute: Mapping[str, int] | None = None
    per_minute: int = 0
    per_day: int = 0
    server: str = ""
    grain: float = 0
    sms_per_day: int = 0
    sms_per_number_hour: int = 0
    push_per_person_hour: int = 0
    push_per_minute: int = 0

    def of(self, address: str, *, ticket: bool, taken: int = 0) -> list[RateLimit]:
        """The limits for a message to this address, without the first `taken` of `ORDER`."""
        address = address.lower()
        domain = address.rpartition("@")[2]
        domains = self.per_domain_minute or {}
        # Hashed, so that no key of the store contains an address.
        hashed = hashlib.sha256(address.encode()).hexdigest()[:32]
        found = (
            _own(hashed, self.per_address_hour),
            self._a_minute(f"domain:{domain}", domains.get(domain, domains.get(_ANY, 0)), ticket=ticket),
            self._a_minute(f"minute:{self.server}", self.per_minute, ticket=ticket),
            self._a_day(f"day:{self.server}", self.per_day, ticket=ticket),
            # Most messages are e-mails, which have none of these.
            self._a_day("day:sms", self.sms_per_day, ticket=ticket) if self.sms_per_day else (),
            _own(f"sms:{hashed}", self.sms_per_number_hour) if self.sms_per_number_hour else (),
            _own(f"push:{hashed}", self.push_per_person_hour) if self.push_per_person_hour else (),
            self._a_minute("minute:push", self.push_per_minute, ticket=ticket) if self.push_per_minute else (),
        )
        named = zip(ORDER, found, strict=True)
        return [RateLimit(setting, buckets) for setting, buckets in list(named)[taken:] if buckets]

    def _a_minute(self, key: str, most: int, *, ticket: bool) -> tuple[Bucket, ...]:
        return _shared(key, most, _MINUTE + self.grain, _AT_ONCE_OF_A_MINUTE, ticket=ticket)

    def _a_day(self, key: str, most: int, *, ticket: bool) -> tuple[Bucket, ...]:
        return _shared(key, most, _DAY + self.grain, _AT_ONCE_OF_A_DAY, ticket=ticket)


def _own(key: str, most: int) -> tuple[Bucket, ...]:
    """Our own limit: an hour's messages may go at once."""
    return (Bucket(key, _HOUR, _HOUR / most),) if most else ()


def _shared(key: str, most: int, seconds: float, at_once: float, *, ticket: bool) -> tuple[Bucket, ...]:
    """A limit that others enforce: no period of that length ever has more than `most`."""
    if not most:
        return ()
    tickets = round(most * _OF_TICKETS) if most >= _TOO_FEW else 0
    everybody = _strict(key, most - tickets, seconds, at_once)
    return (everybody, _strict(f"{key}:tickets", tickets, seconds, at_once)) if ticket and tickets else (everybody,)


def _strict(key: str, most: int, seconds: float, at_once: float) -> Bucket:
    """Some at once and the rest spread evenly: together `most`, wherever the stretch begins."""
    burst = max(1, int(most * at_once))
    interval = seconds / max(1, most - burst)
    return Bucket(key, burst * interval, interval)
