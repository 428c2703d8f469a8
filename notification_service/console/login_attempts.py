"""Attempts to sign in: from which address each comes, how many it may make, and how many lines the log has of them."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX, _SECONDS = 5, 60
_MAX_ADDRESSES = 10_000
_CALM, _STEP, _SLOWEST = 20, 0.05, 2.0
_MAX_LINES = 20
_HOST_BITS = 64
"""Of an IPv6 address: the part that whoever has it chooses."""


class Transport:
    """So many in a minute from one address. Those of all addresses together only make each of them slower.

    Nothing here waits, so what is asked and what is counted are one step, however many attempts come at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: dict[str, deque[float]] = {}
        self._all: deque[float] = deque(maxlen=1000)

    def take(self, address: str) -> float:
        """Count one more and return 0, or the seconds until this address may make another."""
        now = self._clock()
        made = _since(now, self._made.pop(address, deque()))
        self._made[address] = made
        if len(made) >= _MAX:
            return made[0] + _SECONDS - now
        made.append(now)
        self._all.append(now)
        if len(self._made) > _MAX_ADDRESSES:
            del self._made[next(iter(self._made))]
        return 0

    def give_back(self, address: str) -> None:
        """The latest of this address was right, and is none that counts."""
        for made in (self._made.get(address), self._all):
            if made:
                made.pop()

    @property
    def slowness(self) -> float:
        """Seconds that each attempt takes longer now."""
        _since(self._clock(), self._all)
        return min(_SLOWEST, max(0, len(self._all) - _CALM) * _STEP)


class Lines:
    """So many lines in a minute; what was left out is counted for the next one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: deque[float] = deque()
        self._left_out = 0

    def take(self) -> int | None:
        """None where this one is left out, else how many were before it."""
        now = self._clock()
        if len(_since(now, self._written)) >= _MAX_LINES:
            self._left_out += 1
            return None
        self._written.append(now)
        left_out, self._left_out = self._left_out, 0
        return left_out


def sender(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """Who a request comes from: the connection's address or, where that is a proxy of ours, whom it names.

    Of the addresses in `X-Forwarded-For`, the last that is no proxy of ours counts: what stands before it was written
    by whoever sent the request. An IPv6 network of 64 bits counts as one sender.
    """
    found = _address(peer)
    hops = [hop for line in forwarded for hop in line.split(",")]
    while found and hops and any(found in network for network in proxies):
        named = _address(hops.pop())
        if named is None:
            break
        found = named
    match found:
        case IPv6Address():
            return str(IPv6Network((int(found) >> _HOST_BITS << _HOST_BITS, _HOST_BITS)))
        case IPv4Address():
            return str(found)
    return "unknown"


def _address(text: str) -> Address | None:
    """As some proxies write it, also with a port. Without a zone, which may be any text."""
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
    """Without what is older than a minute."""
    while made and made[0] <= now - _SECONDS:
        made.popleft()
    return made
