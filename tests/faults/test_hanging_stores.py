"""Stores that hang or have no room, and a crowd of which a third is cancelled."""

import asyncio
import random
import secrets
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.smtp import providers
from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.envelope import Envelope
from notification_service.channels.email.smtp.pool import Pool, Server, SessionLimits, tls_context
from notification_service.channels.email.smtp.session import Seat
from notification_service.delivery.ports.channel import Accepted, Refused
from notification_service.delivery.ports.claims import Fence
from tests.faults import lag
from tests.faults.judge import Found, Judge
from tests.samples import fresh
from tests.stack.inspection import end_well
from tests.stack.place import Document, Place, Service, until
from tests.stack.smtp import SmtpServer
from tests.stack.smtp_rules import Rule
from tests.stack.stores import Redis

PATIENCE = 60
REDIS_SURFACES_WITHIN = 3.0
A_MAIL_WITHOUT_REDIS = 4 * REDIS_SURFACES_WITHIN
"""It asks four times on its way: for the claim, the address's turn, the marker and the verdict."""
MONGODB_HANGS = 9.0
AN_OPERATION = 5.0
BUSY = 1.0
"""Seconds that a busy machine may take on top, where the clock on the wall is what can be read."""
CROWD = 120


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as redis:
        yield redis


def _confirmations(count: int) -> list[Document]:
    return [fresh("booking.confirmed") for _ in range(count)]


def _assert_sent_once(found: dict[str, Found], count: int) -> None:
    assert len(found) == count
    for each in found.values():
        assert (each.record["outcome"], len(each.mails), each.marked) == ("sent", 1, False)


def _at(line: Document) -> datetime:
    return datetime.fromisoformat(line["timestamp"])


def _all_sent(place: Place, count: int) -> bool:
    return list(place.outcomes().values()) == ["sent"] * count


def _duplicates(service: Service, count: int) -> None:
    until(lambda: len(service.said("event.duplicate")) == count, timeout=PATIENCE)


def test_redis_hangs(place: Place, own_redis: Redis) -> None:
    judge = Judge(place, own_redis.url)
    before, meanwhile = _confirmations(3), _confirmations(5)
    with place.service(LEASE_SECONDS="2", REDIS_URL=own_redis.url) as service:
        judge.publish(*before)
        until(judge.at_rest, timeout=PATIENCE)
        own_redis.pause()
        try:
            judge.publish(*meanwhile)
            until(lambda: _all_sent(place, 8), timeout=PATIENCE)
        finally:
            own_redis.resume()
        _surfaced_in_time(place, service, [each["event_id"] for each in meanwhile])
        # What Redis was asked while it hung it does now; a copy of each event finds what became of it.
        judge.publish(*meanwhile)
        _duplicates(service, 5)
        until(judge.at_rest, timeout=PATIENCE)
        end_well(service)
    _assert_sent_once(judge.verdict(), 8)


def _surfaced_in_time(place: Place, service: Service, event_ids: list[str]) -> None:
    records = [record for record in map(place.record, event_ids) if record]
    began = min(record["created_at"] for record in records)
    noticed = (_at(service.said("claims.unavailable")[0]) - began).total_seconds()
    assert noticed < REDIS_SURFACES_WITHIN + BUSY
    closed = [line for line in service.said("notification.closed") if line["event_id"] in event_ids]
    assert min(line["duration_ms"] for line in closed) / 1000 < A_MAIL_WITHOUT_REDIS + BUSY


def test_redis_is_out_of_memory(place: Place, own_redis: Redis) -> None:
    judge = Judge(place, own_redis.url)
    before, meanwhile = _confirmations(3), _confirmations(5)
    with place.service(LEASE_SECONDS="2", REDIS_URL=own_redis.url) as service:
        judge.publish(*before)
        until(judge.at_rest, timeout=PATIENCE)
        own_redis.allow_memory(1)
        judge.publish(*meanwhile, *before)
        until(lambda: _all_sent(place, 8), timeout=PATIENCE)
        _duplicates(service, 3)
        assert "OutOfMemory" in service.said("claims.unavailable")[0]["problem"]
        own_redis.allow_memory(0)
        judge.publish(*meanwhile)
        _duplicates(service, 8)
        assert service.said("claims.recovered")
        until(judge.at_rest, timeout=PATIENCE)
        end_well(service)
    _assert_sent_once(judge.verdict(), 8)


class _WatchedPool(Pool):
    """Knows whose conversation was cancelled, and who was handed out."""

    def __init__(self, server: Server, limits: SessionLimits, ca_file: Path) -> None:
        super().__init__(server, limits, tls_context(ca_file))
        self.cancelled: set[str] = set()
        self.used_again: set[str] = set()

    @asynccontextmanager
    async def seat(self, envelope: Envelope, **how: Any) -> AsyncIterator[Seat]:  # noqa: ANN401 - passed on as it is
        async with super().seat(envelope, **how) as seat:
            self.used_again |= {seat.session.name} & self.cancelled
            try:
                yield seat
            except asyncio.CancelledError:
                self.cancelled.add(seat.session.name)
                raise


