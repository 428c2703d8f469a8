"""The SMTP transport and its pool against a scripted server that misbehaves: the verdict is always correct."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.smtp import providers
from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.pool import Pool, Server, SessionLimits, tls_context
from notification_service.delivery.ports.channel import (
    Accepted,
    Blocked,
    Deferred,
    HandoverRefused,
    InDoubt,
    PutOff,
    Refused,
    Tried,
    Unavailable,
    Verdict,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.foundation.errors import ChannelUnavailableError
from tests.stack.certificates import Certificate
from tests.stack.processes import free_port
from tests.stack.proxy import Proxy
from tests.stack.smtp import SmtpServer
from tests.stack.smtp_rules import Rule, Stage

numbers = itertools.count(1)

LATE = 20.0
"""Seconds before an answer that nobody waits for: however busy the machine is, what is to come first comes first."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path_factory.mktemp("smtp"), fsync=False) as running:
        yield running


@pytest.fixture
def smtp(server: SmtpServer) -> SmtpServer:
    """The server of this folder, well behaved."""
    server.clear()
    return server


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def channel_to(
    smtp: SmtpServer,
    *,
    sessions: int = 4,
    max_idle: float = 30,
    max_age: float = 300,
    max_mails: int = 500,
    timeout: float = 10.0,  # noqa: ASYNC109 - a setting of the channel
    port: int | None = None,
    password: str | None = None,
    provider: str = "",
    start_tls: bool = True,
    ehlo_name: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[tuple[SmtpChannel, Pool]]:
    implicit = smtp.switches["--implicit-tls"]
    server = Server(
        smtp.host,
        port or smtp.port,
        start_tls=start_tls and not implicit,
        implicit_tls=implicit,
        username=smtp.username,
        password=password or smtp.password,
        timeout=timeout,
        **({"ehlo_name": ehlo_name} if ehlo_name else {}),
    )
    pool = Pool(server, SessionLimits(sessions, max_idle, max_age, max_mails), tls_context(smtp.ca_file), clock)
    channel = SmtpChannel(pool, providers.find(provider), timeout=timeout, data_timeout=timeout)
    yield channel, pool
    await channel.close()
    assert pool.counts.open == 0, "a session was neither kept nor closed"


def mail(recipient: str = "jane@guests.example", text: bytes = b"Enjoy the film.\r\n") -> OutgoingEmail:
    name = f"n{next(numbers)}"
    head = f"Subject: Your tickets\r\nMessage-ID: <{name}@cinema.example>\r\n\r\n"
    return OutgoingEmail(
        notification_id=name,
        template="booking_confirmation",
        sender="tickets@cinema.example",
        recipient=recipient,
        content=head.encode() + text,
    )


async def held() -> Fence:
    return Fence.HELD


async def send(channel: SmtpChannel, envelope: OutgoingEmail | None = None) -> Tried:
    return await channel.send_once(envelope or mail(), held)


def arrived(smtp: SmtpServer, envelope: OutgoingEmail) -> int:
    """How often the server took this mail, whether or not it said so."""
    message_id = f"<{envelope.notification_id}@cinema.example>"
    return sum(entry.message_id == message_id for entry in smtp.mails())


def connection(verdict: Tried) -> str | None:
    assert not isinstance(verdict, HandoverRefused | PutOff)
    return verdict.attempt.connection


# ── it goes well ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text", [b"Hello\r\n", b".\r\n..\r\n.x\r\nFrom y\r\n", "é 日本\r\n".encode(), b"x" * 900 + b"\r\n"]
)
async def test_an_accepted_mail_arrives_as_it_was_over_tls_and_logged_in(smtp: SmtpServer, text: bytes) -> None:
    envelope = mail(text=text)
    async with channel_to(smtp) as (channel, _):
        verdict = await send(channel, envelope)
    assert isinstance(verdict, Accepted)
    assert (verdict.attempt.code, verdict.attempt.reply, verdict.attempt.connection) == (250, "2.0.0 Ok: queued", "1")
    taken = smtp.mails()[-1]
    assert (taken.mail_from, taken.rcpt_to) == ("tickets@cinema.example", ["jane@guests.example"])
    assert (taken.tls, taken.auth) == (True, smtp.username)
    assert content_of(taken.file) == envelope.content


def content_of(file: str | None) -> bytes:
    assert file is not None
    return Path(file).read_bytes()


