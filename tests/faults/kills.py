"""Publishes events while the workers that handle them are killed at random."""

import json
import os
import random
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from tests.faults.judge import Judge
from tests.stack.place import RECORDS, Document, Place, until
from tests.stack.publisher import Publication

_WORKERS = 2
_EVENTS_A_KILL = 12


def settled_under_kills(place: Place, events: Sequence[Publication], channel: str, changes: Mapping[str, str]) -> int:
    """Returns the number of kills when each event has its record in this channel, and nothing is under way.

    `changes`: to the settings of the workers.
    """
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(10**6)))
    sys.stdout.write(f"FAULT_SEED={seed}\n")
    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
    kills = 0
    with ExitStack() as stack:
        workers = [stack.enter_context(place.service(LEASE_SECONDS="2", **changes)) for _ in range(_WORKERS)]
        for first in range(0, len(events), _EVENTS_A_KILL):
            place.publish(*events[first : first + _EVENTS_A_KILL])
            time.sleep(dice.uniform(0, 0.5))  # the moment of the kill
            victim = dice.choice(workers)
            victim.kill()
            victim.start()
            victim.wait_ready()
            kills += 1
        until(lambda: _ended(place, channel) == len(events), timeout=len(events) + 60)
        until(Judge(place).at_rest, timeout=120)
    return kills


def records_of(place: Place, channel: str) -> list[Document]:
    return list(place.database[RECORDS].find({"notification_type": channel}))


def given_up(records: Sequence[Document]) -> list[Document]:
    """The records of events that three killed workers had in hand, one after the other (docs/pitfalls.md, 28).

    Events that kill their workers look the same, so the service leaves them to a person. At random it happens to a few
    events in a thousand, on a busy machine.
    """
    return [each for each in records if "workers were lost while they had it in hand" in each.get("detail", "")]


def assert_sent_or_given_up(place: Place, channel: str, found: Sequence[Document]) -> None:
    """Each of these records is sent, but for one in 250 at most that a person has to look at."""
    left = given_up(found)
    assert [
        (each["outcome"], each.get("detail")) for each in found if each not in left and each["outcome"] != "sent"
    ] == []
    assert bool(parked(place, channel)) == bool(left)
    assert len(left) <= len(found) // 250


def parked(place: Place, channel: str) -> int:
    """How many events of this channel a person has to look at."""
    listed = json.loads(place.command("parked", "list", "--json").stdout)["events"]
    return sum(each["channel"] == channel for each in listed)


def _ended(place: Place, channel: str) -> int:
    ended = {"notification_type": channel, "outcome": {"$nin": ["pending", "waiting"]}}
    return place.database[RECORDS].count_documents(ended)
