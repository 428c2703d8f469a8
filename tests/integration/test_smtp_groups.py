"""Commands in groups, BDAT, and the next mail behind the content of this one, against a server that misbehaves."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from structlog.testing import capture_logs

from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.smtp import providers
from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.extensions import Extension, Extensions
from notification_service.channels.email.smtp.pool import Pool, Server, SessionLimits, tls_context
from notification_service.channels.email.smtp.relay import SmtpRelay
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
)
from notification_service.delivery.ports.claims import Fence
from notification_service.foundation.errors import ChannelUnavailableError
from tests.stack.smtp_dialogue import BOTH, Dialogue, Say, Step, dialogue

numbers = itertools.count(1)
ALL, NONE = frozenset(Extension), frozenset[Extension]()
TLS = tls_context(None)


@asynccontextmanager
async def channel_to(
    server: Dialogue,
    *,
    sessions: int = 1,
    allowed: Collection[Extension] = ALL,
    timeout: float = 5.0,  # noqa: ASYNC109 - a setting of the channel
    data_timeout: float = 5.0,
    wait: float = 5.0,
    max_mails: int = 500,
    username: str | None = None,
) -> AsyncIterator[tuple[SmtpChannel, Pool]]:
    where = Server(
        "127.0.0.1",
        server.port,
        start_tls=False,
        implicit_tls=False,
        username=username,
        password=username,
        timeout=wait,
        ehlo_name="a.example",
    )
    pool = Pool(where, SessionLimits(sessions, 30, 300, max_mails), TLS, extensions=Extensions(allowed, "a server"))
    channel = SmtpChannel(pool, providers.find(""), timeout=timeout, data_timeout=data_timeout)
    yield channel, pool
    await channel.close()
    assert pool.counts.open == 0, "a session was neither kept nor closed"


def mail(name: str = "", text: bytes = b"Enjoy the film.\r\n", recipient: str = "jane@guests.example") -> OutgoingEmail:
    name = name or f"n{next(numbers)}"
    return OutgoingEmail(
        notification_id=name,
        template="booking_confirmation",
        sender=f"{name}@cinema.example",
        recipient=recipient,
        content=f"Message-ID: <{name}@cinema.example>\r\n\r\n".encode() + text,
    )


async def held() -> Fence:
    return Fence.HELD


async def send(channel: SmtpChannel, *mails: OutgoingEmail) -> list[Tried]:
    """All at once, in this order."""
    return list(await asyncio.gather(*(channel.send_once(each, held) for each in mails)))


def named(*names: str) -> list[OutgoingEmail]:
    return [mail(name) for name in names]


def at(step: str, who: str, said: Say, *, times: int = 10**6) -> "OneAnswer":
    return OneAnswer(step, who, said, times)


class OneAnswer:
    """Answers one step of one mail so (`*`: of every mail), so many times."""

    def __init__(self, step: str, who: str, said: Say, times: int) -> None:
        self.step, self.who, self.said, self.left = step, who, said, times
        self._last: Step | None = None

    def __call__(self, step: Step) -> Say | None:
        if step.at != self.step or self.who not in ("*", step.mail):
            return None
        # BDAT is looked at twice: whether its chunk is read, and what is said then.
        if step != self._last:
            if not self.left:
                return None
            self.left -= 1
        self._last = step
        return self.said


def reply(text: str, **how: object) -> Say:
    return Say(text.replace("\n", "\r\n").encode() + b"\r\n", **how)  # type: ignore[arg-type]


# ── round trips ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("offered", "allowed", "round_trips"),
    [
        (BOTH, ALL, 1),
        (("PIPELINING",), ALL, 2),
        (("CHUNKING",), ALL, 3),
        (("8BITMIME",), ALL, 4),
        (BOTH, {Extension.PIPELINING}, 2),
        (BOTH, NONE, 4),
    ],
)
async def test_a_mail_behind_a_backlog_takes_as_many_round_trips_as_the_server_allows(
    offered: tuple[str, ...], allowed: Collection[Extension], round_trips: int
) -> None:
    """Each read of the server is one write of ours: it answers at once, and we write nothing before its answer."""
    async with dialogue(offered=offered) as server, channel_to(server, allowed=allowed) as (channel, pool):
        await send(channel, mail())
        before = server.reads
        verdicts = await send(channel, *(mail() for _ in range(20)))
        assert all(isinstance(each, Accepted) for each in verdicts)
        # The first one of a backlog rides behind nobody.
        assert server.reads - before == round_trips * 20 + (round_trips in (1, 2))
        assert (server.connections, pool.counts.opened, server.too_early) == (1, 1, 0)


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",), ("CHUNKING",), ("8BITMIME",)])
@pytest.mark.parametrize(
    "text", [b"x\r\n", b".\r\n..\r\n.x\r\n", "é 日本\r\n".encode(), b"no end", b"a\nb\rc\r\n.\nd", b"x" * 300_000]
)
async def test_what_arrives_is_what_was_composed(offered: tuple[str, ...], text: bytes) -> None:
    async with dialogue(offered=offered) as server, channel_to(server) as (channel, _):
        mails = [mail(text=text) for _ in range(3)]
        assert [type(each) for each in await send(channel, *mails)] == [Accepted] * 3
    lines = mails[0].content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    wanted = lines if lines.endswith(b"\r\n") else lines + b"\r\n"
    assert server.accepted[mails[0].notification_id] == [wanted]
    assert {len(each) for each in server.accepted.values()} == {1}


async def test_the_fence_is_asked_right_before_each_content_and_after_its_recipient() -> None:
    async with dialogue() as server, channel_to(server) as (channel, _):
        mails = named("a", "b", "c")
        asked: list[tuple[str, list[tuple[str, str]]]] = []

        def fence_of(name: str) -> object:
            async def fence() -> Fence:
                asked.append((name, [(step.at, step.mail) for step in server.seen if step.at in ("RCPT", "CONTENT")]))
                return Fence.HELD

            return fence

        await asyncio.gather(*(channel.send_once(each, fence_of(each.notification_id)) for each in mails))  # type: ignore[arg-type]
    assert [name for name, _ in asked] == ["a", "b", "c"]
    for name, seen in asked:
        assert ("RCPT", name) in seen
        assert ("CONTENT", name) not in seen


async def test_a_lost_fence_of_a_mail_that_rode_resets_it_and_the_session_goes_on() -> None:
    async def lost() -> Fence:
        return Fence.LOST

    async with dialogue() as server, channel_to(server) as (channel, pool):
        a, b, c = named("a", "b", "c")
        verdicts = await asyncio.gather(
            channel.send_once(a, held), channel.send_once(b, lost), channel.send_once(c, held)
        )
        assert [type(each) for each in verdicts] == [Accepted, HandoverRefused, Accepted]
        assert pool.counts.opened == 1
        assert server.counts["RSET"] == 1
    assert set(server.accepted) == {"a", "c"}


# ── refusals within a group ──────────────────────────────────────────────────────────────────────────

GONE, LATER = "550 5.1.1 no such user", "450 4.2.1 later"


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",)])
@pytest.mark.parametrize(
    ("step", "text", "wanted"),
    [
        ("MAIL", "550 5.7.60 not as this user", Unavailable),
        ("MAIL", "552 5.3.4 too big", Refused),
        ("RCPT", GONE, Refused),
        ("RCPT", LATER, Deferred),
        ("RCPT", "554 5.7.1 Relay access denied", Blocked),
        ("RCPT", "550-5.1.1 no\n550-5.1.1 such\n550 5.1.1 user", Refused),
    ],
)
async def test_a_refusal_in_a_group_is_read_to_its_end_and_no_content_follows(
    offered: tuple[str, ...], step: str, text: str, wanted: type
) -> None:
    async with dialogue(at(step, "b", reply(text)), offered) as server, channel_to(server) as (channel, _):
        verdicts = await send(channel, *named("a", "b", "c"))
        assert [type(each) for each in verdicts] == [Accepted, wanted, Accepted]
    assert {name: len(each) for name, each in server.accepted.items()} == {"a": 1, "c": 1}
    assert server.too_early == 0


async def test_a_server_that_accepts_data_for_nobody_gets_none() -> None:
    """haraka#538: 354 though every recipient was refused."""
    answers = at("RCPT", "*", reply(GONE))
    async with dialogue(answers, ("PIPELINING",)) as server, channel_to(server) as (channel, _):
        assert [type(each) for each in await send(channel, *named("a", "b"))] == [Refused, Refused]
    assert (server.counts["DATA"], server.too_early) == (0, 0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("451 4.3.0 later", Deferred),
        ("452 4.3.1 no room", Deferred),
        ("552 5.3.4 message too big", Refused),
        ("554 5.7.1 looks like spam", Refused),
        ("550 5.4.5 Daily user sending limit exceeded", Blocked),
    ],
)
@pytest.mark.parametrize("unread", [False, True], ids=["chunk read", "chunk read as commands"])
async def test_a_refused_chunk_costs_its_session_and_leaves_the_mail_behind_it_untouched(
    text: str,
    wanted: type,
    unread: bool,  # noqa: FBT001 - parametrised
) -> None:
    """emersion/go-smtp#315: it refuses BDAT, and reads the chunk as commands."""
    answers = at("CONTENT", "a", reply(text, unread=unread))
    async with dialogue(answers) as server, channel_to(server) as (channel, pool):
        verdicts = await send(channel, *named("a", "b", "c"))
        assert [type(each) for each in verdicts] == [wanted, Accepted, Accepted]
        assert pool.counts.opened == 2
    assert {name: len(each) for name, each in server.accepted.items()} == {"b": 1, "c": 1}
    assert "a" not in server.accepted


