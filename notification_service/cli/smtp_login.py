"""`smtp-login`: gets the first refresh token, by a sign-in in any browser (device authorization, RFC 8628)."""

import asyncio
from collections.abc import Callable

from notification_service import bootstrap
from notification_service.channels.email.smtp.tokens import NoLoginError
from notification_service.cli.configuration import command_settings
from notification_service.cli.terminal import say
from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.secret_redaction import Secrecy
from notification_service.settings import Settings, plain

_TOKEN, _DEVICE = "/oauth2/v2.0/token", "/oauth2/v2.0/devicecode"


def command() -> None:
    """Sign in at Microsoft, and print a refresh token.

    It is printed on standard output as the setting SMTP_OAUTH_REFRESH_TOKEN, which is a secret.
    """
    token = asyncio.run(sign_in(command_settings(), lambda text: say(text, err=True)))
    say(f"SMTP_OAUTH_REFRESH_TOKEN={token}")


async def sign_in(settings: Settings, ask: Callable[[str], None]) -> str:
    """Return a refresh token. `ask`: shows the user what to do. Raises `ConfigurationError`."""
    # Imported here, as their libraries cost every other start time.
    from notification_service.channels.email.smtp.device_login import invite, wait_for_consent  # noqa: PLC0415
    from notification_service.channels.email.smtp.token_endpoint import Client, Endpoint  # noqa: PLC0415

    smtp = settings.smtp.for_a_person()
    if missing := smtp.missing:
        raise ConfigurationError(missing)
    url = smtp.token_url or ""
    if not url.endswith(_TOKEN):
        raise ConfigurationError("smtp-login is for Microsoft's accounts; docs/providers.md has the steps for others")
    hide, tls = Secrecy(mark="***", in_pieces=[plain(smtp.oauth_client_secret) or ""]), bootstrap.tls(settings.smtp)
    client = Client(smtp.oauth_client_id or "", plain(smtp.oauth_client_secret), smtp.scope)
    try:
        async with asyncio.timeout(settings.service.notification_timeout):
            invitation = await invite(Endpoint(url.removesuffix(_TOKEN) + _DEVICE, tls, hide), client)
        ask(f"Open {invitation.url} and enter {invitation.code}, then sign in as {smtp.username} and agree.")
        async with asyncio.timeout(invitation.seconds):
            return await wait_for_consent(Endpoint(url, tls, hide), client, invitation)
    except NoLoginError as problem:
        raise ConfigurationError(f"{problem}: {problem.hint}") from None
    except TimeoutError:
        raise ConfigurationError("smtp-login: nobody signed in in time, or the endpoint does not answer") from None
