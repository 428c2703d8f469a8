"""`notification-service run` that kills itself: CRASH_AT=point[:n] ends it with SIGKILL at the n-th passing.

KILLED_BY=booking ends it whenever a mail about that booking is rendered.

The points lie around the methods of the adapters, so the package itself knows nothing of them.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.envelope import Envelope
from notification_service.channels.email.smtp.pool import Pool
from notification_service.channels.email.smtp.relay import SmtpRelay
from notification_service.channels.email.smtp.session import Seat
from notification_service.channels.email.smtp.wire import Wire
from notification_service.cli import configuration
from notification_service.contract.events import Event
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.ports.channel import Accepted, BeforeHandover, OutgoingMessage, Tried
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.observability import health, serving
from notification_service.service import Service, opened
from notification_service.settings import Settings
from tests.stack import place
from tests.stack.place import Place

ROOT = Path(__file__).parents[2]
_Attempt = Callable[[OutgoingMessage, BeforeHandover], Awaitable[Tried]]

POINTS = frozenset(
    {
        "claim.before",
        "claim.after",
        "open.after",  # the intent is written
        "render.after",
        "rcpt.after",
        "sending.after",  # the marker is set, DATA is not said yet
        "body",  # half of the mail is with the server
        "accepted.after",  # the 250 is read
        "decide.after",  # the verdict is in Redis
        "close.after",  # the outcome is in the ledger
        "postpone.after",  # the ledger knows that it waits; the claim still stands
        "publish.after",  # the copy for the retry queue is confirmed
    }
)


def crashing(at: Place, **changes: str) -> place.Service:
    """The program below in this place, not started yet."""
    made = at.service(LEASE_SECONDS="2", PYTHONPATH=str(ROOT), **changes)
    made.program, made.arguments = "tests.faults.worker", ()
    return made


class Crash:
    def __init__(self, wish: str) -> None:
        self.point, _, count = wish.partition(":")
        if wish and self.point not in POINTS:
            raise ValueError(f"CRASH_AT={wish}: there are {', '.join(sorted(POINTS))}")
        self._left = int(count or 1)

    def passing(self, point: str) -> None:
        if not point or point != self.point:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def put_into(self, service: Service) -> None:
        self._around(service.parts.claims, "claim", before="claim.before", after="claim.after")
        self._around(service.parts.claims, "decide", after="decide.after")
        self._around(service.parts.ledger, "open", after="open.after")
        self._around(service.parts.ledger, "close", after="close.after")
        self._around(service.parts.ledger, "postpone", after="postpone.after")
        self._around(service.parts.link, "publish", after="publish.after")
        if booking := os.environ.get("KILLED_BY"):
            _kill_by(booking, service)
        for breaker in service.parts.email.breakers:
            channel = breaker._transport
            channel = channel._channel if isinstance(channel, SmtpRelay) else channel
            if not isinstance(channel, SmtpChannel):
                raise TypeError("the crash points need the real transport")
            _put(channel, "send_once", partial(self._attempt, channel.send_once))
            _put(channel._pool, "seat", partial(self._seat, channel._pool))

    def _around(self, part: object, method: str, *, before: str = "", after: str = "") -> None:
        inner = getattr(part, method)

        async def wrapped(*arguments: object, **options: object) -> object:
            self.passing(before)
            answer = await inner(*arguments, **options)
            self.passing(after)
            return answer

        _put(part, method, wrapped)

    async def _attempt(self, inner: _Attempt, envelope: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        async def told() -> Fence:
            self.passing("rcpt.after")
            fence = await before_handover()
            self.passing("sending.after")
            return fence

        self.passing("render.after")
        verdict = await inner(envelope, told)
        if isinstance(verdict, Accepted):
            self.passing("accepted.after")
        return verdict

    @asynccontextmanager
    async def _seat(self, pool: Pool, envelope: Envelope, **how: Any) -> AsyncIterator[Seat]:  # noqa: ANN401 - passed on as it is
        async with Pool.seat(pool, envelope, **how) as seat:
            if self.point == "body":
                _put(seat.session.wire, "write", partial(self._write, seat.session.wire))
            yield seat

    def _write(self, wire: Wire, data: bytes) -> None:
        if data.startswith((b"MAIL", b"RCPT", b"DATA\r\n", b"RSET", b"NOOP", b"QUIT")):
            Wire.write(wire, data)
            return
        if self._left == 1:
            Wire.write(wire, data[: len(data) // 2])
        self.passing("body")
        Wire.write(wire, data)


def _kill_by(booking: str, service: Service) -> None:
    pipeline = getattr(service.parts.email.consumer._handle, "__self__", None)
    if not isinstance(pipeline, Pipeline):
        raise TypeError("the consumer hands its deliveries to something else than the pipeline")
    compose = pipeline.composer.compose

    def deadly(event: Event, recipient: Recipient, ids: MessageIds) -> OutgoingMessage:
        if event.booking_id == booking:
            os.kill(os.getpid(), signal.SIGKILL)
        return compose(event, recipient, ids)

    _put(pipeline.composer, "compose", deadly)


def _put(part: object, method: str, wrapped: object) -> None:
    """Everybody holds the same part and looks its method up at each call, so this is all it takes."""
    setattr(part, method, wrapped)


async def run(settings: Settings, crash: Crash) -> None:
    """As `service.run`, with the points in place."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with opened(settings) as service:
        crash.put_into(service)
        app = health.application(service.examine, service.parts.metrics.page)
        async with serving.serving(app, settings.service.http_host, settings.service.port):
            await service.run(stop)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(configuration.service_settings(), Crash(os.environ.get("CRASH_AT", ""))))