def _envelope(number: int) -> OutgoingEmail:
    kind = "gone" if number % 4 == 0 else "good"
    recipient, name = f"{kind}-{number}@guests.example", f"n{number}"
    head = f"Subject: Tickets\r\nTo: {recipient}\r\nMessage-ID: <{name}@cinema.example>\r\n\r\nSeat {number}\r\n"
    return OutgoingEmail(
        notification_id=name,
        template="booking_confirmation",
        sender="tickets@cinema.example",
        recipient=recipient,
        content=head.encode(),
    )


async def _held() -> Fence:
    return Fence.HELD


async def test_a_third_of_the_jobs_is_cancelled(own_smtp: SmtpServer) -> None:
    seed = secrets.randbelow(10**6)
    sys.stdout.write(f"seed {seed}\n")
    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
    envelopes = [_envelope(number) for number in range(CROWD)]
    with own_smtp as smtp:
        smtp.script([Rule(at="rcpt", match="gone", reply="550 5.1.1 no such user"), *_slowly()])
        server = Server(smtp.host, smtp.port, start_tls=True, implicit_tls=False, username="mailer", password="secret")
        pool = _WatchedPool(server, SessionLimits(30, 30, 300, 500), smtp.ca_file)
        channel = SmtpChannel(pool, providers.find(""), timeout=30, data_timeout=30)
        tasks = [asyncio.create_task(channel.send_once(envelope, _held)) for envelope in envelopes]
        for victim in dice.sample(tasks, CROWD // 3):
            await asyncio.sleep(dice.uniform(0, 0.03))
            victim.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await channel.close()
        taken = {mail.message_id: mail for mail in smtp.mails()}
        assert len(taken) == len(smtp.mails()), "a mail was taken twice"
    assert pool.cancelled, "no cancellation met a conversation: this run has proved nothing"
    assert not pool.used_again
    assert pool.counts.open == 0
    for envelope, answer in zip(envelopes, answers, strict=True):
        mail = taken.get(f"<{envelope.notification_id}@cinema.example>")
        if mail is not None:
            assert mail.rcpt_to == [envelope.recipient]
            assert mail.file is not None
            assert await asyncio.to_thread(Path(mail.file).read_bytes) == envelope.content
        if isinstance(answer, asyncio.CancelledError):
            continue
        gone = envelope.recipient.startswith("gone")
        assert isinstance(answer, Refused if gone else Accepted), answer
        assert (mail is None) == gone


def _slowly() -> list[Rule]:
    return [Rule(at="rcpt", action="late", seconds=0.02), Rule(at="dot", action="late", seconds=0.02)]


def test_mongodb_hangs(place: Place) -> None:
    judge = Judge(place)
    mongo = place.stack.mongo
    # A verdict that is written while MongoDB hangs, and events that come meanwhile.
    place.smtp.script([Rule(at="dot", action="late", seconds=2, times=3)])
    with lag.Lagging(place.folder / "lagging", place.environment(LEASE_SECONDS="2")) as service:
        judge.publish(*_confirmations(3))
        until(lambda: len(place.mails()) == 3, timeout=PATIENCE)
        mongo.pause()
        try:
            hangs_until = time.monotonic() + MONGODB_HANGS
            judge.publish(*_confirmations(7))
            until(lambda: service.said("ledger.unavailable"), timeout=PATIENCE)
            time.sleep(max(0.0, hangs_until - time.monotonic()))
        finally:
            mongo.resume()
        until(lambda: service.said("ledger.recovered"), timeout=PATIENCE)
        until(judge.at_rest, timeout=PATIENCE)
        end_well(service)
    _assert_sent_once(judge.verdict(), 10)
    slow = [line["seconds"] for line in service.said("mongodb.slow")]
    assert slow, "no operation met the hanging server: this run has proved nothing"
    assert max(slow) < AN_OPERATION + BUSY
    late = [line["own_ms"] / 1000 for line in service.said("loop.late")]
    assert max(late, default=0) < lag.LATE, late


async def test_a_loop_that_is_held_up_is_seen() -> None:
    """The instrument itself: without this, the row above could not fail."""
    late: list[float] = []
    watching = asyncio.create_task(lag.watch(lambda own, _: late.append(own)))
    await asyncio.sleep(0.1)
    time.sleep(0.5)  # noqa: ASYNC251 - the fault itself
    await asyncio.sleep(0.1)
    watching.cancel()
    assert max(late) > lag.LATE
