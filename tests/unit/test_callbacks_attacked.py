"""The public listener against people who mean it ill, byte for byte over real sockets."""

import asyncio
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from string import ascii_letters, digits
from typing import Any
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from notification_service.callbacks.app import application
from notification_service.callbacks.links import ReaderRoutes
from notification_service.content.reader_links import click_token, unsubscribe_token
from notification_service.contract.signals import Signal
from notification_service.feedback import signal_messages
from notification_service.feedback.providers import sns
from notification_service.feedback.providers.mailgun import Mailgun
from notification_service.feedback.providers.postmark import Postmark
from notification_service.feedback.providers.ses import Ses
from notification_service.feedback.providers.sns import Sns
from notification_service.feedback.providers.webhooks import CannotVerifyError, Webhook
from notification_service.observability.callback_metrics import CallbackMetrics
from notification_service.observability.serving import HttpLimits, serving
from tests.stack.processes import free_port
from tests.unit.test_callbacks import BOUNCE, Queue
from tests.unit.test_reader_routes import CLICK, KEYS, PAGES, SUBSCRIPTION, TARGET
from tests.unit.test_webhooks import (
    LOGIN,
    MAILGUN_KEY,
    NOW,
    TOPIC,
    OwnKey,
    OwnSendGrid,
    basic,
    mailgun_request,
    postmark_bounce,
    sendgrid_event,
)

TOKEN, UNSUBSCRIBE = click_token(KEYS, CLICK, TARGET), unsubscribe_token(KEYS, SUBSCRIPTION)
LINK = f"/c/{TOKEN}?u={quote(TARGET, safe='')}"
BODY = BOUNCE.decode()
HOST, CLOSE, JSON = "Host: x\r\n", "Connection: close\r\n", "Content-Type: application/json\r\n"
AUTH, LENGTH = f"Authorization: {basic()['authorization']}\r\n", f"Content-Length: {len(BODY)}\r\n"
CHUNKED, CHUNK = "Transfer-Encoding: chunked\r\n", f"{len(BODY):x}\r\n{BODY}\r\n"
ALL = HOST + CLOSE + JSON + AUTH


def post(head: str = ALL + LENGTH, body: str = BODY, path: str = "/cb/postmark", version: str = "HTTP/1.1") -> bytes:
    return f"POST {path} {version}\r\n{head}\r\n{body}".encode()


def get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\n{HOST}{CLOSE}{more}\r\n".encode()


@dataclass
class Answer:
    statuses: list[int]
    head: str
    body: bytes


