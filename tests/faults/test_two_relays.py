"""Two mail servers, of which either may fail at any moment: nothing is lost, and nothing goes out twice unmarked."""

import os
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.faults.judge import Found, Judge
from tests.faults.worker import crashing
from tests.samples import fresh
from tests.stack.inspection import end_well, gauge
from tests.stack.local import LocalStack
from tests.stack.place import Document, Place, Service, Start, until
from tests.stack.smtp import Mail, SmtpServer
from tests.stack.smtp_rules import Rule
from tests.stack.warm import Warm, WarmService

PATIENCE = 60
KILLS = int(os.environ.get("FAULT_KILLS", "40"))


class TwoRelays(Place):
    """A place whose services have a second mail server; the mails of both are judged together."""

    def __init__(self, stack: LocalStack, folder: Path, servers: tuple[SmtpServer, SmtpServer], start: Start) -> None:
        self.first, self.second = servers
        super().__init__(stack, folder, self.first, start=start)

    def environment(self, **changes: str) -> dict[str, str]:
        second = {
            "SMTP_FALLBACK_SERVER": self.second.host,
            "SMTP_FALLBACK_PORT": str(self.second.port),
            "SMTP_FALLBACK_USERNAME": self.second.username,
            "SMTP_FALLBACK_PASSWORD": self.second.password,
            "SMTP_FALLBACK_CA_FILE": str(self.second.ca_file),
            "LEASE_SECONDS": "2",
        }
        return super().environment(**{**second, **changes})

    def mails(self) -> list[Mail]:
        return self.first.mails() + self.second.mails()


@pytest.fixture
def place(stack: LocalStack, tmp_path: Path, warm: Warm) -> Iterator[TwoRelays]:
    servers = SmtpServer(tmp_path / "first"), SmtpServer(tmp_path / "second", username="second")
    with servers[0], servers[1]:
        place = TwoRelays(stack, tmp_path, servers, partial(WarmService, warm))
        yield place
        place.close()


def _confirmations(count: int) -> list[Document]:
    return [fresh("booking.confirmed") for _ in range(count)]


def _end(judge: Judge, service: Service) -> list[Found]:
    until(judge.at_rest, timeout=PATIENCE)
    end_well(service)
    return list(judge.verdict().values())


def _relays(found: list[Found]) -> Counter[str]:
    """By which relay each mail was accepted, as its record says; and no record says more than one."""
    for each in found:
        assert (each.record["outcome"], len(each.mails), each.marked) == ("sent", 1, False)
    return Counter(attempt["relay"] for each in found for attempt in each.record["attempts"])


def test_the_first_is_lost_under_load_and_gets_its_mail_back(place: TwoRelays) -> None:
    judge = Judge(place)
    with place.service() as service:
        judge.publish(*_confirmations(5))
        until(lambda: len(place.first.mails()) == 5)
        place.first.script([Rule(at="auth", reply="535 5.7.8 not accepted"), Rule(at="mail", action="drop")])
        judge.publish(*_confirmations(20))
        until(lambda: len(place.second.mails()) == 20, timeout=PATIENCE)
        by_relay = 'notification_{}{{relay="{}"}}'
        assert gauge(service, 'notification_channel_available{channel="smtp",relay="smtp"}') == 0
        assert gauge(service, 'notification_channel_available{channel="smtp",relay="smtp-fallback"}') == 1
        assert gauge(service, by_relay.format("smtp_connections", "smtp-fallback")) > 0
        assert gauge(service, by_relay.format("smtp_talking", "smtp")) == 0
        place.first.clear()
        until(lambda: service.said("channel.breaker")[-1]["state"] == "probing", timeout=PATIENCE)
        time.sleep(0.5)
        judge.publish(*_confirmations(5))
        until(lambda: len(place.first.mails()) > 5, timeout=PATIENCE)
        found = _end(judge, service)
    relays = _relays(found)
    assert relays["smtp"] == len(place.first.mails())
    assert relays["smtp-fallback"] == len(place.second.mails())
    assert [line["relay"] for line in service.said("relay.changed")] == ["smtp-fallback", "smtp"]
    assert not service.said("event.retry_scheduled")


