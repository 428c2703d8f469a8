"""Signals, and a broker that dies, cuts, forgets, blocks or falls silent, while mail is in hand."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aio_pika
import pytest
from redis import Redis

from notification_service.broker.topology import AGAIN, PARKED, retry_queue
from notification_service.contract.channel_kinds import ChannelKind
from tests.faults.judge import Found, Judge, Queue
from tests.samples import fresh
from tests.stack.chaos import own_broker
from tests.stack.inspection import end_well, gauge
from tests.stack.local import LocalStack
from tests.stack.place import Document, Place, Service, until
from tests.stack.proxy import Proxy
from tests.stack.rabbitmq import Broker
from tests.stack.smtp_rules import Rule

PATIENCE = 60
LEASE = 2
BOOKINGS = "notification.booking_events"
BUSY = "450 4.2.1 mailbox busy"
HEARTBEAT = 1
BUSY_MACHINE = 2
TO_BE_SAFE_ON_DISK = 3.0
"""Seconds after which a killed quorum queue elects its leader again on RabbitMQ 3.10 (pitfalls.md, 8)."""
BACK_WITHIN = 15.0


@pytest.fixture(scope="module")
def own_stack(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with own_broker(stack, tmp_path_factory.mktemp("own") / "rabbitmq") as own:
        yield own


@pytest.fixture
def place(own_stack: LocalStack, tmp_path: Path) -> Iterator[Place]:
    own_stack.smtp.clear()
    place = Place(own_stack, tmp_path)
    yield place
    place.close()


def _confirmations(count: int) -> list[Document]:
    return [fresh("booking.confirmed") for _ in range(count)]


def _assert_sent_once(found: dict[str, Found], count: int) -> None:
    assert len(found) == count
    for each in found.values():
        assert (each.record["outcome"], len(each.mails), each.marked) == ("sent", 1, False)


def _times(service: Service, event: str) -> int:
    return len(service.said(event))


def _consumes_again(service: Service, times: int = 2) -> None:
    until(lambda: _times(service, "broker.consuming") >= times, timeout=PATIENCE)


def _delete_queue(url: str, name: str) -> None:
    async def delete() -> None:
        connection = await aio_pika.connect(url)
        async with connection, connection.channel() as channel:
            await channel.queue_delete(name)

    asyncio.run(delete())


def test_sigterm_under_load_dead_letters_nothing(place: Place) -> None:
    judge = Judge(place)
    place.smtp.script([Rule(at="dot", action="late", seconds=0.3)])
    with place.service() as first:
        judge.publish(*_confirmations(150))
        until(lambda: len(place.mails()) >= 10, timeout=PATIENCE)
        end_well(first)
    handled = len(place.mails())
    assert handled < 150, "everything was sent before the signal: this run has proved nothing"
    assert _times(first, "notification.closed") == handled
    assert place.depth(PARKED) == 0
    place.smtp.clear()
    with place.service() as second:
        until(judge.at_rest, timeout=PATIENCE)
        end_well(second)
    _assert_sent_once(judge.verdict(), 150)


@pytest.mark.parametrize(
    ("at", "claim", "mails"),
    [
        pytest.param("rcpt", "claimed", 1, id="before_the_marker"),
        pytest.param("dot", "sending", 2, id="after_the_final_dot"),
    ],
)
def test_a_worker_sleeps_twice_its_lease(place: Place, at: str, claim: str, mails: int) -> None:
    judge = Judge(place)
    place.smtp.script([Rule(at=at, action="late", seconds=2, times=1)])  # type: ignore[arg-type]  # a stage
    before = _recipients_named(place)
    url = f"{place.amqp_url}?heartbeat={HEARTBEAT}"
    with place.service(LEASE_SECONDS=str(LEASE), RABBITMQ_URL=url) as sleeper:
        judge.publish(fresh("booking.confirmed"))
        until(lambda: place.mails() if at == "dot" else _recipients_named(place) > before, timeout=PATIENCE)
        sleeper.pause()
        assert list(judge.claims().values()) == [claim]
        asleep = time.monotonic()
        with place.service(LEASE_SECONDS=str(LEASE)) as other:
            until(lambda: list(place.outcomes().values()) == ["sent"], timeout=PATIENCE)
            time.sleep(max(0.0, asleep + 2 * LEASE - time.monotonic()))
            written = _everything_written(place, judge)
            sleeper.resume()
            _consumes_again(sleeper)
            until(lambda: gauge(sleeper, "notification_jobs_under_way") == 0, timeout=PATIENCE)
            until(judge.at_rest, timeout=PATIENCE)
            assert _everything_written(place, judge) == written
            end_well(sleeper, other)
    assert not sleeper.said("notification.closed")
    (found,) = judge.verdict().values()
    assert (len(found.mails), found.marked) == (mails, mails == 2)


def _recipients_named(place: Place) -> int:
    return place.smtp.stats().counts.get("rcpt", 0)


def _everything_written(place: Place, judge: Judge) -> tuple[list[Document], dict[str, dict[str, str]]]:
    with Redis.from_url(place.stack.redis_url, decode_responses=True) as redis:
        return place.records(), {key: redis.hgetall(key) for key in judge.claims()}


def test_the_broker_is_killed_and_comes_back(place: Place) -> None:
    judge, broker = Judge(place), place.stack.broker
    with place.service() as service:
        time.sleep(TO_BE_SAFE_ON_DISK)
        place.smtp.script([Rule(at="dot", action="late", seconds=1)])
        judge.publish(*_confirmations(40))
        broker.sync()
        until(place.mails, timeout=PATIENCE)
        broker.kill()
        place.smtp.clear()
        broker.start()
        broker.wait_ready()
        answers = time.monotonic()
        _consumes_again(service)
        assert time.monotonic() - answers < BACK_WITHIN
        until(judge.at_rest, timeout=PATIENCE)
        end_well(service)
    _assert_sent_once(judge.verdict(), 40)


def test_the_connection_is_cut_during_data(place: Place) -> None:
    judge = Judge(place)
    place.smtp.script([Rule(at="dot", action="late", seconds=5, times=1)])
    with Proxy(place.stack.broker.port) as proxy, place.service(RABBITMQ_URL=_through(proxy, place)) as service:
        judge.publish(fresh("booking.confirmed"))
        until(place.mails, timeout=PATIENCE)
        proxy.cut()
        _consumes_again(service)
        assert list(judge.claims().values()) == ["sending"], "it was over before the line was back: nothing proved"
        until(judge.at_rest, timeout=PATIENCE)
        end_well(service)
    assert _times(service, "notification.closed") == 1
    assert _times(service, "event.duplicate") == 1
    _assert_sent_once(judge.verdict(), 1)


def test_the_broker_loses_patience_while_the_mail_server_hangs(place: Place) -> None:
    judge, broker = Judge(place), place.stack.broker
    place.smtp.script([Rule(at="dot", action="late", seconds=8, times=1)])
    broker.tell(consumer_timeout=2000, channel_tick_interval=1000)
    try:
        with place.service() as service:
            judge.publish(fresh("booking.confirmed"))
            _consumes_again(service)
            assert list(judge.claims().values()) == ["sending"], "it was over before that: nothing proved"
            judge.publish(fresh("booking.confirmed"))
            until(judge.at_rest, timeout=PATIENCE)
            end_well(service)
    finally:
        broker.tell(consumer_timeout=1_800_000, channel_tick_interval=60_000)
    assert "PRECONDITION_FAILED" in service.said("broker.lost")[0]["reason"]
    _assert_sent_once(judge.verdict(), 2)


def test_queues_are_deleted_by_another_client(place: Place) -> None:
    judge = Judge(place)
    place.smtp.script([Rule(at="rcpt", reply=BUSY, times=1)])
    with place.service() as service:
        for times, queue in enumerate((BOOKINGS, AGAIN), start=2):
            _delete_queue(place.amqp_url, queue)
            _consumes_again(service, times)
        judge.publish(fresh("booking.confirmed"))  # into the one, and back through the other
        until(judge.at_rest, timeout=PATIENCE)
        end_well(service)
    found = judge.verdict()
    _assert_sent_once(found, 1)
    (only,) = found.values()
    assert [attempt["code"] for attempt in only.record["attempts"]] == [450, 250]


def test_a_memory_alarm_of_the_broker(place: Place) -> None:
    judge, at_once, events = Judge(place), 5, 8
    place.smtp.script([Rule(at="rcpt", reply=BUSY, times=events)])
    with place.service() as earlier:  # it declares the queues
        end_well(earlier)
    judge.publish(*_confirmations(events))
    with ExitStack() as alarm:
        alarm.enter_context(_memory_alarm(place.stack.broker))
        with place.service(RABBITMQ_PREFETCH=str(at_once)) as service:
            # Longer than any other call to the broker may take: giving up and trying again would make two of one.
            until(lambda: _times(service, "publish.waits") >= at_once, timeout=PATIENCE)
            until(lambda: judge.queues()[BOOKINGS] == Queue(events - at_once, at_once), timeout=PATIENCE)
            assert all(queue.empty for name, queue in judge.queues().items() if name != BOOKINGS)
            assert gauge(service, "notification_jobs_under_way") == at_once
            alarm.close()
            until(judge.at_rest, timeout=PATIENCE)
            end_well(service)
    found = judge.verdict()
    _assert_sent_once(found, events)
    assert {len(each.record["attempts"]) for each in found.values()} == {2}
    _assert_one_copy_each(service, events)


@contextmanager
def _memory_alarm(broker: Broker) -> Iterator[None]:
    broker.ctl("set_vm_memory_high_watermark", "absolute", "1")
    try:
        yield
    finally:
        broker.ctl("set_vm_memory_high_watermark", "0.4")


def _assert_one_copy_each(service: Service, events: int) -> None:
    assert _times(service, "event.retry_scheduled") == events
    for second_copy in ("event.duplicate", "event.claimed_elsewhere", "publish.failed"):
        assert not service.said(second_copy)


def test_a_retry_queue_is_missing(place: Place) -> None:
    judge, missing = Judge(place), retry_queue(ChannelKind.EMAIL, 1)
    place.smtp.script([Rule(at="rcpt", reply=BUSY, times=1)])
    with place.service(RETRY_RUNGS="1") as service:
        _delete_queue(place.amqp_url, missing)
        judge.publish(fresh("booking.confirmed"))
        until(judge.at_rest, timeout=PATIENCE)
        end_well(service)
    alert = service.said("publish.failed")[0]
    assert (alert["level"], alert["queue"]) == ("error", missing)
    assert not service.said("event.retry_scheduled"), "it was moved after all"
    assert missing in judge.queues()
    found = judge.verdict()
    _assert_sent_once(found, 1)
    (only,) = found.values()
    assert [attempt["code"] for attempt in only.record["attempts"]] == [450, 250]


def test_the_broker_is_a_black_hole(place: Place) -> None:
    judge = Judge(place)
    place.smtp.script([Rule(at="dot", action="late", seconds=3, times=1)])
    with (
        Proxy(place.stack.broker.port) as proxy,
        place.service(RABBITMQ_URL=_through(proxy, place, f"?heartbeat={HEARTBEAT}")) as service,
    ):
        judge.publish(fresh("booking.confirmed"))
        until(place.mails, timeout=PATIENCE)
        proxy.black_hole()
        until(lambda: service.said("broker.lost"), timeout=PATIENCE)
        until(lambda: list(place.outcomes().values()) == ["sent"], timeout=PATIENCE)
        proxy.flow()
        _consumes_again(service)
        judge.publish(fresh("booking.confirmed"))
        until(judge.at_rest, timeout=PATIENCE)
        end_well(service)
    _assert_sent_once(judge.verdict(), 2)


def test_a_black_hole_is_noticed_within_four_heartbeats(place: Place) -> None:
    with (
        Proxy(place.stack.broker.port) as proxy,
        place.service(RABBITMQ_URL=_through(proxy, place, f"?heartbeat={HEARTBEAT}")) as service,
    ):
        proxy.black_hole()
        silent = time.monotonic()
        until(lambda: service.said("broker.lost"), timeout=PATIENCE)
        # Two intervals of 15 s are what a broker is allowed; aiormq takes four and a second, so ours are of 5 s.
        assert time.monotonic() - silent < 4 * HEARTBEAT + 1 + BUSY_MACHINE
        proxy.flow()


def _through(proxy: Proxy, place: Place, query: str = "") -> str:
    return place.amqp_url.replace(f":{place.stack.broker.port}/", f":{proxy.port}/") + query
