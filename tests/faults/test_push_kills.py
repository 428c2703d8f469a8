"""Push while workers are killed at random and a service drops one answer in ten: each device shows one message."""

import os
import random
import secrets
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from notification_service.broker.topology import PARKED
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.place import RECORDS, Place, until
from tests.stack.publisher import event
from tests.stack.push_double import PushDouble

WORKERS = 2
SOAK_EVENTS = int(os.environ.get("FAULT_PUSH_EVENTS", "1000"))
EVENTS_A_KILL = 12.5


@pytest.mark.parametrize("events", [25, pytest.param(SOAK_EVENTS, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_each_device_shows_one_message_though_workers_die_and_answers_are_lost(
    place: Place, tmp_path: Path, events: int
) -> None:
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(10**6)))
    sys.stdout.write(f"FAULT_SEED={seed}\n")
    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
    people = [(f"fcm-token-{each:0100}", f"{each:064x}") for each in range(1, events + 1)]
    with PushDouble(tmp_path / "push", drop_every=10, seconds=0.05) as double, ExitStack() as stack:
        changes = {**double.environment, "LEASE_SECONDS": "2", "NOTIFICATION_TIMEOUT": "5"}
        workers = [stack.enter_context(place.service(**changes)) for _ in range(WORKERS)]
        published = kills = 0
        while published < events:
            due = people[published : published + round(EVENTS_A_KILL)]
            place.publish(*(event(fresh("booking.cancelled", device_tokens=list(tokens))) for tokens in due))
            published, kills = published + len(due), kills + 1
            time.sleep(dice.uniform(0, 0.5))  # the moment of the kill
            victim = dice.choice(workers)
            victim.kill()
            victim.start()
            victim.wait_ready()
        until(lambda: _open(place) == 0 and _records(place) == events, timeout=events + 60)
        until(Judge(place).at_rest, timeout=120)
    found = list(place.database[RECORDS].find({"notification_type": "push"}))
    shown = double.services.shown
    marked = {each["_id"] for each in found if each.get("possible_duplicate")}
    sent = sum(shown.values())
    sys.stdout.write(
        f"{kills} kills, {events} events, {sent} messages, {double.dropped} answers lost, {len(marked)} marked\n"
    )
    assert double.services.faults == []
    # A worker that is killed while it sends again leaves no third try, as with e-mail: a person decides.
    lost_twice = [each for each in found if each["outcome"] == "unknown"]
    assert Counter(each["outcome"] for each in found if each not in lost_twice) == {"sent": events - len(lost_twice)}
    assert len(lost_twice) <= max(1, events // 100)
    assert place.depth(PARKED) == len(lost_twice)
    # A second message has the tag of the first, which it replaces on the screen, and its record says so.
    assert {token for token, _ in shown} <= {token for tokens in people for token in tokens}
    assert len({token for token, _ in shown}) == len(shown), "a device shows two messages about one event"
    assert {tag for (_, tag), times in shown.items() if times > 1} <= marked
    assert len({tag for _, tag in shown}) == events
    assert double.dropped, "no message was in doubt: this run has proved nothing"


def _records(place: Place) -> int:
    return place.database[RECORDS].count_documents({"notification_type": "push"})


def _open(place: Place) -> int:
    return place.database[RECORDS].count_documents(
        {"notification_type": "push", "outcome": {"$in": ["pending", "waiting"]}}
    )
