"""Who gets in, what a form from elsewhere does, what a page shows of what others wrote, and what an action moves."""

import asyncio
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from ipaddress import ip_network
from urllib.parse import unquote

import httpx
import pytest
import structlog
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import Message

from notification_service.console import app as console_app, queries, reconstruction
from notification_service.console.app import serving
from notification_service.console.auth import Access
from notification_service.console.public_address import PublicAddress
from notification_service.console.queries import ConsoleQueries
from notification_service.settings import Settings
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.sessions import RedisSessions
from tests.console import scene
from tests.console.conftest import ORIGIN, console
from tests.stack.local import LocalStack
from tests.stack.place import RECORDS, Document, Place
from tests.stack.processes import free_port

OPEN = {"/", "/console", "/console/login", "/console/console.css"}
PAGES = [
    *("/", "/?q=BOOK-789012", "/waiting", "/waiting?outcome=unknown", "/books", "/traffic", "/traffic?span=week"),
    *("/suppressions", "/suppressions?cause=gone", "/suppressions?q=jane@example.com", "/clicks", "/clicks?span=day"),
    "/experiment",
]
EVENTS = ["receipt", "bounced", "full", "in-doubt", "nobody", "begun", "script"]


def record(place: Place, event_id: str) -> Document:
    found = place.record(event_id)
    assert found is not None
    return found


def pages(place: Place) -> list[str]:
    every = [record(place, each)["_id"] for each in EVENTS] + [bad(place)["_id"]]
    return [f"/console{each}" for each in (*PAGES, *(f"/notifications/{each}" for each in every))]


def bad(place: Place) -> Document:
    return record(place, f"bad {scene.SCRIPT}")


def state(place: Place) -> list[Document]:
    return list(place.database[RECORDS].find().sort("_id"))


async def csrf(client: httpx.AsyncClient) -> str:
    """What the forms of this session carry."""
    found = re.search(r'name="csrf_token" value="(\w+)"', (await client.get("/console/waiting")).text)
    assert found is not None
    return found[1]


async def parked(behind: ConsoleQueries, many: int) -> bool:
    """Whether so many events are parked, or soon are: a look at them puts them back a moment later."""
    for _ in range(50):
        if await behind.parked() == many:
            return True
        await asyncio.sleep(0.1)
    return False


# ── who gets in ──────────────────────────────────────────────────────────────────────────────────────
def routes(app: Starlette, root: str = "") -> Iterator[tuple[str, str]]:
    for route in app.routes:
        if isinstance(route, Mount) and isinstance(route.app, Starlette):
            yield from routes(route.app, root + route.path)
        elif isinstance(route, Mount):
            inner = route.app
            while not isinstance(inner, Starlette):
                inner = inner.app  # type: ignore[attr-defined]  # a middleware around it
            yield from routes(inner, root + route.path)
        elif isinstance(route, Route):
            for method in route.methods or ():
                yield method, root + re.sub(r"{\w+}", "x", route.path)


async def test_no_route_answers_a_stranger(app: Starlette, stranger: httpx.AsyncClient) -> None:
    every = list(routes(app))
    assert len(every) > 20
    for method, path in every:
        if path not in OPEN:
            answer = await stranger.request(method, path)
            assert answer.status_code == 401, path
            assert method == "HEAD" or "Sign in" in answer.text, path
            assert "Sign out" not in answer.text, path


async def test_there_is_no_console_without_a_token(settings: Settings) -> None:
    without = settings.model_copy(update={"console": settings.console.model_copy(update={"token": None})})
    async with serving(without):
        with pytest.raises(OSError, match=r"refused|failed"):
            await asyncio.open_connection("127.0.0.1", without.console.port)


