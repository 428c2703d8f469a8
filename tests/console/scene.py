"""A place with something to see: mails that went out and mails that did not, an hour ago and a week ago."""

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.notification_ids import Fact, notification_id
from tests.samples import fresh
from tests.stack.place import RECORDS, Document, Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule

TOKEN = "a token that only the tests know"
SCRIPT = '<script>document.title="taken"</script><img src=x onerror="document.title=1">'
BOOKING = "BOOK-789012"
TITLES = ("Inception", "Spirited Away", "Amélie", "The Third Man", "Paris, Texas", "In the Mood for Love", "Metropolis")
RULES = [
    Rule(at="rcpt", match="gone@", reply="550 5.1.1 <gone@example.org>: no such user here"),
    Rule(at="dot", match="full@", reply="452 4.2.2 mailbox full, try again later"),
    Rule(at="dot", match="cut@", action="drop_after_accept"),
]
SETTINGS = {"CONSOLE_TOKEN": TOKEN, "MAX_RETRY_ATTEMPTS": "0", "UNKNOWN_HOLD": "payment_failed", "LEASE_SECONDS": "2"}
PARKED = 4


def fill(place: Place) -> None:
    """One of everything, by a real service through a real mail server; it has to run, under `SETTINGS`."""
    place.smtp.script(RULES)
    told = list(_events())
    place.publish(*map(event, told))
    ids = {each["event_id"] for each in told}
    until(lambda: _ended(place) >= ids, timeout=60)
    until(lambda: place.depth("notification.parked") == PARKED, timeout=60)
    place.smtp.clear()


def _events() -> Iterator[Document]:
    for number, title in enumerate(TITLES):
        yield fresh("booking.confirmed", booking_id=f"BOOK-78900{number}", movie_title=title)
    yield fresh("payment.success", booking_id=BOOKING, event_id="receipt")
    yield fresh("booking.confirmed", booking_id=BOOKING, event_id="bounced", user_email="gone@example.org")
    yield fresh("booking.confirmed", booking_id="BOOK-1", event_id="full", user_email="full@example.org")
    yield fresh("payment.failed", booking_id="BOOK-2", event_id="in-doubt", user_email="cut@example.org")
    yield fresh("payment.success", booking_id="", user_id="nobody knows", event_id="nobody")
    yield fresh("booking.confirmed", booking_id="BOOK-3", showtime="2020-01-01 08:00 PM", event_id="begun")
    yield fresh("booking.confirmed", booking_id=f"BOOK-4{SCRIPT}", movie_title=f"Movie {SCRIPT}", event_id="script")
    yield fresh(
        "booking.confirmed", booking_id=SCRIPT, user_id="", user_email=f"{SCRIPT}@a.org", event_id=f"bad {SCRIPT}"
    )


def _ended(place: Place) -> set[str]:
    return {each for each, outcome in place.outcomes().items() if outcome not in ("pending", "waiting")}


def age(place: Place, hours: int = 24 * 7, most: int = 30) -> None:
    """Records of the past, so that the charts have a week to show: more by day, a bad evening two days ago."""
    drawn = random.Random(7)  # noqa: S311 - a picture
    now = datetime.now(UTC)
    past = [each for hour in range(1, hours) for each in _hour(drawn, now - timedelta(hours=hour), most)]
    place.database[RECORDS].insert_many(past)