@dataclass
class Door:
    port: int
    queue: Queue
    metrics: CallbackMetrics
    noted: list[Signal] = field(default_factory=list)

    async def asked(self, *pieces: bytes, pause: float = 0.0) -> Answer:
        """What comes until the listener closes the connection; it fails where that takes more than 5 s."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            async with asyncio.timeout(5):
                heard = await reader.read()
        except ConnectionError:
            heard = b""
        finally:
            writer.transport.abort()
        head, _, body = heard.rpartition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        return Answer([int(line[9:12]) for line in lines if line.startswith("HTTP/1.1 ")], "\n".join(lines), body)

    def counted(self) -> float:
        samples = [sample for metric in self.metrics.registry.collect() for sample in metric.samples]
        return sum(each.value for each in samples if each.name == "notification_callbacks_total")


@pytest.fixture(scope="module")
def own() -> OwnKey:
    return OwnKey()


@pytest.fixture(scope="module")
def own_sendgrid() -> OwnSendGrid:
    return OwnSendGrid()


@pytest.fixture(scope="module")
async def served(own: OwnKey, own_sendgrid: OwnSendGrid) -> AsyncIterator[Door]:
    door = Door(free_port(), Queue(), CallbackMetrics(("postmark", "mailgun", "sendgrid", "ses")))
    providers = {
        "postmark": Postmark([LOGIN]),
        "mailgun": Mailgun([MAILGUN_KEY]),
        "sendgrid": own_sendgrid.provider,
        "ses": Ses(Sns([TOPIC], own.amazon.get)),
    }

    async def publish(signal: Signal) -> None:
        await door.queue.publish([signal_messages.written(signal)])

    links = ReaderRoutes(KEYS, frozenset({"cinema.example"}), door.noted.append, publish, PAGES).routes()
    app = application(providers, door.queue.publish, door.metrics, links)  # type: ignore[arg-type]  # they are providers
    limits = HttpLimits(head=0.6, body=0.6, connections=20)
    async with serving(app, "127.0.0.1", door.port, limits, refused=door.metrics.refused):
        yield door


@pytest.fixture
def door(served: Door) -> Door:
    served.queue.bodies.clear()
    served.noted.clear()
    return served


REFUSED: dict[str, tuple[bytes, int]] = {
    "two lengths": (post(ALL + LENGTH + "Content-Length: 5\r\n"), 400),
    "a length and chunks": (post(ALL + LENGTH + CHUNKED, f"{CHUNK}0\r\n\r\n"), 400),
    "chunks twice": (post(ALL + CHUNKED + CHUNKED, f"{CHUNK}0\r\n\r\n"), 400),
    "compressed chunks": (post(ALL + "Transfer-Encoding: gzip, chunked\r\n", f"{CHUNK}0\r\n\r\n"), 400),
    "a chunk without a size": (post(ALL + CHUNKED, "zz\r\nabc\r\n0\r\n\r\n"), 400),
    "a chunk of a huge size": (post(ALL + CHUNKED, "ffffffffffffffffffffff\r\nabc"), 400),
    "a negative length": (post(ALL + "Content-Length: -1\r\n"), 400),
    "a length with a sign": (post(ALL + f"Content-Length: +{len(BODY)}\r\n"), 400),
    "a length without end": (post(ALL + f"Content-Length: {'9' * 30}\r\n"), 400),
    "a length in other digits": (post(ALL + "Content-Length: ٣\r\n"), 400),
    "no length": (post(ALL, ""), 400),
    "two logins, the good one last": (post(ALL + LENGTH + "Authorization: Basic eDp5\r\n"), 400),
    "two logins, the good one first": (
        post(HOST + CLOSE + JSON + "Authorization: Basic eDp5\r\n" + AUTH + LENGTH),
        400,
    ),
    "two types": (post(ALL + LENGTH + "Content-Type: text/html\r\n"), 400),
    "two encodings": (post(ALL + LENGTH + "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"), 400),
    "a list of encodings": (post(ALL + LENGTH + "Content-Encoding: identity, gzip\r\n"), 415),
    "two hosts": (post(ALL + HOST + LENGTH), 400),
    "no host": (post(CLOSE + JSON + AUTH + LENGTH), 400),
    "HTTP/0.9": (b"GET /cb/postmark\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, 400),
    "a NUL in a header": (post(ALL + LENGTH + "X: a\0b\r\n"), 400),
    "a blank before the colon": (post(HOST + CLOSE + JSON + LENGTH + AUTH.replace(":", " :", 1)), 400),
    "a long header": (post(ALL + LENGTH + f"X: {'a' * 20_000}\r\n"), 431),
    "many headers": (post(ALL + LENGTH + "".join(f"X{each}: a\r\n" for each in range(3000))), 431),
    "UTF-16": (post(ALL + f"Content-Length: {2 * len(BODY) + 2}\r\n", "") + BODY.encode("utf-16"), 400),
    "a mark before the JSON": (post(ALL + f"Content-Length: {len(BODY) + 3}\r\n", f"\ufeff{BODY}"), 400),
    "an absolute URL": (post(path="http://evil.example/cb/postmark"), 404),
    "a path to a host": (post(path="//evil.example/cb/postmark"), 404),
    "two slashes": (post(path="/cb//postmark"), 404),
    "a slash behind": (post(path="/cb/postmark/"), 404),
    "a step up": (post(path="/cb/../cb/postmark"), 404),
    "a tunnel": (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    "a star": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    "bytes in a path": ("GET /c/é中\u202e HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_each_attack_is_a_4xx_with_one_plain_line_a_count_and_nothing_stored(door: Door, name: str) -> None:
    request, status = REFUSED[name]
    before = door.counted()
    answer = await door.asked(request)
    assert answer.statuses == [status]
    assert "text/plain" in answer.head
    assert answer.body.strip().decode().isprintable()
    assert answer.body.strip().count(b"\n") == 0
    assert len(answer.body) < 200
    assert "location" not in answer.head.lower()
    assert door.queue.bodies == []
    assert door.noted == []
    assert door.counted() == before + 1


async def test_what_is_odd_and_allowed_is_stored_once(door: Door) -> None:
    folded = HOST + CLOSE + JSON + LENGTH + AUTH.replace("Basic ", "Basic\r\n ")
    for request in (post(), post(ALL + CHUNKED, f"{CHUNK}0\r\n\r\n"), post(folded)):
        assert (await door.asked(request)).statuses == [200]
    assert (await door.asked(post(JSON + AUTH + LENGTH, version="HTTP/1.0"))).statuses == [200]
    assert (await door.asked(post(ALL + LENGTH + "Expect: 100-continue\r\n"))).statuses == [100, 200]
    assert len(door.queue.bodies) == 5


async def test_of_two_requests_in_one_packet_each_has_to_be_signed_itself(door: Door) -> None:
    answer = await door.asked(post(HOST + JSON + AUTH + LENGTH) + post(HOST + CLOSE + JSON + LENGTH))
    assert answer.statuses == [200, 401]
    assert len(door.queue.bodies) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        [post(body=BODY[:50])],
        [post(ALL + CHUNKED, CHUNK)],
        [post(ALL + CHUNKED, ""), *[b"1\r\n{\r\n"] * 20],
        [post()[:40]],
        [bytes((each,)) for each in post()[:60]],
    ],
    ids=["half a body", "chunks without end", "chunk by chunk", "half a head", "byte by byte"],
)
async def test_who_is_slow_is_let_go_with_a_line_and_counted(door: Door, pieces: list[bytes]) -> None:
    before = door.counted()
    answer = await door.asked(*pieces, pause=0.05 if len(pieces) > 1 else 0)
    assert answer.statuses in ([408], []), "reset while it was still sending"
    assert door.queue.bodies == []
    assert door.counted() == before + 1


async def test_who_leaves_in_the_middle_stores_nothing_and_is_counted(door: Door) -> None:
    before = door.counted()
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(post(body=BODY[:50]))
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()
    await asyncio.sleep(0.2)
    assert door.queue.bodies == []
    assert door.counted() == before + 1


ELSEWHERE = {
    "a host before it": f"/{LINK}",
    "an absolute URL": f"http://evil.example{LINK}",
    "a slash behind": LINK.replace("?", "/?"),
    "another target": f"/c/{TOKEN}?u=https%3A%2F%2Fevil.example",
    "a target in the path": f"/c/{TOKEN}//evil.example",
    "encoded slashes": "/c/%2f%2fevil.example",
    "a backslash": f"/\\evil.example{LINK}",
    "a login": LINK.replace("?", "@evil.example?"),
    "letters that turn the text": "/c/%C3%A9%E2%80%AE%00?u=x",
    "no UTF-8": "/c/%ff%fe?u=%ff",
    "a line break": f"{LINK}%0d%0aX:y",
    "a parameter": LINK.replace("?", ";a?"),
    "the other target first": LINK.replace("?u=", "?u=https%3A%2F%2Fevil.example&u="),
    "a capital": LINK.replace("?u=", "?U="),
    "a semicolon": LINK.replace("?u=", "?a=1;u="),
    "two encodings": LINK.replace("%", "%25"),
    "the root": "/",
}


@pytest.mark.parametrize("name", ELSEWHERE)
async def test_no_spelling_of_a_link_leads_anywhere_else(door: Door, name: str) -> None:
    answer = await door.asked(get(ELSEWHERE[name], "X-Forwarded-Host: evil.example\r\n"))
    assert answer.statuses == [404]
    assert "location" not in answer.head.lower()
    assert answer.body == b"There is nothing here.\n"
    assert door.noted == []


async def test_the_good_link_leads_to_its_target_whatever_host_is_claimed(door: Door) -> None:
    request = get(LINK, "X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n").replace(b"x", b"x", 1)
    answer = await door.asked(request.replace(b"Host: x", b"Host: evil.example"))
    assert answer.statuses == [302]
    assert f"location: {TARGET}\n" in f"{answer.head}\n"
    assert "evil" not in answer.head


async def statuses_of_many(door: Door, requests: list[bytes]) -> list[int]:
    """Of requests that come one behind the other on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    found: list[int] = []
    for beginning in range(0, len(requests), 50):
        some = requests[beginning : beginning + 50]
        writer.write(b"".join(some))
        for _ in some:
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            await reader.readexactly(length)
            found.append(int(head[9:12]))
    writer.close()
    return found


