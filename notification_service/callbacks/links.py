"""What a reader's browser asks of us: the redirect behind a counted link, and the page to unsubscribe.

Neither asks a store. A wrong token, a foreign host and an unknown message have one answer, so that nobody learns
anything by trying.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser
from urllib.parse import parse_qs

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from notification_service import bootstrap
from notification_service.content import links as plain_links
from notification_service.content.branding import palette
from notification_service.content.reader_links import (
    CLICK_PATH,
    UNSUBSCRIBE_PATH,
    Subscription,
    read_click,
    read_unsubscribe,
)
from notification_service.content.reader_pages import ReaderPages, State
from notification_service.contract.signals import Signal, SignalKind
from notification_service.feedback import clicks
from notification_service.feedback.signal_buffer import Publish
from notification_service.feedback.suppression import ADDRESS_DIGEST, OWN_LINKS
from notification_service.foundation.keyed_tokens import TokenKeys
from notification_service.settings import Settings

log = structlog.get_logger(__name__)

_MAX_FORM_SIZE = 16 * 1024
_ONE_CLICK = ("List-Unsubscribe", "One-Click")
"""What RFC 8058 has a mailbox provider send."""
_AGAIN = ("Resubscribe", "Yes")
_REDIRECT_HEADERS = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
_RETRY_AFTER_S = "30"


@dataclass(frozen=True, slots=True)
class ReaderRoutes:
    """`link_hosts`: where the redirect may lead. `note`: keeps a click without waiting.

    `publish`: returns when a wish to unsubscribe is safe. `pages`: what a reader sees.
    """

    keys: TokenKeys
    link_hosts: Collection[str]
    note: Callable[[Signal], None]
    publish: Publish
    pages: ReaderPages
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def routes(self) -> list[Route]:
        return [
            Route(f"{CLICK_PATH}/{{token}}", self.redirect, methods=["GET"]),
            Route(f"{UNSUBSCRIBE_PATH}/{{token}}", self.subscription, methods=["GET", "POST"]),
        ]

    async def redirect(self, request: Request) -> Response:
        """Lead to the target that the token was made for, and to nowhere else. HEAD is answered alike."""
        target = _target(request.scope["query_string"])
        click = read_click(self.keys, request.path_params["token"], target)
        if click is None or plain_links.refusal(target, self.link_hosts):
            raise HTTPException(404)
        why = clicks.by_request(request.method, request.headers)
        self.note(
            Signal(
                source=OWN_LINKS,
                source_id=secrets.token_hex(16),
                kind=SignalKind.CLICKED,
                at=self.clock(),
                notification_id=click.notification_id,
                extra={
                    "link": click.role,
                    "class": clicks.Visitor.MACHINE if why else clicks.Visitor.PERSON,
                    **({"why": why} if why else {}),
                },
            )
        )
        return Response(status_code=302, headers={"Location": target, **_REDIRECT_HEADERS})

    async def subscription(self, request: Request) -> Response:
        """Show the page; only its form, or the POST of RFC 8058, changes anything."""
        subscription = read_unsubscribe(self.keys, request.path_params["token"])
        if subscription is None:
            raise HTTPException(404)
        if request.method != "POST":
            return self._page(subscription, State.ASK)
        form = await _form(request)
        for (name, value), kind, state in (
            (_ONE_CLICK, SignalKind.UNSUBSCRIBED, State.LEFT),
            (_AGAIN, SignalKind.RESUBSCRIBED, State.BACK),
        ):
            if form.get(name) == value:
                await self._tell(subscription, kind)
                return self._page(subscription, state)
        raise HTTPException(400, "Nothing was changed: the form has no List-Unsubscribe=One-Click.")

    async def _tell(self, subscription: Subscription, kind: SignalKind) -> None:
        """Publish the reader's wish. Raises `HTTPException`: a wish that is not safe is not confirmed."""
        at = self.clock()
        signal = Signal(
            source=OWN_LINKS,
            # The same wish within a second is the same: a button that is pressed twice, a provider that asks twice.
            source_id=f"{subscription.notification_id}:{kind}:{at:%Y%m%dT%H%M%S}",
            kind=kind,
            at=at,
            notification_id=subscription.notification_id,
            extra={ADDRESS_DIGEST: subscription.address_digest},
        )
        try:
            await self.publish(signal)
        except Exception as problem:
            log.warning("signal.refused", kind=kind, problem=str(problem)[:200])
            raise HTTPException(503, "Please try again in a minute.", {"Retry-After": _RETRY_AFTER_S}) from problem

    def _page(self, subscription: Subscription, state: State) -> Response:
        page = self.pages.subscription(subscription.language, state)
        return Response(page, media_type="text/html", headers=dict(self.pages.headers))


def _target(query: bytes) -> str:
    """The first `u` of the query; empty where there is none. A mail program may add fields of its own."""
    try:
        fields = parse_qs(query.decode("ascii"), max_num_fields=20, errors="strict")
    except ValueError:
        return ""
    return fields.get("u", [""])[0]


async def _form(request: Request) -> Mapping[str, str]:
    """The fields of a form in either encoding. Raises `HTTPException` where it is none, or too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_SIZE:
            raise HTTPException(413, "This form is too large.")
    kind = request.headers.get("content-type", "")
    match kind.partition(";")[0].strip().lower():
        case "application/x-www-form-urlencoded":
            return _urlencoded(body)
        case "multipart/form-data":
            return _multipart(kind, body)
    raise HTTPException(415, "Nothing was changed: this is not a form.")


def _urlencoded(body: bytes) -> Mapping[str, str]:
    try:
        return {name: values[0].strip() for name, values in parse_qs(body.decode("ascii"), max_num_fields=20).items()}
    except ValueError as problem:
        raise HTTPException(400, "Nothing was changed: this form cannot be read.") from problem


def _multipart(kind: str, body: bytes) -> Mapping[str, str]:
    """RFC 7578, of which a wish to unsubscribe uses little."""
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    found = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found[name] = content.decode("utf-8", "replace").strip()
    return found


def reader_routes(settings: Settings, note: Callable[[Signal], None], publish: Publish) -> list[Route]:
    """The routes as the settings have them; none without LINK_KEYS, since no mail then carries such a link.

    Raises `ConfigurationError` where the template of the page is missing or wrong.
    """
    if not settings.tracking.link_keys:
        return []
    brand = settings.brand
    pages = ReaderPages(
        bootstrap.templates_directory(settings), brand.name or settings.sender.name, palette(brand.colour).accent
    )
    hosts = frozenset(host.lower() for host in settings.service.link_hosts)
    return ReaderRoutes(settings.tracking.token_keys, hosts, note, publish, pages).routes()