async def test_refused_content_by_data_keeps_the_session_for_the_mail_that_rides_behind_it() -> None:
    answers = at("CONTENT", "a", reply("554 5.7.1 looks like spam"))
    async with dialogue(answers, ("PIPELINING",)) as server, channel_to(server) as (channel, pool):
        verdicts = await send(channel, *named("a", "b", "c"))
        assert [type(each) for each in verdicts] == [Refused, Accepted, Accepted]
        assert pool.counts.opened == 1
    assert set(server.accepted) == {"b", "c"}


@pytest.mark.parametrize("offered", [BOTH, ()])
@pytest.mark.parametrize("said", ["251 2.1.5 will forward", "252 2.1.5 cannot verify, but will take it"])
async def test_a_recipient_that_the_server_takes_without_verifying_is_taken(
    offered: tuple[str, ...], said: str
) -> None:
    """Taken for a server out of step, every mail would be held."""
    async with dialogue(at("RCPT", "*", reply(said)), offered) as server, channel_to(server) as (channel, _):
        assert [type(each) for each in await send(channel, *named("a", "b"))] == [Accepted] * 2
    assert {name: len(each) for name, each in server.accepted.items()} == {"a": 1, "b": 1}


# ── doubts ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",), ("CHUNKING",)])
@pytest.mark.parametrize(
    "said",
    [
        Say(b"", "cut"),
        Say(b"25", "cut"),
        Say(b"xyz\r\n"),
        Say(b"2xx who knows\r\n"),
        Say(b"354 go on\r\n"),
        Say(b"252 2.0.0 as good as sent\r\n"),
        Say(b"250 2.1.5 Ok\r\n"),
        Say(b"250-" + b"x" * 9000 + b"\r\n250 Ok\r\n"),
        Say(b"250-" + b"x" * 40_000),
    ],
    ids=lambda said: f"{said.raw[:20]!r} {said.then}",
)
async def test_an_unclear_answer_to_content_is_a_doubt_and_the_mail_behind_it_is_untouched(
    offered: tuple[str, ...], said: Say
) -> None:
    async with dialogue(at("CONTENT", "a", said), offered) as server, channel_to(server) as (channel, _):
        verdicts = await send(channel, *named("a", "b", "c"))
        assert [type(each) for each in verdicts] == [InDoubt, Accepted, Accepted]
    assert [len(server.accepted[name]) for name in "bc"] == [1, 1]
    assert server.too_early == 0


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "CONTENT"])
@pytest.mark.parametrize("then", ["cut", "hang"])
async def test_a_break_between_any_two_replies_touches_one_mail_at_most(step: str, then: str) -> None:
    """The server answers the step of the mail that rides, or that before it, and then no more."""
    answered = reply("250 2.0.0 Ok: queued" if step == "CONTENT" else "250 2.1.0 Ok", then=then)
    async with dialogue(at(step, "b", answered, times=1)) as server, channel_to(server, timeout=0.3) as (channel, _):
        verdicts = await send(channel, *named("a", "b", "c"))
        assert [type(each) for each in verdicts] == [Accepted] * 3
    assert {name: len(each) for name, each in server.accepted.items()} == {"a": 1, "b": 1, "c": 1}