async def test_the_token_opens_a_session_that_scripts_and_other_sites_cannot_use(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/console/login", data={"token": scene.TOKEN})
    cookie = answer.headers.get_list("set-cookie")[0]
    assert answer.status_code == 303
    assert re.fullmatch(
        r"__Host-notification_console=[\w-]{43}; HttpOnly; Max-Age=28800; Path=/; SameSite=strict; Secure", cookie
    )
    assert scene.TOKEN not in cookie
    assert (await stranger.get("/console/")).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", scene.TOKEN + " x", scene.TOKEN[:-1], "tökén"])
async def test_no_other_token_does(stranger: httpx.AsyncClient, token: str) -> None:
    answer = await stranger.post("/console/login", data={"token": token})
    assert (answer.status_code, answer.headers.get("set-cookie")) == (401, None)
    assert (await stranger.get("/console/")).status_code == 401


async def test_guessing_is_slowed_down_for_who_guesses_alone(app: Starlette) -> None:
    guess, right = {"token": "wrong"}, {"token": scene.TOKEN}
    transport = httpx.ASGITransport(app, client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as guesser:
        for _ in range(5):
            answer = await guesser.post("/console/login", data=guess, headers={"X-Forwarded-For": "192.0.2.2"})
            assert answer.status_code == 401
        answer = await guesser.post("/console/login", data=right)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
    transport = httpx.ASGITransport(app, client=("192.0.2.2", 1))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as other:
        assert (await other.post("/console/login", data=right)).status_code == 303


async def test_behind_a_proxy_that_is_named_who_guesses_waits_alone(behind: ConsoleQueries) -> None:
    app = console(behind, None, None, ip_network("192.0.2.1"))
    guess, right = {"token": "wrong"}, {"token": scene.TOKEN}
    guesser, other = ({"X-Forwarded-For": f"9.9.9.9, 203.0.113.{each}"} for each in (1, 2))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=("192.0.2.1", 1)), base_url=ORIGIN
    ) as client:
        for _ in range(5):
            await client.post("/console/login", data=guess, headers=guesser)
        assert (await client.post("/console/login", data=right, headers=guesser)).status_code == 429
        assert (await client.post("/console/login", data=right, headers=other)).status_code == 303


async def test_a_browser_that_signed_in_before_is_not_locked_out_by_others_at_its_address(app: Starlette) -> None:
    guess, right = {"token": "wrong"}, {"token": scene.TOKEN}
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as operator,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as guesser,
    ):
        await operator.post("/console/login", data=right)
        await operator.post("/console/logout", data={"csrf_token": await csrf(operator)})
        codes = [(await guesser.post("/console/login", data=guess)).status_code for _ in range(6)]
        assert codes == [401] * 5 + [429]
        assert (await operator.post("/console/login", data=right)).status_code == 303
        # It opens nothing by itself, and its own guesses count.
        (known,) = [each for name, each in operator.cookies.items() if name.endswith("_known")]
        guesser.cookies = httpx.Cookies({"__Host-notification_console": known})
        assert (await guesser.get("/console/")).status_code == 401
        guesser.cookies = httpx.Cookies({"__Host-notification_console_known": known})
        codes = [(await guesser.post("/console/login", data=guess)).status_code for _ in range(6)]
        assert codes == [401] * 5 + [429]
        guesser.cookies = httpx.Cookies({"__Host-notification_console_known": "x" * 43})
        assert (await guesser.post("/console/login", data=right)).status_code == 429


async def test_to_sign_out_ends_it_also_for_who_kept_the_cookie(operator: httpx.AsyncClient) -> None:
    kept = dict(operator.cookies)
    answer = await operator.post("/console/logout", data={"csrf_token": await csrf(operator)})
    assert answer.status_code == 303
    assert "__Host-notification_console" not in operator.cookies
    operator.cookies.update(kept)
    assert (await operator.get("/console/")).status_code == 401


async def test_to_sign_in_again_ends_the_session_before(app: Starlette, operator: httpx.AsyncClient) -> None:
    kept = dict(operator.cookies)
    assert (await operator.post("/console/login", data={"token": scene.TOKEN})).status_code == 303
    assert (await operator.get("/console/")).status_code == 200
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN, cookies=kept) as before:
        assert (await before.get("/console/")).status_code == 401