async def test_one_session_carries_many_mails_and_says_goodbye(smtp: SmtpServer) -> None:
    quits = smtp.stats().counts.get("quit", 0)
    async with channel_to(smtp) as (channel, pool):
        verdicts = [await send(channel) for _ in range(5)]
        assert {connection(verdict) for verdict in verdicts} == {"1"}
        assert (pool.counts.opened, pool.counts.open) == (1, 1)
    assert smtp.stats().counts["quit"] == quits + 1


async def test_a_lost_claim_withdraws_the_mail_before_data_and_keeps_the_session(smtp: SmtpServer) -> None:
    async def lost() -> Fence:
        return Fence.LOST

    envelope = mail()
    async with channel_to(smtp) as (channel, pool):
        assert await channel.send_once(envelope, lost) == HandoverRefused()
        assert isinstance(await send(channel), Accepted)
        assert pool.counts.opened == 1
    assert arrived(smtp, envelope) == 0


async def test_the_marker_is_set_after_the_recipient_was_accepted_and_before_data(smtp: SmtpServer) -> None:
    before = smtp.stats().counts
    seen: list[int] = []

    async def marked() -> Fence:
        counts = smtp.stats().counts
        seen.extend(counts[verb] - before.get(verb, 0) for verb in ("rcpt",))
        seen.append(counts.get("data", 0) - before.get("data", 0))
        return Fence.HELD

    async with channel_to(smtp) as (channel, _):
        await channel.send_once(mail(), marked)
    assert seen == [1, 0]


async def test_an_error_while_the_claim_is_marked_costs_the_session_and_sends_nothing(smtp: SmtpServer) -> None:
    async def breaks() -> Fence:
        raise RuntimeError("a bug")

    envelope = mail()
    async with channel_to(smtp) as (channel, pool):
        with pytest.raises(RuntimeError, match="a bug"):
            await channel.send_once(envelope, breaks)
        assert pool.counts.open == 0
        assert isinstance(await send(channel), Accepted)
    assert arrived(smtp, envelope) == 0


ODD = [
    "a@b.example\r\nRCPT TO:<eve@evil.example>",
    "a@b.example>\r\nDATA",
    "a\0@b.example",
    "a@b.example,eve@evil.example",
    "Jane <a@b.example>",
    "a@b.example eve@evil.example",
]


@pytest.mark.parametrize("address", ODD)
async def test_what_is_not_one_plain_address_raises_before_anything_is_sent(smtp: SmtpServer, address: str) -> None:
    envelope = mail(address)
    rcpts = smtp.stats().counts.get("rcpt", 0)
    async with channel_to(smtp) as (channel, _):
        with pytest.raises(ValueError, match="not one plain address"):
            await send(channel, envelope)
    assert smtp.stats().counts.get("rcpt", 0) == rcpts
    assert arrived(smtp, envelope) == 0


# ── TLS and login ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("start_tls", [True, False], ids=["demanded", "plain by setting"])
async def test_where_starttls_is_stripped_only_plain_by_setting_goes_on(
    tmp_path: Path,
    start_tls: bool,  # noqa: FBT001 - parametrised
) -> None:
    """The server takes plain text gladly, so that nothing but the channel keeps the mail from it."""
    with SmtpServer(tmp_path, require_tls=False, fsync=False) as own:
        own.script([Rule(at="starttls", action="strip")])
        async with channel_to(own, start_tls=start_tls) as (channel, _):
            verdict = await send(channel)
        counts = own.stats().counts
        assert isinstance(verdict, Unavailable if start_tls else Accepted)
        assert [counts.get(verb, 0) for verb in ("auth", "mail", "data")] == [0 if start_tls else 1] * 3
        assert [each.tls for each in own.mails()] == ([] if start_tls else [False])


@pytest.mark.parametrize("injected", ["250 2.1.5 injected", "550 5.1.1 injected", "235 2.7.0 injected"])
async def test_what_a_server_says_before_tls_answers_nothing_behind_it(smtp: SmtpServer, injected: str) -> None:
    """Somebody in the middle has put a reply behind the 220 to STARTTLS (response injection)."""
    smtp.script([Rule(at="starttls", action="unsolicited", reply=injected, times=1)])
    envelope = mail()
    async with channel_to(smtp) as (channel, _):
        verdict = await send(channel, envelope)
    assert isinstance(verdict, Accepted | Unavailable)
    assert "injected" not in (verdict.attempt.reply or "")
    assert arrived(smtp, envelope) == isinstance(verdict, Accepted)


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("certificate", ["good", "self-signed", "expired", "wrong-host"])
async def test_only_a_certificate_that_is_good_for_this_host_is_trusted(
    tmp_path: Path,
    certificate: Certificate,
    implicit: bool,  # noqa: FBT001 - parametrised
) -> None:
    with SmtpServer(tmp_path, certificate=certificate, implicit_tls=implicit, fsync=False) as own:
        async with channel_to(own) as (channel, _):
            verdict = await send(channel)
        counts = own.stats().counts
        assert isinstance(verdict, Accepted if certificate == "good" else Unavailable)
        assert (counts.get("auth", 0) > 0) == (certificate == "good")
        assert len(own.mails()) == (certificate == "good")


