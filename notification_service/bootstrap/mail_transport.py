"""The transport for e-mail, as the settings choose it. Nothing is connected here."""

import ssl
from pathlib import Path

from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.greeting import own_name
from notification_service.channels.email.smtp.pool import Limits, Pool, Server, tls_context
from notification_service.channels.email.smtp.tokens import Tokens, TokenSource
from notification_service.delivery.ports.channel import LiveTransport
from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.secret_redaction import Secrecy
from notification_service.settings import Grant, Login, Security, Settings, TransportKind, plain


def transport(settings: Settings) -> LiveTransport:
    """The transport that the settings choose, for sending real mail. Raises `ConfigurationError`."""
    match settings.transport:
        case TransportKind.SMTP:
            return _smtp(settings)


def tls(settings: Settings) -> ssl.SSLContext:
    """For the mail server and the token endpoint. Raises `ConfigurationError` if SMTP_CA_FILE cannot be read."""
    try:
        return tls_context(settings.smtp.ca_file)
    except OSError as problem:
        raise ConfigurationError(f"SMTP_CA_FILE={settings.smtp.ca_file} cannot be read: {problem}") from problem


def _smtp(settings: Settings) -> SmtpChannel:
    """Raises `ConfigurationError`."""
    smtp, timeout, context = settings.smtp, settings.service.notification_timeout, tls(settings)
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
    tokens = _tokens(settings, context) if smtp.auth is Login.OAUTH2 else None
    pool = Pool(server, Limits(smtp.pool_size, smtp.max_idle, smtp.max_age, smtp.max_mails), context, tokens=tokens)
    provider = smtp.provider.by_token() if tokens else smtp.provider
    return SmtpChannel(pool, provider, timeout=timeout, data_timeout=smtp.data_timeout)


def _tokens(settings: Settings, context: ssl.SSLContext) -> Tokens:
    """Raises `ConfigurationError` if SMTP_OAUTH_SERVICE_ACCOUNT_FILE cannot be read."""
    # Imported here, as their libraries slow every other start down.
    from notification_service.channels.email.smtp import oauth  # noqa: PLC0415
    from notification_service.channels.email.smtp.token_endpoint import Client, Endpoint  # noqa: PLC0415

    smtp = settings.smtp
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
            key = oauth.read_service_key(smtp.oauth_service_account_file or Path())
            source = oauth.ServiceAccount(endpoint, key, smtp.username or "", smtp.scope)
    return Tokens(source, hide, deadline=settings.service.notification_timeout)
