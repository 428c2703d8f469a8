"""Sends SMS through Twilio, and asks it for messages in doubt."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit

from notification_service.channels.http_client import FenceLost, HttpClient, MaybeSent, NotSent, Response
from notification_service.channels.sms.attempts import AttemptTimer
from notification_service.channels.sms.exchange import Exchange, Request, as_sms
from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.prices import Prices
from notification_service.channels.sms.twilio import listing
from notification_service.channels.sms.twilio.replies import Reply, verdict
from notification_service.delivery.ports.channel import (
    BeforeHandover,
    CannotTell,
    Found,
    InDoubt,
    LookUpAnswer,
    LookUpFailed,
    NotFound,
    OutgoingMessage,
    Tried,
    Unavailable,
)
from notification_service.foundation.errors import ChannelUnavailableError

API = "https://api.twilio.com"
_MAX_VALIDITY_S, _MIN_VALIDITY_S = 36_000, 60
_PAGE_SIZE, _MAX_PAGES = 20, 20
"""A page fits into what the client reads of an answer."""
_SERVICE_PREFIX = "MG"
_SILENT = "status.twilio.com says whether its API is down"
_UNREACHABLE = "is api.twilio.com reachable from here over HTTPS?"


@dataclass(frozen=True, slots=True)
class Account:
    """`user`, `password`: an API key and its secret, or the account's SID and token.

    `sender`: a number in E.164, an alphanumeric sender, or the SID of a messaging service (`MG…`). `callbacks`: the URL
    that a notification id is appended to, where Twilio reports what became of the message; None: nowhere.
    """

    sid: str
    user: str
    password: str = field(repr=False)
    sender: str
    callbacks: str | None = None
    api: str = API

    @property
    def messages(self) -> str:
        return f"{self.api}/2010-04-01/Accounts/{self.sid}/Messages.json"

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class TwilioTransport:
    """One request a message. Twilio knows no idempotency key: a message in doubt is looked for in its list."""

    name = "twilio"

    def __init__(self, client: HttpClient, account: Account, prices: Prices) -> None:
        self._client = client
        self._account = account
        self._exchange = Exchange(client, prices, self._request, verdict, _UNREACHABLE)

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        return await self._exchange.about(message, before_handover)

    async def look_up(self, message: OutgoingMessage, since: datetime) -> LookUpAnswer:
        """Look for the message among those to its number since then."""
        text, timer = as_sms(message).text, AttemptTimer(message.recipient)
        url = f"{self._account.messages}?{urlencode({'To': message.recipient, 'PageSize': _PAGE_SIZE})}"
        redacted = False
        for _ in range(_MAX_PAGES):
            page = await self._page(url, timer)
            if isinstance(page, LookUpFailed):
                return page
            # The times in the list are by Twilio's clock, which ours may be ahead of.
            begun = since - timedelta(seconds=page.clock_ahead)
            body = Reply.of(page).body
            try:
                messages = body["messages"]
                found, goes_on = listing.find(messages, text, begun), listing.may_go_on(messages, begun)
            except (KeyError, TypeError, ValueError) as problem:
                return LookUpFailed(f"Twilio's list cannot be read: {type(problem).__name__}")
            redacted = redacted or isinstance(found, listing.Redacted)
            if found is not None and not isinstance(found, listing.Redacted):
                said, sid = f"{found.get('sid')} {found.get('status')}, found in the list", found.get("sid")
                return Found(timer.ended("accepted", said, provider_id=sid if isinstance(sid, str) else None))
            following = body.get("next_page_uri")
            if not goes_on or not following:
                return CannotTell() if redacted else NotFound()
            url = self._following(str(following))
        return CannotTell()

    async def check(self) -> str:
        """Read one entry of the list, and return a sentence. Raises `ChannelUnavailableError`."""
        page = await self._page(f"{self._account.messages}?PageSize=1", AttemptTimer(""))
        if isinstance(page, LookUpFailed):
            hint = page.blame.hint if isinstance(page.blame, Unavailable) else _SILENT
            raise ChannelUnavailableError(f"{page.reason}; {hint}")
        if "messages" not in Reply.of(page).body:
            raise ChannelUnavailableError(f"{self._account.api} answers with something else than Twilio's list")
        return f"Twilio knows the login, and sends from {self._account.sender}"

    async def close(self) -> None:
        await self._client.close()

    def _request(self, message: OutgoingSms) -> Request:
        headers = {**self._headers, "content-type": "application/x-www-form-urlencoded"}
        return Request(self._account.messages, headers, urlencode(self._form(message)).encode())

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": self._account.authorization, "accept": "application/json"}

    def _form(self, message: OutgoingSms) -> dict[str, str]:
        account = self._account
        sender = "MessagingServiceSid" if account.sender.startswith(_SERVICE_PREFIX) else "From"
        form = {"To": message.recipient, sender: account.sender, "Body": message.text}
        if account.callbacks:
            form["StatusCallback"] = f"{account.callbacks}/{message.notification_id}"
        if message.valid_until:
            left = int((message.valid_until - datetime.now(UTC)).total_seconds())
            form["ValidityPeriod"] = str(max(_MIN_VALIDITY_S, min(_MAX_VALIDITY_S, left)))
        return form

    async def _page(self, url: str, timer: AttemptTimer) -> Response | LookUpFailed:
        answer = await self._client.request("GET", url, headers=self._headers)
        match answer:
            case Response(status=200):
                return answer
            case Response():
                said = verdict(answer, timer)
                blame = said if isinstance(said, Unavailable | InDoubt) else None
                return LookUpFailed(f"Twilio's list: {Reply.of(answer).text}", blame)
            case NotSent(text):
                blame = Unavailable(timer.ended("unavailable", text), _UNREACHABLE)
                return LookUpFailed(f"Twilio's list: {text}", blame)
            case MaybeSent(text):
                return LookUpFailed(f"Twilio's list: {text}", InDoubt(timer.ended("in_doubt", text)))
            case FenceLost():
                raise AssertionError("no fence was given")

    def _following(self, path: str) -> str:
        """The next page, at our own host whatever the page says: the login goes with the request."""
        parts = urlsplit(path)
        return f"{self._account.api}{parts.path}?{parts.query}"