@pytest.mark.parametrize(
    ("provider", "advice"), [("", "refuses SMTP_USERNAME or SMTP_PASSWORD"), ("gmail", "app password")]
)
async def test_a_refused_login_is_the_channels_fault_and_comes_with_advice(
    smtp: SmtpServer, provider: str, advice: str
) -> None:
    envelope = mail()
    async with channel_to(smtp, password="wrong", provider=provider) as (channel, _):
        verdict = await send(channel, envelope)
    assert isinstance(verdict, Unavailable)
    assert verdict.attempt.code == 535
    assert advice in verdict.hint
    assert "wrong" not in repr(verdict)
    assert arrived(smtp, envelope) == 0


async def test_a_check_says_how_the_server_lets_us_in_and_sends_nothing(smtp: SmtpServer) -> None:
    before = len(smtp.mails())
    async with channel_to(smtp) as (channel, _):
        told = await channel.check()
    assert told.startswith(f"{smtp.host}:{smtp.port} lets us in (starttls, login), greeted as ")
    assert len(smtp.mails()) == before


async def test_a_check_that_fails_says_what_to_do(smtp: SmtpServer) -> None:
    async with channel_to(smtp, password="wrong") as (channel, _):
        with pytest.raises(ChannelUnavailableError, match=r"SMTPAuthenticationError: .*check both"):
            await channel.check()
    async with channel_to(smtp, port=free_port()) as (channel, _):
        with pytest.raises(ChannelUnavailableError, match="check SMTP_SERVER, SMTP_PORT"):
            await channel.check()


async def test_a_server_that_is_not_there_is_the_channels_fault(own_smtp: SmtpServer, server: SmtpServer) -> None:
    async with channel_to(server, port=own_smtp.port) as (channel, _):
        verdict = await send(channel)
    assert isinstance(verdict, Unavailable)
    assert "SMTP_SERVER" in verdict.hint


async def test_one_tls_context_serves_every_session(smtp: SmtpServer) -> None:
    async with channel_to(smtp) as (channel, pool):
        await asyncio.gather(*(send(channel) for _ in range(4)))
        contexts = {id(session.wire.get_extra_info("sslcontext")) for session in pool._idle}
        assert len(pool._idle) > 1
        assert contexts == {id(pool._tls)}


# ── refusals, phase by phase ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("at", ["greeting", "ehlo", "mail", "rcpt", "data", "dot"])
async def test_a_421_ends_the_session_and_is_the_channels_fault_before_a_recipient_is_named(
    smtp: SmtpServer, at: Stage
) -> None:
    """Behind a relay may stand a customer's server that closes, and it is passed on."""
    envelope = mail()
    smtp.script([Rule(at=at, reply="421 4.3.2 closing", times=1)])
    async with channel_to(smtp) as (channel, pool):
        verdict = await send(channel, envelope)
        assert isinstance(verdict, Blocked if at in ("rcpt", "data", "dot") else Unavailable)
        assert pool.counts.open == 0
        assert isinstance(await send(channel), Accepted)
    assert arrived(smtp, envelope) == 0


