"""SMS while workers are killed at random and the provider drops one answer in ten: never two to one number."""

import os
import sys
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.faults.kills import assert_sent_or_given_up, given_up, parked, records_of, settled_under_kills
from tests.samples import fresh
from tests.stack.place import Place
from tests.stack.publisher import Publication, event
from tests.stack.sns import Sns
from tests.stack.twilio import Reply, Twilio

SOAK_EVENTS = int(os.environ.get("FAULT_SMS_EVENTS", "1000"))
SOAK = [pytest.mark.soak, pytest.mark.timeout(1800)]
PATIENCE = {"NOTIFICATION_TIMEOUT": "2"}


def _numbers(events: int) -> list[str]:
    return [f"+491511{place:07}" for place in range(events)]


def _cancelled(numbers: Sequence[str]) -> list[Publication]:
    return [event(fresh("booking.cancelled", phone=number)) for number in numbers]


@pytest.mark.parametrize("events", [25, pytest.param(SOAK_EVENTS, marks=SOAK)])
def test_each_number_gets_one_sms_though_workers_die_and_answers_are_lost(place: Place, events: int) -> None:
    numbers = _numbers(events)
    with Twilio(drop_every=10) as twilio:
        twilio.script(always=Reply(seconds=0.05))
        kills = settled_under_kills(place, _cancelled(numbers), "sms", {**twilio.environment, **PATIENCE})
    found = records_of(place, "sms")
    left = given_up(found)
    sys.stdout.write(
        f"{kills} kills, {events} events, {len(twilio.messages)} messages, {twilio.requests} requests, "
        f"{twilio.listed} look-ups, {sum(bool(each.get('possible_duplicate')) for each in found)} marked, "
        f"{len(left)} given up after three lost workers\n"
    )
    assert len(found) == events
    assert_sent_or_given_up(place, "sms", found)
    got = Counter(each.to for each in twilio.messages)
    assert max(got.values()) == 1, "somebody got two"
    assert set(numbers) - {each["event_data"]["phone"] for each in left} <= got.keys() <= set(numbers)
    assert twilio.listed, "no message was in doubt: this run has proved nothing"


@pytest.mark.parametrize("events", [25, pytest.param(SOAK_EVENTS, marks=SOAK)])
def test_where_the_provider_cannot_say_what_is_in_doubt_is_held_and_never_sent_twice(place: Place, events: int) -> None:
    numbers = _numbers(events)
    with Sns(drop_every=10, seconds=0.05) as sns:
        kills = settled_under_kills(place, _cancelled(numbers), "sms", {**sns.environment, **PATIENCE})
    got, found = Counter(sns.numbers), records_of(place, "sms")
    left = given_up(found)
    outcome = {each["event_data"]["phone"]: each["outcome"] for each in found}
    held = {number for number, ended in outcome.items() if ended == "unknown"}
    sys.stdout.write(
        f"{kills} kills, {events} events, {len(sns.numbers)} messages, {len(sns.dropped)} answers lost, "
        f"{len(held)} held, {len(left)} given up after three lost workers\n"
    )
    assert sns.faults == []
    not_begun = {each["event_data"]["phone"] for each in left if each["outcome"] == "parked"}
    assert outcome == {
        number: "unknown" if number in held else "parked" if number in not_begun else "sent" for number in numbers
    }
    assert len(left) <= events // 250
    assert max(got.values()) == 1, "somebody got two"
    assert {number for number, ended in outcome.items() if ended == "sent"} <= got.keys()
    assert set(sns.dropped) <= held, "a message whose answer was lost counts as sent"
    # A worker may die between the copy for the parking queue and the ack, which makes two copies of one event.
    assert parked(place, "sms") >= len(held)
    assert not any(each.get("possible_duplicate") for each in found)
    assert sns.dropped, "no message was in doubt: this run has proved nothing"
