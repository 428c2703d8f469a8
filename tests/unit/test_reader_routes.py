"""The redirect leads where its token was made for and nowhere else; only a reader's own button unsubscribes."""

import json
import random
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from starlette.applications import Starlette

from notification_service.callbacks.links import ReaderRoutes
from notification_service.content.links import Links
from notification_service.content.reader_links import (
    Click,
    LinkRole,
    ReaderLinks,
    Subscription,
    click_token,
    read_click,
    read_unsubscribe,
    unsubscribe_token,
)
from notification_service.content.reader_pages import ReaderPages
from notification_service.contract.signals import Signal, SignalKind
from notification_service.feedback.suppression import ADDRESS_DIGEST
from notification_service.foundation.keyed_tokens import TokenKeys
from tests.unit.fakes import TEMPLATES

KEYS = TokenKeys({2: "the key of this year, of some length", 1: "the key of last year, of some length"})
OLD = TokenKeys({1: "the key of last year, of some length"})
ID, DIGEST = "0123456789abcdef" * 2, "fedcba9876543210" * 2
TARGET = "https://cinema.example/bookings/B-1?from=mail&x=%2F"
CLICK, SUBSCRIPTION = Click(ID, LinkRole.BOOKING), Subscription(ID, DIGEST, "fr")
PAGES = ReaderPages(TEMPLATES, "Cinema & Co", "#7a2135")
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str