@pytest.mark.parametrize("at", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("text", ["4.3.2 closing", "4.7.0 mail.example Error: too many errors", ""])
async def test_a_421_in_a_session_that_was_kept_says_nothing_of_a_fresh_one(
    smtp: SmtpServer, at: Stage, text: str
) -> None:
    """Postfix says it to the next mail, whose ever it is, after twenty recipients in one session that it refused."""
    async with channel_to(smtp) as (channel, pool):
        assert isinstance(await send(channel), Accepted)
        smtp.script([Rule(at=at, reply=f"421 {text}", times=1)])
        envelope = mail()
        assert isinstance(await send(channel, envelope), Accepted)
        assert pool.counts.opened == 2
    assert arrived(smtp, envelope) == 1


@pytest.mark.parametrize(
    ("at", "reply", "expected", "code"),
    [
        ("mail", "451 4.3.0 later", Unavailable, None),
        ("mail", "550 5.7.60 not as this user", Unavailable, None),
        ("rcpt", "450 4.2.1 busy, try again in 5 minutes", Deferred, None),
        ("rcpt", "552 5.2.2 mailbox full", Deferred, None),
        ("rcpt", "550 5.1.1 no such user", Refused, "550 5.1.1"),
        ("rcpt", "550 gone", Refused, "550"),
        ("rcpt", "550-5.1.1 several\n550 5.1.1 lines", Refused, "550 5.1.1"),
        ("mail", "552 5.3.4 message size exceeds fixed limit", Refused, "552 5.3.4"),
        ("rcpt", "554 5.7.1 Relay access denied", Blocked, None),
        ("rcpt", "553 5.7.1 <tickets@cinema.example>: Sender address rejected: not owned by user", Blocked, None),
        ("rcpt", "450 4.7.1 <web-1>: Helo command rejected: Host not found", Blocked, None),
        ("rcpt", "530 5.7.0 Authentication required", Blocked, None),
        (
            "rcpt",
            "450 4.1.1 Recipient address rejected: unverified address: host mx said: 550 no relay",
            Deferred,
            None,
        ),
        ("data", "550 5.7.1 Sender refused", Blocked, None),
        ("dot", "550 5.4.5 Daily user sending limit exceeded", Blocked, None),
        ("rcpt", "550 5.1.1 <relay@guests.example> unknown", Refused, "550 5.1.1"),
        ("data", "451 4.3.0 later", Deferred, None),
        ("data", "554 5.5.1 no", Refused, "554 5.5.1"),
        ("dot", "452 4.3.1 no room", Deferred, None),
        ("dot", "554 5.7.1 looks like spam", Refused, "554 5.7.1"),
    ],
)
async def test_a_refusal_blames_who_is_to_blame_and_the_next_mail_goes_out(
    smtp: SmtpServer, at: Stage, reply: str, expected: type[object], code: str | None
) -> None:
    envelope = mail()
    resets = smtp.stats().counts.get("rset", 0)
    smtp.script([Rule(at=at, reply=reply, times=1)])
    async with channel_to(smtp) as (channel, pool):
        verdict = await send(channel, envelope)
        assert type(verdict) is expected
        # Kept for the next mail, it is made ready first: a strict server answers 503 to a second MAIL.
        assert smtp.stats().counts.get("rset", 0) == resets + (expected is not Unavailable)
        if isinstance(verdict, Refused):
            assert verdict.code == code
        if isinstance(verdict, Deferred):
            assert verdict.wait == (300 if "5 minutes" in reply else None)
        assert isinstance(await send(channel), Accepted)
        assert pool.counts.opened == (2 if expected is Unavailable else 1)
    assert arrived(smtp, envelope) == 0


SPENT = [
    ("mail", "421 4.7.0 Too many messages in this connection"),
    ("mail", "452 4.5.3 Too many messages this session"),
    ("mail", "451 Mails per session limit"),
    ("mail", "421 4.4.2 idle timeout"),
    ("mail", "554 too many transactions in one connection"),
    ("rcpt", "452 4.5.3 Too many recipients in this session"),
    ("rcpt", "421 4.4.2 session timeout"),
    ("data", "452 4.4.5 Maximum number of messages per session exceeded."),
    ("dot", "550 This message has exceeded the max number of messages per session. Open a new session and try again."),
]


@pytest.mark.parametrize(("at", "reply"), SPENT)
async def test_a_session_that_has_carried_enough_costs_that_session_alone(
    smtp: SmtpServer, at: Stage, reply: str
) -> None:
    async with channel_to(smtp) as (channel, pool):
        await send(channel)
        smtp.script([Rule(at=at, reply=reply, times=1)])
        envelope = mail()
        with capture_logs() as lines:
            began = time.monotonic()
            verdict = await send(channel, envelope)
            assert time.monotonic() - began < 2
        assert isinstance(verdict, Accepted)
        assert (connection(verdict), pool.counts.opened, pool.counts.open) == ("2", 2, 1)
        (closed,) = [line["reason"] for line in lines if line["event"] == "smtp.closed"]
        assert closed == "the server takes no more mails on it"
    assert arrived(smtp, envelope) == 1


@pytest.mark.parametrize(("at", "reply"), SPENT)
async def test_a_fresh_session_that_is_told_so_is_no_matter_of_the_session(
    smtp: SmtpServer, at: Stage, reply: str
) -> None:
    envelope = mail()
    async with channel_to(smtp) as (channel, pool):
        smtp.script([Rule(at=at, reply=reply, times=1)])
        verdict = await send(channel, envelope)
        assert isinstance(verdict, Unavailable if at == "mail" else Blocked)
        assert "SMTP_MAX_MAILS" in verdict.hint
        assert pool.counts.opened == 1
    assert arrived(smtp, envelope) == 0


async def test_a_server_that_takes_two_mails_a_session_gets_them_all_without_a_pause(smtp: SmtpServer) -> None:
    """As listmonk#2683 has it; the server counts by itself, so the rule is renewed when a session is over."""
    async with channel_to(smtp, sessions=1) as (channel, pool):
        for number in range(7):
            if number and number % 2 == 0:
                smtp.script([Rule(at="mail", reply="421 4.7.0 Too many messages in this connection", times=1)])
            assert isinstance(await send(channel), Accepted)
        assert pool.counts.opened == 4


async def test_the_server_is_greeted_with_the_name_that_is_set(smtp: SmtpServer) -> None:
    smtp.script([Rule(at="ehlo", match="mail.cinema.example", reply="550 5.7.1 not you again")])
    async with channel_to(smtp, ehlo_name="mail.cinema.example") as (channel, _):
        verdict = await send(channel)
        assert isinstance(verdict, Unavailable)
        with pytest.raises(ChannelUnavailableError, match="not you again"):
            await channel.check()
    async with channel_to(smtp, ehlo_name="web-1") as (channel, _):
        assert isinstance(await send(channel), Accepted)
        told = await channel.check()
        assert "greeted as web-1, which is no full name: some servers require one, set SMTP_EHLO_NAME; " in told
    async with channel_to(smtp, ehlo_name="tickets.cinema.example") as (channel, _):
        assert "greeted as tickets.cinema.example; offers PIPELINING: 2 round trips a mail" in await channel.check()


async def test_a_name_that_the_server_refuses_is_named_with_its_setting(smtp: SmtpServer) -> None:
    smtp.script([Rule(at="ehlo", reply="501 5.5.4 Invalid EHLO argument")])
    async with channel_to(smtp) as (channel, _):
        verdict = await send(channel)
        assert isinstance(verdict, Unavailable)
        assert "SMTP_EHLO_NAME" in verdict.hint
        with pytest.raises(ChannelUnavailableError, match="SMTP_EHLO_NAME"):
            await channel.check()


async def test_a_recipient_that_needs_smtputf8_is_refused_where_it_is_not_offered(smtp: SmtpServer) -> None:
    envelope = replace(mail("jané@guests.example"), needs_smtputf8=True)
    mails = smtp.stats().counts.get("mail", 0)
    async with channel_to(smtp) as (channel, pool):
        verdict = await send(channel, envelope)
        assert isinstance(verdict, Refused)
        assert verdict.code == "5.6.7"
        assert isinstance(await send(channel), Accepted)
        assert pool.counts.opened == 1
    assert smtp.stats().counts["mail"] == mails + 1


async def test_a_recipient_that_needs_smtputf8_gets_it_where_it_is_offered(tmp_path: Path) -> None:
    with SmtpServer(tmp_path, smtputf8=True, fsync=False) as own:
        async with channel_to(own) as (channel, _):
            verdict = await send(channel, replace(mail("jané@guests.example"), needs_smtputf8=True))
        assert isinstance(verdict, Accepted)
        assert own.mails()[0].rcpt_to == ["jané@guests.example"]


# ── it breaks before DATA ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("at", ["mail", "rcpt"])
@pytest.mark.parametrize("action", ["drop", "stall"])
async def test_a_kept_session_that_had_died_is_replaced_by_a_fresh_one(
    smtp: SmtpServer, at: Stage, action: str
) -> None:
    async with channel_to(smtp, timeout=1) as (channel, pool):
        await send(channel)
        smtp.script([Rule(at=at, action=action, times=1)])  # type: ignore[arg-type]  # parametrised with two of them
        envelope = mail()
        assert isinstance(await send(channel, envelope), Accepted)
        assert (pool.counts.opened, pool.counts.open) == (2, 1)
    assert arrived(smtp, envelope) == 1


@pytest.mark.parametrize("at", ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt"])
@pytest.mark.parametrize("action", ["drop", "stall", "garbage"])
async def test_a_fresh_session_that_breaks_is_the_channels_fault_before_a_recipient_is_named(
    smtp: SmtpServer, at: Stage, action: str
) -> None:
    envelope = mail()
    # A server that is silent in the first group of all gets the same mail once more, command by command.
    times = 2 if (at, action) == ("rcpt", "stall") else 1
    smtp.script([Rule(at=at, action=action, times=times)])  # type: ignore[arg-type]  # parametrised with three of them
    async with channel_to(smtp, timeout=1) as (channel, pool):
        verdict = await send(channel, envelope)
        assert isinstance(verdict, Blocked if at == "rcpt" else Unavailable)
        assert pool.counts.open == 0
        assert isinstance(await send(channel), Accepted)
    assert arrived(smtp, envelope) == 0


@pytest.mark.parametrize("at", ["greeting", "ehlo", "auth", "mail", "rcpt"])
async def test_one_byte_at_a_time_is_bounded_by_the_deadline(smtp: SmtpServer, at: Stage) -> None:
    smtp.script([Rule(at=at, action="slow", seconds=0.2)])
    async with channel_to(smtp, timeout=0.7) as (channel, _):
        began = time.monotonic()
        verdict = await send(channel)
        assert isinstance(verdict, Blocked if at == "rcpt" else Unavailable)
        assert time.monotonic() - began < 4


# ── it breaks after DATA ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        (Rule(at="dot", action="drop", times=1), 0),
        (Rule(at="dot", action="drop_after_accept", times=1), 1),
        (Rule(at="dot", action="stall", times=1), 0),
        (Rule(at="dot", action="late", seconds=LATE, times=1), 1),
        (Rule(at="dot", action="slow", seconds=0.2, times=1), 1),
        (Rule(at="dot", action="garbage", times=1), 0),
        (Rule(at="dot", action="garbage", reply="2xx who knows", times=1), 1),
        (Rule(at="dot", reply="252 2.0.0 as good as sent", times=1), 1),
        (Rule(at="dot", reply="354 go on", times=1), 1),
        (Rule(at="data", action="drop", times=1), 0),
        (Rule(at="data", action="stall", times=1), 0),
    ],
    ids=lambda value: f"{value.at} {value.action} {value.reply or ''}" if isinstance(value, Rule) else str(value),
)
async def test_whatever_breaks_after_data_began_is_a_doubt(smtp: SmtpServer, rule: Rule, taken: int) -> None:
    envelope = mail()
    smtp.script([rule])
    async with channel_to(smtp, timeout=0.7) as (channel, pool):
        began = time.monotonic()
        verdict = await send(channel, envelope)
        assert isinstance(verdict, InDoubt)
        assert time.monotonic() - began < 4
        assert pool.counts.open == 0
        after = await send(channel)
        assert isinstance(after, Accepted)
        assert connection(after) != connection(verdict)
    assert arrived(smtp, envelope) == taken