async def test_a_server_that_refuses_content_and_then_is_silent_has_not_touched_the_mail_behind_it() -> None:
    answers = at("CONTENT", "a", reply("554 5.7.1 no", then="hang"), times=1)
    async with dialogue(answers, ("PIPELINING",)) as server, channel_to(server, timeout=0.3) as (channel, _):
        verdicts = await send(channel, *named("a", "b", "c"))
        assert [type(each) for each in verdicts] == [Refused, Accepted, Accepted]
    assert {name: len(each) for name, each in server.accepted.items()} == {"b": 1, "c": 1}


@pytest.mark.parametrize("text", [LATER, GONE])
async def test_the_refusal_of_a_mail_that_rides_is_read_though_the_content_before_is_in_doubt(text: str) -> None:
    def answers(step: Step) -> Say | None:
        if step.at == "CONTENT" and step.mail == "a":
            return Say(b"", "cut")
        return reply(text) if step.at == "RCPT" and step.mail == "b" else None

    async with dialogue(answers) as server, channel_to(server) as (channel, _):
        verdicts = await send(channel, *named("a", "b"))
        assert [type(each) for each in verdicts] == [InDoubt, Deferred if text == LATER else Refused]
    assert not server.accepted.get("b")


async def test_a_server_that_closes_right_after_its_250_has_the_mail_and_not_the_next() -> None:
    answers = at("CONTENT", "a", reply("250 2.0.0 Ok: queued", then="cut"))
    async with dialogue(answers) as server, channel_to(server) as (channel, pool):
        assert [type(each) for each in await send(channel, *named("a", "b"))] == [Accepted, Accepted]
        assert pool.counts.opened == 2
    assert {name: len(each) for name, each in server.accepted.items()} == {"a": 1, "b": 1}


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "CONTENT"])
async def test_a_421_to_a_mail_that_rides_costs_the_session_alone(step: str) -> None:
    answers = at(step, "b", reply("421 4.3.2 closing", then="cut"), times=1)
    async with dialogue(answers) as server, channel_to(server) as (channel, _):
        assert [type(each) for each in await send(channel, *named("a", "b", "c"))] == [Accepted] * 3
    assert {name: len(each) for name, each in server.accepted.items()} == {"a": 1, "b": 1, "c": 1}


# ── too many replies ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pause", [0.0, 0.002], ids=["in one packet", "later"])
@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",), ("CHUNKING",)])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "CONTENT"])
async def test_a_reply_too_many_makes_no_mail_accepted_that_the_server_refused(
    step: str, offered: tuple[str, ...], pause: float
) -> None:
    extra = {"MAIL": "250 2.1.0 Ok", "RCPT": "250 2.1.5 Ok", "CONTENT": "250 2.0.0 Ok: queued"}[step]

    def answers(asked: Step) -> Say | None:
        if asked.at == step and asked.mail in ("a", "b"):
            return Say(2 * f"{extra}\r\n".encode(), piece=len(extra) + 2 if pause else 0)
        if asked.at == "RCPT" and asked.mail == "c":
            return reply(GONE)
        return None

    async with dialogue(answers, offered) as server, channel_to(server) as (channel, _):
        mails = named("a", "b", "c", "d")
        verdicts = await send(channel, *mails)
    for each, verdict in zip(mails, verdicts, strict=True):
        taken = len(server.accepted.get(each.notification_id, []))
        assert taken <= 1
        if isinstance(verdict, Accepted):
            assert taken == 1
        elif not isinstance(verdict, InDoubt):
            assert taken == 0
    assert not isinstance(verdicts[2], Accepted)
    assert server.too_early == 0


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",), ("CHUNKING",), ()])
async def test_a_server_that_accepts_content_with_the_status_of_an_address_gets_mail_by_data(
    offered: tuple[str, ...],
) -> None:
    """Behind a 354, and with no mail behind the content, nothing else is left that it could answer."""
    answers = at("CONTENT", "*", reply("250 2.1.5 accepted for delivery"))
    async with dialogue(answers, offered) as server, channel_to(server) as (channel, _):
        verdicts = [type(verdict) for each in range(5) for verdict in await send(channel, mail())]
        doubts = 3 if "CHUNKING" in offered else 0
        assert verdicts == [InDoubt] * doubts + [Accepted] * (5 - doubts)


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",), ("CHUNKING",), ()])
@pytest.mark.parametrize("text", ["250-2.0.0 queued\n550 5.7.1 no", "550-5.7.1 no\n250 ok", "2500 ok"])
async def test_a_reply_that_says_yes_and_no_to_content_is_a_doubt(offered: tuple[str, ...], text: str) -> None:
    answers = at("CONTENT", "a", reply(text))
    async with dialogue(answers, offered) as server, channel_to(server) as (channel, _):
        assert [type(each) for each in await send(channel, *named("a", "b"))] == [InDoubt, Accepted]


