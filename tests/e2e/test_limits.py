"""What is too much is delayed, and nothing of it is lost."""

import hashlib
import itertools
import time

from redis import Redis

from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import event

MOST = 20


def test_one_address_is_not_bombed_and_others_do_not_wait(place: Place) -> None:
    storm = [fresh("booking.confirmed") for _ in range(100)]
    another = fresh("booking.confirmed", user_email="max@example.com")
    # One mail in 1.2 s beyond the first ones.
    with place.service(RECIPIENT_MAILS_PER_HOUR=str(MOST), RETRY_RUNGS="1,120") as service:
        place.publish(*map(event, storm), event(another))
        until(lambda: len(place.outcomes()) == len(storm) + 1, timeout=60)
        until(lambda: place.outcomes()[another["event_id"]] == "sent", timeout=60)
        until(lambda: list(place.outcomes().values()).count("waiting") == len(storm) - MOST, timeout=60)
        until(lambda: place.depth("notification.retry.120s") == len(storm) - MOST, timeout=60)
        assert list(place.outcomes().values()).count("sent") == MOST + 1
        waits = sorted(line["wait_s"] for line in service.said("event.retry_scheduled"))
        assert len(waits) == len(storm) - MOST
    due = sorted(record["due_at"] for record in place.records() if record["outcome"] == "waiting")
    apart = [(later - sooner).total_seconds() for sooner, later in itertools.pairwise(due)]
    assert all(120 < seconds < 240 for seconds in apart)  # an hour, shared by twenty
    assert len(place.mails()) == MOST + 1


def test_what_was_delayed_is_sent_when_its_time_has_come(place: Place) -> None:
    events = [fresh("booking.confirmed") for _ in range(4)]
    with Redis.from_url(place.stack.redis_url) as redis:
        # A bucket that is full, at one mail a second.
        key = f"notification-rate:{hashlib.sha256(events[0]['user_email'].encode()).hexdigest()[:32]}"
        redis.set(key, (time.time() + 3600 + 10) * 1000)  # longer than any start takes
    with place.service(RECIPIENT_MAILS_PER_HOUR="3600", RETRY_RUNGS="1,2") as service:
        place.publish(*map(event, events))
        until(lambda: list(place.outcomes().values()) == ["sent"] * 4, timeout=60)
        delayed = {line["event_id"] for line in service.said("event.retry_scheduled") if "many mails" in line["reason"]}
        assert delayed == {each["event_id"] for each in events}
        assert any(line["reason"] == "its time has not come" for line in service.said("event.retry_scheduled"))
    sent = sorted(record["sent_at"] for record in place.records())
    assert (sent[-1] - sent[0]).total_seconds() > 1


def test_a_cancelled_show_keeps_the_limit_of_a_domain_and_nobody_else_behind_it(place: Place) -> None:
    storm = [fresh("booking.cancelled.show", user_email=f"guest-{number}@mail.example") for number in range(45)]
    here, elsewhere = (fresh("booking.confirmed", user_email=f"ticket@{name}.example") for name in ("mail", "other"))
    # 120 a minute: 84 of them for all mails, of which 8 go at once, and one in 0.8 s after that.
    limit = {"DOMAIN_MAILS_PER_MINUTE": '{"mail.example": 120}', "RETRY_RUNGS": "1,2,5"}
    with place.service(**limit) as service:
        place.publish(*map(event, storm))
        until(lambda: any("its domain" in line["reason"] for line in service.said("event.retry_scheduled")), timeout=60)
        place.publish(event(here), event(elsewhere))
        tickets = {here["event_id"], elsewhere["event_id"]}
        until(lambda: {place.outcomes().get(each) for each in tickets} == {"sent"}, timeout=20)
        assert "waiting" in place.outcomes().values(), "the storm was over before the tickets: nothing was shown"
        until(lambda: set(place.outcomes().values()) == {"sent"}, timeout=90)
    assert len(place.mails()) == len(storm) + 2
    cancelled = {each["event_id"] for each in storm}
    sent = sorted(record["sent_at"] for record in place.records() if record["event_id"] in cancelled)
    assert (sent[-1] - sent[0]).total_seconds() > 60 / 76 * (len(storm) - 8 - 1)
