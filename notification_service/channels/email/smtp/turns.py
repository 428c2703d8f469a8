"""Who gets a session next: mails wait in the order of arrival, for a session of their own or for a ride on another's.

A mail rides where its envelope is written behind the content of the mail before it (RFC 2920 §3.1). It then has that
session as soon as the content is answered, a round trip earlier than if the session were handed back first.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from notification_service.channels.email.smtp.envelope import Envelope
from notification_service.channels.email.smtp.session import Ride, Session


class NoTurnError(Exception):
    """No session was free in the time that a mail waits for one."""


class Patience:
    """The seconds that one mail waits for others, all its waiting together."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    @contextmanager
    def counted(self) -> Iterator[float]:
        """Yields the seconds that are left, and takes off those that pass inside."""
        began = time.monotonic()
        try:
            yield self._left
        finally:
            self._left = max(0.0, self._left - (time.monotonic() - began))


@dataclass(frozen=True, slots=True, eq=False)
class Passenger:
    """A mail that waits. `turn`: a ride, or None for the right to one more session."""

    envelope: Envelope
    may_ride: bool
    turn: asyncio.Future[Ride | None]


class Turns:
    """`limit`: sessions at once."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: deque[Passenger] = deque()

    async def take(
        self, envelope: Envelope, patience: Patience, *, may_ride: bool, first: bool, unused: Callable[[Ride], None]
    ) -> Ride | None:
        """Wait for a turn. `first`: before all others. `unused`: called with the ride of a mail that was cancelled.

        Raises `NoTurnError` when its patience is over, and what `fail_waiting` was given.
        """
        if self._free and not self._waiting:
            self._free -= 1
            return None
        loop = asyncio.get_running_loop()
        waiting = Passenger(envelope, may_ride, loop.create_future())
        (self._waiting.appendleft if first else self._waiting.append)(waiting)
        with patience.counted() as seconds:
            timer = loop.call_later(seconds, self._time_out, waiting)
            try:
                return await waiting.turn
            except asyncio.CancelledError:
                self._withdraw(waiting, unused)
                raise
            finally:
                timer.cancel()

    def give_back(self) -> None:
        """End a turn: its session is closed, or idle."""
        self._free += 1
        while self._free and self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.turn.done():
                self._free -= 1
                waiting.turn.set_result(None)

    def next_passenger(self, session: Session) -> Passenger | None:
        """Returns the first mail that may ride on this session; it waits no longer, so give it its turn at once."""
        for waiting in self._waiting:
            if waiting.may_ride and not waiting.turn.done() and waiting.envelope.fits(session.offered):
                self._waiting.remove(waiting)
                return waiting
        return None

    def fail_waiting(self, problem: BaseException) -> None:
        """Raise this in each mail that waits."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.turn.done():
                waiting.turn.set_exception(problem)

    def _withdraw(self, waiting: Passenger, unused: Callable[[Ride], None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        if waiting.turn.cancelled() or waiting.turn.exception():
            return
        if ride := waiting.turn.result():
            unused(ride)
        else:
            self.give_back()

    def _time_out(self, waiting: Passenger) -> None:
        if not waiting.turn.done():
            self._waiting.remove(waiting)
            waiting.turn.set_exception(NoTurnError())
