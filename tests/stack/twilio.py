"""A double of Twilio's Messages API on loopback: it keeps what it took, lists it, and misbehaves as a test asks."""

import base64
import json
import re
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.stack.threaded_server import ThreadedServer

SID, KEY, SECRET, TOKEN = "AC" + "1" * 32, "SK" + "2" * 32, "secret-of-the-key-0001", "token-of-the-account-0001"
SENDER = "+15005550006"
INVALID, NO_MOBILE, OPTED_OUT, NO_COUNTRY = "+15005550001", "+15005550009", "+15005550004", "+15005550003"
"""Numbers that Twilio's test credentials answer so."""
_CODES = {INVALID: 21211, NO_MOBILE: 21614, OPTED_OUT: 21610, NO_COUNTRY: 21408}
_ALLOWED = {"To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod"}


@dataclass(frozen=True)
class Reply:
    """What a request is answered with. `takes`: the message is kept. `lost`: the connection is closed instead.

    `raw`: the body, where it is not what Twilio would say.
    """

    status: int = 201
    code: int | None = None
    takes: bool = True
    lost: bool = False
    seconds: float = 0
    retry_after: int | str | None = None
    says: str = "queued"
    raw: bytes | None = None


TAKEN = Reply()
LIST_DOWN = Reply(503, 20503)
TAKEN_AND_LOST, TAKEN_AND_500 = Reply(lost=True), Reply(500, 20500)
NOT_TAKEN_AND_LOST = Reply(lost=True, takes=False)


def refusal(status: int, code: int | None, *, retry_after: int | str | None = None, raw: bytes | None = None) -> Reply:
    return Reply(status, code, takes=False, retry_after=retry_after, raw=raw)


@dataclass
class Kept:
    """A message that was taken."""

    to: str
    body: str
    form: dict[str, str]
    sid: str = field(default_factory=lambda: f"SM{secrets.token_hex(16)}")
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: str = "queued"

    def as_json(self, *, redacted: bool) -> dict[str, Any]:
        return {
            "sid": self.sid,
            "to": self.to,
            "body": "" if redacted else self.body,
            "status": self.status,
            "direction": "outbound-api",
            "date_created": format_datetime(self.at),
            "date_sent": None,
            "error_code": None,
            "error_message": None,
        }


class Twilio(ThreadedServer):
    """`messages`: what it took, in order. `forms`: of every request to send, taken or not.

    `drop_every`: of so many messages that it takes, one answer is dropped. `list_fault`: what the list is answered with
    instead.
    """

    def __init__(self, *, drop_every: int = 0, page_size: int = 20) -> None:
        super().__init__()
        self.messages: list[Kept] = []
        self.forms: list[dict[str, str]] = []
        self.requests = self.listed = 0
        self.drop_every = drop_every
        self.list_fault: Reply | None = None
        self.redacted = False
        self.numbers = dict(_CODES)
        self.page_size = page_size
        self._replies: deque[Reply] = deque()
        self.always = TAKEN
        self.lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a service that sends through this."""
        return {
            "SMS_PROVIDER": "twilio",
            "TWILIO_API_URL": self.url,
            "TWILIO_ACCOUNT_SID": SID,
            "TWILIO_API_KEY": KEY,
            "TWILIO_API_SECRET": SECRET,
            "TWILIO_SENDER": SENDER,
        }

    def script(self, *replies: Reply, always: Reply = TAKEN) -> None:
        with self.lock:
            self._replies, self.always = deque(replies), always

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _handler(self)

    def take(self, form: dict[str, str]) -> tuple[Reply, Kept | None]:
        with self.lock:
            self.requests += 1
            self.forms.append(form)
            reply = self._replies.popleft() if self._replies else self.always
            if fault := _fault(form):
                return refusal(400, fault), None
            if code := self.numbers.get(form["To"]):
                return refusal(400, code), None
            if not reply.takes:
                return reply, None
            kept = Kept(form["To"], form["Body"], form, status=reply.says)
            self.messages.append(kept)
            dropped = self.drop_every and len(self.messages) % self.drop_every == 0
            return (TAKEN_AND_LOST if dropped else reply), kept

    def asked_for_list(self) -> Reply | None:
        with self.lock:
            self.listed += 1
            return self.list_fault

    def page(self, to: str, page: int) -> list[Kept]:
        """The newest first."""
        with self.lock:
            found = [each for each in reversed(self.messages) if each.to == to]
            return found[page * self.page_size : (page + 1) * self.page_size]


def _fault(form: dict[str, str]) -> int | None:
    """The code of what is wrong with a request; None where nothing is."""
    if set(form) - _ALLOWED or ("From" in form) == ("MessagingServiceSid" in form):
        return 21603
    if not re.fullmatch(r"\+[1-9]\d{6,14}", form.get("To", "")):
        return 21211
    if not 0 < len(form.get("Body", "")) <= 1600:
        return 21617
    if "ValidityPeriod" in form and not 1 <= int(form["ValidityPeriod"]) <= 36_000:
        return 21623
    return 21606 if form.get("From", SENDER) != SENDER else None


def _handler(double: Twilio) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - three short methods
    path = f"/2010-04-01/Accounts/{SID}/Messages.json"
    login = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"])).decode()
            if self._refused():
                return
            form = {name: values[0] for name, values in parse_qs(content, keep_blank_values=True).items()}
            reply, kept = double.take(form)
            time.sleep(reply.seconds)
            if reply.lost:
                self.close_connection = True
                self.connection.close()
                return
            if reply.raw is not None:
                self._write(reply.status, reply.raw, {"location": "https://elsewhere.example/"})
                return
            if kept is None or reply.status >= 400:
                retry = {"retry-after": str(reply.retry_after)} if reply.retry_after is not None else {}
                message = f"The 'To' number {form.get('To')} is not accepted"
                self._answer(reply.status, {"code": reply.code, "message": message, "status": reply.status}, retry)
                return
            self._answer(201, kept.as_json(redacted=False))

        def do_GET(self) -> None:
            if self._refused():
                return
            if fault := double.asked_for_list():
                time.sleep(fault.seconds)
                self._answer(fault.status, {"code": fault.code, "message": "not now", "status": fault.status})
                return
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            number = int(query.get("Page", "0"))
            found = double.page(query["To"], number) if "To" in query else []
            more = f"{path}?To=%2B{query['To'][1:]}&Page={number + 1}" if len(found) == double.page_size else None
            messages = [each.as_json(redacted=double.redacted) for each in found]
            self._answer(200, {"messages": messages, "next_page_uri": more})

        def _refused(self) -> bool:
            if self.headers.get("authorization") != login:
                self._answer(401, {"code": 20003, "message": "Authenticate", "status": 401})
                return True
            if urlsplit(self.path).path != path:
                self._answer(404, {"code": 20404, "message": "not found", "status": 404})
                return True
            return False

        def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
            self._write(status, json.dumps(body).encode(), headers or {})

        def _write(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
            """Nothing: the tests say what went wrong."""

    return Handler