async def test_a_thousand_looks_at_the_page_unsubscribe_nobody(door: Door) -> None:
    look = get(f"/u/{UNSUBSCRIBE}?List-Unsubscribe=One-Click").replace(CLOSE.encode(), b"")
    assert set(await statuses_of_many(door, [look] * 1000)) == {200}
    assert door.queue.bodies == []


async def test_2000_tampered_tokens_over_http_lead_nowhere(door: Door) -> None:
    chance, made = random.Random(13), list[bytes]()  # noqa: S311 - the same tokens each time
    while len(made) < 2000:
        at, letter = chance.randrange(40), chance.choice(ascii_letters + digits + "-_")
        if letter != TOKEN[at]:
            path = LINK.replace(TOKEN, TOKEN[:at] + letter + TOKEN[at + 1 :])
            made.append(get(path).replace(CLOSE.encode(), b""))
    found = Counter(await statuses_of_many(door, made))
    assert found == {404: 2000}
    assert door.noted == []


async def test_no_header_turns_a_look_into_a_wish(door: Door) -> None:
    for more in ("X-HTTP-Method-Override: POST\r\n", "X-Method-Override: POST\r\n"):
        answer = await door.asked(get(f"/u/{UNSUBSCRIBE}?List-Unsubscribe=One-Click&_method=POST", more))
        assert answer.statuses == [200]
    assert door.queue.bodies == []


