"""How many mails may go where: to one address, to one domain, through our server. Pure; the stores count.

Each limit is a bucket that empties evenly (the generic cell rate algorithm, ITU-T I.371): so many mails go at once,
each further one is given a time of its own. Where a limit is shared by everybody, tickets have a part of it to
themselves, so that ten thousand refunds are not in front of the customer at the door.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

_OF_TICKETS = 0.3
"""The part of a shared limit that tickets have to themselves."""

_ANY = "*"
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """`window`: seconds that it may be ahead of its even rate. `interval`: seconds a mail."""

    key: str
    window: float
    interval: float


@dataclass(frozen=True, slots=True)
class Turn:
    """`seconds` until a mail may go, 0 being now; `limit`: the setting that says so."""

    seconds: float = 0
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Quota:
    """One setting, and the buckets that a mail may choose from; whichever is free first is taken."""

    setting: str
    lanes: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class Quotas:
    """Mails; 0: as many as there are. `per_domain`: by domain, `*` for every other one; `server`: whose limit it is."""

    per_address_hour: int = 0
    per_domain_minute: Mapping[str, int] | None = None
    per_minute: int = 0
    per_day: int = 0
    server: str = ""

    def of(self, address: str, *, ticket: bool) -> list[Quota]:
        """What a mail to this address has to keep."""
        address = address.lower()
        domain = address.rpartition("@")[2]
        domains = self.per_domain_minute or {}
        most_to_domain = domains.get(domain, domains.get(_ANY, 0))
        # No key shows an address.
        found = [
            _own("RECIPIENT_MAILS_PER_HOUR", hashlib.sha256(address.encode()).hexdigest()[:32], self.per_address_hour),
            _shared("DOMAIN_MAILS_PER_MINUTE", f"domain:{domain}", most_to_domain, _MINUTE, ticket=ticket),
            _shared("SMTP_MAILS_PER_MINUTE", f"minute:{self.server}", self.per_minute, _MINUTE, ticket=ticket),
            _shared("SMTP_MAILS_PER_DAY", f"day:{self.server}", self.per_day, _DAY, ticket=ticket),
        ]
        return [limit for limit in found if limit.lanes]


def _own(setting: str, key: str, most: int) -> Quota:
    """A limit of ours: all that is allowed in an hour may go at once."""
    return Quota(setting, (Bucket(key, _HOUR, _HOUR / most),) if most else ())


def _shared(setting: str, key: str, most: int, seconds: float, *, ticket: bool) -> Quota:
    """A limit of somebody else's: no stretch of that length ever holds more than `most`."""
    if not most:
        return Quota(setting, ())
    tickets = max(1, round(most * _OF_TICKETS))
    others = max(1, most - tickets)
    lanes = [_strict(key, others, seconds)]
    return Quota(setting, (*lanes, _strict(f"{key}:tickets", tickets, seconds)) if ticket else tuple(lanes))


def _strict(key: str, most: int, seconds: float) -> Bucket:
    """Half at once and half spread evenly: together `most`, wherever the stretch begins."""
    burst = max(1, most // 2)
    interval = seconds / max(1, most - burst)
    return Bucket(key, burst * interval, interval)
