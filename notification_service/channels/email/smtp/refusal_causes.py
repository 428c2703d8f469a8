"""What a server can refuse a message for, and what an operator can do about it."""

from collections.abc import Mapping
from enum import Enum, auto


class Cause(Enum):
    RECIPIENT = auto()
    """This mailbox or this message, and nothing of ours."""
    ADDRESS = auto()
    """The mailbox does not exist, or no longer."""
    FULL = auto()
    """The mailbox is full, or gets too much mail at the moment."""
    SESSION = auto()
    """This connection has carried enough messages, or has lasted long enough."""
    SENDER = auto()
    HELO = auto()
    CLIENT = auto()
    """Our IP address: its name in DNS, or its reputation."""
    QUOTA = auto()
    DOMAIN = auto()
    """SPF, DKIM or DMARC of our domain."""
    LOGIN = auto()
    SUSPENDED = auto()
    RELAY = auto()
    PROTOCOL = auto()


HINTS: Mapping[Cause, str] = {
    Cause.SESSION: "the server takes no more on one connection: set SMTP_MAX_MAILS below what it allows",
    Cause.SENDER: "the server refuses FROM_EMAIL as a sender: use an address that belongs to SMTP_USERNAME and that "
    "the provider has verified",
    Cause.HELO: "the server refuses the name that we greet it with: set SMTP_EHLO_NAME to this machine's full name",
    Cause.CLIENT: "the server refuses our address or its reputation: have it taken off the list that the reply names, "
    "give it a reverse DNS name, or send through another relay",
    Cause.QUOTA: "the account has sent what it may: wait until the provider counts anew or raise the plan, and set "
    "SMTP_MAILS_PER_DAY and SMTP_MAILS_PER_MINUTE to what it allows",
    Cause.DOMAIN: "the domain of FROM_EMAIL does not vouch for this server: correct its SPF, DKIM and DMARC in DNS",
    Cause.LOGIN: "the server wants a login that it accepts: check SMTP_USERNAME, SMTP_PASSWORD and SMTP_SECURITY",
    Cause.SUSPENDED: "the provider has stopped this account: sign in there, see why, and ask its support",
    Cause.RELAY: "the server does not know us and passes nothing on for us: set SMTP_USERNAME and SMTP_PASSWORD, or "
    "have this machine's address allowed there",
    Cause.PROTOCOL: "the server did not understand us: ask its operator, with this reply",
}
"""What an operator can do. Nothing can be done about a recipient, so those causes have no hint."""