async def test_known_and_unknown_ids_have_the_same_bytes_in_about_the_same_time(door: Door) -> None:
    """Nothing is asked of a store, so there is nothing to tell them apart by; the times are compared with much room."""

    async def taken(identity: str) -> tuple[float, str]:
        body = json.dumps({**postmark_bounce("HardBounce"), "Metadata": {"notification_id": identity}})
        begun = time.perf_counter()
        answer = await door.asked(post(ALL + f"Content-Length: {len(body)}\r\n", body))
        lines = [line for line in answer.head.split("\n") if not line.startswith("date:")]
        return time.perf_counter() - begun, f"{lines}{answer.body!r}"

    known, unknown = ("0123456789abcdef" * 2, "f" * 32)
    found = [(await taken(known), await taken(unknown)) for _ in range(30)]
    assert len({text for pair in found for _, text in pair}) == 1
    of_known, of_unknown = (statistics.median(pair[which][0] for pair in found) for which in (0, 1))
    assert 0.2 < of_known / of_unknown < 5


# ── whatever JSON a provider's key was used for ──────────────────────────────────────────────────────────────────────
def bombs() -> Mapping[str, str]:
    return {
        "lists": "[" * 100_000,
        "objects": '{"a":' * 50_000,
        "an integer of 100,000 digits": '{"RecordType":"Bounce","ID":' + "9" * 100_000 + "}",
        "a number without end": json.dumps(postmark_bounce("HardBounce")).replace('"ID": 42', '"ID": 1e999999'),
        "a name twice": '{"RecordType":"Open","RecordType":"Bounce"}',
        "names in another case": json.dumps(
            {name.lower(): value for name, value in postmark_bounce("HardBounce").items()}
        ),
        "a number for a text": json.dumps({**postmark_bounce("HardBounce"), "Email": 5}),
        "a text for an object": json.dumps({**postmark_bounce("HardBounce"), "Metadata": "x"}),
        "a time for ever": json.dumps({**postmark_bounce("HardBounce"), "BouncedAt": "9999-12-31T23:59:59-23:59"}),
    }


@pytest.mark.parametrize("name", bombs())
async def test_a_body_that_is_none_of_the_providers_is_a_400(door: Door, name: str) -> None:
    body = bombs()[name]
    answer = await door.asked(post(ALL + f"Content-Length: {len(body)}\r\n", body))
    assert answer.statuses == [400]
    assert door.queue.bodies == []


