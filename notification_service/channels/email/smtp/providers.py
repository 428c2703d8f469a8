"""What is particular about the providers that people use most: hosts, logins, and what their refusals mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

SUBMISSION = 587


@dataclass(frozen=True, slots=True)
class OAuth:
    """Where a provider's tokens come from. A scope is empty where it gives none in that way.

    `application`: client credentials; `person`: a refresh token; `delegate`: a service account. `tenant`: what stands
    in the URL for a person's own account. `needs_secret`: a refresh token alone is not enough.
    """

    token_url: str
    application: str = ""
    person: str = ""
    delegate: str = ""
    tenant: str = ""
    needs_secret: bool = False


GOOGLE = OAuth(
    "https://oauth2.googleapis.com/token",
    person="https://mail.google.com/",
    delegate="https://mail.google.com/",
    needs_secret=True,
)
"""Also where the server has another name, as smtp-relay.gmail.com, and a service account logs in."""


@dataclass(frozen=True, slots=True)
class Provider:
    """`hints`: what an operator can do about a reply code. `setup`: the one thing that people miss.

    `said`: the same by the enhanced code of a reply, which wins; `refused`: for a login by token.
    `plain`: without TLS, unless a setting says otherwise.
    `doomed`: what `doctor` says about passwords that are still taken.

    `mails_a_minute`, `mails_a_day`: the limits that they publish for one account; 0: none that we know.
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
    said: Mapping[str, str] = field(default_factory=dict)
    doomed: str = ""
    oauth: OAuth | None = None
    refused: str = (
        "the server refuses the token: is SMTP_USERNAME the mailbox that it was made for, and does SMTP_OAUTH_SCOPE "
        "allow sending?"
    )

    def hint(self, code: int | None, text: str = "", about: str = "") -> str:
        """What an operator can do. `text`: the reply; `about`: what is known of it from its words."""
        named = next((hint for said, hint in self.said.items() if re.search(rf"\b{re.escape(said)}\b", text)), "")
        known = _HINTS.get(code or 0, "")
        return named or self.hints.get(code or 0) or (known if code in _LOGIN else about or known)

    def by_token(self) -> "Provider":
        """The same where SMTP_AUTH=oauth2: no password is at fault."""
        logins = dict.fromkeys((530, 534, 535), self.refused)
        return replace(self, hints={**self.hints, **logins}, said=self.said and _WITH_TOKEN, doomed="")


_LOGIN = frozenset({530, 534, 535, 538})
"""RFC 4954 §6: these say all by themselves."""

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
_OUTLOOK_SAYS = {
    "5.7.139": f"{_SMTP_AUTH_OFF}or passwords are: set SMTP_AUTH=oauth2, see docs/providers.md",
    "5.7.30": "Microsoft takes no passwords here any more: set SMTP_AUTH=oauth2, see docs/providers.md",
}
_WITH_TOKEN = {"5.7.139": f"{_SMTP_AUTH_OFF}for a token too; security defaults or Conditional Access may forbid it"}
_OUTLOOK_REFUSED = (
    "Microsoft refuses the token: SMTP_USERNAME has to be the mailbox, and for client credentials the application "
    "needs SMTP.SendAsApp with an administrator's consent, New-ServicePrincipal with the Object ID of the *enterprise* "
    "application, and Add-MailboxPermission, which takes up to an hour; see docs/providers.md"
)
_GMAIL_REFUSED = (
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
        mails_a_day=500,  # Gmail Help, "Limits for sending & getting mail"; Workspace accounts have 2,000
        hints={
            534: _GMAIL_LOGIN,
            535: _GMAIL_LOGIN,
            454: "Gmail refuses logins for a while after too many of them: sending pauses and is tried again",
        },
        oauth=GOOGLE,
        refused=_GMAIL_REFUSED,
    ),
    Provider(
        "Outlook",
        "smtp.office365.com",
        needs_login=True,
        setup="a mailbox with Authenticated SMTP allowed, or better SMTP_AUTH=oauth2",
        aliases=("outlook", "smtp-mail.outlook.com", "office365"),
        mails_a_minute=30,  # Microsoft Learn, "Exchange Online limits", sending limits
        mails_a_day=10_000,
        hints={530: _OUTLOOK_LOGIN, 535: _OUTLOOK_LOGIN},
        said=_OUTLOOK_SAYS,
        doomed="Microsoft turns passwords off by default at the end of December 2026: set SMTP_AUTH=oauth2 before",
        oauth=OAuth(
            "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
            application="https://outlook.office365.com/.default",
            person="https://outlook.office.com/SMTP.Send offline_access",
            tenant="consumers",
        ),
        refused=_OUTLOOK_REFUSED,
    ),
    Provider(
        "Yahoo",
        "smtp.mail.yahoo.com",
        needs_login=True,
        setup="an app password",
        aliases=("yahoo",),
        mails_a_day=500,  # Yahoo Help, "Sending limits in Yahoo Mail"
        hints={535: _YAHOO_LOGIN},
    ),
)
CATCHER = Provider("mailcatcher", "mailcatcher", port=1025, plain=True)
"""That of docker-compose.yml, so that another server which is set there is not spoken to as the catcher is."""


def find(server: str) -> Provider:
    """The provider that `server` names, by host or by short name; any other server is a custom one."""
    wanted = server.strip().lower()
    for provider in PROVIDERS:
        if wanted in provider.aliases and "." in wanted:
            return replace(provider, host=wanted)
        if wanted == provider.host or wanted in provider.aliases:
            return provider
    return CATCHER if wanted == CATCHER.host else Provider("custom", wanted or None)
