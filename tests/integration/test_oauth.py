"""Logins by token: against a mail server by another author, and a scripted token endpoint."""

import asyncio
import base64
import json
import ssl
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, strategies as st
from structlog.testing import capture_logs

from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.smtp import oauth, providers
from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.pool import Pool, Server, SessionLimits, tls_context
from notification_service.channels.email.smtp.token_endpoint import Client, Endpoint
from notification_service.channels.email.smtp.tokens import Granted, NoLoginError, Tokens, TokenSource
from notification_service.channels.service_keys import read_service_key
from notification_service.cli import doctor, send_test, smtp_login
from notification_service.delivery.ports.channel import Accepted, Tried, Unavailable
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.refresh_tokens import KeptToken, RefreshTokens
from notification_service.foundation.errors import ChannelUnavailableError, ConfigurationError, StoreUnavailableError
from notification_service.foundation.secret_redaction import Secrecy
from notification_service.settings import Settings, load
from notification_service.stores.memory.refresh_tokens import MemoryRefreshTokens
from tests.stack import token_endpoint
from tests.stack.local import LocalStack
from tests.stack.processes import free_port
from tests.stack.smtp import SmtpServer
from tests.stack.token_endpoint import HANGS, Answer, TokenEndpoint, refusal
from tests.xoauth2 import server as npm_server
from tests.xoauth2.server import USER, StrangeServer

SECRET = "canary~secret/with+odd=characters-8Q~_0123456789"
FIRST = "canary-refresh.M.C5~_token*" + "0Aa" * 20
SCOPE = "https://outlook.office365.com/.default"

needs_npm = pytest.mark.skipif(npm_server.missing() is not None, reason=npm_server.missing() or "")


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    async with token_endpoint.running() as running:
        yield running


@pytest.fixture(scope="module")
async def strange(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StrangeServer]:
    async with npm_server.running(tmp_path_factory.mktemp("npm")) as running:
        yield running


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def client_credentials(endpoint: TokenEndpoint, hide: Secrecy, tls: ssl.SSLContext | None = None) -> TokenSource:
    asked = Endpoint(endpoint.url, tls or ssl.create_default_context(), hide)
    return oauth.ClientCredentials(asked, Client("app", SECRET, SCOPE))


def refresh_token(
    endpoint: TokenEndpoint,
    kept: RefreshTokens,
    *,
    first: str = FIRST,
    hide: Secrecy | None = None,
    clock: Callable[[], float] | None = None,
) -> oauth.RefreshToken:
    asked = Endpoint(endpoint.url, ssl.create_default_context(), hide or Secrecy(mark="***", in_pieces=[first]))
    client = Client("app", None, "https://outlook.office.com/SMTP.Send offline_access")
    return oauth.RefreshToken(asked, client, first, kept, **({"clock": clock} if clock else {}))


def tokens_of(endpoint: TokenEndpoint, *, deadline: float = 5.0, clock: Callable[[], float] | None = None) -> Tokens:
    hide = Secrecy(mark="***", in_pieces=[SECRET])
    return Tokens(client_credentials(endpoint, hide), hide, deadline=deadline, **({"clock": clock} if clock else {}))


@asynccontextmanager
async def channel_to(
    port: int, ca_file: Path, tokens: Tokens, *, sessions: int = 8, provider: str = "outlook", tls: bool = True
) -> AsyncIterator[tuple[SmtpChannel, Pool]]:
    server = Server("127.0.0.1", port, start_tls=tls, implicit_tls=False, username=USER, timeout=10)
    pool = Pool(server, SessionLimits(sessions, 30, 300, 1000), tls_context(ca_file), tokens=tokens)
    channel = SmtpChannel(pool, providers.find(provider).by_token(), timeout=10, data_timeout=10)
    yield channel, pool
    await channel.close()
    assert pool.counts.open == 0


async def held() -> Fence:
    return Fence.HELD


async def send(channel: SmtpChannel) -> Tried:
    content = b"Subject: Your tickets\r\n\r\nEnjoy the film.\r\n"
    return await channel.send_once(
        OutgoingEmail(
            notification_id="n1",
            template="booking_confirmation",
            sender=USER,
            recipient="jane@guests.example",
            content=content,
        ),
        held,
    )


# ── a mail server that somebody else wrote ───────────────────────────────────────────────────────────


