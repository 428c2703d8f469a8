"""Workers killed at random, and stores that die, forget, or lose a reply."""

import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis as RedisClient

from tests.faults.judge import Found, Judge
from tests.samples import fresh
from tests.stack.place import Document, Place, Service, until
from tests.stack.proxy import Proxy
from tests.stack.smtp_rules import Rule
from tests.stack.stores import Redis

PATIENCE = 60
WORKERS = 4
KILLS = int(os.environ.get("FAULT_KILLS", "40"))
EVENTS_A_KILL = 7.5


def _confirmations(count: int) -> list[Document]:
    return [fresh("booking.confirmed") for _ in range(count)]


def _end(*services: Service) -> None:
    """SIGTERM, after which nothing may be left in hand."""
    for service in services:
        service.terminate()
    for service in services:
        until(lambda service=service: service.exit_code == "0", timeout=PATIENCE)  # type: ignore[misc]
        assert service.said("service.drained")[-1]["unfinished"] == 0


def _assert_sent_once(found: dict[str, Found]) -> None:
    for each in found.values():
        assert (each.record["outcome"], len(each.mails), each.marked) == ("sent", 1, False)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_random_kills(place: Place) -> None:
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(10**6)))
    sys.stdout.write(f"FAULT_SEED={seed}\n")
    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
    judge = Judge(place)
    place.smtp.script([Rule(at="dot", action="late", seconds=0.1)])
    published = 0
    with ExitStack() as stack:
        workers = [stack.enter_context(place.service(LEASE_SECONDS="2")) for _ in range(WORKERS)]
        for kill in range(1, KILLS + 1):
            due = round(kill * EVENTS_A_KILL) - published
            published += due
            judge.publish(*_confirmations(due))
            time.sleep(dice.uniform(0, 0.5))  # the moment of the kill
            victim = dice.choice(workers)
            victim.kill()
            victim.start()
            victim.wait_ready()
        until(judge.at_rest, timeout=180)
        _end(*workers)
    found = judge.verdict()
    assert len(found) == published
    marked = sum(each.marked for each in found.values())
    twice = sum(len(each.mails) == 2 for each in found.values())
    sys.stdout.write(f"{KILLS} kills, {published} events: {marked} marked, {twice} sent twice\n")
    assert marked, "no kill met a worker while it was sending: this run has proved nothing"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as redis:
        yield redis


def test_redis_is_killed(place: Place, own_redis: Redis) -> None:
    judge = Judge(place, own_redis.url)
    first, second = _confirmations(5), _confirmations(5)
    with place.service(LEASE_SECONDS="2", REDIS_URL=own_redis.url) as service:
        judge.publish(*first)
        until(judge.at_rest, timeout=PATIENCE)
        own_redis.kill()
        judge.publish(*second, *first)
        until(lambda: list(place.outcomes().values()) == ["sent"] * 10, timeout=PATIENCE)
        until(lambda: len(service.said("event.duplicate")) == 5, timeout=PATIENCE)
        assert service.said("claims.unavailable")
        own_redis.start()
        own_redis.wait_ready()
        judge.publish(*second)
        until(lambda: len(service.said("event.duplicate")) == 10, timeout=PATIENCE)
        until(judge.at_rest, timeout=PATIENCE)
        _end(service)
    _assert_sent_once(judge.verdict())


def test_redis_forgets_everything(place: Place) -> None:
    judge = Judge(place)
    events = _confirmations(20)
    with place.service(LEASE_SECONDS="2") as service:
        judge.publish(*events)
        until(judge.at_rest, timeout=PATIENCE)
        with RedisClient.from_url(place.stack.redis_url) as redis:
            redis.flushall()
        judge.publish(*events)
        until(lambda: len(service.said("event.duplicate")) == len(events), timeout=PATIENCE)
        until(judge.at_rest, timeout=PATIENCE)
        _end(service)
    _assert_sent_once(judge.verdict())


@pytest.mark.parametrize("cut", [pytest.param(True, id="cut"), pytest.param(False, id="hanging")])
def test_the_reply_to_the_claim_is_lost(place: Place, *, cut: bool) -> None:
    judge = Judge(place)
    with Proxy(place.stack.redis.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        with place.service(REDIS_URL=url) as service:
            judge.publish(fresh("booking.confirmed"))  # Redis knows the scripts from here on
            until(judge.at_rest, timeout=PATIENCE)
            proxy.lose_replies(after=b"EVALSHA", cut=cut)
            judge.publish(fresh("booking.confirmed"))
            until(judge.at_rest, timeout=PATIENCE)
            assert proxy.loss.count == 0
            for trouble in ("event.claimed_elsewhere", "event.retry_scheduled", "claims.unavailable"):
                assert not service.said(trouble)
            _end(service)
    _assert_sent_once(judge.verdict())


@pytest.mark.parametrize("dies", [pytest.param(False, id="worker_lives"), pytest.param(True, id="worker_dies_too")])
def test_mongodb_is_killed_after_a_250(place: Place, *, dies: bool) -> None:
    judge = Judge(place)
    place.smtp.script([Rule(at="dot", action="late", seconds=2, times=1)])
    mongo = place.stack.mongo
    with ExitStack() as stack:
        service = stack.enter_context(place.service(LEASE_SECONDS="2"))
        judge.publish(fresh("booking.confirmed"))
        until(place.mails, timeout=PATIENCE)
        mongo.kill()
        try:
            until(lambda: service.said("ledger.unavailable"), timeout=PATIENCE)
            assert list(judge.claims().values()) == ["decided"]
            until(lambda: sum(queue.unacked for queue in judge.queues().values()) == 1, timeout=PATIENCE)
            if dies:
                os.kill(service.pid, signal.SIGKILL)
                until(lambda: service.exit_code == str(-signal.SIGKILL), timeout=PATIENCE)
        finally:
            mongo.start()
            mongo.wait_ready()
        if dies:
            service = stack.enter_context(place.service(LEASE_SECONDS="2"))
        until(judge.at_rest, timeout=PATIENCE)
        _end(service)
        assert len(service.said("outcome.repaired")) == int(dies)
    _assert_sent_once(judge.verdict())


def test_one_event_for_all_workers_at_once(place: Place) -> None:
    judge = Judge(place)
    data = fresh("booking.confirmed")
    with ExitStack() as stack:
        workers = [stack.enter_context(place.service(LEASE_SECONDS="2")) for _ in range(WORKERS)]
        judge.publish(*[data] * 8)
        until(judge.at_rest, timeout=PATIENCE)
        _end(*workers)
    assert sum(len(worker.said("notification.closed")) for worker in workers) == 1
    took_part = [worker for worker in workers if any("event_id" in line for line in worker.lines())]
    assert len(took_part) > 1, "one worker got every copy: this run has proved nothing"
    _assert_sent_once(judge.verdict())