async def test_a_doubt_on_a_kept_session_is_not_sent_again_by_the_channel(smtp: SmtpServer) -> None:
    async with channel_to(smtp) as (channel, _):
        await send(channel)
        smtp.script([Rule(at="dot", action="drop_after_accept", times=1)])
        envelope = mail()
        assert isinstance(await send(channel, envelope), InDoubt)
    assert arrived(smtp, envelope) == 1


# ── replies out of step ──────────────────────────────────────────────────────────────────────────────

CROSSED = ["250 2.0.0 crossed", "354 crossed", "550 5.1.1 crossed", "421 4.0.0 crossed"]


@pytest.mark.parametrize("at", ["greeting", "ehlo", "auth", "mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("reply", CROSSED)
async def test_a_reply_that_nobody_asked_for_never_answers_for_another_mail(
    smtp: SmtpServer, at: Stage, reply: str
) -> None:
    smtp.script(
        [
            Rule(at=at, action="unsolicited", reply=reply, times=1),
            Rule(at="rcpt", match="bad@", reply="550 5.1.1 the bad one"),
            Rule(at="rcpt", match="busy@", reply="450 4.2.1 the busy one"),
        ]
    )
    mails = [mail(to) for to in ("first@x.example", "bad@x.example", "busy@x.example", "last@x.example")]
    async with channel_to(smtp, sessions=1) as (channel, _):
        verdicts = [await send(channel, envelope) for envelope in mails]
    for envelope, verdict in zip(mails, verdicts, strict=True):
        taken = arrived(smtp, envelope)
        if isinstance(verdict, Accepted):
            assert taken == 1, "accepted, and the server never had it"
        elif not isinstance(verdict, InDoubt):
            assert taken == 0, "not accepted, and the server had it"
    # The next mails got the replies that were meant for them.
    assert [type(verdict) for verdict in verdicts[1:]] == [Refused, Deferred, Accepted]


async def test_every_mail_of_a_crowd_gets_its_own_reply(smtp: SmtpServer) -> None:
    smtp.script(
        [
            Rule(at="dot", action="unsolicited", reply="250 2.0.0 crossed", match="good"),
            Rule(at="rcpt", match="bad", reply="550 5.1.1 no"),
            Rule(at="rcpt", match="busy", reply="450 4.2.1 not now"),
        ]
    )
    kinds: dict[str, type[Verdict]] = {"good": Accepted, "bad": Refused, "busy": Deferred}
    wanted = [kind for _ in range(20) for kind in kinds]
    async with channel_to(smtp) as (channel, _):
        verdicts = await asyncio.gather(*(send(channel, mail(f"{kind}@x.example")) for kind in wanted))
    assert [type(verdict) for verdict in verdicts] == [kinds[kind] for kind in wanted]


@pytest.mark.parametrize("at", ["greeting", "ehlo", "auth", "mail", "rcpt", "data", "dot"])
async def test_a_cancelled_delivery_never_gives_its_client_back(smtp: SmtpServer, at: Stage) -> None:
    envelope, before = mail(), late_answers(smtp, at)
    smtp.script([Rule(at=at, action="late", seconds=LATE, times=1)])
    async with channel_to(smtp, timeout=LATE) as (channel, pool):
        task = asyncio.create_task(send(channel, envelope))
        await asyncio.to_thread(wait_for_rule, smtp, at, before)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (pool.counts.open, pool._idle) == (0, [])
        following = mail("bad@x.example")
        smtp.script([Rule(at="rcpt", match="bad@", reply="550 5.1.1 no")])
        assert isinstance(await send(channel, following), Refused)


def late_answers(smtp: SmtpServer, at: Stage) -> int:
    """How many this server has begun; the count goes on over tests."""
    return smtp.stats().counts.get(f"rule:{at}:late", 0)


def wait_for_rule(smtp: SmtpServer, at: Stage, before: int) -> None:
    deadline = time.monotonic() + LATE
    while late_answers(smtp, at) == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_a_delivery_cancelled_while_it_checks_an_idle_session_leaves_none_open(smtp: SmtpServer) -> None:
    clock = Clock()
    before = late_answers(smtp, "noop")
    async with channel_to(smtp, timeout=LATE, clock=clock) as (channel, pool):
        await send(channel)
        clock.now += 31
        smtp.script([Rule(at="noop", action="late", seconds=LATE, times=1)])
        task = asyncio.create_task(send(channel))
        await asyncio.to_thread(wait_for_rule, smtp, "noop", before)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (pool.counts.open, pool._idle) == (0, [])
        assert isinstance(await send(channel), Accepted)


async def test_a_third_of_a_crowd_is_cancelled_and_the_others_are_told_the_truth(smtp: SmtpServer) -> None:
    smtp.script([Rule(at="rcpt", match="bad", reply="550 5.1.1 no"), Rule(at="rcpt", action="late", seconds=0.01)])
    mails = [mail("bad@x.example" if number % 2 else "good@x.example") for number in range(60)]
    async with channel_to(smtp, timeout=20) as (channel, _):
        tasks = [asyncio.create_task(send(channel, envelope)) for envelope in mails]
        for number in range(0, 60, 3):
            await asyncio.sleep(0.005)
            tasks[number].cancel()
        verdicts = await asyncio.gather(*tasks, return_exceptions=True)
    for number, (envelope, verdict) in enumerate(zip(mails, verdicts, strict=True)):
        if not isinstance(verdict, asyncio.CancelledError):
            assert isinstance(verdict, Refused if number % 2 else Accepted)
            assert arrived(smtp, envelope) == isinstance(verdict, Accepted)


# ── kept sessions ────────────────────────────────────────────────────────────────────────────────────


async def test_an_idle_session_is_asked_before_it_is_used_again(smtp: SmtpServer) -> None:
    clock = Clock()
    noops = smtp.stats().counts.get("noop", 0)
    async with channel_to(smtp, clock=clock) as (channel, pool):
        await send(channel)
        clock.now += 29
        await send(channel)
        assert smtp.stats().counts.get("noop", 0) == noops
        clock.now += 31
        await send(channel)
        assert smtp.stats().counts["noop"] == noops + 1
        assert pool.counts.opened == 1


@pytest.mark.parametrize(
    "rule",
    [
        Rule(at="noop", action="drop"),
        Rule(at="noop", action="stall"),
        Rule(at="noop", action="garbage"),
        Rule(at="noop", reply="421 4.4.2 idle too long"),
        Rule(at="noop", action="slow", seconds=0.2),
    ],
    ids=lambda rule: rule.reply or rule.action,
)
async def test_an_idle_session_that_does_not_answer_well_is_replaced(smtp: SmtpServer, rule: Rule) -> None:
    clock = Clock()
    envelope = mail()
    async with channel_to(smtp, timeout=1, clock=clock) as (channel, pool):
        await send(channel)
        clock.now += 31
        smtp.script([rule])
        assert isinstance(await send(channel, envelope), Accepted)
        assert (pool.counts.opened, pool.counts.open) == (2, 1)
    assert arrived(smtp, envelope) == 1


async def test_a_session_is_recycled_by_age(smtp: SmtpServer) -> None:
    clock = Clock()
    async with channel_to(smtp, clock=clock, max_age=300) as (channel, pool):
        for _ in range(4):
            await send(channel)
            clock.now += 151
        assert pool.counts.opened == 2


async def test_a_session_is_recycled_by_count(smtp: SmtpServer) -> None:
    async with channel_to(smtp, max_mails=2) as (channel, pool):
        for _ in range(5):
            assert isinstance(await send(channel), Accepted)
        assert pool.counts.opened == 3


async def test_every_kept_session_is_dead_and_each_mail_goes_out_once(smtp: SmtpServer) -> None:
    mails = [mail() for _ in range(4)]
    with Proxy(smtp.port) as proxy:
        async with channel_to(smtp, port=proxy.port) as (channel, pool):
            await asyncio.gather(*(send(channel) for _ in range(4)))
            opened = pool.counts.opened
            proxy.cut()
            verdicts = await asyncio.gather(*(send(channel, envelope) for envelope in mails))
            assert [type(verdict) for verdict in verdicts] == [Accepted] * 4
            assert pool.counts.opened <= opened + 4
            assert pool.counts.open <= 4
    assert [arrived(smtp, envelope) for envelope in mails] == [1] * 4


async def test_two_hundred_mails_never_have_more_connections_than_the_limit(own_smtp: SmtpServer) -> None:
    with own_smtp:
        async with channel_to(own_smtp, timeout=20) as (channel, pool):
            verdicts = await asyncio.gather(*(send(channel) for _ in range(200)))
            assert pool.counts.opened <= 4
        assert [type(verdict) for verdict in verdicts] == [Accepted] * 200
        assert own_smtp.stats().peak_open <= 4
        assert len(own_smtp.mails()) == 200


async def test_a_fresh_session_for_a_dead_one_does_not_go_beyond_the_limit(smtp: SmtpServer) -> None:
    async with channel_to(smtp, sessions=2, timeout=20) as (channel, pool):
        await asyncio.gather(send(channel), send(channel))
        most = await most_open(pool, *(send_after_a_drop(channel, smtp) for _ in range(20)))
        assert most <= 2


async def send_after_a_drop(channel: SmtpChannel, smtp: SmtpServer) -> None:
    await asyncio.to_thread(smtp.script, [Rule(at="mail", action="drop", times=2)])
    await asyncio.gather(*(send(channel) for _ in range(6)))


async def most_open(pool: Pool, *work: Awaitable[None]) -> int:
    """The most sessions that were open at any time while the work went on."""
    most = pool.counts.open

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, pool.counts.open)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    for each in work:
        await each
    watching.cancel()
    return most


@pytest.mark.parametrize("local", ['"jane..doe"', '"jane."', '".jane"'])
async def test_a_quoted_local_part_reaches_the_server_as_it_is(smtp: SmtpServer, local: str) -> None:
    async with channel_to(smtp) as (channel, _):
        assert isinstance(await send(channel, mail(f"{local}@docomo.example")), Accepted)
    assert smtp.mails()[-1].rcpt_to == [f"{local}@docomo.example"]


@pytest.mark.parametrize(
    ("password", "reply", "told"),
    [
        ("guest", "550 5.1.1 the guest mailbox of guests is gone", "5.1.1 the guest mailbox of guests is gone"),
        ("guest", "550 5.1.1 password=guest", "5.1.1 password=***"),
        ("guest", "550 5.1.1 AUTH PLAIN AG1haWxlcgBndWVzdA==", "5.1.1 AUTH PLAIN ***"),
        ("c4nary-of-a-secret", "550 5.1.1 xc4nary-of-a-secretx", "5.1.1 x***x"),
    ],
)
async def test_what_a_server_says_loses_our_password_and_no_word(
    smtp: SmtpServer, password: str, reply: str, told: str
) -> None:
    async with channel_to(smtp) as (channel, pool):
        pool._secrecy = Pool(replace(pool.server, password=password), pool.limits, pool._tls)._secrecy
        smtp.script([Rule(at="rcpt", reply=reply)])
        verdict = await send(channel)
    assert isinstance(verdict, Refused)
    assert verdict.attempt.reply == told
