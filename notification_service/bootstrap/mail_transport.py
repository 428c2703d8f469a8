"""The transport for e-mail, as the settings choose it. Nothing is connected here."""

import ssl
from pathlib import Path

from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.extensions import Extension, Extensions
from notification_service.channels.email.smtp.greeting import own_name
from notification_service.channels.email.smtp.pool import Pool, Server, SessionLimits, tls_context
from notification_service.channels.email.smtp.providers import Provider
from notification_service.channels.email.smtp.relay import SmtpRelay
from notification_service.channels.email.smtp.tokens import Tokens, TokenSource
from notification_service.delivery.ports.channel import LiveTransport
from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.secret_redaction import Secrecy
from notification_service.settings import (
    Grant,
    Login,
    Security,
    Settings,
    SmtpExtensions,
    SmtpSettings,
    TransportKind,
    plain,
)

FIRST, FALLBACK = SmtpChannel.name, f"{SmtpChannel.name}-fallback"
"""The names of the relays where there are two."""

_EXTENSIONS = {
    SmtpExtensions.AUTO: frozenset(Extension),
    SmtpExtensions.PIPELINING: frozenset({Extension.PIPELINING}),
    SmtpExtensions.NONE: frozenset[Extension](),
}


def transport(settings: Settings) -> LiveTransport:
    """The transport that the settings choose, for sending real mail. Raises `ConfigurationError`."""
    match settings.transport:
        case TransportKind.SMTP:
            return _smtp(settings)


def relays(settings: Settings) -> list[SmtpRelay]:
    """The relays that the settings name, the preferred one first; none where there is no fallback.

    Raises `ConfigurationError`.
    """
    if not settings.fallback.server:
        return []
    return [_relay(settings, *each) for each in zip((FIRST, FALLBACK), settings.relays, strict=True)]


def _relay(settings: Settings, name: str, smtp: SmtpSettings) -> SmtpRelay:
    pool, provider = _pool(settings, smtp)
    return SmtpRelay(name, _channel(settings, smtp, pool, provider), pool, provider, smtp.named)


def tls(smtp: SmtpSettings) -> ssl.SSLContext:
    """For the mail server and the token endpoint. Raises `ConfigurationError` if SMTP_CA_FILE cannot be read."""
    try:
        return tls_context(smtp.ca_file)
    except OSError as problem:
        raise ConfigurationError(f"{smtp.prefix}CA_FILE={smtp.ca_file} cannot be read: {problem}") from problem


def _smtp(settings: Settings) -> SmtpChannel:
    """Raises `ConfigurationError`."""
    return _channel(settings, settings.smtp, *_pool(settings, settings.smtp))


def _channel(settings: Settings, smtp: SmtpSettings, pool: Pool, provider: Provider) -> SmtpChannel:
    timeout = settings.service.notification_timeout
    return SmtpChannel(pool, provider, timeout=timeout, data_timeout=smtp.data_timeout)


def _pool(settings: Settings, smtp: SmtpSettings) -> tuple[Pool, Provider]:
    """Raises `ConfigurationError`."""
    timeout, context = settings.service.notification_timeout, tls(smtp)
    server = Server(
        smtp.host,
        smtp.connect_port,
        start_tls=smtp.protection is Security.STARTTLS,
        implicit_tls=smtp.protection is Security.IMPLICIT,
        username=smtp.username,
        password=plain(smtp.password) if smtp.auth is Login.PASSWORD else None,
        timeout=timeout,
        ehlo_name=smtp.ehlo_name or own_name(),
    )
    # A context of its own: the HTTP client sets in it the protocols that it offers (ALPN), which are not SMTP.
    tokens = _tokens(settings, smtp, tls(smtp)) if smtp.auth is Login.OAUTH2 else None
    limits = SessionLimits(smtp.pool_size, smtp.max_idle, smtp.max_age, smtp.max_mails)
    extensions = Extensions(_EXTENSIONS[smtp.extensions], f"{server.host}:{server.port}")
    pool = Pool(server, limits, context, tokens=tokens, extensions=extensions)
    return pool, smtp.provider.by_token() if tokens else smtp.provider


def _tokens(settings: Settings, smtp: SmtpSettings, context: ssl.SSLContext) -> Tokens:
    """Raises `ConfigurationError` if SMTP_OAUTH_SERVICE_ACCOUNT_FILE cannot be read."""
    # Imported here, as their libraries slow every other start down.
    from notification_service.channels.email.smtp import oauth  # noqa: PLC0415
    from notification_service.channels.email.smtp.token_endpoint import Client, Endpoint  # noqa: PLC0415

    secrets = (plain(smtp.oauth_client_secret), plain(smtp.oauth_refresh_token))
    hide = Secrecy(mark="***", in_pieces=filter(None, secrets))
    client = Client(smtp.oauth_client_id or "", plain(smtp.oauth_client_secret), smtp.scope)
    endpoint = Endpoint(smtp.token_url or "", context, hide)
    source: TokenSource
    match smtp.grant:
        case Grant.CLIENT_CREDENTIALS:
            source = oauth.ClientCredentials(endpoint, client)
        case Grant.REFRESH_TOKEN:
            from notification_service.stores.mongo.refresh_tokens import MongoRefreshTokens  # noqa: PLC0415 - used with this grant only

            stored = MongoRefreshTokens(settings.mongodb.uri.get_secret_value(), settings.mongodb.database)
            source = oauth.RefreshToken(endpoint, client, plain(smtp.oauth_refresh_token) or "", stored)
        case Grant.SERVICE_ACCOUNT:
            from notification_service.channels.service_keys import read_service_key  # noqa: PLC0415

            key = read_service_key(smtp.oauth_service_account_file or Path(), "SMTP_OAUTH_SERVICE_ACCOUNT_FILE")
            source = oauth.ServiceAccount(endpoint, key, smtp.username or "", smtp.scope)
    return Tokens(source, hide, deadline=settings.service.notification_timeout)
