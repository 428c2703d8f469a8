"""The providers used most: hosts, logins, limits, and what an operator can do about their refusals."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

SUBMISSION = 587


@dataclass(frozen=True, slots=True)
class OAuth:
    """A provider's token endpoint, and its scope for each grant; empty where it does not offer that grant.

    `application_scope`: client credentials. `person_scope`: refresh token. `delegate_scope`: service account.
    `tenant`: the tenant in the URL for personal accounts. `needs_secret`: a refresh token needs a client secret too.
    """

    token_url: str
    application_scope: str = ""
    person_scope: str = ""
    delegate_scope: str = ""
    tenant: str = ""
    needs_secret: bool = False


GOOGLE = OAuth(
    "https://oauth2.googleapis.com/token",
    person_scope="https://mail.google.com/",
    delegate_scope="https://mail.google.com/",
    needs_secret=True,
)
"""Also for servers under other names, such as smtp-relay.gmail.com, where a service account logs in."""


@dataclass(frozen=True, slots=True)
class Provider:
    """`setup`: the step that people miss. `plain`: without TLS, unless a setting says otherwise.

    `hints`: what an operator can do, by reply code. `enhanced_hints`: the same by enhanced status code, which wins.
    `oauth_hint`: the same for a login by token. `login_warning`: what `doctor` says about logins by password.

    `sender_rule`: what it does with mail from an address other than the login's.

    `mails_a_minute`, `mails_a_day`: the published limits of one account; 0 where none is known.
    """

    name: str
    host: str | None = None
    port: int = SUBMISSION
    plain: bool = False
    needs_login: bool = False
    setup: str = ""
    aliases: tuple[str, ...] = ()
    mails_a_minute: int = 0
    mails_a_day: int = 0
    hints: Mapping[int, str] = field(default_factory=dict)
    enhanced_hints: Mapping[str, str] = field(default_factory=dict)
    login_warning: str = ""
    sender_rule: str = ""
    oauth: OAuth | None = None
    oauth_hint: str = (
        "the server refuses the token: is SMTP_USERNAME the mailbox that it was made for, and does SMTP_OAUTH_SCOPE "
        "allow sending?"
    )

    def hint(self, code: int | None, text: str = "", by_text: str = "") -> str:
        """Returns what an operator can do. `text`: the reply; `by_text`: the hint that follows from its phrases."""
        found = (hint for code, hint in self.enhanced_hints.items() if re.search(rf"\b{re.escape(code)}\b", text))
        by_code = _HINTS.get(code or 0, "")
        return next(found, "") or self.hints.get(code or 0) or (by_code if code in _LOGIN else by_text or by_code)

    def by_token(self) -> "Provider":
        """Returns the provider with its hints for SMTP_AUTH=oauth2."""
        hints = {**self.hints, **dict.fromkeys((530, 534, 535), self.oauth_hint)}
        enhanced_hints = self.enhanced_hints and _OUTLOOK_OAUTH_HINTS
        return replace(self, hints=hints, enhanced_hints=enhanced_hints, login_warning="")


_LOGIN = frozenset({530, 534, 535, 538})
"""RFC 4954 §6: these codes are clear whatever the text is."""

_HINTS = {
    421: "the server is busy or closing; sending pauses and is tried again",
    454: "the server cannot check logins or start TLS just now; sending pauses and is tried again",
    530: "the server wants a login: set SMTP_USERNAME and SMTP_PASSWORD",
    534: "the server refuses this way of logging in: see the provider's page on SMTP access",
    535: "the server refuses SMTP_USERNAME or SMTP_PASSWORD: check both, and whether SMTP access is allowed there",
    538: "the server wants TLS before a login: set SMTP_SECURITY to starttls or implicit",
    550: "the server refuses FROM_EMAIL as a sender: use an address that belongs to SMTP_USERNAME",
    553: "the server refuses FROM_EMAIL as a sender: use an address that belongs to SMTP_USERNAME",
}

_GMAIL_LOGIN = (
    "Gmail needs an app password, not the account's own: turn on 2-step verification, create one at "
    "https://myaccount.google.com/apppasswords and put its 16 letters into SMTP_PASSWORD"
)
_YAHOO_LOGIN = "Yahoo needs an app password: Account security, Generate app password, and put it into SMTP_PASSWORD"
_OUTLOOK_LOGIN = (
    "Microsoft takes passwords only where an administrator allows them, from the end of December 2026 off by default, "
    "and for personal outlook.com accounts not at all: set SMTP_AUTH=oauth2, see docs/providers.md"
)
_SMTP_AUTH_OFF = (
    "Authenticated SMTP is off for this mailbox or its organisation: an administrator turns it on with "
    "Set-CASMailbox -Identity MAILBOX -SmtpClientAuthenticationDisabled $false; "
)
_OUTLOOK_HINTS = {
    "5.7.139": f"{_SMTP_AUTH_OFF}or passwords are: set SMTP_AUTH=oauth2, see docs/providers.md",
    "5.7.30": "Microsoft takes no passwords here any more: set SMTP_AUTH=oauth2, see docs/providers.md",
}
_OUTLOOK_OAUTH_HINTS = {
    "5.7.139": f"{_SMTP_AUTH_OFF}for a token too; security defaults or Conditional Access may forbid it"
}
_OUTLOOK_OAUTH_HINT = (
    "Microsoft refuses the token: SMTP_USERNAME has to be the mailbox, and for client credentials the application "
    "needs SMTP.SendAsApp with an administrator's consent, New-ServicePrincipal with the Object ID of the *enterprise* "
    "application, and Add-MailboxPermission, which takes up to an hour; see docs/providers.md"
)
_GMAIL_OAUTH_HINT = (
    "Google refuses the token: SMTP_USERNAME has to be the mailbox that agreed, or that the service account acts for, "
    "and the scope https://mail.google.com/; see docs/providers.md"
)

PROVIDERS = (
    Provider(
        "Gmail",
        "smtp.gmail.com",
        needs_login=True,
        setup="an app password",
        aliases=("gmail", "smtp.googlemail.com"),
        sender_rule="Gmail puts SMTP_USERNAME in the place of FROM_EMAIL, unless it is a verified alias there",
        mails_a_day=500,  # Gmail Help, "Limits for sending & getting mail"; Workspace accounts have 2,000
        hints={
            534: _GMAIL_LOGIN,
            535: _GMAIL_LOGIN,
            454: "Gmail refuses logins for a while after too many of them: sending pauses and is tried again",
        },
        oauth=GOOGLE,
        oauth_hint=_GMAIL_OAUTH_HINT,
    ),
    Provider(
        "Outlook",
        "smtp.office365.com",
        needs_login=True,
        setup="a mailbox with Authenticated SMTP allowed, or better SMTP_AUTH=oauth2",
        aliases=("outlook", "smtp-mail.outlook.com", "office365"),
        sender_rule="Microsoft refuses FROM_EMAIL after the content, unless SMTP_USERNAME has the right to send as it",
        mails_a_minute=30,  # Microsoft Learn, "Exchange Online limits", sending limits
        mails_a_day=10_000,
        hints={530: _OUTLOOK_LOGIN, 535: _OUTLOOK_LOGIN},
        enhanced_hints=_OUTLOOK_HINTS,
        login_warning="Microsoft turns passwords off by default at the end of December 2026: set SMTP_AUTH=oauth2 "
        "before",
        oauth=OAuth(
            "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
            application_scope="https://outlook.office365.com/.default",
            person_scope="https://outlook.office.com/SMTP.Send offline_access",
            tenant="consumers",
        ),
        oauth_hint=_OUTLOOK_OAUTH_HINT,
    ),
    Provider(
        "Yahoo",
        "smtp.mail.yahoo.com",
        needs_login=True,
        setup="an app password",
        aliases=("yahoo",),
        sender_rule="Yahoo refuses FROM_EMAIL, unless it is an address of SMTP_USERNAME that was verified there",
        mails_a_day=500,  # Yahoo Help, "Sending limits in Yahoo Mail"
        hints={535: _YAHOO_LOGIN},
    ),
)
CATCHER = Provider("mailcatcher", "mailcatcher", port=1025, plain=True)
"""The mail catcher of docker-compose.yml. Its port and plain text do not apply to other servers."""


def find(server: str) -> Provider:
    """Returns the provider with this host or short name; any other server is a custom one."""
    wanted = server.strip().lower()
    for provider in PROVIDERS:
        if wanted in provider.aliases and "." in wanted:
            return replace(provider, host=wanted)
        if wanted == provider.host or wanted in provider.aliases:
            return provider
    return CATCHER if wanted == CATCHER.host else Provider("custom", wanted or None)
