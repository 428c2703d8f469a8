"""Whatever is wrong, nothing that is written shows a secret, and no log line shows an address in full."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from redis import Redis as Client

from tests.samples import fresh
from tests.stack.place import Place, Service, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule
from tests.stack.stores import Redis

pytestmark = pytest.mark.cold

CANARY = "c4nary-of-a-secret"
ADDRESS = "jane.smith@example.com"


def pages(service: Service) -> str:
    shown = ""
    for path in ("health", "readyz", "livez", "metrics"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/{path}", timeout=10) as answer:
                shown += answer.read().decode()
        except urllib.error.HTTPError as problem:
            shown += problem.read().decode()
    return shown


def everything(place: Place, service: Service) -> str:
    return service.log.read_text("utf-8") + repr(place.records())


def test_a_refused_password_of_the_mail_server(place: Place) -> None:
    place.smtp.script([Rule(at="auth", reply=f"535 5.7.8 {CANARY} is not the password of {ADDRESS}")])
    with place.service(SMTP_PASSWORD=CANARY, SMTP_USERNAME="mailer") as service:
        place.publish(event(fresh("booking.confirmed")))
        until(lambda: service.said("channel.breaker"))
        shown = pages(service) + everything(place, service)
    assert CANARY not in shown
    assert ADDRESS not in service.log.read_text("utf-8")


def test_a_refused_password_of_redis(place: Place, tmp_path: Path) -> None:
    with Redis(tmp_path / "redis") as redis:
        with Client.from_url(redis.url) as client:
            client.config_set("requirepass", "another")
        _refused_by_redis(place, redis.url.replace("redis://", f"redis://:{CANARY}@"))
        with Client.from_url(redis.url, password="another") as client:
            client.config_set("requirepass", "")


def _refused_by_redis(place: Place, url: str) -> None:
    with place.service(REDIS_URL=url) as service:
        place.publish(event(fresh("booking.confirmed")))
        until(lambda: list(place.outcomes().values()) == ["sent"])
        assert service.said("claims.unavailable")
        shown = pages(service) + everything(place, service)
    assert CANARY not in shown
    assert ADDRESS not in service.log.read_text("utf-8")


@pytest.mark.parametrize(
    ("setting", "prefix"), [("RABBITMQ_URL", "amqp://guest:guest@"), ("MONGODB_URI", "mongodb://")], ids=str
)
def test_a_refused_password_of_what_it_cannot_do_without(place: Place, setting: str, prefix: str) -> None:
    url = place.environment()[setting].replace(prefix, f"{prefix.partition('//')[0]}//jane:{CANARY}@")
    service = place.service(**{setting: url, "STARTUP_TIMEOUT": "2"})
    service.start()
    try:
        assert until(lambda: service.exit_code, timeout=60) == "69"
    finally:
        service.stop()
    assert setting in service.log.read_text("utf-8")
    assert CANARY not in everything(place, service)


def test_an_event_that_fails_and_names_an_address_everywhere(place: Place) -> None:
    place.smtp.script([Rule(at="rcpt", reply=f"550 5.1.1 <{ADDRESS}> is unknown here")])
    bad = fresh("booking.confirmed", booking_id={"of": ADDRESS}, seats=[{"of": ADDRESS}])
    with place.service() as service:
        place.publish(event(fresh("booking.confirmed")), event(bad), event(fresh("payment.success", user_id=ADDRESS)))
        until(lambda: sorted(place.outcomes().values()) == ["bounced", "rejected", "rejected"])
        shown = pages(service)
    assert ADDRESS not in service.log.read_text("utf-8") + shown