async def test_every_worker_knows_a_session_and_a_new_token_ends_it(behind: ConsoleQueries, stack: LocalStack) -> None:
    async with redis.connect(stack.redis_url) as one, redis.connect(stack.redis_url) as other:
        first = console(behind, RedisSessions(one))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(first), base_url=ORIGIN) as client:
            await client.post("/console/login", data={"token": scene.TOKEN})
            kept = dict(client.cookies)
        second = console(behind, RedisSessions(other))
        changed = console_app.application(
            behind, Access("another token of ours", RedisSessions(other)), PublicAddress(None)
        )
        for app, code in ((second, 200), (changed, 401)):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=kept) as client:
                assert (await client.get("/console/")).status_code == code


async def test_without_redis_nobody_is_let_in_or_out_and_the_page_says_so(behind: ConsoleQueries) -> None:
    port = free_port()
    async with redis.connect(f"redis://127.0.0.1:{port}/0") as lost:
        transport = httpx.ASGITransport(console(behind, RedisSessions(lost)))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            assert (await client.get("/console/")).status_code == 401  # without a cookie there is nothing to ask
            entering = await client.post("/console/login", data={"token": scene.TOKEN})
            client.cookies["__Host-notification_console"] = "x" * 43
            looking = await client.get("/console/waiting")
    for answer in (entering, looking):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "Redis does not answer" in answer.text
        assert str(port) not in answer.text
        assert "set-cookie" not in answer.headers
        assert "Sign out" not in answer.text


# ── the address that browsers open ───────────────────────────────────────────────────────────────────
async def test_behind_a_gateway_the_setting_says_the_address(behind: ConsoleQueries) -> None:
    """The gateway speaks TLS to the browser and plain HTTP to the console."""
    app = console(behind, None, ORIGIN)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console.example") as client:
        form = {"token": scene.TOKEN}
        plain = {"Origin": "http://console.example"}
        assert (await client.post("/console/login", data=form, headers=plain)).status_code == 403
        answer = await client.post("/console/login", data=form, headers={"Origin": ORIGIN})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/console/"
        assert answer.headers["set-cookie"].startswith("__Host-notification_console=")
        assert answer.headers["set-cookie"].endswith("; Secure")
        for path in ("/", "/console", "/console/login", "/console/waiting", "/console/console.css"):
            answer = await client.get(path, headers={"Host": "evil.example"})
            assert answer.status_code == 421, path
            assert "evil" not in answer.text + str(answer.headers), path
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_no_answer_names_the_host_that_was_asked_for(operator: httpx.AsyncClient) -> None:
    session = "; ".join(f"{name}={value}" for name, value in operator.cookies.items())
    for path in ("/", "/console", "/console/", "/console/gallery", "/console/gallery/", "/console/login/", "/x"):
        answer = await operator.get(path, headers={"Host": "evil.example", "Cookie": session})
        assert "evil" not in answer.text + str(answer.headers), path
        assert answer.headers.get("location", "/").startswith("/console/") or "location" not in answer.headers, path


@pytest.mark.parametrize(
    "path",
    [
        "/console/login/",
        "/console/login/../waiting",
        "/console/login%2f..%2fwaiting",
        "/console/console.css/../waiting",
        "/console//login",
        "/console/waiting;/console/login",
        "/console/waiting?/console/login",
        "/console/waiting%3f/console/login",
        "/console/%2e%2e/console/login",
        "/console/waiting%00",
        "/console/%6cogin%2f",
        "/console/LOGIN",
        "/console/waiting%252f",
    ],
)
async def test_no_spelling_of_a_path_passes_the_guard(app: Starlette, path: str) -> None:
    raw, _, query = path.partition("?")
    for host in ("console.example", "console.example/console/login?", "[", "a@b", ""):
        answer = await asked(app, raw, query, host)
        assert answer == 401, host


