"""An SMTP server that is down, refuses, disconnects, answers late or slowly, or sends unsolicited replies."""

import json
import time
import urllib.request
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from tests.faults.judge import Found, Judge
from tests.samples import fresh
from tests.stack.inspection import end_well, gauge
from tests.stack.local import LocalStack
from tests.stack.place import Document, Place, Service, until
from tests.stack.proxy import Proxy
from tests.stack.smtp import SmtpServer
from tests.stack.smtp_rules import Rule

PATIENCE = 60
DOWN_FOR = 5.0
SESSIONS = 4
DEADLINE = 2
BUSY = 5.0
"""Seconds that a busy machine may take on top; what is not bounded takes far more."""


def _confirmations(count: int) -> list[Document]:
    return [fresh("booking.confirmed") for _ in range(count)]


def _to(*names: str) -> dict[str, Document]:
    """A confirmation for each of these mailboxes, so that a rule can be for one of them."""
    return {name: fresh("booking.confirmed", user_email=f"{name}@guests.example") for name in names}


def _all_sent(judge: Judge, place: Place) -> bool:
    return place.outcomes() == dict.fromkeys(judge.confirmed, "sent")


def _end(judge: Judge, service: Service) -> dict[str, Found]:
    until(judge.at_rest, timeout=PATIENCE)
    end_well(service)
    return judge.verdict()


def _assert_sent_once(found: Iterable[Found]) -> None:
    for each in found:
        assert (each.record["outcome"], len(each.mails), each.marked) == ("sent", 1, False)


def _assert_resent_and_marked(found: Found, mails: int) -> None:
    """The window: the same mail once more under its Message-ID, and the record says so."""
    assert (found.record["outcome"], len(found.mails), found.marked) == ("sent", mails, True)
    assert [each["result"] for each in found.record["attempts"]] == ["in_doubt", "accepted"]


def _assert_nobody_was_blamed(service: Service, found: Iterable[Found]) -> None:
    _assert_sent_once(found)
    assert not service.said("event.retry_scheduled")
    assert not service.said("event.parked")
    for each in found:
        assert [attempt["result"] for attempt in each.record["attempts"]] == ["accepted"]


def _turns(service: Service) -> list[str]:
    """The breaker's states, after it was seen that each change has one line and no line tells of none."""
    lines = service.said("channel.breaker")
    states = [line["state"] for line in lines]
    assert [line["was"] for line in lines] == ["closed", *states][:-1]
    assert all(line["was"] != line["state"] for line in lines)
    return states


def _closes(service: Service) -> None:
    until(lambda: gauge(service, "notification_channel_available") == 1, timeout=PATIENCE)


def _ready_page(service: Service) -> Document:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/readyz", timeout=10) as answer:
        page: Document = json.load(answer)
    return page


def _seconds_after_it_began(found: Found, line: Document) -> float:
    began: datetime = found.record["created_at"]
    return (datetime.fromisoformat(line["timestamp"]) - began).total_seconds()


def test_smtp_is_down(stack: LocalStack, own_smtp: SmtpServer, tmp_path: Path) -> None:
    own_smtp.start()
    own_smtp.wait_ready()
    place = Place(stack, tmp_path, own_smtp)
    judge = Judge(place)
    with place.service(LEASE_SECONDS="2", SMTP_POOL_SIZE=str(SESSIONS)) as service:
        own_smtp.stop()
        judge.publish(*_confirmations(20))
        until(lambda: service.said("channel.breaker"), timeout=PATIENCE)
        down_until = time.monotonic() + DOWN_FOR
        page = _ready_page(service)
        assert (page["status"], page["parts"]["smtp"]["ok"]) == ("DEGRADED", False)
        assert gauge(service, "notification_channel_available") == 0
        until(lambda: _turns(service).count("probing") >= 2, timeout=PATIENCE)
        time.sleep(max(0.0, down_until - time.monotonic()))
        own_smtp.start()
        own_smtp.wait_ready()
        _closes(service)
        assert _ready_page(service)["status"] == "UP"
        found = _end(judge, service)
    assert len(found) == 20
    _assert_nobody_was_blamed(service, found.values())
    turns = _turns(service)
    assert turns[-1] == "closed"
    assert turns.count("closed") == 1
    assert len(service.said("smtp.connect_failed")) <= SESSIONS + turns.count("probing")
    place.close()


