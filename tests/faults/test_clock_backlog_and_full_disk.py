"""A clock that jumps, a backlog after a restart of everything, and nowhere to write to."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from redis import Redis

from notification_service.broker.topology import PARKED
from tests.faults.judge import Found, Judge
from tests.samples import fresh
from tests.stack.chaos import own_broker
from tests.stack.clock import Jumping
from tests.stack.inspection import end_well, gauge, most_memory
from tests.stack.local import LocalStack
from tests.stack.place import Document, Place, Service, until
from tests.stack.smtp import SmtpServer
from tests.stack.smtp_rules import Rule

PATIENCE = 60
BACKLOG = int(os.environ.get("FAULT_BACKLOG", "1000"))
POOL = 8
MIB = 2**20
HOUR = 3600
BUSY = "450 4.2.1 mailbox busy"


def _confirmations(count: int) -> list[Document]:
    return [fresh("booking.confirmed") for _ in range(count)]


def _assert_sent_once(found: dict[str, Found], count: int) -> None:
    assert len(found) == count
    for each in found.values():
        assert (each.record["outcome"], len(each.mails), each.marked) == ("sent", 1, False)


@pytest.mark.parametrize(
    "jump", [pytest.param(HOUR, id="ahead"), pytest.param(-HOUR, id="back", marks=pytest.mark.soak)]
)
def test_the_wall_clock_jumps_an_hour(place: Place, jump: int) -> None:
    judge = Judge(place)
    slow, busy, left = (
        fresh("booking.confirmed", user_email=f"{name}@example.com") for name in ("slow", "busy", "left")
    )
    place.smtp.script(
        [
            Rule(at="rcpt", action="late", match="slow@", seconds=7, times=1),
            Rule(at="rcpt", reply=BUSY, match="busy@", times=2),
            Rule(at="rcpt", action="stall", match="left@", times=1),
        ]
    )
    before = place.smtp.stats().counts.get("rcpt", 0)
    moved = Jumping(place.folder / "moved", place.environment(LEASE_SECONDS="2", JUMP=str(jump)))
    with moved, place.service(LEASE_SECONDS="2") as steady:
        moved.jump()
        judge.publish(slow, left)
        until(lambda: place.smtp.stats().counts.get("rcpt", 0) >= before + 2, timeout=PATIENCE)
        judge.publish(*[slow] * 4, busy)
        until(lambda: place.outcomes().get(slow["event_id"]) == "sent", timeout=PATIENCE)
        until(lambda: place.outcomes().get(busy["event_id"]) == "sent", timeout=PATIENCE)
        holder = _holder_of(left, moved, steady)
        os.kill(holder.pid, signal.SIGKILL)
        until(judge.at_rest, timeout=PATIENCE)
        survivor = steady if holder is moved else moved
        assert survivor.said("event.claimed_elsewhere"), "the lease of the one that was killed did not hold"
        end_well(survivor)
    found = judge.verdict()
    _assert_sent_once(found, 3)
    assert [attempt["code"] for attempt in found[busy["event_id"]].record["attempts"]] == [450, 450, 250]


def _holder_of(event: Document, *services: Service) -> Service:
    (holder,) = (
        service for service in services if any(line.get("event_id") == event["event_id"] for line in service.lines())
    )
    return holder


@pytest.fixture
def own_stack(stack: LocalStack, tmp_path: Path) -> Iterator[LocalStack]:
    with own_broker(stack, tmp_path / "rabbitmq") as own:
        yield own


@pytest.mark.timeout(120 + BACKLOG // 5)
def test_a_backlog_and_everything_was_restarted(own_stack: LocalStack, own_smtp: SmtpServer, tmp_path: Path) -> None:
    own_smtp.keep = False
    with own_smtp:
        place = Place(own_stack, tmp_path, smtp=own_smtp)
        try:
            _work_off(place, own_smtp)
        finally:
            place.close()


def _work_off(place: Place, smtp: SmtpServer) -> None:
    judge, stack = Judge(place), place.stack
    with place.service() as earlier:  # it declares the queues
        end_well(earlier)
    judge.publish(*_confirmations(BACKLOG))
    stack.broker.sync()
    for part in (stack.broker, stack.mongo, stack.redis, smtp):
        part.restart()
    patience = PATIENCE + BACKLOG / 10
    with place.service(LOG_LEVEL="INFO", SMTP_POOL_SIZE=str(POOL)) as service:
        until(lambda: smtp.stats().mails >= BACKLOG // 4, timeout=patience)
        warm = most_memory(service)
        with Redis.from_url(stack.redis_url) as redis:
            assert len(redis.client_list()) <= 16 + 1  # the service's pool, and this one
        assert stack.broker.connections() == 2
        until(lambda: smtp.stats().mails >= BACKLOG, timeout=patience)
        until(judge.at_rest, timeout=patience)
        assert most_memory(service) - warm < 16 * MIB
        assert smtp.stats().peak_open <= POOL
        end_well(service)
    assert smtp.stats().open == 0
    _assert_sent_once(judge.verdict(), BACKLOG)


class Unheard(Service):
    """The service with its standard output somewhere else; standard error stays the log."""

    def __init__(self, place: Place, stdout: Path) -> None:
        super().__init__(place.folder / "unheard", place.environment())
        self._stdout = stdout

    def command(self) -> tuple[str, ...]:
        return ("/bin/sh", "-c", 'exec "$@" > "$0"', str(self._stdout), *super().command())


@pytest.mark.parametrize("full", [pytest.param(False, id="reader_gone"), pytest.param(True, id="disk_full")])
def test_standard_output_cannot_be_written(place: Place, *, full: bool) -> None:
    judge, stdout = Judge(place), Path("/dev/full") if full else place.folder / "stdout"
    if not full:
        os.mkfifo(stdout)
    reader = os.open(stdout, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Unheard(place, stdout) as service:
            os.close(reader)
            reader = -1
            judge.publish(*_confirmations(20))
            until(judge.at_rest, timeout=PATIENCE)
            service.terminate()
            assert until(lambda: service.exit_code, timeout=PATIENCE) == "0"
        assert service.log.read_text("utf-8") == ""
    finally:
        if reader != -1:
            os.close(reader)
    _assert_sent_once(judge.verdict(), 20)


@contextmanager
def _no_room(service: Service) -> Iterator[None]:
    """No file grows any more, whoever's and wherever it is: for this process every disk is full."""
    before = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, before)


