"""In-memory claims: the twin of `stores/redis/claims.py`."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from notification_service.contract.outcomes import Outcome, Unknown, may_be_reopened
from notification_service.delivery.ports.claims import (
    ClaimAnswer,
    Claimed,
    Decided,
    Fence,
    Held,
    InterruptedSend,
    Tenure,
)


@dataclass(slots=True)
class _Claim:
    state: str
    owner: str
    until: float
    outcome: Outcome | None = None
    server: str = ""
    relay: str | None = None


class MemoryClaims:
    """`server` identifies the history of writes: a store that lost writes has another one; "" if it is unknown."""

    def __init__(self, lease_seconds: float = 30, clock: Callable[[], float] = time.monotonic) -> None:
        self.server = "one"
        self._lease = lease_seconds
        self._clock = clock
        self._claims: dict[str, _Claim] = {}
        self._starts: dict[str, int] = {}

    async def claim(self, notification_id: str, owner: str, *, reopen: bool = False) -> ClaimAnswer:
        now = self._clock()
        held = self._claims.get(notification_id)
        if reopen and held is not None and held.outcome is not None and may_be_reopened(held.outcome):
            doubt = isinstance(held.outcome, Unknown)
            state = "sending" if doubt else "claimed"
            held = self._claims[notification_id] = _Claim(state, "", 0, None, self.server, held.relay)
        if held is None:
            self._claims[notification_id] = _Claim("claimed", owner, now + self._lease, None, self.server)
            return Claimed(fresh=True)
        if held.outcome is not None:
            return Decided(held.outcome)
        if held.owner != owner and held.until > now:
            return Held(held.until - now)
        # A repeated claim by the same owner, after a lost answer, is as fresh as the first.
        fresh = held.owner == owner and held.state == "claimed"
        before, held.owner, held.until = held.owner, owner, now + self._lease
        certain = bool(self.server) and held.server == self.server
        if fresh:
            return Claimed(fresh=True)
        if held.state == "claimed":
            held.server = self.server
            return Claimed(fresh=False, before=before, certain=certain)
        again = held.state == "resending"
        held.state = "doubted" if held.state == "sending" else held.state
        return InterruptedSend(again, certain, held.relay)

    async def mark_sending(
        self,
        notification_id: str,
        owner: str,
        *,
        again: bool = False,
        create_if_missing: bool = False,
        relay: str | None = None,
    ) -> Fence:
        if create_if_missing:
            new = _Claim("claimed", owner, self._clock() + self._lease, None, self.server)
            self._claims.setdefault(notification_id, new)
        held = self._claims.get(notification_id)
        if held is None or held.owner != owner or held.outcome is not None:
            return Fence.LOST
        held.state = "resending" if again or held.state in ("doubted", "resending") else "sending"
        held.until = self._clock() + self._lease
        held.relay = relay or held.relay
        return Fence.HELD if held.server == self.server else Fence.HELD_HERE

    async def unmark(self, notification_id: str, owner: str) -> None:
        held = self._claims.get(notification_id)
        if held is not None and held.owner == owner:
            held.state = {"sending": "claimed", "resending": "doubted"}.get(held.state, held.state)

    async def decide(self, notification_id: str, owner: str, outcome: Outcome) -> Fence:
        held = self._claims.get(notification_id)
        if held is not None and (held.owner != owner or held.outcome not in (None, outcome)):
            return Fence.LOST
        relay = held.relay if held else None
        self._claims[notification_id] = _Claim("decided", owner, 0, outcome, relay=relay)
        return Fence.HELD

    async def release(self, notification_id: str, owner: str) -> Fence:
        held = self._claims.get(notification_id)
        if held is not None and (held.owner != owner or held.outcome is not None):
            return Fence.LOST
        self._claims.pop(notification_id, None)
        return Fence.HELD

    async def renew(self, held: Mapping[str, Tenure]) -> Collection[str]:
        renewed = []
        for notification_id, tenure in held.items():
            claim = self._claims.get(notification_id)
            if claim is not None and claim.owner == tenure.owner and claim.outcome is None:
                claim.until = self._clock() + self._lease
                if tenure.sending:
                    claim.state = "resending" if tenure.again or claim.state in ("doubted", "resending") else "sending"
                    claim.relay = tenure.relay or claim.relay
                renewed.append(notification_id)
        return renewed

    async def begin(self, delivery: str) -> int:
        before = self._starts.get(delivery, 0)
        self._starts[delivery] = before + 1
        return before

    async def end(self, delivery: str, *, forget: bool = False) -> None:
        left = 0 if forget else self._starts.get(delivery, 0) - 1
        if left > 0:
            self._starts[delivery] = left
        else:
            self._starts.pop(delivery, None)
