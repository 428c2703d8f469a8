"""The transports of SMS, as the settings choose them. Nothing is connected here."""

import ssl

from notification_service.channels.http_client import HttpClient
from notification_service.channels.sms.prices import Prices
from notification_service.channels.sms.sns.transport import Account as SnsAccount, SnsTransport
from notification_service.channels.sms.twilio.transport import Account as TwilioAccount, TwilioTransport
from notification_service.settings import Settings, plain


def twilio(settings: Settings, prices: Prices) -> TwilioTransport:
    chosen = settings.twilio
    token, secret = plain(chosen.auth_token) or "", plain(chosen.api_secret) or ""
    sid, origin = chosen.account_sid or "", settings.feedback.callback_url
    account = TwilioAccount(
        sid=sid,
        user=chosen.api_key or sid,
        password=secret if chosen.api_key else token,
        sender=chosen.sender or "",
        callbacks=f"{origin}/cb/twilio" if origin and chosen.auth_token else None,
        api=chosen.api_url,
    )
    return TwilioTransport(_client(settings), account, prices)


def sns(settings: Settings, prices: Prices) -> SnsTransport:
    chosen = settings.sns
    account = SnsAccount(
        region=chosen.region or "",
        access_key_id=chosen.access_key_id or "",
        secret_access_key=plain(chosen.secret_access_key) or "",
        session_token=plain(chosen.session_token),
        sender_id=chosen.sender_id,
        endpoint=chosen.endpoint_url,
    )
    return SnsTransport(_client(settings), account, prices)


def _client(settings: Settings) -> HttpClient:
    """One for each transport: the protocols that a context offers are set in it."""
    return HttpClient(
        tls=ssl.create_default_context(),
        timeout=settings.service.notification_timeout,
        max_connections=settings.sms.max_concurrency,
    )