async def test_a_server_that_says_too_much_is_spoken_to_command_by_command() -> None:
    answers = at("RCPT", "*", Say(b"250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n"))
    async with dialogue(answers) as server, channel_to(server) as (channel, pool):
        for _ in range(4):
            await send(channel, mail())
        assert pool.extensions.given_up == ALL
    assert server.too_early == 0


# ── how replies arrive ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",)])
async def test_replies_in_pieces_of_one_byte_and_lines_that_end_with_a_line_feed_alone(
    offered: tuple[str, ...],
) -> None:
    def answers(step: Step) -> Say | None:
        usual = {"MAIL": b"250-2.1.0 a\n250 2.1.0 b\n", "RCPT": b"250 2.1.5 c\n", "CONTENT": b"250-2.0.0 d\n250 e\n"}
        return Say(usual[step.at], piece=1) if step.at in usual else None

    async with dialogue(answers, offered) as server, channel_to(server) as (channel, _):
        verdicts = await send(channel, *named("a", "b", "c"))
        assert [type(each) for each in verdicts] == [Accepted] * 3
        assert isinstance(verdicts[0], Accepted)
        assert verdicts[0].attempt.reply == "2.0.0 d e"
    assert server.connections == 1


async def test_what_a_server_says_while_nobody_asks_ends_its_session_and_answers_nothing() -> None:
    async with dialogue() as server, channel_to(server) as (channel, pool):
        await send(channel, mail())
        (session,) = pool._idle
        session.wire.data_received(b"250 2.1.5 nobody asked\r\n")
        server.answers = at("RCPT", "b", reply(GONE))
        assert [type(each) for each in await send(channel, *named("b"))] == [Refused]
        assert pool.counts.opened == 2


# ── large content ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",)])
async def test_large_content_goes_to_a_slow_reader_with_the_next_mail_behind_it(offered: tuple[str, ...]) -> None:
    large = [mail(name, b"0123456789abcde\r\n" * 250_000) for name in ("a", "b")]
    async with dialogue(offered=offered) as server, channel_to(server, data_timeout=20) as (channel, pool):
        server.slow_read = 0.001
        verdicts = await send(channel, *large, mail("c"))
        assert [type(each) for each in verdicts] == [Accepted] * 3
        assert pool.counts.opened == 1
    assert server.accepted["a"] == [large[0].content]
    assert server.accepted["b"] == [large[1].content]


@pytest.mark.parametrize(
    ("text", "wanted"), [("552 5.3.4 too big", Refused), ("452 4.3.1 no room", Deferred), ("250 2.0.0 Ok", InDoubt)]
)
@pytest.mark.parametrize("then", ["", "hang", "cut"])
async def test_an_answer_before_the_content_is_written_ends_it(text: str, wanted: type, then: str) -> None:
    """A refusal is believed. A 250 is not: nobody can have taken what was not written yet."""
    answers = at("CONTENT", "a", reply(text, unread=True, then=then))
    big = mail("a", b"0123456789abcde\r\n" * 500_000)
    async with dialogue(answers) as server, channel_to(server) as (channel, _):
        began = time.monotonic()
        (verdict,) = await send(channel, big)
        assert type(verdict) is wanted or (then == "cut" and isinstance(verdict, InDoubt))
        assert time.monotonic() - began < 4
        assert [type(each) for each in await send(channel, mail("b"))] == [Accepted]
    assert "a" not in server.accepted


# ── falling back ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("unread", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "500 5.5.1 unknown command",
        "501 what",
        "502 5.5.1 unknown command",
        "503 5.5.1 unknown command",
        "504 5.5.4 not here",
        "555 5.5.4 unknown parameter",
        "550 5.5.1 invalid command",
        "554 5.7.1 BDAT is not allowed by the policy",
        "451 4.3.0 CHUNKING is out of order",
    ],
)
async def test_an_offered_bdat_that_is_refused_goes_by_data_and_is_given_up(
    text: str,
    unread: bool,  # noqa: FBT001 - parametrised
) -> None:
    """jstedfast/MailKit#1221: a filter on the way does not know what the server offers."""

    def answers(step: Step) -> Say | None:
        is_chunk = step.at == "CONTENT" and step.line.startswith(b"BDAT")
        return reply(text, unread=unread) if is_chunk else None

    async with dialogue(answers) as server, channel_to(server) as (channel, pool):
        with capture_logs() as lines:
            mails = [mail() for _ in range(12)]
            for each in mails:
                assert [type(verdict) for verdict in await send(channel, each)] == [Accepted]
        assert pool.extensions.given_up == {Extension.CHUNKING}
        assert len([line for line in lines if line["event"] == "smtp.extension_given_up"]) == 1
        assert server.counts["BDAT"] == 3
    assert [len(server.accepted[each.notification_id]) for each in mails] == [1] * 12


