"""The device authorization grant (RFC 8628): a person signs in, in a browser anywhere, and agrees once."""

import asyncio
from dataclasses import dataclass, field

from notification_service.channels.email.smtp import token_errors
from notification_service.channels.email.smtp.replies import one_line
from notification_service.channels.email.smtp.token_endpoint import Client, Endpoint, TokenRefusedError, lifetime_s
from notification_service.channels.email.smtp.tokens import NoLoginError

_DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
_DEFAULT_INTERVAL_S = 5
"""RFC 8628 §3.2."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A person is to open `url` and enter `code` within `seconds`. `device_code`: identifies the login when we poll."""

    url: str
    code: str
    device_code: str = field(repr=False)
    interval: float
    seconds: float


async def invite(endpoint: Endpoint, client: Client) -> Invitation:
    """Start a login (RFC 8628 §3.1). `endpoint`: the one for device codes. Raises `NoLoginError`."""
    status, answer = await endpoint.post({"client_id": client.id, "scope": client.scope})
    values = [answer.get(name) for name in ("verification_uri", "user_code", "device_code")]
    if not all(isinstance(each, str) and each for each in values):
        raise endpoint.refusal(status, answer, token_errors.DEVICE)
    url, code, device_code = map(str, values)
    endpoint.hide.add(device_code)
    interval = lifetime_s(answer.get("interval", _DEFAULT_INTERVAL_S))
    return Invitation(one_line(url), one_line(code), device_code, interval, lifetime_s(answer.get("expires_in")))


async def wait_for_consent(endpoint: Endpoint, client: Client, invitation: Invitation) -> str:
    """Poll until the person has agreed (RFC 8628 §3.4). Returns the refresh token. Raises `NoLoginError`."""
    form = {"grant_type": _DEVICE_CODE, "device_code": invitation.device_code, **client.form}
    interval = invitation.interval
    while True:
        await asyncio.sleep(interval)
        try:
            refresh_token = (await endpoint.ask(form, token_errors.DEVICE)).refresh_token
        except TokenRefusedError as problem:
            if problem.error not in ("authorization_pending", "slow_down"):
                raise
            interval += 5 * (problem.error == "slow_down")
            continue
        if refresh_token is None:
            raise NoLoginError("no refresh token was given", "SMTP_OAUTH_SCOPE has to name offline_access")
        return refresh_token