@dataclass
class Listener:
    """The routes in an application of their own, whose broker may be down."""

    broker_down: bool = False
    noted: list[Signal] = field(default_factory=list)
    published: list[Signal] = field(default_factory=list)

    def __post_init__(self) -> None:
        hosts = frozenset({"cinema.example"})
        self.app = Starlette(routes=ReaderRoutes(KEYS, hosts, self.noted.append, self._publish, PAGES).routes())

    async def _publish(self, signal: Signal) -> None:
        if self.broker_down:
            raise ConnectionError("the broker is away")
        self.published.append(signal)

    async def ask(
        self, method: str, path: str, query: str = "", headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request as a server hands it over, byte for byte."""
        sent: list[dict[str, object]] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode("latin-1"),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in (headers or BROWSER).items()],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("evil.example", 80),
        }

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)  # type: ignore[arg-type]  # plain dictionaries
        head: Iterable[tuple[bytes, bytes]] = sent[0]["headers"]  # type: ignore[assignment]
        content = b"".join(part.get("body", b"") for part in sent[1:])  # type: ignore[misc]
        return Answer(
            int(str(sent[0]["status"])), {name.decode(): value.decode() for name, value in head}, content.decode()
        )

    async def follow(self, target: str = TARGET, token: str | None = None, method: str = "GET", **more: str) -> Answer:
        token = click_token(KEYS, CLICK, target) if token is None else token
        return await self.ask(method, f"/c/{token}", f"u={quote(target, safe='')}", more or None)

    async def post(self, body: str, kind: str = "application/x-www-form-urlencoded", token: str = "") -> Answer:
        token = token or unsubscribe_token(KEYS, SUBSCRIPTION)
        return await self.ask("POST", f"/u/{token}", "", {"content-type": kind}, body.encode())


# ── clicks ───────────────────────────────────────────────────────────────────────────────────────────
async def test_a_click_leads_to_its_target_and_is_noted() -> None:
    listener = Listener()
    answer = await listener.follow()
    assert (answer.status, answer.headers["location"]) == (302, TARGET)
    assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
    (signal,) = listener.noted
    assert (signal.kind, signal.notification_id, signal.address) == (SignalKind.CLICKED, ID, None)
    assert signal.extra == {"link": "booking", "class": "person"}


async def test_a_token_has_40_characters_and_names_nobody() -> None:
    token = click_token(KEYS, CLICK, TARGET)
    assert len(token) == 40
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert len(unsubscribe_token(KEYS, SUBSCRIPTION)) == 64


async def test_a_click_needs_no_broker_and_each_is_a_signal_of_its_own() -> None:
    listener = Listener(broker_down=True)
    for _ in range(3):
        assert (await listener.follow()).status == 302
    assert len({signal.source_id for signal in listener.noted}) == 3


async def test_what_the_mail_program_adds_to_the_link_does_not_matter() -> None:
    query = f"u={quote(TARGET, safe='')}&fbclid=x&u=https%3A%2F%2Fevil.example"
    answer = await Listener().ask("GET", f"/c/{click_token(KEYS, CLICK, TARGET)}", query)
    assert answer.headers["location"] == TARGET


async def test_10000_tampered_tokens_lead_nowhere() -> None:
    listener, chance = Listener(), random.Random(11)  # noqa: S311 - the same tokens each time
    token = click_token(KEYS, CLICK, TARGET)
    alphabet = string.ascii_letters + string.digits + "-_"
    for _ in range(10_000):  # of one character, or all of them
        at, replaced = chance.randrange(40), chance.choice(alphabet)
        tampered = token[:at] + replaced + token[at + 1 :]
        if tampered == token:
            tampered = "".join(chance.choices(alphabet, k=40))
        assert (await listener.follow(token=tampered)).status == 404
    assert listener.noted == []


@pytest.mark.parametrize(
    "token", ["", "A", "A" * 39, "A" * 41, "A" * 44, "A" * 39 + "=", "é" * 40, "\ud800", "A" * 5000]
)
async def test_what_is_no_token_leads_nowhere(token: str) -> None:
    assert read_click(KEYS, token, TARGET) is None
    assert read_unsubscribe(KEYS, token) is None


ELSEWHERE = (
    "https://evil.example/",
    "http://cinema.example/",
    "https://cinema.example@evil.example/",
    "https://user:pass@cinema.example/",
    "https://cinema.example\\@evil.example/",
    "https:\\\\cinema.example/",
    "//cinema.example/",
    "///evil.example",
    "https:///cinema.example",
    "https:cinema.example",
    "https://cinema.example:8443/",
    "https://cinema.example:bad/",
    "https://cinema.example./",
    "https://xn--cinma-esa.example/",
    "https://cinéma.example/",
    "https://cinema.example%2eevil.example/",
    "https://cinema.example#@evil.example/\r\nSet-Cookie: a=b",
    "https://cinema.example/\r\nX: y",
    "https://cinema.example/\nX: y",
    "https://cinema.example/\t",
    "https://cinema.example/\0",
    " https://cinema.example/",
    "javascript:alert(1)",
    "JAVASCRIPT:alert(1)//cinema.example",
    "data:text/html,hello",
    "https%3A%2F%2Fcinema.example%2F",
    "https://cinema.example/" + "a" * 2000,
    "",
)


@pytest.mark.parametrize("target", ELSEWHERE)
async def test_no_target_outside_the_hosts_is_led_to_even_with_a_code_of_ours(target: str) -> None:
    listener = Listener()
    answer = await listener.follow(target)
    assert answer.status == 404
    assert "location" not in answer.headers
    assert listener.noted == []


@pytest.mark.parametrize("target", ELSEWHERE)
async def test_no_token_leads_to_another_target_than_its_own(target: str) -> None:
    assert (await Listener().follow(target, token=click_token(KEYS, CLICK, TARGET))).status == 404


async def test_a_target_that_is_encoded_once_more_is_another() -> None:
    token = click_token(KEYS, CLICK, TARGET)
    assert (await Listener().ask("GET", f"/c/{token}", f"u={quote(quote(TARGET, safe=''), safe='')}")).status == 404
    for query in ("", "u=", "u", f"v={quote(TARGET, safe='')}", "u=%ff%fe", "u=é", "&" * 100):
        assert (await Listener().ask("GET", f"/c/{token}", query)).status == 404


async def test_a_token_is_read_by_an_older_key_and_for_its_own_purpose_alone() -> None:
    assert read_click(KEYS, click_token(OLD, CLICK, TARGET), TARGET) == CLICK
    assert read_unsubscribe(KEYS, unsubscribe_token(OLD, SUBSCRIPTION)) == SUBSCRIPTION
    listener = Listener()
    assert (await listener.ask("GET", f"/u/{click_token(KEYS, CLICK, TARGET)}")).status == 404
    assert (await listener.follow(token=unsubscribe_token(KEYS, SUBSCRIPTION))).status == 404


@pytest.mark.parametrize(
    ("method", "headers", "why"),
    [
        ("HEAD", BROWSER, "head"),
        ("GET", BROWSER | {"sec-purpose": "prefetch;prerender"}, "prefetch"),
        ("GET", BROWSER | {"purpose": "preview"}, "prefetch"),
        ("GET", BROWSER | {"x-moz": "prefetch"}, "prefetch"),
        ("GET", {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}, "robot"),
        ("GET", {"user-agent": "curl/8.5.0"}, "robot"),
        ("GET", {"user-agent": "python-requests/2.32"}, "robot"),
        ("GET", {"user-agent": ""}, "robot"),
        ("GET", {"accept": "*/*"}, "robot"),
    ],
)
async def test_a_machine_is_led_too_and_kept_apart(method: str, headers: dict[str, str], why: str) -> None:
    listener = Listener()
    answer = await listener.follow(method=method, **headers)
    assert (answer.status, answer.headers["location"]) == (302, TARGET)
    assert [(each.extra["class"], each.extra["why"]) for each in listener.noted] == [("machine", why)]


async def test_nothing_but_get_and_head_is_a_click() -> None:
    listener = Listener()
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert (await listener.follow(method=method)).status == 405
    assert listener.noted == []


# ── unsubscribing ────────────────────────────────────────────────────────────────────────────────────
MULTIPART = '--xyz\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--xyz--\r\n'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"),
        ("List-Unsubscribe=One-Click\r\n", "application/x-www-form-urlencoded"),
        ("x=1&List-Unsubscribe=One-Click", "Application/X-WWW-Form-Urlencoded; charset=utf-8"),
        (MULTIPART, "multipart/form-data; boundary=xyz"),
        (MULTIPART, 'multipart/form-data; boundary="xyz"'),
    ],
)
async def test_one_post_with_the_field_unsubscribes(body: str, kind: str) -> None:
    listener = Listener()
    answer = await listener.post(body, kind)
    assert answer.status == 200
    assert not {"set-cookie", "location"} & set(answer.headers)
    (signal,) = listener.published
    assert (signal.kind, signal.notification_id, signal.address) == (SignalKind.UNSUBSCRIBED, ID, None)
    assert signal.extra == {ADDRESS_DIGEST: DIGEST}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("", "application/x-www-form-urlencoded", 400),
        ("List-Unsubscribe=one-click", "application/x-www-form-urlencoded", 400),
        ("List-Unsubscribe", "application/x-www-form-urlencoded", 400),
        ("list-unsubscribe=One-Click", "application/x-www-form-urlencoded", 400),
        ("List-Unsubscribe=One-Click", "text/plain", 415),
        ("List-Unsubscribe=One-Click", "", 415),
        (json.dumps({"List-Unsubscribe": "One-Click"}), "application/json", 415),
        (MULTIPART, "multipart/form-data", 400),
        (MULTIPART, "multipart/form-data; boundary=other", 400),
        ("List-Unsubscribe=One-Click&" + "a" * 20_000, "application/x-www-form-urlencoded", 413),
        ("&".join(f"f{each}=x" for each in range(500)), "application/x-www-form-urlencoded", 400),
        ("é", "application/x-www-form-urlencoded", 400),
    ],
)
async def test_a_post_that_says_anything_else_changes_nothing(body: str, kind: str, status: int) -> None:
    listener = Listener()
    assert (await listener.post(body, kind)).status == status
    assert listener.published == []


async def test_a_thousand_gets_and_heads_unsubscribe_nobody() -> None:
    listener, token = Listener(), unsubscribe_token(KEYS, SUBSCRIPTION)
    for at in range(1000):
        answer = await listener.ask("HEAD" if at % 2 else "GET", f"/u/{token}", "List-Unsubscribe=One-Click")
        assert answer.status == 200
    assert (await listener.ask("PUT", f"/u/{token}")).status == 405
    assert listener.published == []


async def test_the_reader_sees_a_button_in_their_language_and_comes_back_by_one() -> None:
    listener = Listener()
    page = await listener.ask("GET", f"/u/{unsubscribe_token(KEYS, SUBSCRIPTION)}")
    assert '<html lang="fr" dir="ltr">' in page.body
    assert "Se désabonner</button>" in page.body
    assert "Cinema &amp; Co" in page.body
    assert "script" not in page.headers["content-security-policy"]
    left = await listener.post("List-Unsubscribe=One-Click")
    assert 'name="Resubscribe" value="Yes"' in left.body
    back = await listener.post("Resubscribe=Yes")
    assert 'name="List-Unsubscribe"' in back.body
    assert [signal.kind for signal in listener.published] == [SignalKind.UNSUBSCRIBED, SignalKind.RESUBSCRIBED]


@pytest.mark.parametrize(
    ("language", "shown"), [("ar", 'lang="ar" dir="rtl"'), ("xx", 'lang="en"'), ("fil", 'lang="en"')]
)
async def test_a_language_without_a_catalogue_is_shown_in_english(language: str, shown: str) -> None:
    token = unsubscribe_token(KEYS, Subscription(ID, DIGEST, language))
    assert shown in (await Listener().ask("GET", f"/u/{token}")).body


async def test_a_wish_that_is_not_safe_is_not_confirmed() -> None:
    answer = await Listener(broker_down=True).post("List-Unsubscribe=One-Click")
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")


async def test_the_same_wish_within_a_second_is_one_signal() -> None:
    noon = datetime(2026, 12, 1, 12, 0, 0, 1000, tzinfo=UTC)
    published: list[Signal] = []

    async def publish(signal: Signal) -> None:
        published.append(signal)

    routes = ReaderRoutes(KEYS, (), published.append, publish, PAGES, lambda: noon)
    listener = Listener()
    listener.app = Starlette(routes=routes.routes())
    for _ in range(2):
        await listener.post("List-Unsubscribe=One-Click")
    assert len({(signal.source, signal.source_id) for signal in published}) == 1


async def test_an_unsubscribe_token_that_was_changed_is_none() -> None:
    token = unsubscribe_token(KEYS, SUBSCRIPTION)
    for at in range(64):
        other = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert read_unsubscribe(KEYS, other) is None
        assert (await Listener().post("List-Unsubscribe=One-Click", token=other)).status == 404


# ── the links of a mail ──────────────────────────────────────────────────────────────────────────────
LINKS = Links(retry="https://cinema.example/pay", booking=TARGET, site="https://cinema.example", support=None)


def test_only_three_roles_are_counted_and_only_with_consent() -> None:
    maker = ReaderLinks(KEYS, "https://links.example", clicks=True)
    links = maker.of(ID, DIGEST, consent=True)
    assert links is not None
    tracked = links.tracked(LINKS)
    assert (tracked.site, tracked.support) == (LINKS.site, None)
    assert str(tracked.booking).startswith("https://links.example/c/")
    assert str(tracked.booking).endswith(f"?u={quote(TARGET, safe='')}")
    for made, consent in ((maker, False), (ReaderLinks(KEYS, "https://links.example"), True)):
        uncounted = made.of(ID, DIGEST, consent=consent)
        assert uncounted is not None
        assert uncounted.tracked(LINKS) == LINKS
    assert maker.of("no id of ours", DIGEST, consent=True) is None


def test_a_link_that_would_be_too_long_is_not_counted() -> None:
    links = ReaderLinks(KEYS, "https://links.example", clicks=True).of(ID, DIGEST, consent=True)
    assert links is not None
    long = "https://cinema.example/" + "%2F" * 500
    assert links.tracked(Links(booking=long)).booking == long


def test_nobody_unsubscribes_without_a_digest() -> None:
    links = ReaderLinks(KEYS, "https://links.example").of(ID, "", consent=True)
    assert links is not None
    assert links.unsubscribe("fr") is None
