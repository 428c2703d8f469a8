"""Push while workers are killed at random and a service drops one answer in ten: each device shows one message."""

import os
import sys
from pathlib import Path

import pytest

from tests.faults.kills import assert_sent_or_given_up, given_up, records_of, settled_under_kills
from tests.samples import fresh
from tests.stack.place import Place
from tests.stack.publisher import event
from tests.stack.push_double import PushDouble

SOAK_EVENTS = int(os.environ.get("FAULT_PUSH_EVENTS", "1000"))


@pytest.mark.parametrize("events", [25, pytest.param(SOAK_EVENTS, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_each_device_shows_one_message_though_workers_die_and_answers_are_lost(
    place: Place, tmp_path: Path, events: int
) -> None:
    people = [(f"fcm-token-{each:0100}", f"{each:064x}") for each in range(1, events + 1)]
    published = [event(fresh("booking.cancelled", device_tokens=list(tokens))) for tokens in people]
    with PushDouble(tmp_path / "push", drop_every=10, seconds=0.05) as double:
        kills = settled_under_kills(place, published, "push", {**double.environment, "NOTIFICATION_TIMEOUT": "5"})
    found, shown = records_of(place, "push"), double.services.shown
    marked = {each["_id"] for each in found if each.get("possible_duplicate")}
    left = given_up(found)
    sys.stdout.write(
        f"{kills} kills, {events} events, {sum(shown.values())} messages, {double.dropped} answers lost, "
        f"{len(marked)} marked, {max(each.get('resends', 1) for each in found)} resends at most, "
        f"{len(left)} given up after three lost workers\n"
    )
    assert double.services.faults == []
    # However often a worker dies while it sends again: a further message replaces the one before.
    assert len(found) == events
    assert_sent_or_given_up(place, "push", found)
    # A second message has the tag of the first, which it replaces on the screen, and its record says so.
    assert {token for token, _ in shown} <= {token for tokens in people for token in tokens}
    assert len({token for token, _ in shown}) == len(shown), "a device shows two messages about one event"
    assert {tag for (_, tag), times in shown.items() if times > 1} <= marked
    assert {each["_id"] for each in found if each not in left} <= {tag for _, tag in shown}
    assert double.dropped, "no message was in doubt: this run has proved nothing"