def test_not_now_at_rcpt_at_data_and_with_a_wait_named(place: Place) -> None:
    judge = Judge(place)
    events = _to("rcpt", "data", "dot", "named")
    place.smtp.script(
        [
            Rule(at="rcpt", match="rcpt@", reply="450 4.2.1 mailbox busy", times=1),
            Rule(at="data", match="data@", reply="451 4.3.0 not now", times=1),
            Rule(at="dot", match="dot@", reply="452 4.3.1 no room", times=1),
            Rule(at="rcpt", match="named@", reply="450 4.7.1 greylisted, try again in 3 seconds", times=1),
        ]
    )
    with place.service() as service:
        judge.publish(*events.values())
        found = _end(judge, service)
    _assert_sent_once(found.values())
    tries = {name: found[each["event_id"]].record["attempts"] for name, each in events.items()}
    codes = {name: [(attempt["result"], attempt["code"]) for attempt in each] for name, each in tries.items()}
    refused = {"rcpt": 450, "data": 451, "dot": 452, "named": 450}
    assert codes == {name: [("deferred", code), ("accepted", 250)] for name, code in refused.items()}
    waits = {line["event_id"]: line["wait_s"] for line in service.said("event.retry_scheduled")}
    assert waits.pop(events["named"]["event_id"]) == 4  # the shortest delay that is long enough
    assert set(waits.values()) <= {1, 2}
    assert not service.said("channel.breaker")


def test_no_such_mailbox(place: Place) -> None:
    judge = Judge(place)
    events = _to("gone", "fine")
    place.smtp.script([Rule(at="rcpt", match="gone@", reply="550 5.1.1 no such user")])
    with place.service() as service:
        judge.publish(*events.values())
        found = _end(judge, service)
    gone, fine = (found[each["event_id"]] for each in events.values())
    assert (gone.record["outcome"], gone.record["reason"], gone.mails) == ("bounced", "550 5.1.1", [])
    assert len(gone.record["attempts"]) == 1
    _assert_sent_once([fine])
    assert not service.said("event.retry_scheduled")
    assert not service.said("channel.breaker")


def test_421_at_the_greeting_and_in_mid_session(place: Place) -> None:
    judge = Judge(place)
    with place.service(SMTP_POOL_SIZE=str(SESSIONS)) as service:
        # The greeting first, while there is no session; the others meet sessions that were kept, and cost only those.
        for stage in ("greeting", "mail", "rcpt", "data", "dot"):
            place.smtp.script([Rule(at=stage, reply="421 4.3.2 closing", times=1)])
            judge.publish(*_confirmations(SESSIONS))
            until(lambda: _all_sent(judge, place), timeout=PATIENCE)
            _closes(service)
            assert _turns(service).count("open") == 1, stage
        found = _end(judge, service)
    assert len(found) == 5 * SESSIONS
    _assert_nobody_was_blamed(service, found.values())
    assert all("421" in line["reason"] for line in service.said("channel.breaker") if line["state"] == "open")


def test_the_login_is_refused(place: Place) -> None:
    judge = Judge(place)
    place.smtp.script([Rule(at="auth", reply="535 5.7.8 not you")])
    with place.service(SMTP_POOL_SIZE=str(SESSIONS)) as service:
        judge.publish(*_confirmations(10))
        until(lambda: _turns(service).count("open") >= 2, timeout=PATIENCE)
        assert {record["outcome"] for record in place.records()} == {"pending"}
        place.smtp.clear()
        found = _end(judge, service)
    assert len(found) == 10
    _assert_nobody_was_blamed(service, found.values())
    opened = service.said("channel.breaker")[0]
    assert "535" in opened["reason"]
    assert "SMTP_PASSWORD" in opened["hint"]


def test_dropped_after_the_dot_and_a_250_that_comes_too_late(place: Place) -> None:
    judge = Judge(place)
    events = _to("lost", "taken", "late", "fine")
    place.smtp.script(
        [
            Rule(at="dot", match="lost@", action="drop", times=1),
            Rule(at="dot", match="taken@", action="drop_after_accept", times=1),
            Rule(at="dot", match="late@", action="late", seconds=6, times=1),
        ]
    )
    with place.service(LEASE_SECONDS="2", SMTP_DATA_TIMEOUT=str(DEADLINE)) as service:
        judge.publish(*events.values())
        found = _end(judge, service)
    lost, taken, late, fine = (found[each["event_id"]] for each in events.values())
    _assert_resent_and_marked(lost, mails=1)
    _assert_resent_and_marked(taken, mails=2)
    _assert_resent_and_marked(late, mails=2)
    _assert_sent_once([fine])


