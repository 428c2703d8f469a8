"""What becomes known after a mail was sent, from the mailbox or the provider to the record, on the real parts."""

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.samples import fresh
from tests.stack.place import Document, Place, Service, until
from tests.stack.processes import free_port
from tests.stack.proxy import Proxy
from tests.stack.publisher import event
from tests.unit.test_reports import written
from tests.unit.test_webhooks import LOGIN, basic, postmark_bounce, postmark_event

SETTINGS = {
    "RETURN_PATH_DOMAIN": "bounces.cinema.example",
    "LINK_KEYS": "1:a-key-for-the-tests-of-feedback",
    "POSTMARK_WEBHOOK_LOGINS": LOGIN,
}
QUEUE = "notification.signals"


def callbacks(place: Place, **changes: str) -> Service:
    return listening(place, **{**SETTINGS, **changes})


def listening(place: Place, **settings: str) -> Service:
    """`notification-service callbacks` in this place, not started yet."""
    listener = place.service(CALLBACK_PORT=str(free_port()), **settings)
    listener.arguments = ("callbacks",)
    return listener


def post(listener: Service, body: Mapping[str, object]) -> int:
    url = f"http://127.0.0.1:{listener.environment()['CALLBACK_PORT']}/cb/postmark"
    return httpx.post(url, json=body, headers=basic(), timeout=10).status_code


def run(place: Place, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return place.command(*arguments, **{**SETTINGS, **changes})


def signals(place: Place) -> list[dict[str, object]]:
    return list(place.database["notification_signals"].find({}))


def delivery(place: Place) -> Document:
    """What became of the mail of the event `first`, once that is known."""

    def look() -> Document:
        return (place.record("first") or {}).get("delivery") or {}

    return until(look)


@pytest.fixture
def sent(place: Place) -> Place:
    """A place where one mail was sent."""
    with place.service(**SETTINGS):
        place.publish(event(fresh("booking.confirmed", event_id="first")))
        until(lambda: place.outcomes().get("first") == "sent")
    return place


def maildir(place: Place, **mails: bytes) -> Path:
    folder = place.folder / f"maildir-{len(list(place.folder.glob('maildir-*')))}"
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    for name, content in mails.items():
        (folder / "new" / name).write_bytes(content)
    return folder


def test_a_report_in_a_mailbox_ends_in_the_record_and_a_forged_one_changes_nothing(sent: Place) -> None:
    (mail,) = sent.mails()
    record = sent.record("first")
    assert record is not None
    assert re.fullmatch(rf"b\+{record['_id']}\.01[a-z2-7]{{16}}@bounces\.cinema\.example", mail.mail_from)
    forged = re.sub(r"\.01[a-z2-7]{16}", f".01{'a' * 16}", mail.mail_from)
    folder = maildir(
        sent,
        m1=written("vacation", mail.mail_from),
        m2=written("postfix", forged),
        m3=written("gmail", forged),
    )
    with sent.service(**SETTINGS):
        answer = run(sent, "bounces", str(folder), "--json")
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout) == {"mails": 3, "signals": 0, "untrusted": 2, "other": 1, "unreadable": 0}
        assert signals(sent) == []
        (folder / "new" / "m4").write_bytes(written("postfix", mail.mail_from))
        (folder / "cur" / "m5:2,").write_bytes(written("postfix", mail.mail_from.upper()))
        (folder / "cur" / "m6:2,FS").write_bytes(written("exim", mail.mail_from))
        answer = run(sent, "bounces", str(folder))
        assert "2 mails read, 2 signals stored" in answer.stdout
        failed = delivery(sent)
        # Its reader knows the code of this mail, and names somebody else in a report on it.
        other = written("postfix", mail.mail_from).replace(b"jane.smith@", b"victim@")
        (folder / "new" / "m7").write_bytes(other.replace(b"4SfLwR1XyZz1k@", b"another@"))
        assert "1 mails read, 1 signals stored" in run(sent, "bounces", str(folder)).stdout
        until(lambda: len(signals(sent)) == 2 and all(each.get("handled") for each in signals(sent)))
        assert run(sent, "suppressions", "show", "--address", "victim@example.com").returncode == 1
        assert run(sent, "suppressions", "show", "--address", "jane.smith@example.com").returncode == 0
    assert (failed["status"], failed["code"]) == ("failed", "5.1.1")
    after = sent.record("first")
    assert after is not None
    assert {name: after[name] for name in ("status", "outcome", "sent_at", "updated_at")} == {
        name: record[name] for name in ("status", "outcome", "sent_at", "updated_at")
    }
    assert sorted(file.name for file in (folder / "cur").iterdir()) == [
        "m1:2,S", "m2:2,S", "m3:2,S", "m4:2,S", "m5:2,S", "m6:2,FS", "m7:2,S",
    ]  # fmt: skip
    found = run(sent, "find", "--delivery", "failed")
    assert record["_id"] in found.stdout
    assert re.search(r"delivery +failed 5\.1\.1", found.stdout)
    assert re.search(r"2026-11-29 10:00:02 +bounced +5\.1\.1 .* by report", found.stdout)
    assert "jane.smith@" not in found.stdout
    assert "0 found" in run(sent, "find", "--delivery", "complained").stdout