@pytest.mark.parametrize("code", ["500", "502", "503"])
@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
async def test_a_group_that_is_refused_goes_command_by_command_and_is_given_up(step: str, code: str) -> None:
    async with dialogue() as server, channel_to(server) as (channel, pool):

        def answers(asked: Step) -> Say | None:
            grouped = Extension.PIPELINING not in pool.extensions.given_up and asked.connection % 2 == 1
            return reply(f"{code} 5.5.0 improper pipelining") if grouped and asked.at == step else None

        server.answers = answers
        mails = [mail() for _ in range(3)]
        for each in mails:
            assert [type(verdict) for verdict in await send(channel, each)] == [Accepted]
            for session in pool._idle:
                session.kept = False
                pool._discard(session, "the next one begins anew")
            pool._idle.clear()
    assert [len(server.accepted[each.notification_id]) for each in mails] == [1] * 3


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("554 SMTP synchronization error", "cut"),
        ("421 4.7.0 Error: improper command pipelining", "cut"),
        ("550 5.5.1 pipelining is not allowed", ""),
    ],
)
async def test_a_server_that_names_the_group_as_its_reason_gets_none(text: str, then: str) -> None:
    def answers(asked: Step) -> Say | None:
        return reply(text, then=then) if asked.at == "MAIL" and asked.behind else None

    async with dialogue(answers) as server, channel_to(server) as (channel, pool):
        assert [type(verdict) for each in range(6) for verdict in await send(channel, mail())] == [Accepted] * 6
        assert pool.extensions.given_up == {Extension.PIPELINING}


async def test_a_server_that_reads_one_command_of_a_group_and_drops_the_rest_is_found_out() -> None:
    answers = at("MAIL", "*", Say(b"250 2.1.0 Ok\r\n", forget=True))
    async with dialogue(answers) as server, channel_to(server, timeout=0.2) as (channel, pool):
        assert [type(verdict) for each in range(6) for verdict in await send(channel, mail())] == [Accepted] * 6
        assert pool.extensions.given_up == {Extension.PIPELINING}


async def test_a_group_of_which_the_rest_is_dropped_passes_plainly_though_others_wait() -> None:
    answers = at("MAIL", "*", Say(b"250 2.1.0 Ok\r\n", forget=True))
    async with dialogue(answers) as server, channel_to(server, timeout=0.2, wait=0.2) as (channel, pool):
        verdicts = await send(channel, *(mail() for _ in range(6)))
        assert {type(each) for each in verdicts} == {Accepted, PutOff}
        assert pool.extensions.given_up or [type(each) for each in verdicts].count(Accepted)


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",)])
@pytest.mark.parametrize("drops", [True, False])
async def test_a_server_that_takes_no_envelope_behind_content_is_found_out(
    offered: tuple[str, ...],
    drops: bool,  # noqa: FBT001 - parametrised
) -> None:
    """It drops what came behind the content, or refuses that. At the head of a session it takes groups."""
    behind: dict[int, bool] = {}

    def answers(asked: Step) -> Say | None:
        if asked.at == "CONTENT":
            behind[asked.connection] = asked.behind
            return Say(b"250 2.0.0 Ok\r\n", forget=True) if drops else None
        rode = asked.at == "MAIL" and behind.pop(asked.connection, False)
        return reply("503 5.5.1 not now") if rode else None

    async with dialogue(answers, offered) as server, channel_to(server, timeout=0.2) as (channel, pool):
        verdicts = await send(channel, *(mail() for _ in range(16)))
        assert [type(each) for each in verdicts] == [Accepted] * 16
        assert pool.extensions.given_up == {Extension.PIPELINING}
        assert pool.counts.opened <= 6


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",), ("CHUNKING",), ()])
@pytest.mark.parametrize("text", ["503 5.5.1 Sender already given", "500 5.5.1 one mail a session", "220 welcome"])
async def test_a_session_that_takes_no_second_mail_costs_that_session_alone(
    offered: tuple[str, ...], text: str
) -> None:
    async with dialogue(offered=offered) as server, channel_to(server) as (channel, _):

        def answers(asked: Step) -> Say | None:
            second = asked.at == "MAIL" and server.verbs(asked.connection).count("MAIL") > 1
            return reply(text) if second else None

        server.answers = answers
        assert [type(verdict) for each in range(4) for verdict in await send(channel, mail())] == [Accepted] * 4
    assert [len(each) for each in server.accepted.values()] == [1] * 4


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",), ("CHUNKING",), ()])
async def test_content_is_in_doubt_where_a_server_goes_on_behind_its_421_and_accepts(offered: tuple[str, ...]) -> None:
    closing = b"421 4.4.2 idle too long\r\n"
    answers = at("CONTENT", "a", Say(closing + b"250 2.0.0 Ok: queued\r\n", piece=len(closing)))
    async with dialogue(answers, offered) as server, channel_to(server) as (channel, _):
        first, second = await send(channel, *named("a", "b"))
    assert isinstance(first, InDoubt)
    assert isinstance(second, Accepted)
    assert server.counts["BDAT"] + server.counts["DATA"] == 2


@pytest.mark.parametrize("then", ["", "cut"])
@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",), ("CHUNKING",), ()])
async def test_content_is_refused_by_a_421_behind_which_nothing_comes_but_what_was_asked(
    offered: tuple[str, ...], then: str
) -> None:
    answers = at("CONTENT", "a", reply("421 4.4.2 closing", then=then), times=1)
    async with dialogue(answers, offered) as server, channel_to(server) as (channel, _):
        first, second = await send(channel, *named("a", "b"))
    assert not isinstance(first, InDoubt | Accepted)
    assert isinstance(second, Accepted)