def test_one_byte_a_second(place: Place) -> None:
    judge = Judge(place)
    events = _to("before", "after", "fine")
    place.smtp.script(
        [
            Rule(at="rcpt", match="before@", action="slow", times=1),
            Rule(at="dot", match="after@", action="slow", times=1),
        ]
    )
    bounds = {"NOTIFICATION_TIMEOUT": str(DEADLINE), "SMTP_DATA_TIMEOUT": str(DEADLINE)}
    with place.service(LEASE_SECONDS="2", **bounds) as service:
        judge.publish(*events.values())
        found = _end(judge, service)
    before, after, fine = (found[each["event_id"]] for each in events.values())
    _assert_sent_once([before, fine])
    _assert_resent_and_marked(after, mails=2)
    refused, doubted = service.said("domain.held")[0], service.said("mail.in_doubt")[0]
    assert "TimeoutError" in refused["reason"]
    assert _seconds_after_it_began(before, refused) < DEADLINE + BUSY
    assert _seconds_after_it_began(after, doubted) < DEADLINE + BUSY


ODD = {
    "oversized": Rule(at="rcpt", match="oversized@", action="garbage", times=1),
    "malformed": Rule(at="rcpt", match="malformed@", action="garbage", reply="2xx who knows", times=1),
    "crossed-mail": Rule(at="dot", match="crossed-mail@", action="unsolicited", reply="550 5.1.1 crossed", times=1),
    "crossed-data": Rule(at="rcpt", match="crossed-data@", action="unsolicited", reply="550 5.1.1 crossed", times=1),
    "oversized-end": Rule(at="dot", match="oversized-end@", action="garbage", times=1),
    "malformed-end": Rule(at="dot", match="malformed-end@", action="garbage", reply="2xx who knows", times=1),
}
DOUBTFUL = {"crossed-data", "oversized-end", "malformed-end"}


def test_replies_that_nobody_asked_for_oversized_or_malformed(place: Place) -> None:
    judge = Judge(place)
    odd, good = _to(*ODD), _to(*(f"good-{number}" for number in range(6)))
    gone = _to(*(f"gone-{number}" for number in range(6)))
    place.smtp.script([*ODD.values(), Rule(at="rcpt", match="gone-", reply="550 5.1.1 no such user")])
    # One session: whatever is said too much on it would be taken for the answer to the next mail.
    with place.service(LEASE_SECONDS="2", SMTP_POOL_SIZE="1") as service:
        turns = zip(odd.values(), good.values(), gone.values(), strict=True)
        judge.publish(*(each for three in turns for each in three))
        found = _end(judge, service)
    for each in good.values():
        _assert_sent_once([found[each["event_id"]]])
    for each in gone.values():
        record = found[each["event_id"]].record
        assert (record["outcome"], record["reason"]) == ("bounced", "550 5.1.1")
        assert "no such user" in record["detail"]
    for name, each in odd.items():
        record = found[each["event_id"]].record
        assert (record["outcome"], bool(record.get("possible_duplicate"))) == ("sent", name in DOUBTFUL), name
    _assert_the_clients_were_discarded(service)


def _assert_the_clients_were_discarded(service: Service) -> None:
    broken_off = [line for line in service.said("smtp.closed") if "broken off" in line["reason"]]
    assert len(broken_off) >= len(ODD)


def test_every_idle_connection_is_dead(place: Place) -> None:
    judge = Judge(place)
    place.smtp.script([Rule(at="dot", action="late", seconds=0.5)])  # so that each mail needs a session of its own
    with Proxy(place.smtp.port) as proxy:
        with place.service(SMTP_PORT=str(proxy.port), SMTP_POOL_SIZE=str(SESSIONS)) as service:
            judge.publish(*_confirmations(SESSIONS))
            until(lambda: len(service.said("notification.closed")) == SESSIONS, timeout=PATIENCE)
            opened = len(service.said("smtp.connected"))
            assert opened > 1, "there was one session only: this run has proved little"
            proxy.cut()
            judge.publish(*_confirmations(2 * SESSIONS))
            found = _end(judge, service)
        assert proxy.accepted <= opened + SESSIONS
    assert len(found) == 3 * SESSIONS
    _assert_nobody_was_blamed(service, found.values())
    assert not service.said("channel.breaker")


def test_a_non_ascii_recipient_and_a_server_without_smtputf8(place: Place) -> None:
    judge = Judge(place)
    abroad, fine = fresh("booking.confirmed", user_email="jané@guests.example"), fresh("booking.confirmed")
    with place.service() as service:
        judge.publish(abroad, fine)
        found = _end(judge, service)
    bounced = found[abroad["event_id"]]
    assert (bounced.record["outcome"], bounced.record["reason"], bounced.mails) == ("bounced", "5.6.7", [])
    assert "SMTPUTF8" in bounced.record["detail"]
    _assert_sent_once([found[fine["event_id"]]])
    assert not service.said("event.retry_scheduled")
