"""What is written by a service in which every part fails once, with our secrets in its mouth.

As a program, this file is that service.
"""

import asyncio
import base64
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aio_pika
import pytest
import structlog
from aio_pika.exceptions import AMQPConnectionError

from notification_service.broker.topology import PARKED
from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.smtp import providers
from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.pool import Pool, Server, SessionLimits, tls_context
from notification_service.cli import configuration
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.ports.channel import Unavailable
from notification_service.delivery.ports.claims import Fence
from notification_service.observability import health, serving
from notification_service.service import Service, opened
from notification_service.settings import Settings
from tests.samples import fresh
from tests.stack import place as places
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp import SmtpServer
from tests.stack.smtp_rules import Rule

log = structlog.get_logger(__name__)

ROOT = Path(__file__).parents[2]
PATIENCE = 60
CANARIES = {"rabbitmq": "r4bbit-canary", "redis": "r3dis-canary", "smtp": "sm7p-canary-word"}
CALLS = (
    "send_once",
    "claim",
    "close",
    "decide",
    "keep",
    "mark_sending",
    "open",
    "publish",
    "compose",
    "reserve",
    "user",
)
ADDRESS = "jane.smith@example.com"
SAYS = "SAYS"
"""The setting of the program below that holds what each part says when it fails."""


# ── every part fails once ────────────────────────────────────────────────────────────────────────────


class Troubled(places.Service):
    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "tests.integration.test_security")

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": str(ROOT)}


def put_trouble_into(service: Service, says: str) -> None:
    """Each of these calls raises when it is first made."""
    pipeline = getattr(service.parts.email.consumer._handle, "__self__", None)
    if not isinstance(pipeline, Pipeline):
        raise TypeError("the consumer hands its deliveries to something else than the pipeline")
    parts: dict[str, tuple[object, Exception]] = {
        "claim": (service.parts.claims, RuntimeError(says)),
        "mark_sending": (service.parts.claims, RuntimeError(says)),
        "decide": (service.parts.claims, RuntimeError(says)),
        "reserve": (pipeline.state._rates, RuntimeError(says)),
        "open": (service.parts.ledger, RuntimeError(says)),
        "close": (service.parts.ledger, RuntimeError(says)),
        "user": (pipeline.directory, RuntimeError(says)),
        "compose": (pipeline.composer, RuntimeError(says)),
        "send_once": (service.parts.email.breaker._transport, RuntimeError(says)),
        "keep": (pipeline.outbox, OSError(says)),
        "publish": (service.parts.link, AMQPConnectionError(says)),
    }
    for method, (part, problem) in parts.items():
        setattr(part, method, _fails_once(method, getattr(part, method), problem))


def _fails_once(name: str, call: Callable[..., object], problem: Exception) -> Callable[..., object]:
    due = [problem]

    def wrapped(*arguments: object, **options: object) -> object:
        if due:
            log.error("test.trouble", call=name)
            raise due.pop()
        return call(*arguments, **options)

    return wrapped


