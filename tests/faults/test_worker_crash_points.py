"""The worker dies at one point of the way, and another one ends what it had begun."""

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from redis import Redis

from tests.faults.judge import Found, Judge
from tests.faults.worker import crashing
from tests.samples import fresh
from tests.stack.place import Place, Service, until
from tests.stack.smtp_rules import Rule

SIGKILLED = str(-signal.SIGKILL)
PATIENCE = 60


@dataclass(frozen=True)
class Scene:
    """What a dead worker left: the claim's state in Redis, the record's outcome, how many mails went out."""

    claim: str | None
    outcome: str | None
    mails: int


@pytest.fixture
def judge(place: Place) -> Judge:
    return Judge(place)


def _worker(place: Place, crash_at: str) -> Service:
    return crashing(place, CRASH_AT=crash_at)


def _die(place: Place, judge: Judge, crash_at: str) -> Scene:
    """Publish one event to a worker that dies of it."""
    with _worker(place, crash_at) as worker:
        judge.publish(fresh("booking.confirmed"))
        until(lambda: worker.exit_code, timeout=PATIENCE)
        assert worker.exit_code == SIGKILLED
    return _scene(place, judge)


def _scene(place: Place, judge: Judge) -> Scene:
    return Scene(
        _only(judge.claims().values()), _only(record["outcome"] for record in place.records()), len(place.mails())
    )


def _only(words: Iterable[str]) -> str | None:
    found = list(words)
    assert len(found) <= 1
    return found[0] if found else None


def _repair(place: Place, judge: Judge) -> tuple[Found, Service]:
    """Start a service that knows nothing of the dead one, let it come to rest, end it, and judge."""
    with place.service(LEASE_SECONDS="2") as service:
        until(judge.at_rest, timeout=PATIENCE)
        service.terminate()
        until(lambda: service.exit_code == "0", timeout=PATIENCE)
        assert service.said("service.drained")[0]["unfinished"] == 0
        assert not service.said("job.failed")
        assert not service.said("delivery.failed")
    (found,) = judge.verdict().values()
    assert found.record["outcome"] == "sent"
    return found, service


@pytest.mark.parametrize(
    ("crash_at", "left"),
    [
        pytest.param("claim.before", Scene(None, None, 0), id="before_the_claim"),
        pytest.param("claim.after", Scene("claimed", None, 0), id="after_the_claim"),
        pytest.param("open.after", Scene("claimed", "pending", 0), id="after_the_intent"),
        pytest.param("render.after", Scene("claimed", "pending", 0), id="after_render"),
        pytest.param("rcpt.after", Scene("claimed", "pending", 0), id="after_rcpt"),
    ],
)
def test_before_the_marker_it_starts_again(place: Place, judge: Judge, crash_at: str, left: Scene) -> None:
    assert _die(place, judge, crash_at) == left
    found, _ = _repair(place, judge)
    assert len(found.mails) == 1
    assert not found.marked


@pytest.mark.parametrize(
    ("crash_at", "data_said"),
    [
        pytest.param("sending.after", 0, id="after_the_marker"),
        pytest.param("body", 1, id="mid_body"),
    ],
)
def test_after_the_marker_it_is_sent_once_more_and_marked(
    place: Place, judge: Judge, crash_at: str, data_said: int
) -> None:
    before = place.smtp.stats().counts.get("data", 0)
    assert _die(place, judge, crash_at) == Scene("sending", "pending", 0)
    assert place.smtp.stats().counts.get("data", 0) - before == data_said
    found, _ = _repair(place, judge)
    assert len(found.mails) == 1
    assert found.marked


def test_after_the_final_dot(place: Place, judge: Judge) -> None:
    place.smtp.script([Rule(at="dot", action="late", seconds=600, times=1)])
    with place.service(LEASE_SECONDS="2") as service:
        judge.publish(fresh("booking.confirmed"))
        until(place.mails, timeout=PATIENCE)
        os.kill(service.pid, signal.SIGKILL)
        until(lambda: service.exit_code == SIGKILLED, timeout=PATIENCE)
    assert _scene(place, judge) == Scene("sending", "pending", 1)
    _assert_in_the_window(_repair(place, judge)[0])


def test_after_the_250(place: Place, judge: Judge) -> None:
    assert _die(place, judge, "accepted.after") == Scene("sending", "pending", 1)
    _assert_in_the_window(_repair(place, judge)[0])


def _assert_in_the_window(found: Found) -> None:
    """The judge has matched the mails with the record by their Message-ID."""
    assert len(found.mails) in {1, 2}
    assert found.marked


def test_between_verdict_and_outcome(place: Place, judge: Judge) -> None:
    assert _die(place, judge, "decide.after") == Scene("decided", "pending", 1)
    found, service = _repair(place, judge)
    assert len(found.mails) == 1
    assert not found.marked
    assert service.said("outcome.repaired")


def test_between_outcome_and_ack(place: Place, judge: Judge) -> None:
    assert _die(place, judge, "close.after") == Scene("decided", "sent", 1)
    found, service = _repair(place, judge)
    assert len(found.mails) == 1
    assert not found.marked
    assert service.said("event.duplicate")


@pytest.mark.parametrize(
    ("crash_at", "claim", "copies"),
    [
        pytest.param("postpone.after", "claimed", 0, id="before_the_retry_s_publish"),
        pytest.param("publish.after", None, 1, id="between_retry_publish_and_ack"),
    ],
)
def test_a_retry_is_repaired(place: Place, judge: Judge, crash_at: str, claim: str | None, copies: int) -> None:
    place.smtp.script([Rule(at="rcpt", reply="450 4.2.1 mailbox busy", times=1)])
    assert _die(place, judge, crash_at) == Scene(claim, "waiting", 0)
    # The original, and the copy that its retry is.
    until(lambda: sum(queue.ready for queue in judge.queues().values()) == 1 + copies, timeout=PATIENCE)
    found, _ = _repair(place, judge)
    assert len(found.mails) == 1
    assert not found.marked
    assert [each["code"] for each in found.record["attempts"]] == [450, 250]


@pytest.mark.parametrize(
    ("crash_at", "mails", "marked"),
    [
        pytest.param("rcpt.after", {1}, True, id="before_the_content"),
        pytest.param("accepted.after", {1, 2}, True, id="after_the_250_reply"),
        pytest.param("decide.after", {1, 2}, True, id="after_the_verdict"),
        pytest.param("close.after", {1}, False, id="after_the_outcome"),
    ],
)
def test_and_redis_forgot_everything(
    place: Place, judge: Judge, crash_at: str, mails: set[int], *, marked: bool
) -> None:
    _die(place, judge, crash_at)
    with Redis.from_url(place.stack.redis_url) as redis:
        redis.flushall()
    found, _ = _repair(place, judge)
    assert len(found.mails) in mails
    assert found.marked is marked