@needs_npm
async def test_a_mail_goes_out_by_a_token(strange: StrangeServer, endpoint: TokenEndpoint) -> None:
    endpoint.gives["access_token"] = token = "a.token_of~some-length/+="
    await strange.take(token)
    async with channel_to(strange.port, strange.ca_file, tokens_of(endpoint)) as (channel, _):
        assert isinstance(await send(channel), Accepted)
        assert await strange.until("mail") == {"mail": ["jane@guests.example"], "user": USER}
        checked = await channel.check()
        assert checked.startswith(f"127.0.0.1:{strange.port} lets us in (starttls, login by client credentials)")
    assert endpoint.asked == [
        {"grant_type": "client_credentials", "client_id": "app", "client_secret": SECRET, "scope": SCOPE}
    ]


@needs_npm
async def test_many_sessions_at_once_ask_for_one_token(strange: StrangeServer, endpoint: TokenEndpoint) -> None:
    endpoint.gives["access_token"] = "the-one"
    await strange.take("the-one")
    async with channel_to(strange.port, strange.ca_file, tokens_of(endpoint)) as (channel, pool):
        verdicts = await asyncio.gather(*(send(channel) for _ in range(8)))
        assert pool.counts.opened > 1
    assert {type(verdict) for verdict in verdicts} == {Accepted}
    assert len(endpoint.asked) == 1


@needs_npm
async def test_a_token_that_was_called_back_is_replaced_before_anybody_is_blamed(
    strange: StrangeServer, endpoint: TokenEndpoint
) -> None:
    tokens = tokens_of(endpoint)
    endpoint.gives["access_token"] = "called-back"
    await tokens.get()
    endpoint.gives["access_token"] = "another"
    await strange.take("another")
    strange.said.clear()
    async with channel_to(strange.port, strange.ca_file, tokens) as (channel, _):
        verdicts = await asyncio.gather(*(send(channel) for _ in range(4)))
    assert {type(verdict) for verdict in verdicts} == {Accepted}
    assert len(endpoint.asked) == 2


@needs_npm
@pytest.mark.parametrize("held_before", [False, True])
async def test_a_fresh_token_that_is_refused_is_the_channels_fault_and_is_not_kept(
    strange: StrangeServer, endpoint: TokenEndpoint, *, held_before: bool
) -> None:
    await strange.take("none of ours")
    tokens = tokens_of(endpoint)
    if held_before:
        await tokens.get()
    async with channel_to(strange.port, strange.ca_file, tokens) as (channel, _):
        verdict = await send(channel)
        assert isinstance(verdict, Unavailable)
        assert verdict.attempt.code == 535
        assert "New-ServicePrincipal" in verdict.hint
        assert len(endpoint.asked) == 1 + held_before
        # Each further try, a minute apart behind the breaker, asks once: the permission may be in the next token.
        await send(channel)
        assert len(endpoint.asked) == 2 + held_before
        with pytest.raises(ChannelUnavailableError, match=r"535.*New-ServicePrincipal"):
            await channel.check()


# ── a mail server that repeats the token, has none, or is in plain text ──────────────────────────────