async def run(settings: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with opened(settings) as service:
        put_trouble_into(service, os.environ[SAYS])
        app = health.application(service.examine, service.parts.metrics.page)
        async with serving.serving(app, settings.service.http_host, settings.service.port):
            await service.run(stop)


def pages(service: places.Service) -> str:
    shown = ""
    for path in ("health", "readyz", "livez", "metrics"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/{path}", timeout=10) as answer:
                shown += answer.read().decode()
        except urllib.error.HTTPError as problem:
            shown += problem.read().decode()
    return shown


async def _slips(url: str) -> str:
    """What the service wrote on the parked messages."""
    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).get_queue(PARKED)
        slips = []
        while message := await queue.get(fail=False, no_ack=True):
            slips.append(repr(message.headers))
        return "\n".join(slips)


@contextmanager
def own_user(place: Place) -> Iterator[str]:
    """The address of the broker for a user whose password is a canary."""
    broker = place.stack.broker
    broker.ctl("add_user", "canary", CANARIES["rabbitmq"])
    broker.ctl("set_permissions", "-p", place.database_name, "canary", ".*", ".*", ".*")
    try:
        yield place.amqp_url.replace("guest:guest@", f"canary:{CANARIES['rabbitmq']}@")
    finally:
        broker.ctl("delete_user", "canary")


@contextmanager
def settings_with_canaries(place: Place) -> Iterator[dict[str, str]]:
    """SecantusDB knows no passwords, so MONGODB_URI is a secret as a whole."""
    with SmtpServer(place.folder / "own-smtp", password=CANARIES["smtp"]) as smtp, own_user(place) as amqp_url:
        yield place.environment(
            RABBITMQ_URL=amqp_url,
            # Whoever has no password at a Redis may say any.
            REDIS_URL=place.stack.redis_url.replace("redis://", f"redis://default:{CANARIES['redis']}@"),
            SMTP_PORT=str(smtp.port),
            SMTP_CA_FILE=str(smtp.ca_file),
            SMTP_PASSWORD=CANARIES["smtp"],
            MAX_RETRY_ATTEMPTS="0",
            LEASE_SECONDS="1",
        )


def ended(service: places.Service) -> int:
    return len(service.said("event.parked")) + len(service.said("notification.closed"))


def in_trouble(place: Place) -> dict[str, str]:
    """Everything that a service writes in which each part has failed once, by where it is written."""
    with settings_with_canaries(place) as settings:
        urls = [settings[name] for name in ("RABBITMQ_URL", "REDIS_URL", "MONGODB_URI")]
        says = f"{' '.join(CANARIES.values())}: cannot reach {' '.join(urls)} for {ADDRESS}"
        with Troubled(place.folder / "troubled", {**settings, SAYS: says}) as service:
            while len(service.said("test.trouble")) < len(CALLS):
                before = ended(service)
                place.publish(event(fresh("booking.confirmed", user_email=None)))
                until(lambda before=before: ended(service) > before, timeout=PATIENCE)  # type: ignore[misc]
            shown = pages(service)
            service.terminate()
            until(lambda: service.exit_code == "0", timeout=PATIENCE)
        assert sorted(line["call"] for line in service.said("test.trouble")) == sorted(CALLS)
        mails = [path.read_text("utf-8") for path in place.outbox.glob("*")]
        return {
            "log": service.log.read_text("utf-8"),
            "pages": shown,
            "outbox": "\n".join(mails),
            "records": repr(place.records()),
            "slips": asyncio.run(_slips(settings["RABBITMQ_URL"])),
            "MONGODB_URI": settings["MONGODB_URI"],
        }


def shows(written: str, secrets: Iterable[str]) -> list[str]:
    return [secret for secret in secrets if secret in written]


def test_no_secret_in_logs_pages_and_kept_mail_whatever_fails_and_no_address_in_a_log(place: Place) -> None:
    written = in_trouble(place)
    assert written["outbox"], "no mail was kept: nothing proved"
    for where in ("log", "pages", "outbox"):
        assert shows(written[where], [*CANARIES.values(), written["MONGODB_URI"]]) == [], where
    assert ADDRESS not in written["log"] + written["pages"]


def test_no_secret_in_records_and_on_parked_events_whatever_fails(place: Place) -> None:
    written = in_trouble(place)
    for where in ("records", "slips"):
        assert "internal_error" in written[where], "nothing was parked: nothing proved"
        assert shows(written[where], [*CANARIES.values(), written["MONGODB_URI"]]) == [], where


def test_the_pages_of_a_service_that_has_a_wrong_password_for_rabbitmq_show_none(place: Place) -> None:
    url = place.amqp_url.replace("guest:guest@", f"jane:{CANARIES['rabbitmq']}@")
    service = place.service(RABBITMQ_URL=url)
    service.start()
    try:
        until(lambda: service.said("broker.unavailable"), timeout=PATIENCE)
        shown = pages(service)
    finally:
        service.stop()
    assert '"status":"DOWN"' in shown
    assert shows(shown + service.log.read_text("utf-8"), [CANARIES["rabbitmq"], url]) == []


# ── a mail server that repeats our login ─────────────────────────────────────────────────────────────


async def refused_with(smtp: SmtpServer, reply: str, password: str) -> Unavailable:
    """What is known of a login that was refused in these words."""
    smtp.script([Rule(at="auth", reply=reply)])
    server = Server(
        smtp.host, smtp.port, start_tls=True, implicit_tls=False, username="mailer", password=password, timeout=20
    )
    pool = Pool(server, SessionLimits(1, 30, 300, 500), tls_context(smtp.ca_file))
    channel = SmtpChannel(pool, providers.find(""), timeout=20, data_timeout=20)

    async def held() -> Fence:
        return Fence.HELD

    verdict = await channel.send_once(
        OutgoingEmail(
            notification_id="n",
            template="t",
            sender="a@b.example",
            recipient="c@d.example",
            content=b"Subject: x\r\n\r\nx\r\n",
        ),
        held,
    )
    await channel.close()
    assert isinstance(verdict, Unavailable)
    assert verdict.attempt.code == 535
    return verdict


@pytest.fixture
def smtp(own_smtp: SmtpServer) -> SmtpServer:
    own_smtp.start()
    own_smtp.wait_ready()
    return own_smtp


async def test_a_server_that_repeats_our_password_is_not_quoted(smtp: SmtpServer) -> None:
    password = CANARIES["smtp"]
    verdict = await refused_with(smtp, f"535-5.7.8 {password}\n535 5.7.8 is not {password}", password)
    assert password not in repr(verdict)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(
            "535 5.7.8 AUTH PLAIN {plain} failed",
            id="the command",
        ),
        pytest.param(
            "535 5.7.8 {login} is no password",
            id="the answer to LOGIN",
        ),
        pytest.param(
            "535 5.7.8 " + "x" * 480 + " {password}",
            id="cut in the middle of it",
        ),
    ],
)
async def test_a_server_that_repeats_our_login_in_another_form_is_not_quoted(smtp: SmtpServer, reply: str) -> None:
    password = CANARIES["smtp"]
    forms = {
        "plain": base64.b64encode(f"\0mailer\0{password}".encode()).decode(),
        "login": base64.b64encode(password.encode()).decode(),
        "password": password,
    }
    verdict = await refused_with(smtp, reply.format(**forms), password)
    assert verdict.attempt.reply
    assert shows(verdict.attempt.reply, [*forms.values(), password[:12]]) == []


if __name__ == "__main__":
    asyncio.run(run(configuration.service_settings()))
