"""Two real mail servers: what the first refuses of ours goes by the second, and what it says of others does not."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from notification_service import bootstrap
from notification_service.channels.admission import State
from notification_service.channels.relays import Relays
from notification_service.cli import doctor, send_test
from notification_service.delivery.ports.channel import Accepted, Attempt, Deferred, InDoubt, Refused, Verdict
from notification_service.foundation.errors import ChannelUnavailableError, ConfigurationError
from notification_service.settings import Settings, load
from notification_service.stores.memory.rates import MemoryRates
from tests.stack.processes import free_port
from tests.stack.smtp import SmtpServer
from tests.stack.smtp_rules import Rule
from tests.unit.fakes import envelope, held, unmarked


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmtpServer, SmtpServer]]:
    folder = tmp_path_factory.mktemp("relays")
    with (
        SmtpServer(folder / "first", fsync=False) as first,
        SmtpServer(folder / "second", fsync=False, username="second") as second,
    ):
        yield first, second


@pytest.fixture
def first(servers: tuple[SmtpServer, SmtpServer]) -> SmtpServer:
    servers[0].clear()
    return servers[0]


@pytest.fixture
def second(servers: tuple[SmtpServer, SmtpServer]) -> SmtpServer:
    servers[1].clear()
    return servers[1]


def _of(server: SmtpServer, prefix: str) -> dict[str, str]:
    values = {
        "SERVER": server.host,
        "PORT": str(server.port),
        "USERNAME": server.username,
        "PASSWORD": server.password,
        "CA_FILE": str(server.ca_file),
        "POOL_SIZE": "2",
    }
    return {f"{prefix}{name}": value for name, value in values.items()}


@pytest.fixture
def environment(first: SmtpServer, second: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    fixed = {"FROM_EMAIL": "from@cinema.example", "DELIVERY_MODE": "live", "NOTIFICATION_TIMEOUT": "5"}
    for name, value in {**_of(first, "SMTP_"), **_of(second, "SMTP_FALLBACK_"), **fixed}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def loaded(environment: pytest.MonkeyPatch, **changes: str) -> Settings:
    for name, value in changes.items():
        environment.setenv(name, value)
    return load(None)


@asynccontextmanager
async def channel(settings: Settings) -> AsyncIterator[Relays]:
    made = bootstrap.build_relays(settings, bootstrap.relays(settings), MemoryRates, lambda *_: None)
    try:
        yield made
    finally:
        await made.close()


def mails(server: SmtpServer, name: str) -> int:
    return sum(name in (each.message_id or each.rcpt_to[0]) for each in server.mails())


def _mail(name: str) -> bytes:
    return f"Message-ID: <{name}@cinema.example>\r\nSubject: x\r\n\r\nx\r\n".encode()


async def deliver(relays: Relays, name: str, domain: str = "guests.example") -> Verdict:
    message = replace(envelope(name), content=_mail(name), recipient=f"{name}@{domain}")
    return await asyncio.wait_for(relays.deliver(message, held, unmarked), 20)


def attempt_of(verdict: Verdict) -> Attempt:
    assert isinstance(verdict, Accepted | Deferred | InDoubt | Refused)
    return verdict.attempt


SEND_AS = "550 5.7.60 Client does not have permissions to send as this sender"
OURS = {
    "421 at the greeting": Rule(at="greeting", reply="421 4.3.2 too many connections"),
    "login refused": Rule(at="auth", reply="535 5.7.8 Username and Password not accepted"),
    "logins not checked now": Rule(at="auth", reply="454 4.7.0 Too many login attempts, please try again later"),
    "no TLS offered": Rule(at="starttls", action="strip"),
    "no TLS now": Rule(at="starttls", reply="454 4.7.0 TLS not available due to local problem"),
    "breaks off at MAIL": Rule(at="mail", action="drop"),
    "sender refused at MAIL": Rule(
        at="mail", reply="550 5.7.60 Client does not have permissions to send as this sender"
    ),
    "sender refused at RCPT": Rule(
        at="rcpt", reply="550 5.7.60 Client does not have permissions to send as this sender"
    ),
    "sender refused after the content": Rule(
        at="dot", reply="554 5.2.252 SendAsDenied; not allowed to send as from@cinema.example"
    ),
    "no room at MAIL": Rule(at="mail", reply="452 4.3.1 Insufficient system storage"),
    "a day's mails used up, 550": Rule(at="mail", reply="550 5.4.5 Daily user sending limit exceeded"),
    "a day's mails used up, 452": Rule(at="rcpt", reply="452 4.5.3 Daily sending quota exceeded for this account"),
    "a day's mails used up, 552": Rule(at="rcpt", reply="552 5.4.5 Daily user sending quota exceeded"),
    "hangs at the greeting": Rule(at="greeting", action="stall"),
}


@pytest.mark.parametrize("rule", OURS.values(), ids=OURS)
async def test_what_the_first_refuses_of_ours_goes_by_the_second(
    first: SmtpServer, second: SmtpServer, environment: pytest.MonkeyPatch, rule: Rule, request: pytest.FixtureRequest
) -> None:
    name = f"ours{abs(hash(request.node.name))}"
    first.script([rule])
    async with channel(loaded(environment, NOTIFICATION_TIMEOUT="0.5")) as relays:
        verdict = await deliver(relays, name)
        assert isinstance(verdict, Accepted), verdict
        assert verdict.attempt.relay == "smtp-fallback"
    assert (mails(first, name), mails(second, name)) == (0, 1)


THEIRS = {
    "no such mailbox": (Rule(at="rcpt", reply="550 5.1.1 no such user"), Refused),
    "mailbox full": (Rule(at="rcpt", reply="552 5.2.2 mailbox full"), Deferred),
    "greylisted": (Rule(at="rcpt", reply="450 4.7.1 greylisted, try again in 3 seconds"), Deferred),
    "not now at the dot": (Rule(at="dot", reply="451 4.3.0 not now"), Deferred),
    "content refused": (Rule(at="dot", reply="554 5.6.0 message content rejected"), Refused),
    "breaks off after the dot": (Rule(at="dot", action="drop"), InDoubt),
    "takes it and breaks off": (Rule(at="dot", action="drop_after_accept"), InDoubt),
}


@pytest.mark.parametrize(("rule", "kind"), THEIRS.values(), ids=THEIRS)
async def test_what_it_says_of_others_and_what_is_in_doubt_stays(
    first: SmtpServer, second: SmtpServer, environment: pytest.MonkeyPatch, rule: Rule, kind: type
) -> None:
    before = len(second.mails())
    first.script([rule])
    async with channel(loaded(environment)) as relays:
        verdict = await deliver(relays, "theirs")
        assert isinstance(verdict, kind)
        assert attempt_of(verdict).relay == "smtp"
    assert len(second.mails()) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"SMTP_SERVER": "mail.cinema.invalid"},
        {"SMTP_PORT": str(free_port())},
        {"SMTP_CA_FILE": ""},
        {"SMTP_SECURITY": "implicit"},
    ],
    ids=["no such name", "nobody there", "its certificate is not trusted", "no TLS there"],
)
async def test_a_first_that_cannot_be_reached_is_passed_over(
    second: SmtpServer, environment: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    async with channel(loaded(environment, NOTIFICATION_TIMEOUT="2", **changes)) as relays:
        for number in range(3):
            assert attempt_of(await deliver(relays, f"away{number}")).relay == "smtp-fallback"
        assert relays.relays[0].breaker.state is not State.CLOSED


async def test_the_first_is_back_when_it_lets_us_in_again(first: SmtpServer, environment: pytest.MonkeyPatch) -> None:
    first.script([Rule(at="auth", reply="535 5.7.8 not accepted")])
    async with channel(loaded(environment)) as relays:
        assert attempt_of(await deliver(relays, "one")).relay == "smtp-fallback"
        first.clear()
        async with asyncio.timeout(10):
            while relays.relays[0].breaker.state is not State.CLOSED:
                await deliver(relays, "more")
                await asyncio.sleep(0.1)
        assert attempt_of(await deliver(relays, "back")).relay == "smtp"
        assert [each.breaker.state for each in relays.relays] == [State.CLOSED, State.CLOSED]


async def test_a_hint_about_the_second_names_the_settings_of_the_second(
    second: SmtpServer, environment: pytest.MonkeyPatch
) -> None:
    second.script([Rule(at="auth", reply="535 5.7.8 not accepted")])
    ours, theirs = await examined(loaded(environment))
    assert not ours.startswith("WRONG")
    assert theirs.startswith("WRONG")
    assert "SMTP_FALLBACK_USERNAME or SMTP_FALLBACK_PASSWORD" in theirs


async def examined(settings: Settings) -> list[str]:
    """What `doctor` finds out about each mail server; what is wrong begins with WRONG."""
    found = []
    for check in (doctor._transport, doctor._fallback):
        try:
            found.append(await check(settings))
        except ChannelUnavailableError as problem:
            found.append(f"WRONG {problem}")
    return found


async def test_doctor_logs_in_at_both_and_asks_both_for_the_sender_without_sending(
    first: SmtpServer, second: SmtpServer, environment: pytest.MonkeyPatch
) -> None:
    sent = len(first.mails()) + len(second.mails())
    for each, server in zip(await examined(loaded(environment)), (first, second), strict=True):
        assert f"{server.host}:{server.port} lets us in (starttls, login)" in each
        assert "it takes FROM_EMAIL at MAIL; that it also passes mail from FROM_EMAIL on shows only when" in each
    assert len(first.mails()) + len(second.mails()) == sent


async def test_doctor_says_where_the_sender_is_refused(second: SmtpServer, environment: pytest.MonkeyPatch) -> None:
    second.script([Rule(at="mail", reply="553 5.7.1 Sender address rejected: not owned by user second")])
    ours, theirs = await examined(loaded(environment))
    assert not ours.startswith("WRONG")
    assert theirs.startswith("WRONG it refuses FROM_EMAIL at MAIL: 553 5.7.1 Sender address rejected")
    assert "an address that belongs to SMTP_FALLBACK_USERNAME" in theirs


async def test_send_test_goes_by_the_relay_that_is_named(
    first: SmtpServer, second: SmtpServer, environment: pytest.MonkeyPatch
) -> None:
    settings, before = loaded(environment), (len(first.mails()), len(second.mails()))
    choice = send_test.RelayChoice.FALLBACK
    said = [each async for each in send_test.send(settings, "me@guests.example", "payment_success", choice)]
    assert [taken for _, taken, _ in said] == [True]
    assert (len(first.mails()), len(second.mails())) == (before[0], before[1] + 1)
    environment.delenv("SMTP_FALLBACK_SERVER")
    for name in _of(second, "SMTP_FALLBACK_"):
        environment.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="SMTP_FALLBACK_SERVER is not set"):
        _ = [each async for each in send_test.send(load(None), "me@guests.example", "payment_success", choice)]


async def test_the_pool_of_the_second_opens_nothing_while_the_first_takes_mail(
    second: SmtpServer, environment: pytest.MonkeyPatch
) -> None:
    before = len(second.connections())
    async with channel(loaded(environment)) as relays:
        for number in range(5):
            assert attempt_of(await deliver(relays, f"calm{number}")).relay == "smtp"
    assert len(second.connections()) == before
