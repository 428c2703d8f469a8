"""The mail server refuses us where it could refuse a recipient: no ticket is lost by it, and none goes out twice."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from notification_service.broker.topology import PARKED
from notification_service.settings.servers import RabbitSettings
from tests.faults.judge import Judge
from tests.faults.worker import crashing
from tests.samples import fresh
from tests.stack.place import Document, Place, Service, until
from tests.stack.smtp_rules import Rule

PATIENCE = 100
QUOTA = "550 5.4.5 Daily user sending limit exceeded. For more information go to https://support.example/8123"
UNKNOWN = "554 Computer says no to this one (ref {number})"
SENDER = "553 5.7.1 <tickets@cinema.example>: Sender address rejected: not owned by user mailer"


def six() -> list[Document]:
    """Six tickets to six domains."""
    return [fresh("booking.confirmed", user_email=f"jane@d{number}.example") for number in range(6)]


def refuse(place: Place, at: str, reply: str) -> None:
    """Each domain hears its own number, as servers write the ids of their queues into a reply."""
    rules = [Rule(at=at, match=f"@d{n}.", reply=reply.replace("{number}", f"{n}77")) for n in range(6)]  # type: ignore[arg-type]  # a stage
    place.smtp.script(rules)


@pytest.fixture
def judge(place: Place) -> Iterator[Judge]:
    yield Judge(place)
    place.smtp.clear()


def assert_all_sent(place: Place, judge: Judge) -> None:
    until(lambda: list(place.outcomes().values()) == ["sent"] * 6, timeout=PATIENCE)
    until(judge.at_rest, timeout=PATIENCE)
    assert sorted(mail.rcpt_to[0] for mail in place.mails()) == [f"jane@d{number}.example" for number in range(6)]
    assert place.depth(PARKED) == 0
    for found in judge.verdict().values():
        assert not found.marked


@pytest.mark.parametrize(
    ("at", "reply"), [("dot", QUOTA), ("rcpt", SENDER), ("dot", UNKNOWN), ("rcpt", UNKNOWN)], ids=str
)
def test_six_tickets_that_were_refused_because_of_us_go_out_when_it_is_mended(
    place: Place, judge: Judge, at: str, reply: str
) -> None:
    refuse(place, at, reply)
    with place.service() as service:
        judge.publish(*six())
        until(lambda: service.said("channel.breaker"), timeout=PATIENCE)
        assert not place.mails()
        place.smtp.clear()
        assert_all_sent(place, judge)


def test_six_tickets_to_one_domain_that_were_refused_in_unknown_words_go_out_when_it_is_mended(
    place: Place, judge: Judge
) -> None:
    """All customers may be at one provider: what bounced before the third is called back."""
    place.smtp.script([Rule(at="dot", reply=UNKNOWN)])
    events = [fresh("booking.confirmed", user_email=f"jane{number}@one.example") for number in range(6)]
    with place.service() as service:
        judge.publish(*events)
        until(lambda: service.said("domain.held"), timeout=PATIENCE)
        until(lambda: service.said("recall.published"), timeout=PATIENCE)
        assert not place.mails()
        assert not service.said("channel.breaker")
        place.smtp.clear()
        until(lambda: list(place.outcomes().values()) == ["sent"] * 6, timeout=PATIENCE)
        until(judge.at_rest, timeout=PATIENCE)
        assert len(place.mails()) == 6
        judge.verdict()


def test_one_after_the_other_they_are_called_back_too(place: Place, judge: Judge) -> None:
    """Nobody waits behind the breaker here but what had bounced."""
    refuse(place, "dot", UNKNOWN)
    events = six()
    with place.service() as service:
        for each in events[:3]:
            tried = place.smtp.stats().counts.get("rule:dot:reply", 0)
            judge.publish(each)
            until(lambda tried=tried: place.smtp.stats().counts.get("rule:dot:reply", 0) > tried)  # type: ignore[misc]
        until(lambda: service.said("recall.ordered"), timeout=PATIENCE)
        until(lambda: service.said("recall.published"), timeout=PATIENCE)
        assert any("are recalled once a mail is accepted" in note for note in judge.balance().notes)
        judge.publish(*events[3:])
        place.smtp.clear()
        assert_all_sent(place, judge)


@pytest.mark.parametrize("reply", [UNKNOWN, QUOTA], ids=["unknown words", "known words"])
@pytest.mark.parametrize("survivors", [0, 1])
def test_a_worker_is_killed_in_the_middle_of_it(place: Place, judge: Judge, reply: str, survivors: int) -> None:
    refuse(place, "dot", reply)
    others = [place.service(LEASE_SECONDS="2") for _ in range(survivors)]
    for other in others:
        other.start()
    with crashing(place, CRASH_AT="publish.after:2") as worker:
        judge.publish(*six())
        until(lambda: worker.said("channel.breaker") or worker.exit_code or any(map(opened, others)), timeout=PATIENCE)
        time.sleep(1)
        if not worker.exit_code:
            os.kill(worker.pid, signal.SIGKILL)
    with place.service(LEASE_SECONDS="2"):
        time.sleep(2)  # the one that follows meets the same server for a while
        assert not place.mails()
        place.smtp.clear()
        assert_all_sent(place, judge)


def test_an_attack_by_one_domain_or_two_does_not_slow_the_others(place: Place, judge: Judge) -> None:
    """A customer books with many addresses of domains whose servers word their refusals as if they were about us."""
    evil = [f"guest{number}@{name}.example" for number in range(16) for name in ("evil", "worse")]
    rules = [Rule(at="rcpt", match=f"@{name}.", reply=SENDER) for name in ("evil", "worse")]
    place.smtp.script(rules)
    bad = [fresh("booking.confirmed", user_email=each) for each in evil]
    good = [fresh("booking.confirmed", user_email=f"guest{n}@good{n % 30}.example") for n in range(200)]
    with place.service(MAX_RETRY_ATTEMPTS="1") as service:
        judge.publish(*bad, *good)
        until(lambda: len(place.mails()) == len(good), timeout=30)
        openings = [line for line in service.said("channel.breaker") if line["state"] == "open"]
        until(lambda: {place.outcomes()[each["event_id"]] for each in bad} <= {"parked", "bounced"}, timeout=PATIENCE)
        until(judge.at_rest, timeout=PATIENCE)
        assert len(openings) <= 2
    assert {place.outcomes()[each["event_id"]] for each in good} == {"sent"}


VERIFIED = "450 4.1.1 <a@x>: Recipient address rejected: unverified address: host mx.x said: 550 no relay for you"
IN_HAND = RabbitSettings.model_fields["prefetch"].default
WEAPONS = {
    "a verified recipient": Rule(at="rcpt", match="@evil", reply=VERIFIED),
    "no relay": Rule(at="rcpt", match="@evil", reply="550 5.7.1 no relay for you"),
    "a bare 421": Rule(at="rcpt", match="@evil", reply="421"),
    "breaks off at the content": Rule(at="dot", match="@evil", action="drop"),
}


@pytest.mark.parametrize("weapon", WEAPONS)
def test_as_many_addresses_in_front_as_are_in_hand_each_of_its_own_domain_do_not_stop_all_mail(
    place: Place, judge: Judge, weapon: str
) -> None:
    """They fill the queue that waits for a probe, so that nobody else's mail is there to show that it would go."""
    place.smtp.script([WEAPONS[weapon]])
    bad = [fresh("booking.confirmed", user_email=f"guest@evil{n}.example") for n in range(IN_HAND)]
    good = [fresh("booking.confirmed", user_email=f"guest{n}@good{n % 30}.example") for n in range(200)]
    with place.service(MAX_RETRY_ATTEMPTS="1"):
        judge.publish(*bad, *good)
        until(lambda: len(place.mails()) == len(good), timeout=60)
        place.smtp.clear()
    assert {place.outcomes()[each["event_id"]] for each in good} == {"sent"}


def opened(service: Service) -> bool:
    return bool(service.said("channel.breaker"))
