"""What is particular about the providers that people use most: hosts, logins, and what their refusals mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

SUBMISSION = 587


@dataclass(frozen=True, slots=True)
class Provider:
    """`hints`: what an operator can do about a reply code. `setup`: the one thing that people miss.

    `mails_a_minute`, `mails_a_day`: the limits that they publish for one account; 0: none that we know.
    """

    name: str
    host: str | None = None
    port: int = SUBMISSION
    needs_login: bool = False
    setup: str = ""
    aliases: tuple[str, ...] = ()
    mails_a_minute: int = 0
    mails_a_day: int = 0
    hints: Mapping[int, str] = field(default_factory=dict)

    def hint(self, code: int | None, about: str = "") -> str:
        """What an operator can do; `about`: what is known of it from the reply's words."""
        known = _HINTS.get(code or 0, "")
        return self.hints.get(code or 0) or (known if code in _LOGIN else about or known)


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
    "Microsoft refuses passwords unless an administrator allows Authenticated SMTP for this mailbox; personal "
    "outlook.com accounts no longer take passwords at all, so use another relay for them"
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
    ),
    Provider(
        "Outlook",
        "smtp.office365.com",
        needs_login=True,
        setup="a mailbox with Authenticated SMTP allowed",
        aliases=("outlook", "smtp-mail.outlook.com", "office365"),
        mails_a_minute=30,  # Microsoft Learn, "Exchange Online limits", sending limits
        mails_a_day=10_000,
        hints={530: _OUTLOOK_LOGIN, 535: _OUTLOOK_LOGIN},
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


def find(server: str) -> Provider:
    """The provider that `server` names, by host or by short name; any other server is a custom one."""
    wanted = server.strip().lower()
    for provider in PROVIDERS:
        if wanted in provider.aliases and "." in wanted:
            return replace(provider, host=wanted)
        if wanted == provider.host or wanted in provider.aliases:
            return provider
    return Provider("custom", wanted or None)