@pytest.mark.parametrize("value", ["\ud800", "\0", "a\r\nb", "\u202e", "x" * 9000, "'; drop", "$where", "<script>"])
async def test_any_text_in_any_field_goes_through_the_queue_or_is_refused(door: Door, value: str) -> None:
    made: list[tuple[str, Callable[[], dict[str, Any]], str]] = [
        ("postmark", lambda: postmark_bounce("HardBounce", "550 5.1.1"), ""),
        ("mailgun", lambda: mailgun_request(at=datetime.now(UTC), severity="permanent"), "event-data"),
    ]
    for provider, make, inside in made:
        for name in make()[inside] if inside else make():
            door.queue.bodies.clear()
            fields = make()
            (fields[inside] if inside else fields)[name] = value
            if inside:
                fields["signature"]["token"] = f"{provider}{name}{value}".encode("utf-8", "replace").hex()[:50]
            body = json.dumps(fields)
            head = HOST + CLOSE + JSON + (AUTH if provider == "postmark" else "") + f"Content-Length: {len(body)}\r\n"
            answer = await door.asked(post(head, body, f"/cb/{provider}"))
            assert answer.statuses[0] in (200, 400, 401)
            assert all(each.detail.isprintable() for each in door.queue.signals)


async def test_one_bad_event_of_a_thousand_costs_the_others_nothing(own_sendgrid: OwnSendGrid) -> None:
    batch: list[object] = [sendgrid_event("delivered", sg_event_id=f"e{each}") for each in range(999)]
    body, headers = own_sendgrid.request([*batch[:500], {"event": ["bounce"]}, *batch[500:]])
    heard = await own_sendgrid.provider.read(Webhook(headers, body, NOW))
    assert (len(heard.signals), heard.unreadable) == (999, 1)
    assert len({each.source_id for each in heard.signals}) == 999


async def test_the_certificate_is_fetched_without_following_a_redirect_or_reading_without_end() -> None:
    asked: list[str] = []

    async def elsewhere(request: Request) -> Response:
        asked.append(request.url.path)
        return RedirectResponse("/secret")

    async def endless(_: Request) -> Response:
        return Response(b"x" * 1_000_000)

    routes = [Route("/moved.pem", elsewhere), Route("/secret", elsewhere), Route("/large.pem", endless)]
    port = free_port()
    async with serving(Starlette(routes=routes), "127.0.0.1", port):
        assert await sns.get(f"http://127.0.0.1:{port}/moved.pem") == (307, b"")
        with pytest.raises(CannotVerifyError):
            await sns.get(f"http://127.0.0.1:{port}/large.pem")
    assert asked == ["/moved.pem"]


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.us-east-1.amazonaws.com.evil.com/a.pem",
        "https://sns.us-east-1.amazonaws.com%2eevil.com/a.pem",
        "https://sns.us-east-1.amazonaws.com\\.evil.com/a.pem",
        "https://evil.com\\@sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com:443@evil.com/a.pem",
        "https://sns.us-east-1.amazonaws.com:443/a.pem",
        "https://sns.us-east-1.amazonaws.com./a.pem",
        "https://SNS.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com/a.pem/../../x",
        "https://sns.us-east-1.amazonaws.com//evil.com/a.pem",
        "https://sns.us-east-1.amazonaws.com/a%2epem",
        "https://\u0455ns.us-east-1.amazonaws.com/a.pem",
        "https://sns.evil.amazonaws.com.cn.evil.com/a.pem",
        "ftp://sns.us-east-1.amazonaws.com/a.pem",
        "//sns.us-east-1.amazonaws.com/a.pem",
        " https://sns.us-east-1.amazonaws.com/a.pem",
    ],
)
async def test_no_look_alike_of_sns_is_asked_for_anything(door: Door, own: OwnKey, url: str) -> None:
    own.amazon.asked.clear()
    message = own.signed("text", SigningCertURL=url)
    confirmation = own.signed(
        "text",
        Type="SubscriptionConfirmation",
        Token="t",
        SubscribeURL=url.replace("/a.pem", f"/?Action=ConfirmSubscription&TopicArn={TOPIC}"),
        Timestamp=datetime.now(UTC).isoformat(),
    )
    for each, statuses in ((message, (401,)), (confirmation, (401, 403))):
        body = json.dumps(each)
        head = HOST + CLOSE + "Content-Type: text/plain\r\n" + f"Content-Length: {len(body.encode())}\r\n"
        answer = await door.asked(post(head, body, "/cb/ses"))
        assert answer.statuses[0] in statuses
    assert url not in own.amazon.asked
    assert not [each for each in own.amazon.asked if "ConfirmSubscription" in each]
    assert door.queue.bodies == []
