"""Requests tokens from a provider's token endpoint (RFC 6749).

It is imported only where SMTP_AUTH=oauth2, because its libraries add a tenth of a second to the start.
"""

import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from notification_service.channels.email.smtp import token_errors
from notification_service.channels.email.smtp.replies import one_line
from notification_service.channels.email.smtp.tokens import Granted, NoLoginError
from notification_service.channels.http_client import HttpClient, Response
from notification_service.foundation.secret_redaction import Secrecy

_DEFAULT_LIFETIME_S = 300.0
"""Where the endpoint names no lifetime, which RFC 6749 §5.1 only recommends."""
_MAX_LIFETIME_S = 24 * 3600.0
_STEP_TIMEOUT_S = 60.0
"""Of each step of a request; the caller's deadline for the whole is usually shorter."""
_HEADERS = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
_OK = 200
_TOKEN = re.compile(r"[\x21-\x7e]+")
"""Printable ASCII: no separator of XOAUTH2, and no line end."""
_REFRESH_TOKEN = re.compile(r"[\x20-\x7e]+")
"""RFC 6749 appendix A.17."""


@dataclass(frozen=True, slots=True)
class Answer:
    granted: Granted
    refresh_token: str | None = field(repr=False)


class TokenRefusedError(NoLoginError):
    """The endpoint refuses a token. `error`: its error code (RFC 6749 §5.2)."""

    def __init__(self, problem: str, hint: str, error: str) -> None:
        super().__init__(problem, hint)
        self.error = error


class Endpoint:
    """`hide`: removes the secrets that are sent to the endpoint from its answers."""

    def __init__(self, url: str, tls: ssl.SSLContext, hide: Secrecy) -> None:
        self.url = url
        self.hide = hide
        self._tls = tls

    async def ask(self, form: Mapping[str, str], hints: Mapping[str, str]) -> Answer:
        """Request a token. The caller sets the deadline. Raises `NoLoginError`."""
        status, answer = await self.post(form)
        token = answer.get("access_token")
        if status == _OK and isinstance(token, str) and _TOKEN.fullmatch(token):
            renewed = answer.get("refresh_token")
            granted = Granted(token, lifetime_s(answer.get("expires_in")))
            return Answer(granted, renewed if isinstance(renewed, str) and _REFRESH_TOKEN.fullmatch(renewed) else None)
        raise self.refusal(status, answer, hints)

    async def post(self, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        """Returns the status and the answer, which is empty where it is no JSON object. Raises `NoLoginError`."""
        content = urlencode({name: value for name, value in form.items() if value}).encode()
        # A connection of its own: the next request comes in an hour.
        client = HttpClient(tls=self._tls, timeout=_STEP_TIMEOUT_S, max_connections=1)
        try:
            answer = await client.request("POST", self.url, headers=_HEADERS, content=content)
        finally:
            await client.close()
        if isinstance(answer, Response):
            return answer.status, answer.json_object
        detail = one_line(self.hide(getattr(answer, "text", "")))
        raise NoLoginError(f"the token endpoint cannot be reached: {detail}", token_errors.AWAY)

    def refusal(self, status: int, answer: Mapping[str, Any], hints: Mapping[str, str]) -> TokenRefusedError:
        error, description = (str(answer.get(name) or "") for name in ("error", "error_description"))
        detail = one_line(self.hide(": ".join(filter(None, (error, description)))))
        problem = f"the token endpoint answers {status}" + (f", {detail}" if detail else " and gives no token")
        return TokenRefusedError(problem, token_errors.hint(status, error, description, hints), error)


def lifetime_s(value: object) -> float:
    """Returns a number of seconds above 0, also from its text; anything else counts as not given."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    return min(seconds, _MAX_LIFETIME_S) if seconds > 0 else _DEFAULT_LIFETIME_S


@dataclass(frozen=True, slots=True)
class Client:
    """The application, as registered at the provider. Without a secret it is a public client (RFC 6749 §2.1)."""

    id: str
    secret: str | None = field(repr=False)
    scope: str

    @property
    def form(self) -> dict[str, str]:
        return {"client_id": self.id, "client_secret": self.secret or "", "scope": self.scope}