def test_what_the_first_may_have_waits_for_it_and_goes_by_no_other(place: TwoRelays) -> None:
    judge = Judge(place)
    place.first.script([Rule(at="dot", action="drop")])
    doubtful = fresh("booking.confirmed")
    with place.service() as service:
        judge.publish(doubtful)
        until(lambda: service.said("mail.in_doubt"), timeout=PATIENCE)
        place.first.script([Rule(at="mail", reply="421 4.3.2 closing")])
        judge.publish(*_confirmations(4))
        until(lambda: len(place.second.mails()) == 4, timeout=PATIENCE)
        time.sleep(4)  # the lease, and its retry
        assert place.outcomes()[doubtful["event_id"]] != "sent"
        place.first.clear()
        found = {each.record["event_id"]: each for each in _end(judge, service)}
    doubted = found.pop(doubtful["event_id"])
    assert (doubted.record["outcome"], len(doubted.mails), doubted.marked) == ("sent", 1, True)
    assert {each["relay"] for each in doubted.record["attempts"]} == {"smtp"}
    assert len(place.second.mails()) == 4


@pytest.mark.parametrize("at", ["sending.after", "body"])
@pytest.mark.parametrize("by", ["smtp", "smtp-fallback"])
def test_what_a_killed_worker_was_sending_goes_by_no_other_server(place: TwoRelays, at: str, by: str) -> None:
    judge, doubtful = Judge(place), fresh("booking.confirmed")
    holds, other = (place.first, place.second) if by == "smtp" else (place.second, place.first)
    closing = Rule(at="mail", reply="421 4.3.2 closing")
    if holds is place.second:
        place.first.script([closing])
    with crashing(place, CRASH_AT=at) as worker:
        judge.publish(doubtful)
        until(lambda: worker.exit_code, timeout=PATIENCE)
    assert place.mails() == []
    place.first.clear()
    holds.script([closing])
    with place.service() as service:
        judge.publish(*_confirmations(4))
        until(lambda: len(other.mails()) == 4, timeout=PATIENCE)
        until(lambda: service.said("mail.resend"), timeout=PATIENCE)
        time.sleep(1)  # it would be sent by the other one within milliseconds
        assert place.outcomes()[doubtful["event_id"]] != "sent"
        holds.clear()
        found = {each.record["event_id"]: each for each in _end(judge, service)}
    doubted = found.pop(doubtful["event_id"])
    assert (doubted.record["outcome"], len(doubted.mails), doubted.marked) == ("sent", 1, True)
    assert {each["relay"] for each in doubted.record["attempts"]} == {by}
    assert doubted.record["attempts"][0]["result"] == "in_doubt"
    assert len(other.mails()) == 4


def test_the_service_ends_well_while_it_sends_by_the_second(place: TwoRelays) -> None:
    place.first.stop()
    place.second.script([Rule(at="dot", action="late", seconds=0.3)])
    judge = Judge(place)
    with place.service() as service:
        judge.publish(*_confirmations(30))
        until(lambda: len(place.second.mails()) > 5, timeout=PATIENCE)
        end_well(service)
    with place.service() as service:
        found = _end(judge, service)
    assert _relays(found) == {"smtp-fallback": 30}


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_workers_and_both_servers_fail_at_random(place: TwoRelays) -> None:
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(10**6)))
    sys.stdout.write(f"FAULT_SEED={seed}\n")
    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
    judge, published = Judge(place), 0
    slow = Rule(at="dot", action="late", seconds=0.1)
    moods = [
        [slow],
        [slow],
        [Rule(at="auth", reply="535 5.7.8 not accepted"), Rule(at="mail", action="drop")],
        [Rule(at="mail", reply="550 5.7.60 Client does not have permissions to send as this sender")],
        [Rule(at="rcpt", reply="452 4.5.3 Daily sending quota exceeded for this account")],
        [Rule(at="greeting", reply="421 4.3.2 too many connections"), slow],
        [Rule(at="dot", action="drop_after_accept", times=2), slow],
    ]
    with ExitStack() as stack:
        workers = [stack.enter_context(place.service(MAX_RETRY_ATTEMPTS="50")) for _ in range(2)]
        for _ in range(KILLS):
            place.first.script(dice.choice(moods))
            place.second.script(dice.choice(moods))
            judge.publish(*_confirmations(5))
            published += 5
            time.sleep(dice.uniform(0, 0.6))  # the moment of the kill
            victim = dice.choice(workers)
            victim.kill()
            victim.start()
            victim.wait_ready()
        place.first.clear()
        place.second.clear()
        until(judge.at_rest, timeout=300)
        for worker in workers:
            end_well(worker)
    found = judge.verdict()
    assert len(found) == published
    by = Counter(attempt["relay"] for each in found.values() for attempt in each.record["attempts"])
    marked = sum(each.marked for each in found.values())
    twice = sum(len(each.mails) == 2 for each in found.values())
    sys.stdout.write(f"{KILLS} kills, {published} events: {marked} marked, {twice} sent twice, attempts {dict(by)}\n")
    assert len(by) == 2, "one of the relays was never used: this run has proved nothing"