def test_no_room_for_simulated_mail(place: Place) -> None:
    events = _confirmations(5)
    with place.service(DELIVERY_MODE="simulate") as service:
        with _no_room(service):
            Judge(place).publish(*events)
            until(lambda: len(place.outcomes()) == len(events), timeout=PATIENCE)
            until(lambda: gauge(service, "notification_channel_available") == 0, timeout=PATIENCE)
            assert set(place.outcomes().values()) <= {"pending", "waiting"}
            assert not list(place.outbox.glob("*.eml"))
        until(lambda: list(place.outcomes().values()) == ["simulated"] * len(events), timeout=PATIENCE)
        service.terminate()
        assert until(lambda: service.exit_code, timeout=PATIENCE) == "0"
    assert len(list(place.outbox.iterdir())) == len(events), "a mail is missing, or a half of one was left behind"
    assert all(queue.empty for queue in Judge(place).queues().values())


def test_no_room_for_the_mail_of_a_parked_event(place: Place) -> None:
    judge = Judge(place)
    place.smtp.script([Rule(at="rcpt", reply=BUSY)])
    with place.service(MAX_RETRY_ATTEMPTS="1", RETRY_RUNGS="1") as service:
        with _no_room(service):
            judge.publish(fresh("booking.confirmed"))
            until(lambda: list(place.outcomes().values()) == ["parked"], timeout=PATIENCE)
            until(judge.at_rest, timeout=PATIENCE)
        service.terminate()
        assert until(lambda: service.exit_code, timeout=PATIENCE) == "0"
    assert not list(place.outbox.glob("*.eml"))
    judge.verdict()
    assert place.depth(PARKED) == 1