def _hour(drawn: random.Random, at: datetime, most: int) -> Iterator[Document]:
    busy = 0.15 + 0.85 * max(0.0, 1 - abs(at.hour - 18) / 9)
    bad = timedelta(hours=44) < datetime.now(UTC) - at < timedelta(hours=49)
    for _ in range(int(most * busy * drawn.uniform(0.7, 1))):
        words = ["sent"] * (30 if bad else 200) + ["skipped"] * 3 + ["bounced"] * 4 + ["parked"] * (25 if bad else 1)
        outcome = drawn.choice(words)
        moment = at + timedelta(seconds=drawn.uniform(0, 3500))
        number = drawn.getrandbits(40)
        fact = Fact(f"booking:BOOK-{number}:confirmed")
        own = notification_id(fact, None, "booking_confirmation", ChannelKind.EMAIL)
        accepted = {"at": moment, "result": "accepted", "duration_ms": 31.0, "code": 250, "reply": "250 2.0.0 Ok"}
        yield {
            "_id": own,
            "event_id": f"evt_booking_{number}",
            "event_ids": [f"evt_booking_{number}"],
            "event_type": "booking.confirmed",
            "fact": fact.key,
            "notification_type": "email",
            "template": "booking_confirmation",
            "booking_id": f"BOOK-{number}",
            "recipient": f"guest{number % 5000}@example.com",
            "subject": f"You're booked: {drawn.choice(TITLES)}",
            "message_id": f"<{own}@cinema.example>",
            "status": "sent" if outcome == "sent" else "failed",
            "outcome": outcome,
            "reason": {"parked": "retries_exhausted", "bounced": "550 5.1.1", "skipped": "expired"}.get(outcome),
            "attempts": [accepted] if outcome == "sent" else [],
            **({"sent_at": moment} if outcome == "sent" else {}),
            "created_at": moment,
            "updated_at": moment,
        }


def readers(place: Place) -> None:
    """What readers and providers said: who is not written to, and which links were followed."""
    now = datetime.now(UTC)

    def said(source: str, hours: float, code: str | None = None, detail: str = "") -> Document:
        told = {"source": source, "source_id": f"{source}{hours}", "at": now - timedelta(hours=hours), "code": code}
        return {**told, "key": f"{source}:{hours}", "detail": detail, "notification_id": f"{int(hours):032x}"}

    lift = {"at": now - timedelta(hours=2), "by": "Jo Smith (console)", "reason": "She emptied her mailbox"}
    known: list[Document] = [
        {"gone": {"evidence": [said("ses", 3, "5.1.1", "smtp; 550 5.1.1 user unknown")]}},
        {"complained": {"evidence": [said("postmark", 20)]}, "unsubscribed": {"evidence": [said("link", 21)]}},
        {"failing": {"evidence": [said("mailgun", 90, "5.4.4"), said("mailgun", 30, "5.4.4")]}},
        {"by_hand": {"evidence": [said("Ann (console)", 50, None, "Wants paper only") | {"notification_id": None}]}},
        {"gone": {"evidence": [said("sendgrid", 70, "5.1.10")], "lifts": [lift]}},
    ]
    place.database["notification_suppressions"].insert_many(
        {"_id": f"email:{hashlib.sha256(str(number).encode()).hexdigest()[:32]}", **each, "changed_at": now}
        for number, each in enumerate(known, 1)
    )
    links = [
        ("payment_failed", "retry", 41),
        ("booking_confirmation", "booking", 112),
        ("payment_success", "support", 9),
    ]
    place.database["notification_signals"].insert_many(
        {
            "_id": f"{template}{number}",
            "kind": "clicked",
            "at": now - timedelta(hours=number),
            "received_at": now - timedelta(hours=number),
            "notification_id": f"{template}{number // 2}",
            "template": template,
            "extra": {"link": link, **({"why": "robot"} if number % 5 == 0 else {})},
        }
        for template, link, count in links
        for number in range(count)
    )