@pytest.mark.parametrize("offered", [BOTH, ("PIPELINING",)])
async def test_a_session_that_the_server_closes_by_a_421_is_no_fault_that_makes_logins_wait(
    offered: tuple[str, ...],
) -> None:
    async with dialogue(offered=offered) as server, channel_to(server) as (channel, _):

        def answers(asked: Step) -> Say | None:
            second = asked.at == "MAIL" and server.verbs(asked.connection).count("MAIL") > 1
            return reply("421 4.7.0 Too many messages in this connection", then="cut") if second else None

        server.answers = answers
        with capture_logs() as lines:
            verdicts = await send(channel, *(mail() for _ in range(8)))
        assert [type(each) for each in verdicts] == [Accepted] * 8
        assert not [line for line in lines if line["event"] == "smtp.login_spaced"]


async def test_a_server_that_hangs_on_bdat_is_spoken_to_without_it_after_three_doubts() -> None:
    """jstedfast/MailKit#921."""

    def answers(step: Step) -> Say | None:
        return Say(b"", "hang") if step.line.startswith(b"BDAT") else None

    async with dialogue(answers) as server, channel_to(server, data_timeout=0.2) as (channel, pool):
        verdicts = [type(verdict) for each in range(6) for verdict in await send(channel, mail())]
        assert verdicts == [InDoubt] * 3 + [Accepted] * 3
        assert pool.extensions.given_up == {Extension.CHUNKING}
    assert server.counts["DATA"] == 3


async def test_a_server_that_hangs_on_large_chunks_alone_is_found_out_too() -> None:
    """Progressiverobot/hmailserver#261."""

    def answers(step: Step) -> Say | None:
        large = step.line.startswith(b"BDAT") and int(step.line.split(b" ")[1]) > 10_000
        return Say(b"", "hang") if large else None

    async with dialogue(answers) as server, channel_to(server, data_timeout=0.2) as (channel, pool):
        for _ in range(3):
            assert [type(each) for each in await send(channel, mail(text=b"x\r\n" * 5000))] == [InDoubt]
            assert [type(each) for each in await send(channel, mail())] == [Accepted]
        assert pool.extensions.given_up == {Extension.CHUNKING}
        assert [type(each) for each in await send(channel, mail(text=b"x\r\n" * 5000))] == [Accepted]


async def test_a_server_that_ends_breaks_every_session_at_once_and_loses_no_extension() -> None:
    answers = at("CONTENT", "*", Say(b"", "cut"), times=8)
    async with dialogue(answers) as server, channel_to(server, sessions=8) as (channel, pool):
        verdicts = await send(channel, *(mail() for _ in range(8)))
        assert [type(each) for each in verdicts] == [InDoubt] * 8
        assert pool.extensions.given_up == set()
        assert [type(each) for each in await send(channel, mail())] == [Accepted]


async def test_a_server_that_never_answers_a_group_is_spoken_to_command_by_command() -> None:
    def answers(step: Step) -> Say | None:
        return Say(b"", "hang") if step.at == "MAIL" and step.connection <= 3 else None

    async with dialogue(answers) as server, channel_to(server, timeout=0.2) as (channel, pool):
        verdicts = [type(verdict) for each in range(4) for verdict in await send(channel, mail())]
        assert verdicts == [Unavailable] * 3 + [Accepted]
        assert pool.extensions.given_up == {Extension.PIPELINING}


async def test_a_recipient_whose_server_is_silent_says_nothing_of_the_extension() -> None:
    answers = at("RCPT", "*", Say(b"", "hang"))
    async with dialogue(answers) as server, channel_to(server, timeout=0.1) as (channel, pool):
        verdicts = [type(verdict) for each in range(4) for verdict in await send(channel, mail())]
        assert verdicts == [Blocked] * 4
        assert pool.extensions.given_up == set()


# ── the pool ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_mail_rides_only_where_no_session_is_free() -> None:
    async with dialogue() as server, channel_to(server, sessions=3) as (channel, pool):
        await send(channel, *(mail() for _ in range(3)))
        assert pool.counts.opened == 3
        assert [step.at for step in server.seen].count("MAIL") == 3
        assert {step.connection for step in server.seen if step.at == "MAIL"} == {1, 2, 3}


async def test_a_session_takes_no_more_mails_than_its_limit_though_they_ride() -> None:
    async with dialogue() as server, channel_to(server, max_mails=4) as (channel, pool):
        verdicts = await send(channel, *(mail() for _ in range(10)))
        assert [type(each) for each in verdicts] == [Accepted] * 10
        assert pool.counts.opened == 3
    assert [server.verbs(number).count("CONTENT") for number in (1, 2, 3)] == [4, 4, 2]


async def test_a_mail_that_finds_no_session_in_time_is_put_off_and_nothing_of_it_is_said() -> None:
    answers = at("CONTENT", "a", Say(b"", "hang"))
    async with dialogue(answers) as server, channel_to(server, timeout=0.2, wait=0.2, data_timeout=1.5) as (channel, _):
        began = time.monotonic()
        (first, *others) = [asyncio.create_task(channel.send_once(each, held)) for each in named("a", "b", "c")]
        assert [type(await each) for each in others] == [PutOff, PutOff]
        assert time.monotonic() - began < 1.2
        assert isinstance(await first, InDoubt)
        assert [type(each) for each in await send(channel, mail("d"))] == [Accepted]
    assert set(server.accepted) == {"d"}