async def asked(app: Starlette, path: str, query: str = "", host: str = "x", method: str = "GET") -> int:
    """The status of an answer to a request that no client would send so."""
    codes: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        codes.extend([message["status"]] if "status" in message else [])

    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "headers": [(b"host", host.encode())],
        "client": ("192.0.2.9", 1),
        "server": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    return codes[0]


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "BREW", "CONNECT"])
async def test_no_other_method_is_taken(operator: httpx.AsyncClient, app: Starlette, method: str) -> None:
    for path in ("/console/", "/console/parked", "/console/gallery/"):
        answer = await operator.request(method, path)
        assert answer.status_code == 405, path
        assert "Traceback" not in answer.text
        if "gallery" not in path:
            assert answer.headers["allow"], path
    for path in ("/console/waiting", "/console/login", "/console/console.css"):
        assert await asked(app, path, method=method) == 401, path


# ── forms ────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://console.example.evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "path", [f"/console/{name}" for name in ("login", "parked", "bounced", "books", "logout", "suppressions")]
)
async def test_a_form_from_elsewhere_is_refused(
    operator: httpx.AsyncClient, behind: ConsoleQueries, path: str, headers: dict[str, str]
) -> None:
    form = {"csrf_token": await csrf(operator), "do": "replay", "confirmed": "yes", "token": scene.TOKEN}
    answer = await operator.post(path, data=form, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert await parked(behind, scene.PARKED)


@pytest.mark.parametrize("path", ["/console/parked", "/console/bounced", "/console/books", "/console/logout"])
async def test_a_form_needs_the_csrf_token_of_its_own_session(
    app: Starlette, operator: httpx.AsyncClient, behind: ConsoleQueries, path: str
) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as second:
        await second.post("/console/login", data={"token": scene.TOKEN})
        others = await csrf(second)
    for given in ({}, {"csrf_token": ""}, {"csrf_token": "guessed"}, {"csrf_token": others}):
        form = {"do": "replay", "confirmed": "yes", "until": "2099-01-01T00:00:00+00:00", **given}
        assert (await operator.post(path, data=form, headers={"Origin": ORIGIN})).status_code == 403
    assert await parked(behind, scene.PARKED)


async def test_what_is_no_form_is_refused(operator: httpx.AsyncClient) -> None:
    large = await operator.post("/console/parked", content=b"csrf_token=" + b"x" * 20_000)
    many = await operator.post("/console/parked", content=b"&".join(b"a=1" for _ in range(100)))
    binary = await operator.post("/console/parked", content=b"\xff\xfe=\x00")
    assert (large.status_code, many.status_code, binary.status_code) == (413, 400, 400)


async def test_no_get_changes_anything(operator: httpx.AsyncClient, seen: Place, behind: ConsoleQueries) -> None:
    before = state(seen)
    for path in (*pages(seen), "/console/login", "/console/gallery/"):
        await operator.get(path)
    assert (await operator.get("/console/parked?do=replay&confirmed=yes")).status_code == 405
    assert (await operator.get("/console/logout")).status_code == 405
    assert state(seen) == before
    assert await parked(behind, scene.PARKED)


# ── what a page shows ────────────────────────────────────────────────────────────────────────────────
class Markup(HTMLParser):
    """What a strict policy forbids, and what nobody may bring in."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "img", "object", "embed", "base"):
            self.foreign.append(tag)
        self.foreign += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        links = [value or "" for name, value in attrs if name == "href"]
        self.foreign += [link for link in links if ":" in link and link != "data:,"]


async def test_no_page_holds_a_script_or_a_style_whatever_the_records_hold(
    operator: httpx.AsyncClient, seen: Place
) -> None:
    hostile = "&lt;script&gt;"
    for path in (*pages(seen), "/console/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/console/%3Cscript%3E"):
        answer = await operator.get(path)
        found = Markup()
        found.feed(answer.text)
        assert found.foreign == [], path
    assert hostile in (await operator.get(f"/console/notifications/{record(seen, 'script')['_id']}")).text


async def test_every_answer_says_what_a_browser_may_do_with_it(operator: httpx.AsyncClient, seen: Place) -> None:
    for path in (*pages(seen), "/console/console.css", "/console/nothing", "/console/notifications/x"):
        answer = await operator.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'"), path
        assert "unsafe" not in policy, path
        assert "script-src" not in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert answer.headers["cache-control"] == "no-store", path
        assert answer.headers["x-content-type-options"] == "nosniff", path


async def test_a_mail_is_shown_where_nothing_of_it_runs(operator: httpx.AsyncClient, seen: Place) -> None:
    here = f"/console/notifications/{record(seen, 'script')['_id']}"
    html, text, message = [await operator.get(f"{here}/mail.{each}") for each in ("html", "txt", "eml")]
    assert "sandbox" in html.headers["content-security-policy"]
    assert "default-src 'none'" in html.headers["content-security-policy"]
    assert text.headers["content-type"].startswith("text/plain")
    assert message.headers["content-disposition"].startswith("attachment")
    assert (await operator.get(f"{here}/mail.exe")).status_code == 404
    assert re.search(r"<iframe [^>]*sandbox(?!=)", (await operator.get(here)).text)


async def test_the_mail_is_byte_for_byte_the_one_that_went_out(operator: httpx.AsyncClient, seen: Place) -> None:
    sent = record(seen, "receipt")
    delivered = next(mail for mail in seen.mails() if mail.message_id == sent["message_id"])
    shown = await operator.get(f"/console/notifications/{sent['_id']}/mail.eml")
    assert shown.content == delivered.message_bytes()
    assert "byte for byte" in (await operator.get(f"/console/notifications/{sent['_id']}")).text


async def test_addresses_are_masked_until_somebody_asks(operator: httpx.AsyncClient, seen: Place) -> None:
    for path in pages(seen):
        assert not re.search(r"(jane\.smith|gone|full|cut|guest\d+)@example", (await operator.get(path)).text), path
    assert "gone@example.org" in (await operator.get("/console/?outcome=bounced&addresses=1")).text
    shown = await operator.get(f"/console/notifications/{record(seen, 'bounced')['_id']}?addresses=1")
    assert "550 5.1.1 &lt;gone@example.org&gt;: no such user here" in shown.text


async def test_a_search_that_finds_one_leads_to_it(operator: httpx.AsyncClient, seen: Place) -> None:
    for term in ("full", record(seen, "full")["_id"], "full@example.org", " BOOK-1 "):
        answer = await operator.get("/console/", params={"q": term})
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            f"/console/notifications/{record(seen, 'full')['_id']}",
        )


async def test_pages_lead_to_older_ones(operator: httpx.AsyncClient) -> None:
    found: set[str] = set()
    path = "/console/"
    for _ in range(2):
        text = (await operator.get(path)).text
        ids = set(re.findall(r"/notifications/(\w+)", text))
        assert len(ids) == 30
        assert not found & ids
        found |= ids
        following = re.search(r'href="([^"]+)" rel="next"', text)
        assert following is not None
        path = following[1].replace("&amp;", "&")
    assert (await operator.get("/console/?after=nowhere")).status_code == 400


async def test_the_reconciliation_page_shows_what_reconcile_prints(
    operator: httpx.AsyncClient, behind: ConsoleQueries
) -> None:
    assert "No check has run" in (await operator.get("/console/books")).text or behind.audits.report
    answer = await operator.post("/console/books", data={"csrf_token": await csrf(operator)})
    assert answer.headers["location"] == "/console/books"
    await behind.audits.wait(60)
    text = (await operator.get("/console/books")).text
    assert "consistent" in text
    assert "notification.parked" in text


async def test_where_mongodb_does_not_answer_the_page_says_so(app: Starlette, settings: Settings) -> None:
    nobody = settings.mongodb.model_copy(update={"uri": SecretStr("mongodb://127.0.0.1:1")})
    away = settings.model_copy(update={"mongodb": nobody})
    async with queries.opened(away) as behind:
        lost = console(behind)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(lost), base_url=ORIGIN) as client:
            await client.post("/console/login", data={"token": scene.TOKEN})
            answer = await client.get("/console/")
    assert answer.status_code == 503
    assert "MongoDB cannot be reached" in answer.text


@pytest.mark.parametrize("moment", ["0001", "1969", "9999", "2026W", ""])
async def test_a_page_that_cannot_be_is_refused(operator: httpx.AsyncClient, moment: str) -> None:
    for place in (f"{moment}0101T000000.000000Z-one", f"{moment}1231T235959.999999Z-one", moment or "-"):
        for path in ("/console/", "/console/waiting"):
            answer = await operator.get(path, params={"after": place})
            assert answer.status_code == 400, place
            assert "begin with the newest" in answer.text


# ── what an action moves ─────────────────────────────────────────────────────────────────────────────
async def test_events_are_named_a_line_each_as_a_browser_sends_them(operator: httpx.AsyncClient, seen: Place) -> None:
    form = {
        "csrf_token": await csrf(operator),
        "do": "replay",
        "events": f"full\r\n{bad(seen)['event_id']}\r\nnone",
    }
    assert "Replay 2 events?" in (await operator.post("/console/parked", data=form)).text


async def test_an_action_first_counts_what_it_would_move(operator: httpx.AsyncClient, behind: ConsoleQueries) -> None:
    form = {"csrf_token": await csrf(operator), "reason": "no_recipient"}
    for action in ("replay", "discard"):
        answer = await operator.post("/console/parked", data={**form, "do": action})
        assert f"{action.capitalize()} 1 event?" in answer.text
    assert await parked(behind, scene.PARKED)


@pytest.mark.parametrize(
    "form",
    [
        {"do": "discard"},
        {"do": "burn", "reason": "x"},
        {"do": "replay", "older": "old"},
        {"do": "replay", "older": "inf"},
        {"do": "replay", "older": "nan"},
        {"do": "replay", "until": "then"},
        {"do": "replay", "until": "0001-01-01T00:00:00+23:59"},
        {"do": "discard", "older": "-1", "until": "2099-01-01T00:00:00+00:00"},
        {"do": "discard", "older": "0", "until": "2099-01-01T00:00:00+00:00"},
        {"do": "discard", "older": "1e300", "until": "2099-01-01T00:00:00+00:00"},
        {"do": "discard", "older": "99999999", "until": "2099-01-01T00:00:00+00:00"},
        {"do": "discard", "older": "-1e-9", "reason": "x", "until": "2099-01-01T00:00:00+00:00"},
        {},
    ],
    ids=str,
)
async def test_what_cannot_be_meant_is_refused(
    operator: httpx.AsyncClient, behind: ConsoleQueries, form: dict[str, str]
) -> None:
    answer = await operator.post(
        "/console/parked", data={"csrf_token": await csrf(operator), "confirmed": "yes", **form}
    )
    assert answer.status_code == 400
    assert await parked(behind, scene.PARKED)


async def test_what_was_parked_after_the_count_is_not_meant(
    operator: httpx.AsyncClient, behind: ConsoleQueries
) -> None:
    form = {"csrf_token": await csrf(operator), "do": "discard", "reason": "no_recipient", "confirmed": "yes"}
    answer = await operator.post("/console/parked", data={**form, "until": "2020-01-01T00:00:00+00:00"})
    assert "0 events discarded" in answer.text
    assert await parked(behind, scene.PARKED)


async def test_a_replay_goes_the_ordinary_way(operator: httpx.AsyncClient, seen: Place, behind: ConsoleQueries) -> None:
    form = {"csrf_token": await csrf(operator), "do": "replay", "events": bad(seen)["event_id"]}
    counted = (await operator.post("/console/parked", data=form)).text
    until = re.search(r'name="until" value="([^"]+)"', counted)
    assert until is not None
    with structlog.testing.capture_logs() as lines:
        done = await operator.post("/console/parked", data={**form, "confirmed": "yes", "until": until[1]})
    assert "1 event replayed" in done.text
    assert [line for line in lines if line["event"] == "console.acted"] == [
        {
            "event": "console.acted",
            "log_level": "warning",
            "action": "replay",
            "address": "127.0.0.1",
            "events": 1,
            "event_ids": [bad(seen)["event_id"]],
            "refused_ids": [],
        }
    ]
    # Its address is still none: it comes back.
    for _ in range(100):
        if bad(seen).get("replays"):
            break
        await asyncio.sleep(0.1)
    assert len(bad(seen)["replays"]) == 1
    assert await parked(behind, scene.PARKED)


async def test_what_bounced_is_replayed_from_its_record(operator: httpx.AsyncClient, seen: Place) -> None:
    before = record(seen, "bounced")
    assert "/console/bounced" in (await operator.get(f"/console/notifications/{before['_id']}")).text
    assert "/console/bounced" not in (await operator.get(f"/console/notifications/{bad(seen)['_id']}")).text
    form = {"csrf_token": await csrf(operator), "do": "replay", "notification": before["_id"]}
    assert "Replay 1 event?" in (await operator.post("/console/bounced", data=form)).text
    assert record(seen, "bounced").get("replays") is None
    # It is refused again, so that the scene stays as it was.
    seen.smtp.script(scene.RULES)
    done = await operator.post("/console/bounced", data={**form, "confirmed": "yes"})
    assert "1 event replayed" in done.text
    for _ in range(100):
        if len(record(seen, "bounced")["attempts"]) == 2:
            break
        await asyncio.sleep(0.1)
    seen.smtp.clear()
    after = record(seen, "bounced")
    assert (after["outcome"], len(after["replays"]), len(after["attempts"])) == ("bounced", 1, 2)


@pytest.mark.parametrize("event_id", ["receipt", "full", "none"])
async def test_what_did_not_bounce_is_not_replayed_so(operator: httpx.AsyncClient, seen: Place, event_id: str) -> None:
    found = seen.record(event_id)
    form = {
        "csrf_token": await csrf(operator),
        "notification": found["_id"] if found else "none",
        "confirmed": "yes",
    }
    assert "It is no longer bounced" in (await operator.post("/console/bounced", data=form)).text


# ── mails that cannot be shown ───────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"template": None}, "could not be read"),
        ({"event_data": None}, "no longer holds"),
        ({"event_data": {"user_email": "j***@example.com"}}, "masked"),
        ({"event_type": "booking.pending_payment"}, "no such event type"),
    ],
    ids=str,
)
async def test_a_mail_that_cannot_be_made_says_why(
    behind: ConsoleQueries, seen: Place, change: Document, why: str
) -> None:
    made = await behind.mail({**record(seen, "receipt"), **change})
    assert isinstance(made, reconstruction.NotMade)
    assert why in made.why


async def test_a_mail_that_would_be_another_one_now_says_so(behind: ConsoleQueries, seen: Place) -> None:
    sent = record(seen, "receipt")
    for change, sure, said in (
        ({"mail_digest": "0" * 32}, False, "a setting"),
        ({"mail_digest": "0" * 32, "template_digest": "0"}, False, "its template has changed"),
        ({"mail_digest": None}, None, "does not hold the digest"),
    ):
        made = await behind.mail({**sent, **change})
        assert isinstance(made, reconstruction.Made)
        assert (made.sure, said in made.note) == (sure, True)


# ── tests of two variants ────────────────────────────────────────────────────────────────────────────
async def test_the_page_on_tests_shows_the_result_in_figures_in_a_picture_and_in_words(
    operator: httpx.AsyncClient, seen: Place
) -> None:
    salt = "console-test"
    scene.add_experiment(seen, salt)
    text = (await operator.get(f"/console/experiment?salt={salt}")).text
    assert "b is better: decided on" in text
    assert text.index("The split a : b is as set") < text.index("b is better")
    assert text.count("<circle") >= 3
    assert 'class="decides"' in text
    assert "a : b is as set: assigned 1,000 : 1,000" in text
    assert "50% of the people get b, and a difference of 5 percentage points is worth finding" in text
    assert '<td class="number">1,000</td>' in text
    assert (await operator.get("/console/experiment?salt=unknown")).status_code == 404
    assert (await operator.get(f"/console/experiment?salt={salt}&channel=x")).status_code == 404
    sms = (await operator.get(f"/console/experiment?salt={salt}&channel=sms")).text
    assert "Too early" in sms
    assert "Nobody was assigned a variant in this channel yet." in sms