def feedback(place: Place) -> None:
    """What became known of mails after they were sent: bounces and complaints of the week, and what became of one."""
    now, records = datetime.now(UTC), place.database[RECORDS]
    known = [("5.1.1", "smtp; 550 5.1.1 user unknown")] * 9 + [("5.2.2", "smtp; 552 5.2.2 mailbox full")] * 4
    known += [("5.4.4", "no mail server")]
    known += [("5.7.26", "smtp; 550 5.7.26 unauthenticated email is not accepted")] * 2 + [("5.4.1", "no answer")]
    heard: list[Document] = [
        {"kind": "bounced", "code": code, "detail": detail, "source": "report"} for code, detail in known
    ] + [{"kind": "complained", "source": "report"}] * 2
    domains = {"gmail.com": "gmail", "yahoo.com": "yahoo", "outlook.com": "microsoft", "example.com": "other"}
    sent = list(records.find({"outcome": "sent", "template": "booking_confirmation"}).sort("created_at", -1).limit(900))
    for number, record in enumerate(sent):
        domain = list(domains)[number % 4]
        change: Document = {"recipient": f"guest{number}@{domain}"}
        # One of seven, so that the newest page shows more than what failed.
        if number % 7 == 3 and number // 7 < len(heard):
            told = {**heard[number // 7], "at": now - timedelta(hours=number), "mailbox": domains[domain]}
            _learn(place, record, f"week{number}", told)
            status = "failed" if told["kind"] == "bounced" else "complained"
            change["delivery"] = {"status": status, "at": told["at"], "code": told.get("code")}
        records.update_one({"_id": record["_id"]}, {"$set": change})
    receipt = records.find_one({"event_ids": "receipt"})
    assert receipt
    at = receipt["sent_at"]
    story: list[Document] = [
        {
            "kind": "deferred",
            "code": "4.2.2",
            "detail": "smtp; 452 4.2.2 mailbox full",
            "at": at + timedelta(minutes=4),
        },
        {"kind": "delivered", "detail": "250 2.0.0 OK", "at": at + timedelta(minutes=34)},
        {"kind": "clicked", "at": at + timedelta(minutes=50), "extra": {"link": "support", "class": "person"}},
        {"kind": "complained", "detail": "Feedback-Type: abuse", "at": at + timedelta(hours=1)},
    ]
    for number, each in enumerate(story):
        source = "link" if each["kind"] == "clicked" else "postmark"
        _learn(place, receipt, f"receipt{number}", {"source": source, "mailbox": "other", **each})
    records.update_one(
        {"_id": receipt["_id"]},
        {"$set": {"delivery": {"status": "complained", "at": story[-1]["at"], "code": None}}},
    )


def _learn(place: Place, record: Document, name: str, told: Document) -> None:
    fields = {"_id": name, "notification_id": record["_id"], "template": record["template"], "handled": True}
    place.database["notification_signals"].insert_one({**fields, "received_at": told["at"], **told})


def add_experiment(place: Place, salt: str, number: int = 2000, days: int = 10) -> None:
    """A test that ran for some days: of each variant the half, of which 30 % and 42 % paid an hour later."""
    start = datetime.now(UTC) - timedelta(days=days)
    test = {"template": "payment_failed", "share": 0.5, "wanted": 0.05, "started_at": start}
    place.database["notification_facts"].update_one(
        {"_id": "experiments"}, {"$set": {f"tests.{salt}": test}}, upsert=True
    )
    documents: list[Document] = []
    for at in range(number):
        moment, booking = start + timedelta(days=days - 3) * at / number, f"{salt}-{at}"
        known: Document = {"booking_id": booking, "notification_type": "email", "fact": booking, "event_ids": []}
        known |= {
            "owner": "",
            "recipient": "",
            "event_id": booking,
            "created_at": moment,
            "updated_at": moment,
            "event_data": {},
        }
        tested = {"template": "payment_failed", "event_type": "payment.failed", "variant": "ab"[at % 2]}
        sent = {"status": "sent", "outcome": "sent", "sent_at": moment, "experiment": salt, "unit": f"u{at}"}
        documents.append({**known, "_id": f"{salt}-n{at}", **tested, **sent})
        if (at // 2 * 7) % 100 < (30, 42)[at % 2]:
            paid = {"template": "payment_success", "event_type": "payment.success", "status": "sent", "outcome": "sent"}
            later = {"created_at": moment + timedelta(hours=1)}
            documents.append({**known, "_id": f"{salt}-p{at}", **paid, **later})
    place.database[RECORDS].insert_many(documents)


def remove_experiment(place: Place, salt: str) -> None:
    place.database["notification_facts"].update_one({"_id": "experiments"}, {"$unset": {f"tests.{salt}": ""}})
    place.database[RECORDS].delete_many({"_id": {"$regex": f"^{salt}-"}})