@pytest.mark.parametrize("victim", ["a", "b", "c"])
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05])
async def test_a_cancelled_mail_costs_no_other_one(victim: str, delay: float) -> None:
    answers = at("CONTENT", "a", reply("250 2.0.0 Ok: queued", pause=0.04), times=1)
    async with dialogue(answers) as server, channel_to(server) as (channel, pool):
        tasks = {each.notification_id: asyncio.create_task(channel.send_once(each, held)) for each in named(*"abcd")}
        await asyncio.sleep(delay)
        tasks[victim].cancel()
        done = await asyncio.gather(*tasks.values(), return_exceptions=True)
        verdicts = dict(zip(tasks, done, strict=True))
        assert all(isinstance(each, Accepted) for name, each in verdicts.items() if name != victim)
        assert pool._turns._free == 1
    assert all(len(server.accepted[name]) == 1 for name in "abcd" if name != victim)


async def test_mails_that_wait_do_not_each_try_a_login_that_fails() -> None:
    answers = at("EHLO", "*", reply("421 4.3.2 closing", then="cut"))
    async with dialogue(answers) as server, channel_to(server, sessions=2) as (channel, _):
        verdicts = await send(channel, *(mail() for _ in range(6)))
        assert [type(each) for each in verdicts] == [Unavailable] * 6
        assert server.connections == 2


async def test_refused_chunks_do_not_become_a_storm_of_logins() -> None:
    answers = at("CONTENT", "*", reply("554 5.7.1 looks like spam"))
    async with dialogue(answers) as server, channel_to(server, sessions=2, timeout=1) as (channel, _):
        began = time.monotonic()
        await send(channel, *(mail() for _ in range(8)))
        assert server.connections <= 2 + 2 * 2 + 2 * (time.monotonic() - began) + 1


@pytest.mark.parametrize("offered", [BOTH, ("CHUNKING", "8BITMIME", "SMTPUTF8"), (*BOTH, "SMTPUTF8")])
async def test_a_mail_that_needs_smtputf8_rides_where_it_is_offered_only(offered: tuple[str, ...]) -> None:
    async with dialogue(offered=offered) as server, channel_to(server) as (channel, _):
        foreign = replace(mail("b", recipient="jané@guests.example"), needs_smtputf8=True)
        verdicts = await send(channel, mail("a"), foreign, mail("c"))
        assert [type(each) for each in verdicts] == [
            Accepted,
            Accepted if "SMTPUTF8" in offered else Refused,
            Accepted,
        ]
    lines = [step.line for step in server.seen if step.at in ("MAIL", "RCPT") and step.mail == "b"]
    if "SMTPUTF8" in offered:
        assert lines[0].endswith(b" BODY=8BITMIME SMTPUTF8")
        assert lines[1] == "RCPT TO:<jané@guests.example>".encode()
    else:
        assert not lines


@pytest.mark.parametrize(
    "text",
    [
        "555 5.5.4 Unsupported option: SMTPUTF8",
        "501 5.5.4 Syntax error in parameters",
        "504 not here",
        "502 what",
        "550 5.7.1 SMTPUTF8 is not allowed",
        "553 5.6.7 no",
    ],
)
async def test_a_refused_smtputf8_is_about_that_mail_and_stops_no_other(text: str) -> None:
    def answers(asked: Step) -> Say | None:
        return reply(text) if asked.line.endswith(b"SMTPUTF8") else None

    async with dialogue(answers, (*BOTH, "SMTPUTF8")) as server, channel_to(server) as (channel, _):
        foreign = replace(mail("b", recipient="jané@guests.example"), needs_smtputf8=True)
        (verdict,) = await send(channel, foreign)
        assert isinstance(verdict, Refused)
        assert verdict.code == f"{text[:3]} 5.6.7"
        assert [type(each) for each in await send(channel, mail("a"))] == [Accepted]


async def test_content_of_seven_bits_asks_for_no_extension_that_the_server_may_not_know_after_all() -> None:
    def answers(asked: Step) -> Say | None:
        return reply("555 5.5.4 Unsupported option: BODY") if b"BODY=" in asked.line else None

    async with dialogue(answers) as server, channel_to(server) as (channel, _):
        assert [type(each) for each in await send(channel, mail("a"))] == [Accepted]


async def test_a_server_without_8bitmime_is_not_told_of_it() -> None:
    async with dialogue(offered=("PIPELINING", "CHUNKING")) as server, channel_to(server) as (channel, _):
        assert [type(each) for each in await send(channel, mail("a", "é\r\n".encode()))] == [Accepted]
    assert [step.line for step in server.seen if step.at == "MAIL"] == [b"MAIL FROM:<a@cinema.example>"]


# ── what doctor says ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("offered", "answers", "told"),
    [
        (BOTH, at("NOOP", "*", reply("250 ok")), "offers PIPELINING, CHUNKING: 1 round trip a mail behind a backlog"),
        (("CHUNKING",), at("NOOP", "*", reply("250 ok")), "offers CHUNKING: 3 round trips a mail behind a backlog"),
        ((), at("NOOP", "*", reply("250 ok")), "offers neither PIPELINING nor CHUNKING: 4 round trips"),
        (BOTH, at("NOOP", "*", reply("502 no")), "on the way to it PIPELINING failed: set SMTP_EXTENSIONS=none"),
        (BOTH, at("NOOP", "*", Say(b"", "hang")), "on the way to it PIPELINING and CHUNKING failed"),
        (BOTH, at("CONTENT", "*", reply("502 no")), "on the way to it CHUNKING failed: set SMTP_EXTENSIONS=pipelining"),
    ],
)
async def test_a_check_tries_the_extensions_and_says_which_setting_helps(
    offered: tuple[str, ...], answers: OneAnswer, told: str
) -> None:
    async with dialogue(answers, offered) as server, channel_to(server, wait=0.5) as (channel, _):
        assert told in await channel.check()
    assert not server.accepted


