"""Workers with two channels are killed at random: neither channel loses an event or doubles one without the mark."""

import os
import random
import secrets
import sys
import time
from contextlib import ExitStack

import pytest

from tests.e2e.test_second_channel import PATIENCE, balance, both, outcomes, texts
from tests.faults import checker
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.inspection import end_well
from tests.stack.place import RECORDS, Place, until
from tests.stack.smtp_rules import Rule
from tests.stack.webhook import Answer, Webhook

EVENTS_A_KILL = 6
MISBEHAVIOUR = (Answer(503), Answer(503, retry_after=1), Answer(401), Answer(lost=True), Answer(seconds=0.5))
RULES = (
    Rule(at="rcpt", reply="450 4.2.1 mailbox busy", times=2),
    Rule(at="mail", reply="421 4.3.2 closing", times=2),
    Rule(at="dot", action="drop_after_accept", times=1),
)
SLOW = Rule(at="dot", action="late", seconds=0.1)


@pytest.mark.timeout(300)
def test_a_few_kills(place: Place) -> None:
    _kill_at_random(place, workers=2, kills=3)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_minute_of_kills(place: Place) -> None:
    _kill_at_random(place, workers=4, seconds=60)


def _kill_at_random(place: Place, *, workers: int, kills: int = 10**6, seconds: float = 600) -> None:
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(10**6)))
    sys.stdout.write(f"FAULT_SEED={seed}\n")
    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
    judge, done, end = Judge(place), 0, time.monotonic() + seconds
    with Webhook() as webhook, ExitStack() as stack:
        running = [stack.enter_context(both(place, webhook, MAX_RETRY_ATTEMPTS="50")) for _ in range(workers)]
        while done < kills and time.monotonic() < end:
            webhook.script(*dice.choices(MISBEHAVIOUR, k=2), always=Answer(seconds=0.1))
            place.smtp.script([dice.choice(RULES), SLOW])
            down = dice.random() < 1 / 4
            if down:
                webhook.stop()
            judge.publish(*(fresh("booking.confirmed") for _ in range(EVENTS_A_KILL)))
            time.sleep(dice.uniform(0, 0.8))  # the moment of the kill
            victim = dice.choice(running)
            victim.kill()
            if down:
                webhook.start()
            victim.start()
            victim.wait_ready()
            done += 1
        webhook.script()
        place.smtp.clear()
        until(lambda: judge.confirmed <= outcomes(place, "push").keys() & outcomes(place, "email").keys(), PATIENCE)
        until(judge.at_rest, timeout=180)
        end_well(*running)
    _assert_nothing_lost_or_doubled(place, judge, webhook, done)


def _assert_nothing_lost_or_doubled(place: Place, judge: Judge, webhook: Webhook, kills: int) -> None:
    """By the checker that knows none of the service's code: once for each channel."""
    sent: dict[str, list[str | None]] = {
        "email": [mail.message_id for mail in place.mails()],
        "push": [*webhook.references],
    }
    for channel, references in sent.items():
        records = list(place.database[RECORDS].find({"notification_type": channel}))
        account = checker.check(judge.confirmed, records, references)
        sys.stdout.write(f"{kills} kills, {channel}: {account}\n")
        assert not account.broken, f"I2: {channel}: {[str(finding) for finding in account.findings]}"
    assert texts(balance(judge)) == ""
