"""SMS while workers are killed at random and the provider drops one answer in ten: one message each, none parked."""

import os
import random
import secrets
import sys
import time
from collections import Counter
from contextlib import ExitStack

import pytest

from notification_service.broker.topology import PARKED
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.place import RECORDS, Place, until
from tests.stack.publisher import event
from tests.stack.twilio import Reply, Twilio

WORKERS = 2
SOAK_EVENTS = int(os.environ.get("FAULT_SMS_EVENTS", "1000"))
EVENTS_A_KILL = 12.5


@pytest.mark.parametrize("events", [25, pytest.param(SOAK_EVENTS, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_each_number_gets_one_sms_though_workers_die_and_answers_are_lost(place: Place, events: int) -> None:
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(10**6)))
    sys.stdout.write(f"FAULT_SEED={seed}\n")
    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
    numbers = [f"+491511{place:07}" for place in range(events)]
    with Twilio(drop_every=10) as twilio, ExitStack() as stack:
        twilio.script(always=Reply(seconds=0.05))
        changes = {**twilio.environment, "LEASE_SECONDS": "2", "NOTIFICATION_TIMEOUT": "2"}
        workers = [stack.enter_context(place.service(**changes)) for _ in range(WORKERS)]
        published = kills = 0
        while published < events:
            due = numbers[published : published + round(EVENTS_A_KILL)]
            place.publish(*(event(fresh("booking.cancelled", phone=number)) for number in due))
            published, kills = published + len(due), kills + 1
            time.sleep(dice.uniform(0, 0.5))  # the moment of the kill
            victim = dice.choice(workers)
            victim.kill()
            victim.start()
            victim.wait_ready()
        until(lambda: _open(place) == 0 and _records(place) == events, timeout=events + 60)
        until(Judge(place).at_rest, timeout=120)
    got = Counter(each.to for each in twilio.messages)
    found = list(place.database[RECORDS].find({"notification_type": "sms"}))
    sys.stdout.write(
        f"{kills} kills, {events} events, {twilio.requests} requests, {twilio.listed} look-ups, "
        f"{sum(bool(each.get('possible_duplicate')) for each in found)} marked\n"
    )
    assert Counter(each["outcome"] for each in found) == {"sent": events}
    assert got == dict.fromkeys(numbers, 1)
    assert place.depth(PARKED) == 0
    assert twilio.listed, "no message was in doubt: this run has proved nothing"


def _records(place: Place) -> int:
    return place.database[RECORDS].count_documents({"notification_type": "sms"})


def _open(place: Place) -> int:
    return place.database[RECORDS].count_documents(
        {"notification_type": "sms", "outcome": {"$in": ["pending", "waiting"]}}
    )