@pytest.mark.parametrize(
    ("offered", "told"),
    [(BOTH, r"offers no login: .*unset SMTP_USERNAME"), (("AUTH NTLM",), r"no way to log in .*: .*takes PLAIN")],
)
async def test_a_login_that_the_server_does_not_offer_comes_with_what_to_do(
    offered: tuple[str, ...], told: str
) -> None:
    async with dialogue(offered=offered) as server, channel_to(server, username="me") as (channel, _):
        with pytest.raises(ChannelUnavailableError, match=told):
            await channel.check()
        (verdict,) = await send(channel, mail())
        assert isinstance(verdict, Unavailable)
        assert "submission server" in verdict.hint


async def test_a_refusal_of_every_mail_always_comes_with_what_to_do() -> None:
    async with dialogue(at("MAIL", "*", reply("451 zork"))) as server, channel_to(server) as (channel, _):
        (verdict,) = await send(channel, mail())
        assert isinstance(verdict, Unavailable)
        assert "ask the server's operator" in verdict.hint


@pytest.mark.parametrize("said", [reply("502 5.5.1 no"), Say(b"", "cut"), None])
async def test_a_sender_is_judged_by_the_reply_to_mail_alone(said: Say | None) -> None:
    answers = at("RSET", "*", said) if said else lambda _: None
    async with dialogue(answers) as server, channel_to(server) as (channel, pool):
        relay = SmtpRelay("smtp", channel, pool, providers.find(""), str)
        assert (await relay.check_sender("tickets@cinema.example")).startswith("it takes FROM_EMAIL at MAIL")
        server.answers = at("MAIL", "*", reply("553 5.7.1 not yours"))
        with pytest.raises(ChannelUnavailableError, match="refuses FROM_EMAIL at MAIL: 553"):
            await relay.check_sender("tickets@cinema.example")


async def test_a_check_says_what_the_setting_leaves_of_the_offer() -> None:
    async with dialogue() as server, channel_to(server, allowed={Extension.PIPELINING}) as (channel, _):
        assert "offers PIPELINING, CHUNKING (SMTP_EXTENSIONS allows PIPELINING): 2 round trips" in await channel.check()
    assert server.counts["BDAT"] == 0


# ── the fast way and the slow way ────────────────────────────────────────────────────────────────────

REPLIES = st.sampled_from(
    [
        b"250 2.0.0 Ok\r\n",
        b"250 ok\r\n",
        b"250-ok\r\n250 ok\r\n",
        b"251 2.1.5 will forward\r\n",
        b"252 maybe\r\n",
        b"354 go on\r\n",
        b"421 4.3.2 closing\r\n",
        b"450 4.2.1 busy\r\n",
        b"451 4.3.0 later\r\n",
        b"452 4.5.3 too many recipients in this session\r\n",
        b"500 5.5.2 what\r\n",
        b"502 5.5.1 not here\r\n",
        b"503 5.5.1 not now\r\n",
        b"530 5.7.0 Authentication required\r\n",
        b"550 5.1.1 no such user\r\n",
        b"550-5.1.1 no\r\n550 5.1.1 such user\r\n",
        b"552 5.3.4 too big\r\n",
        b"554 5.7.1 looks like spam\r\n",
        b"554 5.7.1 Relay access denied\r\n",
        b"nonsense\r\n",
        b"",
    ]
)
USUAL = {"MAIL": b"250 2.1.0 Ok\r\n", "RCPT": b"250 2.1.5 Ok\r\n", "CONTENT": b"250 2.0.0 Ok\r\n"}
SCRIPTS = st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(USUAL, REPLIES)), min_size=1, max_size=4)


async def verdicts_by(
    script: list[dict[str, bytes]], allowed: Collection[Extension], offered: tuple[str, ...]
) -> list[tuple[object, ...]]:
    def answers(step: Step) -> Say | None:
        if step.at not in USUAL or not step.mail.startswith("m"):
            return None
        raw = script[int(step.mail[1:])].get(step.at, USUAL[step.at])
        return Say(raw, "" if raw and not raw.startswith(b"421") else "cut")

    async with dialogue(answers, offered) as server, channel_to(server, allowed=allowed) as (channel, _):
        mails = [mail(f"m{number}") for number in range(len(script))]
        found = await send(channel, *mails)
        for each, verdict in zip(mails, found, strict=True):
            taken = len(server.accepted.get(each.notification_id, []))
            assert taken == 1 if isinstance(verdict, Accepted) else taken == 0 or isinstance(verdict, InDoubt)
        assert server.too_early == 0
    return [shown(each) for each in found]


def shown(verdict: Tried) -> tuple[object, ...]:
    if isinstance(verdict, HandoverRefused | PutOff):
        return (type(verdict),)
    code = verdict.code if isinstance(verdict, Refused) else ""
    return type(verdict), code, verdict.attempt.code if not isinstance(verdict, InDoubt) else None


@given(SCRIPTS, st.sampled_from([BOTH, ("PIPELINING",), ("CHUNKING",)]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_fast_way_finds_of_every_mail_what_the_slow_way_finds(
    script: list[dict[str, bytes]], offered: tuple[str, ...]
) -> None:
    async def both() -> None:
        fast = await verdicts_by(script, ALL, offered)
        assert fast == await verdicts_by(script, NONE, offered)

    asyncio.run(both())