@asynccontextmanager
async def repeating(writing: Callable[[str], str], *, challenge: bool, offers: str = "XOAUTH2") -> AsyncIterator[int]:
    """A mail server without TLS that refuses a login with what it was given."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := (await reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            if verb == "EHLO":
                writer.write(f"250-hello\r\n250 AUTH {offers}\r\n".encode())
                continue
            said = writing(rest.removeprefix(f"{offers} "))
            if challenge:
                writer.write(b"334 " + base64.b64encode(said.encode()) + b"\r\n")
                await reader.readline()
            writer.write(f"535-5.7.8 {said[:300]}\r\n535 5.7.8 {said[300:]}\r\n".encode())
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        server.close()


@pytest.mark.parametrize("challenge", [False, True])
@pytest.mark.parametrize(
    "writing",
    [str, lambda initial: base64.b64decode(initial).decode().replace("\1", " "), lambda initial: initial[30:]],
)
async def test_nothing_of_a_token_is_told_whatever_the_server_repeats(
    endpoint: TokenEndpoint, smtp_ca: Path, writing: Callable[[str], str], *, challenge: bool
) -> None:
    with capture_logs() as lines:
        async with (
            repeating(writing, challenge=challenge) as port,
            channel_to(port, smtp_ca, tokens_of(endpoint), tls=False) as (channel, _),
        ):
            verdict = await send(channel)
            with pytest.raises(ChannelUnavailableError) as caught:
                await channel.check()
    assert isinstance(verdict, Unavailable)
    assert verdict.attempt.code == 535
    told = f"{verdict} {lines} {''.join(traceback.format_exception(caught.value))}"
    assert "***" in told
    assert not leaked(told, endpoint.latest) | leaked(told, SECRET)


async def test_nor_of_a_password(smtp_ca: Path) -> None:
    with capture_logs() as lines:
        async with repeating(lambda said: said, challenge=False, offers="PLAIN") as port:
            server = Server("127.0.0.1", port, start_tls=False, implicit_tls=False, username=USER, password=SECRET)
            pool = Pool(server, SessionLimits(1, 30, 300, 1000), tls_context(smtp_ca))
            channel = SmtpChannel(pool, providers.find("outlook"), timeout=10, data_timeout=10)
            verdict = await send(channel)
            with pytest.raises(ChannelUnavailableError) as caught:
                await channel.check()
    told = f"{verdict} {lines} {''.join(traceback.format_exception(caught.value))}"
    assert "535" in told
    assert not leaked(told, SECRET)


async def test_doctor_says_that_the_days_of_a_password_are_numbered(own_smtp: SmtpServer) -> None:
    with own_smtp:
        server = Server(
            own_smtp.host,
            own_smtp.port,
            start_tls=True,
            implicit_tls=False,
            username=own_smtp.username,
            password=own_smtp.password,
        )
        pool = Pool(server, SessionLimits(1, 30, 300, 1000), tls_context(own_smtp.ca_file))
        said = [
            await SmtpChannel(pool, provider, timeout=10, data_timeout=10).check()
            for provider in (providers.find("outlook"), providers.find("gmail"), providers.find("outlook").by_token())
        ]
        await pool.close()
    assert ["SMTP_AUTH=oauth2" in each for each in said] == [True, False, False]


def leaked(told: str, secret: str) -> set[str]:
    """Pieces of it that can be read there, as they are or in Base64 at any place."""
    forms = [secret, *(base64.b64encode(b"0" * before + secret.encode()).decode()[4:-4] for before in range(3))]
    return {form[at : at + 14] for form in forms for at in range(len(form) - 13) if form[at : at + 14] in told}


@pytest.fixture
def smtp_ca(tmp_path: Path) -> Path:
    trustme.CA().cert_pem.write_to_path(tmp_path / "any.pem")
    return tmp_path / "any.pem"


async def test_a_server_without_xoauth2_is_told_as_that(own_smtp: SmtpServer, endpoint: TokenEndpoint) -> None:
    with own_smtp:
        async with channel_to(own_smtp.port, own_smtp.ca_file, tokens_of(endpoint)) as (channel, _):
            verdict = await send(channel)
    assert isinstance(verdict, Unavailable)
    assert "XOAUTH2" in (verdict.attempt.reply or "")
    assert "SMTP_AUTH=password" in verdict.hint


# ── an endpoint that misbehaves ──────────────────────────────────────────────────────────────────────

AWAY = ("SMTP_OAUTH_TOKEN_URL", "tried again")
NO_ENDPOINT = ("SMTP_OAUTH_TOKEN_URL", "SMTP_OAUTH_TENANT")
SPOILT: list[tuple[Answer, tuple[str, ...]]] = [
    (Answer(None), AWAY),
    (Answer(503, "<html>Service Unavailable</html>"), AWAY),
    (Answer(500, {"error": "server_error"}), AWAY),
    (Answer(429, ""), AWAY),
    (refusal("temporarily_unavailable", "AADSTS90033: A transient error has occurred."), AWAY),
    (Answer(302, "", headers=("Location: https://login.example/",)), NO_ENDPOINT),
    (Answer(404, "Not here"), NO_ENDPOINT),
    (Answer(200, "<html>Welcome to our wireless network</html>"), NO_ENDPOINT),
    (Answer(200, "[" * 50_000), NO_ENDPOINT),
    (Answer(200, "x" * 1_000_000), NO_ENDPOINT),
    (Answer(200, ["a"]), NO_ENDPOINT),
    (Answer(200, {"access_token": ""}), NO_ENDPOINT),
    (Answer(200, {"access_token": None}), NO_ENDPOINT),
    (Answer(200, {"access_token": {"a": 1}}), NO_ENDPOINT),
    (Answer(200, {"access_token": "two\r\nRSET"}), NO_ENDPOINT),
    (Answer(200, {"access_token": "a\x01auth=Bearer b"}), NO_ENDPOINT),
    (Answer(200, {"access_token": "tökèn"}), NO_ENDPOINT),
    (Answer(200, {"error": "invalid_client"}), ("SMTP_OAUTH_CLIENT_SECRET",)),
    (Answer(400, {"error": ["x"], "error_description": 7}), ("SMTP_OAUTH_",)),
    (refusal("invalid_client", "AADSTS7000215: Invalid client secret provided.", 401), ("Value",)),
    (refusal("invalid_client", "AADSTS7000222: The provided client secret keys are expired."), ("expired",)),
    (refusal("unauthorized_client", "AADSTS700016: Application not found in the directory"), ("CLIENT_ID", "TENANT")),
    (refusal("invalid_request", "AADSTS90002: Tenant 'x' not found."), ("SMTP_OAUTH_TENANT",)),
    (refusal("invalid_resource", "AADSTS500011: The resource principal was not found"), ("SMTP_OAUTH_SCOPE",)),
    (refusal("invalid_grant", "AADSTS65001: The user or administrator has not consented"), ("Grant admin consent",)),
    (refusal("something_new", "Nobody has seen this yet"), ("docs/providers.md",)),
]


@pytest.mark.parametrize(("answer", "words"), SPOILT)
async def test_whatever_an_endpoint_answers_instead_the_channel_is_at_fault_and_the_hint_says_what_to_do(
    endpoint: TokenEndpoint, smtp_ca: Path, answer: Answer, words: tuple[str, ...]
) -> None:
    endpoint.script.append(answer)
    with capture_logs() as lines:
        async with channel_to(free_port(), smtp_ca, tokens_of(endpoint)) as (channel, _):
            verdict = await send(channel)
            endpoint.script.append(answer)
            with pytest.raises(ChannelUnavailableError, match=words[0]):
                await channel.check()
    assert isinstance(verdict, Unavailable)
    assert verdict.attempt.code is None
    assert all(word in verdict.hint for word in words), verdict.hint
    assert len(endpoint.asked) == 2, "no second try of its own, and no redirect was followed"
    assert [line["event"] for line in lines] == ["smtp.token_failed"] * 2


async def test_an_endpoint_that_is_not_there_is_the_channels_fault(smtp_ca: Path) -> None:
    async with channel_to(free_port(), smtp_ca, tokens_of(TokenEndpoint(free_port()))) as (channel, _):
        verdict = await send(channel)
    assert isinstance(verdict, Unavailable)
    assert "cannot be reached" in (verdict.attempt.reply or "")
    assert "SMTP_OAUTH_TOKEN_URL" in verdict.hint


async def test_an_endpoint_that_hangs_is_given_up_at_the_deadline_and_the_next_try_may_do(
    endpoint: TokenEndpoint,
) -> None:
    endpoint.script.append(HANGS)
    tokens = tokens_of(endpoint, deadline=2.0)
    failed = await asyncio.gather(*(tokens.get() for _ in range(3)), return_exceptions=True)
    assert {type(each) for each in failed} == {NoLoginError}
    assert len(endpoint.asked) == 1
    assert (await tokens.get()).text == endpoint.latest
    await tokens.close()


async def test_who_gives_up_waiting_takes_nobody_elses_token_away(endpoint: TokenEndpoint) -> None:
    endpoint.script.append(Answer(200, {"access_token": "late", "expires_in": 3600}, after=0.3))
    tokens = tokens_of(endpoint)
    impatient, patient = asyncio.create_task(tokens.get()), asyncio.create_task(tokens.get())
    await asyncio.sleep(0.05)
    impatient.cancel()
    assert (await patient).text == "late"
    assert impatient.cancelled()
    assert len(endpoint.asked) == 1
    await tokens.close()


async def test_a_flight_that_is_under_way_ends_with_us(endpoint: TokenEndpoint) -> None:
    endpoint.script.append(HANGS)
    tokens = tokens_of(endpoint)
    waiting = asyncio.create_task(tokens.get())
    await asyncio.sleep(0.05)
    await tokens.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    "writing",
    [str, lambda secret: base64.b64encode(secret.encode()).decode(), lambda secret: f"client_secret={secret}"],
)
@pytest.mark.parametrize("key", ["error", "error_description"])
async def test_an_endpoint_that_repeats_our_secret_is_not_quoted(
    endpoint: TokenEndpoint, writing: Callable[[str], str], key: str
) -> None:
    endpoint.script.append(Answer(400, {"error": "odd", key: writing(SECRET)}))
    tokens = tokens_of(endpoint)
    with capture_logs() as lines, pytest.raises(NoLoginError) as caught:
        await tokens.get()
    assert not leaked(f"{lines} {''.join(traceback.format_exception(caught.value))}", SECRET)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("access_token", "expires_in", "refresh_token", "token_type", "error", "error_description")


@given(status=st.integers(200, 599), answer=st.dictionaries(st.sampled_from(FIELDS), JSON))
async def test_any_answer_is_a_token_or_says_what_to_do(status: int, answer: dict[str, object]) -> None:
    async with token_endpoint.running() as endpoint:
        endpoint.script.append(Answer(status, answer))
        asking = client_credentials(endpoint, Secrecy(mark="***", in_pieces=[SECRET])).ask()
        (given,) = await asyncio.gather(asking, return_exceptions=True)
    if isinstance(given, NoLoginError):
        assert given.hint
        assert str(given).isprintable()
    else:
        assert isinstance(given, Granted), given
        assert status == 200
        assert given.token.isascii()
        assert given.seconds > 0


# ── how long a token is used ─────────────────────────────────────────────────────────────────────────


async def test_it_is_renewed_before_it_ends_while_the_old_one_still_serves(endpoint: TokenEndpoint) -> None:
    clock = Clock()
    tokens = tokens_of(endpoint, clock=clock)
    first = await tokens.get()
    clock.now += 2879
    assert (await tokens.get(), len(endpoint.asked)) == (first, 1)
    clock.now += 2
    assert await tokens.get() is first, "nobody waits for the next"
    await _settled(tokens)
    second = await tokens.get()
    assert (second.text, len(endpoint.asked)) == (endpoint.latest, 2)
    assert second.text != first.text
    await tokens.close()


async def _settled(tokens: Tokens) -> None:
    assert tokens._running
    await asyncio.wait([tokens._running])


async def test_an_endpoint_that_is_away_while_a_token_holds_costs_nobody_a_mail(endpoint: TokenEndpoint) -> None:
    clock = Clock()
    tokens = tokens_of(endpoint, clock=clock)
    first = await tokens.get()
    clock.now += 3000
    endpoint.script.extend([Answer(503)] * 2)
    for _ in range(5):
        assert await tokens.get() is first
        await _settled(tokens)
    assert len(endpoint.asked) == 2, "asked again after a while, not by each login"
    clock.now += 31
    assert await tokens.get() is first
    await _settled(tokens)
    clock.now += 600
    assert (await tokens.get()).text == endpoint.latest != first.text
    await tokens.close()


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3600, 3600),
        ("3599", 3599),
        (60.5, 60.5),
        (None, 300),
        (0, 300),
        (-5, 300),
        ("soon", 300),
        (True, 300),
        ([], 300),
        ("NaN", 300),
        ("1e999", 86400),
        (10**400, 300),
        (10**9, 86400),
    ],
)
async def test_how_long_it_holds_is_what_the_endpoint_says_or_a_short_while(
    endpoint: TokenEndpoint, said: object, seconds: float
) -> None:
    endpoint.gives["expires_in"] = said
    granted = await client_credentials(endpoint, Secrecy(mark="***", in_pieces=[SECRET])).ask()
    assert granted.seconds == seconds


async def test_a_late_answer_does_not_make_a_token_live_longer(endpoint: TokenEndpoint) -> None:
    clock = Clock()
    endpoint.script.append(Answer(200, {"access_token": "late", "expires_in": 100}, after=0.2))
    tokens = tokens_of(endpoint, clock=clock)
    asking = asyncio.create_task(tokens.get())
    await asyncio.sleep(0.05)
    clock.now += 60
    token = await asking
    assert (token.renew_at, token.unusable_at) == (1070, 1070)
    await tokens.close()


async def test_a_very_short_life_is_used_by_half(endpoint: TokenEndpoint) -> None:
    endpoint.gives["expires_in"] = 10
    tokens = tokens_of(endpoint, clock=Clock())
    token = await tokens.get()
    assert (token.renew_at, token.unusable_at) == (1005, 1005)
    await tokens.close()


# ── refresh tokens ───────────────────────────────────────────────────────────────────────────────────


class Away(MemoryRefreshTokens):
    away = True

    async def find(self, login: str) -> KeptToken | None:
        if self.away:
            raise StoreUnavailableError("MongoDB", "is away")
        return await super().find(login)

    async def keep(self, login: str, token: KeptToken) -> None:
        if self.away:
            raise StoreUnavailableError("MongoDB", "is away")
        await super().keep(login, token)


async def test_the_latest_refresh_token_is_kept_for_all_and_after_a_restart(endpoint: TokenEndpoint) -> None:
    endpoint.valid, endpoint.strict = {FIRST}, True
    kept = MemoryRefreshTokens()
    one, other = refresh_token(endpoint, kept), refresh_token(endpoint, kept)
    for source in (one, other, one, refresh_token(endpoint, kept), other):
        await source.ask()
    used = [form["refresh_token"] for form in endpoint.asked]
    assert len(set(used)) == 5, "each was used once"
    assert "client_secret" not in endpoint.asked[0], "a public client has none"


async def test_whoever_reads_the_store_finds_no_token_there(endpoint: TokenEndpoint) -> None:
    endpoint.valid = {FIRST}
    kept = MemoryRefreshTokens()
    await refresh_token(endpoint, kept).ask()
    (login, found), *rest = kept._kept.items()
    assert not rest
    current = next(iter(endpoint.valid - {FIRST}))
    text = f"{login} {found} {found.sealed!r} {base64.urlsafe_b64decode(found.sealed)!r}"
    assert not leaked(text, FIRST) | leaked(text, current)


async def test_another_worker_that_was_faster_is_followed(endpoint: TokenEndpoint) -> None:
    """Both read the same token; the endpoint takes it once."""
    endpoint.valid, endpoint.strict = {FIRST}, True
    kept = MemoryRefreshTokens()
    await asyncio.gather(refresh_token(endpoint, kept).ask(), refresh_token(endpoint, kept).ask())
    assert len(endpoint.asked) == 3


async def test_a_new_setting_begins_anew(endpoint: TokenEndpoint) -> None:
    endpoint.valid = {FIRST}
    kept = MemoryRefreshTokens()
    await refresh_token(endpoint, kept).ask()
    endpoint.valid = {"signed-in-again"}
    await refresh_token(endpoint, kept, first="signed-in-again").ask()
    assert endpoint.asked[-1]["refresh_token"] == "signed-in-again"
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize("sealed", [b"", b"spoilt", b"gAAAAA" + b"A" * 94])
async def test_what_cannot_be_opened_is_as_if_it_were_not_there(endpoint: TokenEndpoint, sealed: bytes) -> None:
    endpoint.valid = {FIRST}
    kept = MemoryRefreshTokens()
    await refresh_token(endpoint, kept).ask()
    (login, found), *_ = kept._kept.items()
    kept._kept[login] = KeptToken(sealed, found.renewed_at)
    await refresh_token(endpoint, kept).ask()
    assert endpoint.asked[-1]["refresh_token"] == FIRST


async def test_a_store_that_is_away_stops_no_login_and_what_it_missed_comes_later(endpoint: TokenEndpoint) -> None:
    endpoint.valid, endpoint.strict = {FIRST}, True
    kept = Away()
    source = refresh_token(endpoint, kept)
    with capture_logs() as lines:
        await source.ask()
        await source.ask()
    assert {line["event"] for line in lines} == {"smtp.token_not_kept"}
    kept.away = False
    await source.ask()
    await refresh_token(endpoint, kept).ask()
    assert len({form["refresh_token"] for form in endpoint.asked}) == 4


async def test_an_endpoint_that_does_not_rotate_is_asked_with_the_same_one_and_its_age_counts_anew(
    endpoint: TokenEndpoint,
) -> None:
    endpoint.valid, endpoint.rotates = {FIRST}, False
    clock = Clock()
    source = refresh_token(endpoint, MemoryRefreshTokens(), clock=clock)
    ages = [source.age]
    await source.ask()
    clock.now += 500
    assert [*ages, source.age] == [None, 500]
    await source.ask()
    assert (source.age, {form["refresh_token"] for form in endpoint.asked}) == (0, {FIRST})


async def test_doctor_says_how_long_it_had_not_been_renewed(endpoint: TokenEndpoint) -> None:
    endpoint.valid = {FIRST}
    clock, kept = Clock(), MemoryRefreshTokens()
    await refresh_token(endpoint, kept, clock=clock).ask()
    clock.now += 41 * 86400
    later = refresh_token(endpoint, kept, clock=clock)
    await later.ask()
    assert later.remark == ", not renewed for 41 days until now"
    await later.ask()
    assert later.remark == ""


async def test_one_that_has_ended_says_to_sign_in_again(endpoint: TokenEndpoint) -> None:
    with pytest.raises(NoLoginError) as caught:
        await refresh_token(endpoint, MemoryRefreshTokens()).ask()
    assert "SMTP_OAUTH_REFRESH_TOKEN" in caught.value.hint
    assert "sign in again" in caught.value.hint
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize("answer", [Answer(503), refusal("invalid_client")])
async def test_only_a_refused_refresh_token_is_replaced_by_an_older_one(
    endpoint: TokenEndpoint, answer: Answer
) -> None:
    endpoint.valid = {FIRST}
    source = refresh_token(endpoint, MemoryRefreshTokens())
    await source.ask()
    endpoint.script.append(answer)
    with pytest.raises(NoLoginError):
        await source.ask()
    assert len(endpoint.asked) == 2


async def test_a_refresh_token_that_the_endpoint_repeats_is_not_quoted(endpoint: TokenEndpoint) -> None:
    endpoint.valid = {FIRST}
    hide = Secrecy(mark="***", in_pieces=[FIRST])
    source = refresh_token(endpoint, MemoryRefreshTokens(), hide=hide)
    await source.ask()
    (current,) = endpoint.valid - {FIRST}
    endpoint.script.append(refusal("invalid_request", f"what is {current}, and {FIRST}?"))
    with pytest.raises(NoLoginError) as caught:
        await source.ask()
    assert "what is ***, and ***?" in str(caught.value)


# ── service accounts ─────────────────────────────────────────────────────────────────────────────────

KEY = generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
FILE = {"type": "service_account", "client_email": "mail@p.iam.example", "private_key_id": "k1", "private_key": PEM}


def key_file(folder: Path, said: object) -> Path:
    file = folder / "key.json"
    file.write_text(said if isinstance(said, str) else json.dumps(said))
    return file


async def test_a_service_account_signs_for_the_mailbox(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    hide = Secrecy(mark="***")
    asked = Endpoint(endpoint.url, ssl.create_default_context(), hide)
    key = read_service_key(key_file(tmp_path, FILE), "SMTP_OAUTH_SERVICE_ACCOUNT_FILE")
    source = oauth.ServiceAccount(asked, key, USER, "https://mail.google.com/")
    await source.ask()
    (form,) = endpoint.asked
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert jwt.get_unverified_header(form["assertion"]) == {"alg": "RS256", "kid": "k1", "typ": "JWT"}
    claims = jwt.decode(form["assertion"], KEY.public_key(), algorithms=["RS256"], audience=endpoint.url)
    said = {name: claims[name] for name in ("iss", "sub", "scope")}
    assert said == {"iss": "mail@p.iam.example", "sub": USER, "scope": "https://mail.google.com/"}
    assert claims["exp"] - claims["iat"] <= 3600, "Google takes no longer ones"
    assert not leaked(hide(form["assertion"]), form["assertion"])


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ("Client is unauthorized, or client not authorized for any of the scopes requested.", "Domain-wide delegation"),
        ("Invalid email or User ID", "SMTP_USERNAME"),
        ("Invalid JWT Signature.", "SMTP_OAUTH_SERVICE_ACCOUNT_FILE"),
        ("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.", "clock"),
        ("something else", "SMTP_USERNAME"),
    ],
)
async def test_what_google_refuses_is_told_in_plain_words(
    endpoint: TokenEndpoint, tmp_path: Path, description: str, words: str
) -> None:
    endpoint.script.append(refusal("invalid_grant", description))
    asked = Endpoint(endpoint.url, ssl.create_default_context(), Secrecy(mark="***"))
    source = oauth.ServiceAccount(
        asked, read_service_key(key_file(tmp_path, FILE), "SMTP_OAUTH_SERVICE_ACCOUNT_FILE"), USER, "any"
    )
    with pytest.raises(NoLoginError) as caught:
        await source.ask()
    assert words in caught.value.hint


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        "7",
        {},
        {**FILE, "private_key": "canary"},
        {**FILE, "private_key": None},
        {**FILE, "private_key": PEM.replace("A", "canary", 1)},
        {"private_key": PEM},
    ],
)
def test_a_file_that_is_no_key_is_a_setting_that_is_wrong(tmp_path: Path, said: Any) -> None:  # noqa: ANN401 - any JSON
    with pytest.raises(
        ConfigurationError, match=r"SMTP_OAUTH_SERVICE_ACCOUNT_FILE=.*key\.json is no key file"
    ) as caught:
        read_service_key(key_file(tmp_path, said), "SMTP_OAUTH_SERVICE_ACCOUNT_FILE")
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"SMTP_OAUTH_SERVICE_ACCOUNT_FILE=.*gone\.json cannot be read"):
        read_service_key(tmp_path / "gone.json", "SMTP_OAUTH_SERVICE_ACCOUNT_FILE")


# ── from the settings to the mail ────────────────────────────────────────────────────────────────────


@pytest.fixture
def oauth2(monkeypatch: pytest.MonkeyPatch, endpoint: TokenEndpoint) -> Callable[..., Settings]:
    def loaded(server: StrangeServer, **values: str) -> Settings:
        common = {
            "SMTP_SERVER": "localhost",
            "SMTP_PORT": str(server.port),
            "SMTP_CA_FILE": str(server.ca_file),
            "SMTP_USERNAME": USER,
            "SMTP_AUTH": "oauth2",
            "SMTP_OAUTH_TOKEN_URL": endpoint.url,
            "DELIVERY_MODE": "live",
        }
        for name, value in {**common, **values}.items():
            monkeypatch.setenv(name, value)
        return load(None)

    return loaded


@needs_npm
@pytest.mark.parametrize("grant", ["client credentials", "refresh token", "service account"])
async def test_doctor_and_send_test_log_in_by_each_grant(
    strange: StrangeServer,
    endpoint: TokenEndpoint,
    *,
    stack: LocalStack,
    tmp_path: Path,
    oauth2: Callable[..., Settings],
    grant: str,
) -> None:
    values = {
        "client credentials": {"SMTP_OAUTH_CLIENT_ID": "app", "SMTP_OAUTH_CLIENT_SECRET": SECRET},
        "refresh token": {
            "SMTP_OAUTH_CLIENT_ID": "app",
            "SMTP_OAUTH_REFRESH_TOKEN": FIRST,
            "MONGODB_URI": stack.mongodb_uri,
            "MONGODB_DATABASE": f"oauth_{tmp_path.name}",
        },
        "service account": {"SMTP_OAUTH_SERVICE_ACCOUNT_FILE": str(key_file(tmp_path, FILE))},
    }[grant]
    endpoint.valid, endpoint.strict = {FIRST}, True
    endpoint.gives["access_token"] = "the-token-of-today"
    await strange.take("the-token-of-today")
    settings = oauth2(strange, **values)
    assert (settings.live, settings.smtp.grant) == (True, grant)
    assert f"lets us in (starttls, login by {grant})" in await doctor._transport(settings)
    told = [line async for line in send_test.send(settings, "jane@guests.example", "payment_success")]
    assert [(template, well) for template, well, _ in told] == [("payment_success", True)]
    # Two processes as it were: the second one used what the first one kept.
    assert len({form.get("refresh_token") for form in endpoint.asked}) == (2 if grant == "refresh token" else 1)


@needs_npm
async def test_doctor_says_what_to_do_about_a_refused_secret(
    strange: StrangeServer, endpoint: TokenEndpoint, oauth2: Callable[..., Settings]
) -> None:
    endpoint.script.append(
        refusal("invalid_client", "AADSTS7000222: The provided client secret keys are expired.", 401)
    )
    settings = oauth2(strange, SMTP_OAUTH_CLIENT_ID="app", SMTP_OAUTH_CLIENT_SECRET=SECRET)
    with pytest.raises(ChannelUnavailableError, match=r"AADSTS7000222.*SMTP_OAUTH_CLIENT_SECRET has expired"):
        await doctor._transport(settings)


# ── the first refresh token ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def personal(monkeypatch: pytest.MonkeyPatch, endpoint: TokenEndpoint) -> Settings:
    values = {"SMTP_SERVER": "smtp-mail.outlook.com", "SMTP_USERNAME": USER, "SMTP_OAUTH_CLIENT_ID": "app"}
    for name, value in {**values, "SMTP_OAUTH_TOKEN_URL": endpoint.url}.items():
        monkeypatch.setenv(name, value)
    return load(None)


async def test_somebody_signs_in_and_the_refresh_token_is_had(endpoint: TokenEndpoint, personal: Settings) -> None:
    told: list[str] = []
    pending = refusal("authorization_pending", "AADSTS70016: not yet")
    endpoint.script.extend([Answer(200, token_endpoint.DEVICE), pending, pending])
    assert (await smtp_login.sign_in(personal, told.append)).startswith("refresh-")
    assert told == [f"Open https://login.example/device and enter ABCD-1234, then sign in as {USER} and agree."]
    scope = "https://outlook.office.com/SMTP.Send offline_access"
    assert endpoint.asked[0] == {"client_id": "app", "scope": scope}
    assert endpoint.asked[-1]["device_code"] == "canary-device-code"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([refusal("invalid_client", "AADSTS7000218: client_secret is required", 401)], "Allow public client flows"),
        ([refusal("unauthorized_client", "AADSTS700016: not found")], "SMTP_OAUTH_CLIENT_ID"),
        ([Answer(200, "<html>")], "SMTP_OAUTH_TOKEN_URL"),
        ([Answer(200, token_endpoint.DEVICE), refusal("authorization_declined")], "did not agree"),
        ([Answer(200, token_endpoint.DEVICE), refusal("expired_token")], "in time"),
        ([Answer(200, token_endpoint.DEVICE | {"expires_in": 0.2}), HANGS], "in time"),
        ([Answer(200, token_endpoint.DEVICE), Answer(200, {"access_token": "a"})], "offline_access"),
    ],
)
async def test_a_sign_in_that_fails_says_what_to_do(
    endpoint: TokenEndpoint, personal: Settings, answers: list[Answer], words: str
) -> None:
    endpoint.script.extend(answers)
    with pytest.raises(ConfigurationError, match=words) as caught:
        await smtp_login.sign_in(personal, lambda _: None)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SMTP_OAUTH_CLIENT_ID", "", "SMTP_OAUTH_CLIENT_ID"),
        ("SMTP_OAUTH_TOKEN_URL", "https://a.example/t", "Microsoft"),
    ],
)
async def test_a_sign_in_that_cannot_be_names_the_setting(
    personal: Settings, monkeypatch: pytest.MonkeyPatch, *, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=words):
        await smtp_login.sign_in(load(None), lambda _: None)
