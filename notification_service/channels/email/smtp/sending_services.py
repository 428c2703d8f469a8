"""Services that send for others and report what became of a mail: how they name it, and how we may name it to them.

SES, for one, replaces the Message-ID, so a header of the service's own carries our id through it.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

_MAX_ID_LENGTH = 200


@dataclass(frozen=True, slots=True)
class SendingService:
    """`host`: its SMTP servers. `accepted`: its reply to DATA, with its id of the mail as the first group.

    `tag`: the header line that names a notification to it, and comes back with its reports. `webhook_setting`: lets
    these reports in.
    """

    name: str
    webhook_setting: str
    host: re.Pattern[str]
    accepted: re.Pattern[str]
    tag: Callable[[str], str]

    def id_in(self, reply: str) -> str | None:
        """The service's id of a mail, out of the text behind its 250; None where the text has another form."""
        found = self.accepted.search(reply[:1000])
        return found[1] if found and len(found[1]) <= _MAX_ID_LENGTH else None


_SERVICES = (
    SendingService(
        "SES",
        "SES_TOPICS",
        re.compile(r"email-smtp(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?"),
        re.compile(r"\bOk ([0-9a-f]{16}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]{6})\b", re.IGNORECASE),
        lambda notification_id: f"X-SES-MESSAGE-TAGS: notification={notification_id}",
    ),
    SendingService(
        "SendGrid",
        "SENDGRID_WEBHOOK_KEYS",
        re.compile(r"smtp(?:\.eu)?\.sendgrid\.net"),
        re.compile(r"\bqueued as ([A-Za-z0-9_-]{10,})(?![\w.-])", re.IGNORECASE),
        lambda notification_id: f"X-SMTPAPI: {_named('unique_args', {'notification_id': notification_id})}",
    ),
    SendingService(
        "Mailgun",
        "MAILGUN_WEBHOOK_KEYS",
        re.compile(r"smtp(?:\.eu)?\.mailgun\.org"),
        re.compile(r"<([^<>\s@]+@[^<>\s@]+)>"),
        lambda notification_id: f"X-Mailgun-Variables: {json.dumps({'notification_id': notification_id})}",
    ),
    SendingService(
        "Postmark",
        "POSTMARK_WEBHOOK_LOGINS",
        re.compile(r"smtp(?:-broadcasts)?\.postmarkapp\.com"),
        re.compile(r"\b([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b", re.IGNORECASE),
        lambda notification_id: f"X-PM-Metadata-notification_id: {notification_id}",
    ),
)


def _named(name: str, fields: dict[str, str]) -> str:
    return json.dumps({name: fields}, separators=(",", ":"))


def find(host: str) -> SendingService | None:
    """The service that this server belongs to; None for any other."""
    wanted = host.strip().lower().rstrip(".")
    return next((service for service in _SERVICES if service.host.fullmatch(wanted)), None)
