"""The mail server, and how the service logs in there."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, SecretStr, ValidationInfo
from pydantic_settings import SettingsConfigDict

from notification_service.channels.email.smtp import providers
from notification_service.settings.choices import Grant, Login, Security
from notification_service.settings.fields import (
    Count,
    EhloName,
    Limit,
    Port,
    Seconds,
    SettingsGroup,
    SmtpServer,
    Tenant,
    TokenUrl,
)

_FIRST = re.compile(r"\bSMTP_(?!FALLBACK_)(?=[A-Z])")
_ACCOUNT_FILE = "SMTP_OAUTH_SERVICE_ACCOUNT_FILE"


def name_settings(text: str, prefix: str) -> str:
    """Returns a text about the first mail server with the settings of the one whose prefix this is."""
    return _FIRST.sub(prefix, text)


def _check_login(login: Login, read: ValidationInfo) -> Login:
    if login is Login.OAUTH2 and read.data.get("security") is Security.PLAIN:
        raise ValueError("oauth2 needs TLS: with SMTP_SECURITY=plain, everybody on the way could read the token")
    return login


class SmtpSettings(SettingsGroup):
    """`server`: a host name, or `gmail`, `outlook` or `yahoo`. If it is unset, mail is simulated."""

    prefix: ClassVar[str] = "SMTP_"
    model_config = SettingsConfigDict(env_prefix="SMTP_")

    server: SmtpServer = None
    port: Port | None = None
    username: str | None = None
    password: SecretStr | None = None
    security: Security = Security.AUTO
    ca_file: Path | None = None
    ehlo_name: EhloName = None
    auth: Annotated[Login, AfterValidator(_check_login)] = Login.PASSWORD
    oauth_client_id: str | None = None
    oauth_client_secret: SecretStr | None = None
    oauth_tenant: Tenant = None
    oauth_refresh_token: SecretStr | None = None
    oauth_service_account_file: Path | None = None
    oauth_token_url: TokenUrl = None
    oauth_scope: str | None = None
    pool_size: Count = 8
    max_idle: Seconds = 30
    max_age: Seconds = 300
    max_mails: Count = 1000
    data_timeout: Seconds = 600
    mails_per_minute: Limit = None
    mails_per_day: Limit = None

    def named(self, text: str) -> str:
        """Returns a text that names the settings of the first server with those of this one."""
        return name_settings(text, self.prefix)

    @cached_property
    def provider(self) -> providers.Provider:
        return providers.find(self.server or "")

    @property
    def host(self) -> str:
        return self.provider.host or self.server or ""

    @property
    def connect_port(self) -> int:
        if self.port is not None:
            return self.port
        return 465 if self.security is Security.IMPLICIT else self.provider.port

    @property
    def account(self) -> tuple[str, int | str, str]:
        """What two relays must not have in common: server and login, and the port where the provider is not known."""
        host, known = self.host.lower().rstrip("."), self.provider.needs_login
        return self.provider.name if known else host, "" if known else self.connect_port, (self.username or "").lower()

    @property
    def protection(self) -> Security:
        if self.security is not Security.AUTO:
            return self.security
        if self.provider.plain:
            return Security.PLAIN
        return Security.IMPLICIT if self.connect_port == 465 else Security.STARTTLS  # noqa: PLR2004 - RFC 8314

    @property
    def missing(self) -> str | None:
        """Why this mail server cannot be used, in one sentence that names the setting; None if it can be."""
        return self.named(missing) if (missing := self._missing) else None

    @property
    def _missing(self) -> str | None:
        if not self.server:
            return "SMTP_SERVER is not set"
        if self.auth is Login.OAUTH2:
            return self._missing_for_tokens
        if self.username and not self.password:
            by_token = self.oauth_client_id or self.oauth_service_account_file
            return "SMTP_USERNAME is set, and SMTP_PASSWORD is not" + (", nor SMTP_AUTH=oauth2" if by_token else "")
        if self.password and not self.username:
            return "SMTP_PASSWORD is set, and SMTP_USERNAME is not"
        if self.provider.needs_login and not self.username:
            return f"{self.provider.name} needs SMTP_USERNAME and SMTP_PASSWORD ({self.provider.setup})"
        return None

    @property
    def grant(self) -> Grant:
        if self.oauth_service_account_file:
            return Grant.SERVICE_ACCOUNT
        return Grant.REFRESH_TOKEN if self.oauth_refresh_token else Grant.CLIENT_CREDENTIALS

    @property
    def oauth(self) -> providers.OAuth | None:
        """The token endpoint and scopes that the provider publishes; None if they are unknown."""
        return self.provider.oauth or (providers.GOOGLE if self.grant is Grant.SERVICE_ACCOUNT else None)

    @property
    def token_url(self) -> str | None:
        """The URL of the token endpoint; None if it is unknown."""
        if self.oauth_token_url or self.oauth is None:
            return self.oauth_token_url
        tenant = self.oauth_tenant or (self.oauth.tenant if self.grant is Grant.REFRESH_TOKEN else "")
        is_complete = tenant or "{tenant}" not in self.oauth.token_url
        return self.oauth.token_url.format(tenant=tenant) if is_complete else None

    @property
    def scope(self) -> str:
        """The OAuth scopes to request; empty for the endpoint's default."""
        if self.oauth_scope or self.oauth is None:
            return self.oauth_scope or ""
        match self.grant:
            case Grant.CLIENT_CREDENTIALS:
                return self.oauth.application_scope
            case Grant.REFRESH_TOKEN:
                return self.oauth.person_scope
            case Grant.SERVICE_ACCOUNT:
                return self.oauth.delegate_scope

    def for_a_person(self) -> "SmtpSettings":
        """Returns these settings as they are once a user has consented and SMTP_OAUTH_REFRESH_TOKEN is set."""
        consented = {
            "auth": Login.OAUTH2,
            "oauth_service_account_file": None,
            "oauth_refresh_token": SecretStr("pending"),
        }
        return self.model_copy(update=consented)

    @property
    def _missing_for_tokens(self) -> str | None:
        name, oauth = self.provider.name, self.oauth
        required_scopes = set((oauth.person_scope if oauth else "").split()) & {"offline_access"}
        person, account = self.grant is Grant.REFRESH_TOKEN, self.grant is Grant.SERVICE_ACCOUNT
        secret = self.oauth_client_secret is not None
        faults = (
            (not self.username, "SMTP_AUTH=oauth2 needs SMTP_USERNAME, the mailbox"),
            (
                account and self.oauth_refresh_token,
                f"{_ACCOUNT_FILE} and SMTP_OAUTH_REFRESH_TOKEN are both set: unset one",
            ),
            (account and not self.scope, f"{name} supports no service accounts: unset {_ACCOUNT_FILE}"),
            (
                not account and not self.oauth_client_id,
                f"SMTP_AUTH=oauth2 needs SMTP_OAUTH_CLIENT_ID, or {_ACCOUNT_FILE}",
            ),
            (
                self.grant is Grant.CLIENT_CREDENTIALS and oauth and not self.scope,
                f"{name} needs SMTP_OAUTH_REFRESH_TOKEN beside SMTP_OAUTH_CLIENT_ID, or {_ACCOUNT_FILE}",
            ),
            (
                self.grant is Grant.CLIENT_CREDENTIALS and not secret,
                "SMTP_AUTH=oauth2 needs SMTP_OAUTH_CLIENT_SECRET or SMTP_OAUTH_REFRESH_TOKEN",
            ),
            (
                person and oauth and oauth.needs_secret and not secret,
                f"{name} needs SMTP_OAUTH_CLIENT_SECRET beside SMTP_OAUTH_REFRESH_TOKEN",
            ),
            (
                person and not required_scopes <= set(self.scope.split()),
                "SMTP_OAUTH_SCOPE has to include offline_access; without it, the refresh token expires",
            ),
            (
                not account and not self.token_url,
                "SMTP_OAUTH_TENANT is not set" if oauth else "SMTP_OAUTH_TOKEN_URL is not set",
            ),
        )
        return next((text for applies, text in faults if applies), None)


class FallbackSettings(SmtpSettings):
    """A second mail server, for what the first cannot take. If `server` is unset, there is none."""

    prefix: ClassVar[str] = "SMTP_FALLBACK_"
    model_config = SettingsConfigDict(env_prefix="SMTP_FALLBACK_")

    def fault(self, first: SmtpSettings) -> str | None:
        """Why it cannot stand behind the first, in one sentence that names the setting; None if it can, or is unset."""
        if not self.server:
            changed = [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]
            return f"{self.prefix}{changed[0].upper()} is set, and SMTP_FALLBACK_SERVER is not" if changed else None
        if not first.server:
            return "SMTP_FALLBACK_SERVER is set, and SMTP_SERVER is not: the first server goes there"
        if self.account == first.account:
            return "SMTP_FALLBACK_SERVER is the same account as SMTP_SERVER: it would fail with it, name another"
        return self.missing
