"""What a reader does with the links of a mail, on the real parts: they unsubscribe, come back, and follow a link."""

import random
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from string import ascii_letters, digits

import httpx
import pytest

from tests.e2e.test_feedback import listening
from tests.samples import fresh
from tests.stack.place import Document, Place, Service, until
from tests.stack.processes import free_port
from tests.stack.publisher import Publication, event
from tests.stack.smtp import Mail
from tests.unit.test_webhooks import LOGIN, basic, postmark_bounce

TEMPLATES = Path(__file__).parents[2] / "templates"
JANE = "jane.smith@example.com"
BASE = "https://links.cinema.example"
SETTINGS = {
    "CALLBACK_URL": BASE,
    "LINK_KEYS": "2:8f3b6e0c59d24a7f91e6,1:0c59d24a7f91e68f3b6e",
    "LINK_HOSTS": "cinema.example",
    "BOOKING_URL": "https://cinema.example/bookings/{booking_id}",
    "SUPPRESSION": "true",
    "TRACKING": "clicks",
    "TRACKING_CONSENT_FIELD": "consent.clicks",
}
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """With a receipt that readers may unsubscribe from, which ours is not."""
    folder = tmp_path / "templates"
    shutil.copytree(TEMPLATES, folder)
    (folder / "payment_success" / "template.toml").write_text("optional = true\n")
    return {**SETTINGS, "TEMPLATES_DIR": str(folder)}


def url(listener: Service, link: str) -> str:
    """The public link as a proxy in front of the listener passes it on."""
    return link.replace(BASE, f"http://127.0.0.1:{listener.environment()['CALLBACK_PORT']}")


def receipt(name: str) -> Publication:
    return event(fresh("payment.success", event_id=name, user_email=JANE))


def _html(mail: Mail) -> str:
    (part,) = (each for each in mail.message().walk() if each.get_content_type() == "text/html")
    return str(part.get_content())


def outcome(place: Place, name: str) -> str:
    def look() -> str:
        record = place.record(name) or {}
        return f"{record['outcome']}({record.get('reason')})" if record.get("outcome") not in (None, "pending") else ""

    return until(look)


def test_a_reader_unsubscribes_comes_back_and_bounces(place: Place, settings: dict[str, str]) -> None:
    settings["POSTMARK_WEBHOOK_LOGINS"] = LOGIN
    with place.service(**settings), listening(place, **settings) as listener:
        place.publish(receipt("first"))
        assert outcome(place, "first") == "sent(None)"
        (mail,) = place.mails()
        assert mail.message()["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        link = url(listener, str(mail.message()["List-Unsubscribe"]).strip("<>"))
        with httpx.Client() as scanner:
            assert all("Unsubscribe" in scanner.get(link).text for _ in range(30))
        place.publish(receipt("second"))
        assert outcome(place, "second") == "sent(None)", "following the link unsubscribes nobody"

        assert httpx.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        until(lambda: place.database["notification_suppressions"].count_documents({}) == 1)
        place.publish(receipt("third"), event(fresh("booking.confirmed", event_id="ticket", user_email=JANE)))
        assert outcome(place, "third") == "skipped(unsubscribed)"
        assert outcome(place, "ticket") == "sent(None)"

        assert httpx.post(link, data={"Resubscribe": "Yes"}).status_code == 200
        until(lambda: place.database["notification_suppressions"].count_documents({"unsubscribed.lifts": {"$size": 1}}))
        place.publish(receipt("fourth"))
        assert outcome(place, "fourth") == "sent(None)"

        bounced = httpx.post(
            url(listener, f"{BASE}/cb/postmark"), json=_hard_bounce(place.record("fourth")), headers=basic()
        )
        assert bounced.status_code == 200
        until(lambda: place.database["notification_suppressions"].count_documents({"gone": {"$exists": True}}))
        place.publish(receipt("fifth"))
        assert outcome(place, "fifth") == "skipped(suppressed)"


def _hard_bounce(record: Document | None) -> dict[str, object]:
    assert record is not None
    now = datetime.now(UTC).isoformat()
    named = {"Metadata": {"notification_id": record["_id"]}, "Email": JANE, "BouncedAt": now}
    return {**postmark_bounce("HardBounce", "smtp;550 5.1.1 unknown"), **named}


def test_a_click_lands_while_the_broker_and_every_store_are_away(place: Place, settings: dict[str, str]) -> None:
    place.database["users"].update_one({"_id": "user456"}, {"$set": {"consent": {"clicks": True}}})
    with place.service(**settings):
        place.publish(event(fresh("booking.confirmed", event_id="first", user_id="user456", user_email=JANE)))
        assert outcome(place, "first") == "sent(None)"
        place.publish(event(fresh("booking.confirmed", event_id="other", user_id="user456", user_email="x@y.example")))
        assert outcome(place, "other") == "sent(None)"
    mail, other = place.mails()
    (link,) = re.findall(rf'href="({BASE}/c/[^"]+)"', _html(mail))[:1]
    assert BASE not in _html(other), "nobody agreed for that address"
    nowhere = f"127.0.0.1:{free_port()}"
    away = {
        "RABBITMQ_URL": f"amqp://{nowhere}/",
        "MONGODB_URI": f"mongodb://{nowhere}",
        "REDIS_URL": f"redis://{nowhere}",
    }
    cut = listening(place, **settings, **away)
    cut.probe = "/livez"
    with cut:
        answer = httpx.get(url(cut, link), headers=BROWSER)
        assert answer.status_code == 302
        assert answer.headers["location"].startswith("https://cinema.example/bookings/")
        assert answer.headers["referrer-policy"] == "no-referrer"
        chance, place_of_token = random.Random(5), link.index("/c/") + 3  # noqa: S311 - the same tokens each time
        with httpx.Client(headers=BROWSER) as client:
            for _ in range(50):
                at = place_of_token + chance.randrange(40)
                letter = chance.choice([each for each in ascii_letters + digits if each != link[at]])
                assert client.get(url(cut, link[:at] + letter + link[at + 1 :])).status_code == 404
        refused = [
            httpx.get(url(cut, link).replace("bookings", "elsewhere")),
            httpx.get(url(cut, link)[:-1]),
            httpx.get(url(cut, link).replace("/c/", "/u/")),
            httpx.get(url(cut, f"{BASE}/c/{'A' * 40}?u=https://evil.example")),
        ]
        assert {each.status_code for each in refused} == {404}
        assert len({each.text for each in refused}) == 1, "one answer for all that is wrong"
    with place.service(**settings), listening(place, **settings) as listener:
        assert httpx.get(url(listener, link), headers=BROWSER).status_code == 302
        kept = until(lambda: place.database["notification_signals"].find_one({"kind": "clicked"}))
    assert kept is not None
    assert kept["extra"] == {"link": "booking", "class": "person"}
    assert kept["template"] == "booking_confirmation"
