"""Limits for attempts to sign in, by client address, and for the log lines about them."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX_ATTEMPTS, _WINDOW_S = 5, 60
_MAX_ADDRESSES = 10_000
_UNDELAYED_ATTEMPTS, _DELAY_STEP_S, _MAX_DELAY_S = 20, 0.05, 2.0
_MAX_LINES = 20
_HOST_BITS = 64
"""The part of an IPv6 address that its owner can choose."""


class AttemptLimit:
    """Allows 5 attempts a minute for each address. Many attempts from all addresses together only delay each one.

    No method awaits, so check and count are one step, however many attempts arrive at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: dict[str, deque[float]] = {}
        self._all: deque[float] = deque(maxlen=1000)

    def take(self, address: str) -> float:
        """Count an attempt and return 0, or return the seconds until this address may try again."""
        now = self._clock()
        made = _since(now, self._made.pop(address, deque()))
        self._made[address] = made
        if len(made) >= _MAX_ATTEMPTS:
            return made[0] + _WINDOW_S - now
        made.append(now)
        self._all.append(now)
        if len(self._made) > _MAX_ADDRESSES:
            del self._made[next(iter(self._made))]
        return 0

    def give_back(self, address: str) -> None:
        """Uncount the latest attempt of this address: it was successful."""
        for made in (self._made.get(address), self._all):
            if made:
                made.pop()

    @property
    def delay_s(self) -> float:
        """The delay for each attempt at present."""
        _since(self._clock(), self._all)
        return min(_MAX_DELAY_S, max(0, len(self._all) - _UNDELAYED_ATTEMPTS) * _DELAY_STEP_S)


class LogLimit:
    """Allows 20 log lines a minute, and counts those that were left out for the next line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: deque[float] = deque()
        self._left_out = 0

    def take(self) -> int | None:
        """Returns None if this line is to be left out, else how many were left out before it."""
        now = self._clock()
        if len(_since(now, self._written)) >= _MAX_LINES:
            self._left_out += 1
            return None
        self._written.append(now)
        left_out, self._left_out = self._left_out, 0
        return left_out


def sender(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """Returns the client's address: that of the connection or, if that is a trusted proxy, of `X-Forwarded-For`.

    Of the latter, the last address that is no trusted proxy counts: the client may have written those before it.
    An IPv6 /64 network counts as one client.
    """
    found = _address(peer)
    hops = [hop for line in forwarded for hop in line.split(",")]
    while found and hops and any(found in network for network in proxies):
        hop = _address(hops.pop())
        if hop is None:
            break
        found = hop
    match found:
        case IPv6Address():
            return str(IPv6Network((int(found) >> _HOST_BITS << _HOST_BITS, _HOST_BITS)))
        case IPv4Address():
            return str(found)
    return "unknown"


def _address(text: str) -> Address | None:
    """Parse an address with or without a port, and without its zone, which may be any text."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped or address


def _since(now: float, made: deque[float]) -> deque[float]:
    """Remove times that are older than a minute."""
    while made and made[0] <= now - _WINDOW_S:
        made.popleft()
    return made
