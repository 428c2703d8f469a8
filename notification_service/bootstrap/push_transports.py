"""The transport of push, as the settings choose its services. Nothing is connected here."""

import ssl

from notification_service.channels.http_client import HttpClient
from notification_service.channels.push import logins
from notification_service.channels.push.services import Apns, Fcm, Service
from notification_service.channels.push.transport import PushTransport
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import PushProvider, Settings


def transport(settings: Settings) -> PushTransport:
    """Raises `ConfigurationError` where a key file cannot be used."""
    made = [_service(settings, each) for each in dict.fromkeys(settings.push.providers)]
    return PushTransport(made, settings.push.max_concurrency)


def _service(settings: Settings, provider: PushProvider) -> Service:
    match provider:
        case PushProvider.FCM:
            return _fcm(settings)
        case PushProvider.APNS:
            return _apns(settings)


def _fcm(settings: Settings) -> Fcm:
    if settings.fcm.service_account_file is None:
        raise ConfigurationError(settings.fcm.missing or "")
    account = logins.read_service_account(settings.fcm.service_account_file)
    # FCM takes both versions. A connection serves one request at a time, for which HTTP/1.1 costs half of the CPU.
    client, login = _client(settings, http2=False), logins.GoogleLogin(_client(settings, http2=False), account)
    return Fcm(client, login, settings.fcm.api_url)


def _apns(settings: Settings) -> Apns:
    chosen = settings.apns
    if chosen.key_file is None or chosen.missing:
        raise ConfigurationError(chosen.missing or "")
    login = logins.AppleLogin(logins.read_apns_key(chosen.key_file), chosen.key_id or "", chosen.team_id or "")
    return Apns(_client(settings, http2=True), login, chosen.url, chosen.topic or "")


def _client(settings: Settings, *, http2: bool) -> HttpClient:
    """One for each service: the protocols that a context offers are set in it."""
    return HttpClient(
        tls=ssl.create_default_context(),
        timeout=settings.service.notification_timeout,
        http2=http2,
        max_connections=settings.push.max_concurrency,
    )