def test_mails_stay_unread_while_nothing_can_be_stored(sent: Place) -> None:
    (mail,) = sent.mails()
    folder = maildir(sent, m1=written("postfix", mail.mail_from))
    answer = run(sent, "bounces", str(folder), RABBITMQ_URL=f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    assert answer.returncode == 69
    assert [file.name for file in (folder / "new").iterdir()] == ["m1"]
    assert run(sent, "bounces", str(folder / "new")).returncode == 78
    assert run(sent, "bounces", str(folder), RETURN_PATH_DOMAIN="").returncode == 78


def test_the_same_webhook_five_times_is_one_signal_also_while_mongodb_is_away(place: Place) -> None:
    with Proxy(place.stack.mongo.port) as proxy, callbacks(place) as listener:
        through = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
        service = place.service(**SETTINGS, MONGODB_URI=through)
        with service:
            place.publish(event(fresh("booking.confirmed", event_id="first")))
            until(lambda: place.outcomes().get("first") == "sent")
            record = place.record("first")
            assert record is not None
            proxy.refuse()
            named = {"notification_id": record["_id"]}
            bounce = {**postmark_bounce("HardBounce", "smtp;550 5.1.1 unknown"), "Metadata": named}
            assert [post(listener, bounce) for _ in range(5)] == [200] * 5
            delivered = postmark_event(
                "Delivery", Recipient="jane.smith@example.com", DeliveredAt="2026-11-29T10:00:00Z", Metadata=named
            )
            assert post(listener, delivered) == 200
            assert signals(place) == []
            proxy.flow()
            until(lambda: len(signals(place)) == 2 and place.depth(QUEUE) == 0)
            assert delivery(place)["status"] == "failed"
            metrics = httpx.get(f"http://127.0.0.1:{service.port}/metrics", timeout=10).text
        assert 'notification_signals_total{kind="bounced",source="postmark"} 1.0' in metrics
        assert (
            'notification_feedback_total{kind="bounced",mailbox="other",template="booking_confirmation"} 1.0' in metrics
        )
        answered = httpx.get(f"http://127.0.0.1:{listener.port}/metrics", timeout=10).text
        assert 'notification_callbacks_total{provider="postmark",status="200"} 6.0' in answered


def test_without_the_broker_the_provider_is_to_come_again_and_then_nothing_is_lost(place: Place) -> None:
    with Proxy(place.stack.broker.port) as proxy:
        through = re.sub(r":\d+/", f":{proxy.port}/", place.amqp_url)
        with callbacks(place, RABBITMQ_URL=through) as listener:
            bounce = postmark_bounce("HardBounce", "smtp;550 5.1.1 unknown")
            assert post(listener, bounce) == 200
            proxy.refuse()
            assert post(listener, bounce) == 503
            with socket.create_connection(("127.0.0.1", int(listener.environment()["CALLBACK_PORT"])), 5) as stranger:
                stranger.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
                assert stranger.recv(100).startswith(b"HTTP/1.1 400 ")
            told = httpx.get(f"http://127.0.0.1:{listener.port}/metrics", timeout=10).text
            assert 'notification_callbacks_total{provider="other",status="400"} 1.0' in told
            assert httpx.get(f"http://127.0.0.1:{listener.port}/readyz", timeout=10).status_code == 503
    assert place.depth(QUEUE) == 1


def test_without_settings_there_is_no_queue_no_import_and_no_consumer(place: Place) -> None:
    with place.service() as service:
        place.publish(event(fresh("booking.confirmed", event_id="first")))
        until(lambda: place.outcomes().get("first") == "sent")
        assert service.said("signals.consuming") == []
    with pytest.raises(Exception, match="no queue"):
        place.depth(QUEUE)
    assert "notification_signals" not in place.database.list_collection_names()
    program = "import sys, notification_service.cli.main as m; print([n for n in sys.modules if 'feedback' in n])"
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(re.findall(r"'([^']+)'", asked.stdout)) <= {"notification_service.settings.feedback"}
    answer = run(place, "callbacks", POSTMARK_WEBHOOK_LOGINS="")
    assert answer.returncode == 78
    assert "nothing is listened to" in answer.stderr


def test_what_cannot_be_read_in_the_queue_is_kept_apart(place: Place) -> None:
    from notification_service.broker.signal_queue import SignalPublisher  # noqa: PLC0415

    async def publish() -> None:
        publisher = SignalPublisher(place.amqp_url, "a test")
        await publisher.publish([b"not a signal"])
        await publisher.close()

    asyncio.run(publish())
    with place.service(**SETTINGS):
        until(lambda: place.depth("notification.signals.unreadable") == 1)
    assert place.depth(QUEUE) == 0
