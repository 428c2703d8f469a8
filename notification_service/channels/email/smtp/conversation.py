"""One mail's conversation with the server: its envelope, then its content, in as few round trips as the server allows.

RFC 5321 §3.3, RFC 2920 §3.1 (what may stand in one group), RFC 3030 (BDAT). Content is never written before the
recipient was accepted: a server that refuses BDAT may read the chunk as commands.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

from aiosmtplib import SMTPResponseException, SMTPServerDisconnected

from notification_service.channels.email.smtp.envelope import Envelope, for_bdat, for_data
from notification_service.channels.email.smtp.extensions import Extension, Suspicion, Way, may_be_about
from notification_service.channels.email.smtp.pool import BROKEN, Pool
from notification_service.channels.email.smtp.replies import CLOSING, Phase, is_refusal, one_line
from notification_service.channels.email.smtp.session import ACCEPTED, Ride, Seat, Session
from notification_service.channels.email.smtp.turns import Patience
from notification_service.channels.email.smtp.wire import NO_REPLY, Reply, within
from notification_service.delivery.ports.channel import Attempt

_TO_RCPT = (ACCEPTED, 251, 252)
"""RFC 5321 §4.2.3: taken, will be forwarded, and "cannot verify, but will take the message"."""
_GO_AHEAD = 354
_CLOSES_WITHIN_S = 1.0
_OUT_OF_STEP = "the server has closed the session, or said more than it was asked for"
_ABOUT_ADDRESSES = "2.1."
"""RFC 3463 §3.2: such a status answers MAIL or RCPT, not the content."""


class UntouchedError(Exception):
    """The session ended with the mail before this one: of this one, nothing went out."""


@dataclass(slots=True)
class Conversation:
    """`hide`: removes our password from the server's text. `timeout`, `data_timeout`: as in `SmtpChannel`."""

    pool: Pool
    envelope: Envelope
    plain: bool
    """Command by command, whatever the server offers."""
    patience: Patience
    timeout: float
    data_timeout: float
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)
    phase: Phase = Phase.CONNECT
    seat: Seat | None = None
    way: Way = field(default_factory=Way)
    size: int = 0
    reused: bool = False
    """Whether the session carried something before. Only such a one can have ended unnoticed."""
    accepted_later: bool = False
    """Whether the server said 421 to our content, and then accepted something more than it was asked for."""

    def attempt(self, result: str, code: int | None, reply: str) -> Attempt:
        duration = round((time.monotonic() - self.started) * 1000, 1)
        name = self.seat.session.name if self.seat else None
        return Attempt(self.at, result, duration, code, one_line(self.pool.hide(reply)), name)

    @property
    def session(self) -> Session:
        assert self.seat is not None  # noqa: S101 - for the type checker: taken before anything is said
        return self.seat.session

    @property
    def recipient(self) -> str:
        return self.envelope.recipient.decode()

    @property
    def doubtful(self) -> bool:
        """Whether more was said than refusals: one of the other replies may be the answer to our content.

        Behind a refused chunk it may not: the server may read the chunk, and the commands behind it, as commands.
        """
        more = any(not is_refusal(reply.code) for reply in self.session.wire.surplus)
        return self.accepted_later or (more and not self.way.chunking)

    def take(self, seat: Seat) -> None:
        self.seat, self.reused = seat, seat.session.reused
        if self.reused:
            # It has waited for others; connecting counts.
            self.started = time.monotonic()
        self.way = Way() if self.plain else self.pool.extensions.way(seat.session.offered)

    async def name_recipient(self) -> None:
        """MAIL and RCPT. Raises `SMTPResponseException` for the first refusal, `UntouchedError` and `BROKEN`."""
        ride = self.seat.ride if self.seat else None
        self.phase = Phase.MAIL
        if ride is not None:
            await self._wait_for(ride)
            await self._read_group(ride.replies)
        elif self.way.pipelining:
            commands = self.envelope.mail(self.session.offered) + self.envelope.rcpt
            await self._read_group(tuple(self.session.wire.ask(commands, 2)))
        else:
            mail = await self._ask(self.envelope.mail(self.session.offered), ACCEPTED)
            self.phase = Phase.RCPT
            rcpt = await self._ask(self.envelope.rcpt, *_TO_RCPT)
            self._check_statuses(mail, rcpt)
        self._check_step()
        if self.way.pipelining:
            self.pool.extensions.worked(Extension.PIPELINING, self._content_before)

    async def hand_over(self, content: bytes) -> Reply:
        """The content. Returns the 250. Raises `SMTPResponseException` and `BROKEN`."""
        self._check_step()
        self.size = len(content)
        try:
            async with asyncio.timeout(self.data_timeout):
                if self.way.chunking:
                    return await self._chunk(for_bdat(content))
                return await self._data(for_data(content))
        except BROKEN as problem:
            if not isinstance(problem, SMTPResponseException):
                self._break_off()
                self.failed(f"{type(problem).__name__}: {problem}")
            raise
        except BaseException:
            self._break_off()
            raise

    async def reset(self) -> None:
        """Make the session ready for the next mail. Where that fails, the session is discarded; the result stands."""
        if self.seat is None or self.seat.handed_on or self.session.spoiled:
            return
        try:
            reply = await within(self.timeout, *self.session.wire.ask(b"RSET\r\n"))
        except BROKEN:
            return
        if reply.code == ACCEPTED:
            self.session.keep()

    def suspicion(self, code: int, text: str) -> Suspicion | None:
        """Returns the extension that a refusal may be about, rather than about the mail."""
        if self.phase is Phase.DATA:
            used, suspicion = self.way.chunking, Suspicion(Extension.CHUNKING, self.size)
        else:
            used, suspicion = self.way.pipelining, Suspicion(Extension.PIPELINING, self._content_before)
        return suspicion if used and may_be_about(suspicion.extension, code, text) else None

    @property
    def half_answered(self) -> Suspicion | None:
        """Where MAIL was answered and RCPT was not: the server may take no groups, if none has worked yet."""
        unproven = Extension.PIPELINING not in self.pool.extensions.proven
        grouped = self.phase is Phase.RCPT and self.way.pipelining
        return Suspicion(Extension.PIPELINING) if grouped and unproven else None

    @property
    def _content_before(self) -> int:
        """The bytes of the content behind which our envelope was written."""
        return (self.seat and self.seat.ride and self.seat.ride.size) or 0

    def _check_step(self) -> None:
        """Before the first byte of content. Raises `SMTPServerDisconnected` where more was said than was asked."""
        if not self.session.wire.in_step:
            self._out_of_step()

    def _check_statuses(self, *accepted: Reply) -> None:
        """Another status than usual may answer another command. A 354 shows a reply too many; BDAT has none."""
        if not self.pool.extensions.accepts_by(tuple(reply.status for reply in accepted), first=not self.reused):
            self._out_of_step()

    def _out_of_step(self) -> NoReturn:
        self.phase = Phase.CONNECT
        self.session.spoil(_OUT_OF_STEP)
        if self.session.wire.surplus:
            for each in Extension:
                self._extension_failed(each, _OUT_OF_STEP)
        raise SMTPServerDisconnected(_OUT_OF_STEP)

    async def _wait_for(self, ride: Ride) -> None:
        """Wait until the content before is answered. Raises `UntouchedError` where the session cannot go on."""
        missing: BaseException | None = None
        try:
            await self._first_reply(ride)
        except BROKEN as problem:
            missing = problem
        if not ride.previous_answered or (ride.by_chunk and not ride.previous_accepted):
            if ride.previous_answered and ride.previous.result().code == CLOSING:
                # Whoever reads that reply wants to see what comes behind it.
                await self.session.wire.wait_for_close(_CLOSES_WITHIN_S)
            self.session.spoil("the mail before was not accepted")
            raise UntouchedError
        if isinstance(missing, TimeoutError):
            self._extension_failed(Extension.PIPELINING, "an envelope behind content is not answered", ride.size)
        if missing:
            raise missing

    async def _first_reply(self, ride: Ride) -> None:
        """Wait for the reply to MAIL. It comes with the one to the content before, which another task waits for."""
        with self.patience.counted() as seconds:
            async with asyncio.timeout(seconds) as limit:

                def answered(_: asyncio.Future[Reply]) -> None:
                    if not ride.replies[0].done():
                        limit.reschedule(asyncio.get_running_loop().time() + self.timeout)

                ride.previous.add_done_callback(answered)
                await ride.replies[0]

    async def _read_group(self, replies: tuple[asyncio.Future[Reply], ...]) -> None:
        """Read every reply of a group, whatever the first one says (RFC 2920 §3.1)."""
        refusal: Reply | None = None
        accepted: list[Reply] = []
        for phase, future, wanted in zip((Phase.MAIL, Phase.RCPT), replies, ((ACCEPTED,), _TO_RCPT), strict=True):
            if refusal is None:
                self.phase = phase
            try:
                reply = await within(self.timeout, future)
            except BROKEN as problem:
                if refusal is None:
                    if phase is Phase.MAIL and not self.reused:
                        self._extension_failed(Extension.PIPELINING, type(problem).__name__)
                    raise
                if refusal.code != CLOSING:  # RFC 5321 §3.8: behind a 421 the server closes
                    self.session.spoil("a reply is missing")
                break
            accepted.append(reply)
            if refusal is None and reply.code not in wanted:
                refusal = reply
        if refusal is not None:
            raise SMTPResponseException(refusal.code, refusal.text)
        self._check_statuses(*accepted)

    async def _ask(self, command: bytes, *wanted: int) -> Reply:
        reply = await within(self.timeout, *self.session.wire.ask(command))
        if reply.code not in wanted:
            raise SMTPResponseException(reply.code, reply.text)
        return reply

    async def _chunk(self, chunk: bytes) -> Reply:
        reply = await self._write(chunk)
        if reply.code != ACCEPTED:
            # It may not have read the chunk as content, so what it says from now on answers nothing of ours.
            self._break_off()
            raise SMTPResponseException(reply.code, reply.text)
        return reply

    async def _data(self, content: bytes) -> Reply:
        wire = self.session.wire
        (future,) = wire.expect()
        self.phase = Phase.DATA
        wire.write(b"DATA\r\n")
        reply = await future
        if reply.code != _GO_AHEAD:
            raise SMTPResponseException(reply.code, reply.text)
        self._check_step()
        reply = await self._write(content)
        if reply.code != ACCEPTED:
            raise SMTPResponseException(reply.code, reply.text)
        return reply

    async def _write(self, content: bytes) -> Reply:
        """Write the content, and behind its end the envelope of a mail that waits. Returns the reply to the content."""
        wire = self.session.wire
        (future,) = wire.expect()
        self.phase = Phase.DATA
        rest = await wire.write_most(content, future)
        if rest is None:
            # Whatever it says: it has not read the whole content, so it waits for no command.
            self.session.spoil("it was answered before it was written")
            self.session.wire.abort()
            reply = future.result()
            return Reply(NO_REPLY, reply.text) if reply.code == ACCEPTED else reply
        self._let_ride(rest, future)
        reply = await future
        if reply.code == CLOSING:
            await self._see_it_close()
        if reply.code == ACCEPTED and self._answers_an_envelope(reply):
            return Reply(NO_REPLY, f"{reply.code} {reply.text} answers no content")
        if reply.code == ACCEPTED and self.way.chunking:
            self.pool.extensions.worked(Extension.CHUNKING, self.size)
        return reply

    async def _see_it_close(self) -> None:
        """RFC 5321 §3.8: behind a 421 the server closes. One that accepts instead may have meant another silence."""
        wire = self.session.wire
        await wire.wait_for_close(_CLOSES_WITHIN_S)
        self.accepted_later = any(not is_refusal(reply.code) for reply in wire.surplus)

    def _answers_an_envelope(self, reply: Reply) -> bool:
        """Whether it may be the reply to another command: behind a 354, and with no mail behind, there is none."""
        alone = not (self.way.chunking or (self.seat and self.seat.handed_on))
        return not alone and reply.status.startswith(_ABOUT_ADDRESSES)

    def _let_ride(self, rest: bytes, future: asyncio.Future[Reply]) -> None:
        session, seat = self.session, self.seat
        passenger = self.pool.next_passenger(session) if self.way.pipelining else None
        if passenger is None or seat is None:
            session.wire.write(rest)
            return
        envelope = passenger.envelope
        session.wire.write(rest + envelope.mail(session.offered) + envelope.rcpt)
        replies = tuple(session.wire.expect(2))
        seat.handed_on, session.reused, session.kept = True, True, False
        passenger.turn.set_result(Ride(session, future, replies, by_chunk=self.way.chunking, size=self.size))

    def failed(self, problem: str) -> None:
        """Count a handover without a clear answer against the extension that it used."""
        extension = Extension.CHUNKING if self.way.chunking else Extension.PIPELINING
        if self.phase is Phase.DATA and (self.way.chunking or (self.seat and self.seat.handed_on)):
            self._extension_failed(extension, one_line(self.pool.hide(problem)), self.size)

    def _extension_failed(self, extension: Extension, problem: str, size: int = 0) -> None:
        self.pool.extensions.failed(extension, problem, opened=self.session.opened, size=size)

    def _break_off(self) -> None:
        self.session.spoil("its content was not accepted")
        self.session.wire.abort()
